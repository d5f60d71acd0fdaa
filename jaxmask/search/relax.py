"""The relaxation: gates between 0 and 1, learned by descent and ascent (Eqs. 4-7).

Minimised over the locations of the gates and the baselines, maximised over the multipliers:

    E[surrogate(log-ratio)] + kl_weight KL
        + m_0 (mean P(z != 0) / alpha - 1) + m_1 (mean P(0 < z < 1) / beta - 1)
        + m_2 (KL / kl_at_most - 1)

with gates ``z ~ HardConcrete(location)`` and baselines ``b = to_baseline(values)``; the last term
is there where the KL has a limit. A violation is
measured against its limit, so that one rate of ascent suits all limits. The limits shrink
geometrically from ``initial_alpha`` to ``alpha`` and ``beta``, which goes beyond the paper.

Source: De Cao et al., Sections 3.1 to 3.5.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.finite import all_finite, take
from jaxmask.intervention import DIRECTIONS, Intervention, to_baseline
from jaxmask.objective import NoKL, Objective
from jaxmask.search import hard_concrete, losses, masks, parameters
from jaxmask.search.config import SearchConfig, check
from jaxmask.search.objective_checks import check_outcome


class SearchState(NamedTuple):
    """What a search carries from step to step.

    Attributes:
        params: ``location`` of the gates, one row for a shared mask, else one for each direction;
            ``values``, the baselines before `jaxmask.intervention.to_baseline`; ``multipliers``.
        optimizer: state of the optimiser.
        key: for the steps to come.
        step: number of steps done.
        finite: were all steps finite so far? After one that isn't, the state no longer changes.

    Example:
        See `init`.
    """

    params: dict
    optimizer: optax.OptState
    key: Key[Array, ""]
    step: Int[Array, ""]
    finite: Bool[Array, ""]


class SearchInfo(NamedTuple):
    """What a step observed, on its own batch with sampled gates.

    Attributes:
        loss: surrogate and KL, without the constraints.
        accuracy: fraction of decisions flipped.
        kl: estimate of the mean KL, in nats.
        expected_l0: expected number of units of a mask, sum of P(z != 0).
        target: the number that ``expected_l0`` had to come down to.
        fractional_gates: expected number of gates of a mask strictly between 0 and 1.
        hard_units: number of units of the hard mask.
        multiplier: of the constraint on ``expected_l0``.
        fractional_multiplier: of the constraint on gates strictly between 0 and 1.
        finite: were this step and all before it finite? Otherwise it wasn't taken.

    Example:
        See `step`.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    kl: Float[Array, ""]
    expected_l0: Float[Array, ""]
    target: Float[Array, ""]
    fractional_gates: Float[Array, ""]
    hard_units: Float[Array, ""]
    multiplier: Float[Array, ""]
    fractional_multiplier: Float[Array, ""]
    finite: Bool[Array, ""]


class Relaxation(NamedTuple):
    """What the relaxed mask does to all examples, sampled and thresholded.

    Constraint (7) is there to keep the two accuracies close.

    Attributes:
        sampled_accuracy: fraction of decisions flipped by gates sampled anew for each row.
        hard_accuracy: fraction flipped by the units with E[z] > 0.5.
        hard_units: number of these units, averaged over the rows of the mask.

    Example:
        See `relaxation`.
    """

    sampled_accuracy: Float[Array, ""]
    hard_accuracy: Float[Array, ""]
    hard_units: Float[Array, ""]


def init(key: Key[Array, ""], objective: Objective, config: SearchConfig) -> SearchState:
    """The state before the first step: all gates alike, at the first target.

    Args:
        key: of this run.
        objective: how the model responds.
        config: settings.

    Raises:
        ValueError: see `jaxmask.search.check`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> state = search.init(jax.random.key(0), objective, search.SearchConfig())
        >>> state.params["location"].shape, state.params["values"].shape
        ((1, 2), (2, 2))
    """
    check(config)
    values_key, key = jax.random.split(key)
    rows = 1 if config.shared_mask else DIRECTIONS
    params = {
        "location": jnp.full((rows, objective.n_units), _first_location(config)),
        "values": parameters.first_values(values_key, objective.n_units),
        "multipliers": {
            name: jnp.zeros(())
            for name in (*_CONSTRAINTS, *(["kl"] if config.kl_at_most is not None else []))
        },
    }
    start = jnp.zeros((), jnp.int32)
    moments = _optimizer(start, config).init(params)
    return SearchState(params, moments, key, start, jnp.ones((), bool))


def step(
    state: SearchState, objective: Objective, config: SearchConfig
) -> tuple[SearchState, SearchInfo]:
    """One descent-ascent step on one batch, with new samples of the gates.

    Where the loss, its gradient or the new state isn't finite, the state stays as it was.

    Args:
        state: before the step.
        objective: how the model responds.
        config: settings.

    Returns:
        The state after the step, and what the step observed.

    Raises:
        ValueError: the shapes of what the objective returns don't belong together.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5)
        >>> state = search.init(jax.random.key(0), objective, config)
        >>> state, info = jax.jit(search.step)(state, objective, config)
        >>> int(state.step), float(info.target)
        (1, 1.0)
    """
    key, batch_key, gate_key, kl_key = jax.random.split(state.key, 4)
    batch = _draw(batch_key, objective, config)
    surrogate = losses.SURROGATES[config.surrogate]
    scale, kl = losses.scale(surrogate), config.kl_term()
    target = parameters.shrinking_target(state.step, config.alpha, config)
    limits = {
        "l0": target,
        "fractional": parameters.shrinking_target(state.step, config.most_fractional, config),
    }

    def lagrangian(params: dict) -> tuple[Array, tuple]:
        location, values = params["location"], params["values"]
        gates = _sampled_gates(gate_key, location, batch.direction, config)
        intervention = Intervention(gates, to_baseline(values)[batch.direction])
        outcome = objective(intervention, batch, kl_key, config.kl)
        check_outcome(outcome, batch)
        loss = (surrogate(outcome.log_ratio) * outcome.weight).sum() / scale
        loss += kl.weight * kl.of(outcome)
        violations = {
            name: probability(location, config.temperature, config.support).mean() / limits[name]
            - 1.0
            for name, probability in _CONSTRAINTS.items()
        }
        multipliers = params["multipliers"]
        penalty = sum(multipliers[name] * violations[name] for name in violations)
        if kl.at_most is not None:  # an estimate, unlike the others
            penalty += multipliers["kl"] * kl.excess(outcome)
        return loss + penalty, (loss, outcome, violations)

    gradient, (loss, outcome, violations) = jax.grad(lagrangian, has_aux=True)(state.params)
    params, moments = parameters.update(
        state.params,
        state.optimizer,
        gradient,
        violations,
        _optimizer(state.step, config),
        config,
    )
    units = objective.n_units
    finite = state.finite & all_finite((loss, gradient, params, moments))
    info = SearchInfo(
        loss=loss,
        accuracy=losses.flipped(outcome).sum(),
        kl=outcome.kl,
        expected_l0=(violations["l0"] + 1.0) * target * units,
        target=target * units,
        fractional_gates=(violations["fractional"] + 1.0) * limits["fractional"] * units,
        hard_units=thresholded(params["location"], config).sum(axis=1).mean(),
        multiplier=params["multipliers"]["l0"],
        fractional_multiplier=params["multipliers"]["fractional"],
        finite=finite,
    )
    return take(SearchState(params, moments, key, state.step + 1, finite), state), info


def relaxation(state: SearchState, objective: Objective, config: SearchConfig) -> Relaxation:
    """What the relaxed mask does to all examples, before anything refines it.

    Args:
        state: at the end of the relaxation.
        objective: examples to judge by; they may be held out.
        config: settings of the search.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> state = search.init(jax.random.key(0), objective, search.SearchConfig())
        >>> relaxation = jax.jit(search.relaxation)(state, objective, search.SearchConfig())
        >>> float(relaxation.hard_accuracy), float(relaxation.hard_units)  # all gates are closed
        (0.0, 0.0)
    """
    location, baseline = state.params["location"], to_baseline(state.params["values"])
    batch = objective.everything()

    def accuracy(mask: Float[Array, "rows units"]) -> Float[Array, ""]:
        intervention = Intervention(mask, baseline[batch.direction])
        return losses.flipped(objective(intervention, batch, None, NoKL())).sum()

    rows = masks.row_of(batch.direction, len(location))
    gates = hard_concrete.sample(state.key, location[rows], config.temperature, config.support)
    hard = thresholded(location, config)
    return Relaxation(accuracy(gates), accuracy(hard[rows]), hard.sum(axis=1).mean())


def thresholded(
    location: Float[Array, "masks units"], config: SearchConfig
) -> Float[Array, "masks units"]:
    """The hard mask of the paper: 1 where E[z] > 0.5.

    Args:
        location: of the gates.
        config: with their temperature and support.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import SearchConfig, thresholded
        >>> thresholded(jnp.array([[-1.0, 2.0]]), SearchConfig()).tolist()
        [[0.0, 1.0]]
    """
    return (hard_concrete.mean(location, config.temperature, config.support) > 0.5).astype(
        location.dtype
    )


def _first_location(config: SearchConfig) -> Float[Array, ""]:
    if config.initial_location is not None:
        location = jnp.asarray(config.initial_location, jnp.float32)
        return jnp.clip(location, parameters.lowest_location(config), config.highest)
    nonzero = hard_concrete.prob_nonzero(jnp.zeros(()), config.temperature, config.support)
    return parameters.first_location(config, jnp.log(nonzero) - jnp.log1p(-nonzero))


def _draw(key: Key[Array, ""], objective: Objective, config: SearchConfig) -> Any:
    """The batch of a step.

    Raises:
        ValueError: the objective can't draw independently.
    """
    sample: Callable[..., Any] = objective.sample
    if config.batches == "even":
        return sample(key, config.batch_size)
    if "independent" not in inspect.signature(sample).parameters:
        raise ValueError(
            "batches: expected 'even', as sample(...) of this objective takes no independent=True, "
            f"found {config.batches!r}"
        )
    return sample(key, config.batch_size, independent=True)


def _sampled_gates(
    key: Key[Array, ""],
    location: Float[Array, "masks units"],
    direction: Int[Array, " rows"],
    config: SearchConfig,
) -> Float[Array, "rows units"]:
    """The gates of each row of a batch."""
    of_row = masks.row_of(direction, len(location))
    if config.gates == "batch":
        return hard_concrete.sample(key, location, config.temperature, config.support)[of_row]
    return hard_concrete.sample(key, location[of_row], config.temperature, config.support)


_CONSTRAINTS = {
    "l0": hard_concrete.prob_nonzero,
    "fractional": hard_concrete.prob_fractional,
}


def _optimizer(step: Array, config: SearchConfig) -> optax.GradientTransformation:
    rise = jnp.clip(
        step.astype(jnp.float32) / jnp.maximum(config.head_start * config.steps, 1.0), 0.0, 1.0
    )
    return parameters.optimizer(config.location_rate * rise, config)
