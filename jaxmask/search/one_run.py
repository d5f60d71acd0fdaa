"""The search for a sparse intervention: Hard Concrete gates, min-max, and a hard mask at the end.

Minimised over the gates' locations and the baselines, maximised over the multipliers (Eqs. 4-7):

    E[surrogate(log-ratio)] + kl_weight KL
        + m_0 (mean P(z != 0) / alpha - 1) + m_1 (mean P(0 < z < 1) / beta - 1)

with gates ``z ~ HardConcrete(location)`` and baselines ``b = to_baseline(values)``. A violation is
measured against its limit, so that one rate of ascent suits all limits.

Two things are done beyond the paper, and both can be switched off (`PAPER`): what the
constraints ask for shrinks geometrically from ``initial_alpha`` to ``alpha`` and ``beta``, and the
hard mask is refined by exchanging units (`jaxmask.search.exchange`).

A step or a round that gives NaN or infinity isn't taken, and ends its run: the state stays at the
last finite one. `stopped_at` says where that was.

This is single-run code: `jaxmask.runs.ensemble` maps it over seeds, alphas, or both. Every number
of `SearchConfig` but the static ones may be traced.

Source: De Cao et al., Sections 3.1 to 3.5.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import DIRECTIONS, EDGE, Intervention, from_values, to_baseline
from jaxmask.objective import KL, ExactKL, NoKL, Objective, SampledKL
from jaxmask.search import exchange, hard_concrete, losses, minmax
from jaxmask.search.checks import check_range
from jaxmask.search.exchange import ExchangeInfo, Hard
from jaxmask.search.finite import all_finite, choose

_INITIAL_VALUE_SCALE = 0.1
_LAST_ROUNDS, _MOST_RISE = 3, 0.005


class SearchConfig(flax.struct.PyTreeNode):
    """Settings of a search; all but the static ones (last) may be swept in one compiled call.

    `check` says what they can be: settings that can't are refused where their values are known.

    Attributes:
        alpha: largest fraction of units to intervene on, in (0, 1] (Eq. 4).
        beta: largest mean probability of a gate strictly between 0 and 1 (constraint 7).
        kl_weight: weight of the mean KL from the untouched model (Eq. 8), in the ratio's units.
        temperature: of the Hard Concrete gates.
        support: (l, r) of the Hard Concrete gates.
        location_rate: learning rate of the gates' locations (Adam).
        value_rate: learning rate of the baselines before `to_baseline` (Adam).
        multiplier_rate: rate of plain ascent on the multipliers.
        multiplier_decay: what a multiplier loses in a step while its constraint holds.
        initial_alpha: what both constraints ask for at the first step, if it is more than their
            limits.
        warmup: fraction of the steps after which that has come down to the limits.
        head_start: fraction of the steps over which ``location_rate`` rises from 0, so that values
            are learned before gates close on values that are still random.
        lowest: locations are clipped to [lowest, highest], so that gates can come back.
        highest: see ``lowest``.
        steps: gradient steps on the relaxed mask.
        batch_size: rows a step.
        kl: how the KL of a step's batch is computed.
        surrogate: a name of `jaxmask.search.losses.SURROGATES`.
        shared_mask: one mask for all directions, or one each.
        exchange_rounds: rounds of refining the hard mask, at most.
        exchange_rows: rows by which exchanges are chosen.
        refit_steps: gradient steps on the values in each of these rounds.
    """

    alpha: float = 0.02
    beta: float = 0.02
    kl_weight: float = 1.0
    temperature: float = hard_concrete.TEMPERATURE
    support: tuple[float, float] = hard_concrete.SUPPORT
    location_rate: float = 0.05
    value_rate: float = 0.1
    multiplier_rate: float = 0.01
    multiplier_decay: float = 0.1
    initial_alpha: float = 0.15
    warmup: float = 0.85
    head_start: float = 0.1
    lowest: float = -8.0
    highest: float = 3.0
    steps: int = flax.struct.field(pytree_node=False, default=150)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))
    surrogate: str = flax.struct.field(pytree_node=False, default="share")
    shared_mask: bool = flax.struct.field(pytree_node=False, default=True)
    exchange_rounds: int = flax.struct.field(pytree_node=False, default=8)
    exchange_rows: int = flax.struct.field(pytree_node=False, default=256)
    refit_steps: int = flax.struct.field(pytree_node=False, default=2)


# The paper's objective as written: the ratio, the final target from the first step on, the
# thresholded gates as they are.
PAPER = {
    "surrogate": "ratio",
    "initial_alpha": 0.0,
    "warmup": 0.0,
    "head_start": 0.0,
    "exchange_rounds": 0,
    "steps": 2000,
}


class Schedule(Protocol):
    """What a shrinking target depends on; names as in `SearchConfig`."""

    initial_alpha: float
    warmup: float
    steps: int


class SearchState(NamedTuple):
    """What a search carries from step to step.

    Attributes:
        params: ``location`` of the gates, one row for a shared mask, else one a direction;
            ``values``, the baselines before `to_baseline`; ``multipliers``.
        optimizer: of optax.
        key: for the steps to come.
        step: steps done.
        finite: were all steps so far? Once one isn't, the state doesn't change any more.
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
        target: what ``expected_l0`` was to come down to.
        hard_units: number of units of the thresholded mask.
        multiplier: of the first constraint.
        fractional_multiplier: of the second.
        finite: were this step and all before it? Otherwise it wasn't taken.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    kl: Float[Array, ""]
    expected_l0: Float[Array, ""]
    target: Float[Array, ""]
    hard_units: Float[Array, ""]
    multiplier: Float[Array, ""]
    fractional_multiplier: Float[Array, ""]
    finite: Bool[Array, ""]


class HardState(NamedTuple):
    """What the refinement of a hard mask carries from round to round.

    Attributes:
        hard: mask and values, and what they do to all examples.
        key: for the rounds to come.
        judge_key: the same for all rounds.
        finite: were all steps and rounds so far?
    """

    hard: Hard
    key: Key[Array, ""]
    judge_key: Key[Array, ""]
    finite: Bool[Array, ""]


class Relaxation(NamedTuple):
    """What the relaxed mask does to all examples, sampled and thresholded.

    Constraint (7) is there to keep the two accuracies close.

    Attributes:
        sampled_accuracy: fraction of decisions flipped by gates sampled anew for each row.
        hard_accuracy: fraction flipped by the units with E[z] > 0.5.
        hard_units: how many these are, averaged over the rows of the mask.
    """

    sampled_accuracy: Float[Array, ""]
    hard_accuracy: Float[Array, ""]
    hard_units: Float[Array, ""]


class History(NamedTuple):
    """All that a run observed: an entry a step, then an entry a round of exchange."""

    steps: SearchInfo
    rounds: ExchangeInfo


def init(key: Key[Array, ""], objective: Objective, config: SearchConfig) -> SearchState:
    """The state before the first step: all gates alike, at the first target.

    Raises:
        ValueError: see `check`.
    """
    check(config)
    values_key, key = jax.random.split(key)
    masks = 1 if config.shared_mask else DIRECTIONS
    first = shrinking_target(jnp.zeros(()), config.alpha, config)
    logit = jnp.log(first) - jnp.log1p(-jnp.minimum(first, 1.0 - 1e-6))
    nonzero = hard_concrete.prob_nonzero(jnp.zeros(()), config.temperature, config.support)
    location = jnp.clip(
        logit - (jnp.log(nonzero) - jnp.log1p(-nonzero)), config.lowest, config.highest
    )
    params = {
        "location": jnp.full((masks, objective.n_units), location),
        "values": _INITIAL_VALUE_SCALE
        * jax.random.normal(values_key, (DIRECTIONS, objective.n_units)),
        "multipliers": {"l0": jnp.zeros(()), "fractional": jnp.zeros(())},
    }
    start = jnp.zeros((), jnp.int32)
    return SearchState(
        params, _optimizer(start, config).init(params), key, start, jnp.ones((), bool)
    )


def step(
    state: SearchState, objective: Objective, config: SearchConfig
) -> tuple[SearchState, SearchInfo]:
    """One descent-ascent step on one batch, with gates sampled anew for every row.

    Where the loss, its gradient or what follows from it isn't finite, the state stays as it was.
    """
    key, batch_key, gate_key, kl_key = jax.random.split(state.key, 4)
    batch = objective.sample(batch_key, config.batch_size)
    surrogate = losses.SURROGATES[config.surrogate]
    scale = surrogate(jnp.asarray(losses.TYPICAL_LOG_RATIO))
    target = shrinking_target(state.step, config.alpha, config)
    limits = {"l0": target, "fractional": shrinking_target(state.step, config.beta, config)}

    def lagrangian(params: dict) -> tuple[Array, tuple]:
        location, values = params["location"], params["values"]
        rows = location[batch.direction % len(location)]
        gates = hard_concrete.sample(gate_key, rows, config.temperature, config.support)
        intervention = Intervention(gates, to_baseline(values)[batch.direction])
        outcome = objective(intervention, batch, kl_key, config.kl)
        loss = (surrogate(outcome.log_ratio) * outcome.weight).sum() / scale
        loss += kl_weight(config.kl_weight) * outcome.kl
        violations = {
            name: probability(location, config.temperature, config.support).mean() / limits[name]
            - 1.0
            for name, probability in _CONSTRAINTS.items()
        }
        penalty = sum(params["multipliers"][name] * violations[name] for name in violations)
        return loss + penalty, (loss, outcome, violations)

    gradient, (loss, outcome, violations) = jax.grad(lagrangian, has_aux=True)(state.params)
    optimizer = _optimizer(state.step, config)
    updates, moments = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    multipliers = minmax.project(params["multipliers"], violations, config.multiplier_decay)
    params = {
        "location": jnp.clip(params["location"], config.lowest, config.highest),
        "values": jnp.clip(params["values"], -EDGE, EDGE),
        "multipliers": multipliers,
    }
    units = objective.n_units
    finite = state.finite & all_finite((loss, gradient, params, moments))
    info = SearchInfo(
        loss=loss,
        accuracy=(losses.success(outcome.log_ratio) * outcome.weight).sum(),
        kl=outcome.kl,
        expected_l0=(violations["l0"] + 1.0) * target * units,
        target=target * units,
        hard_units=thresholded(params["location"], config).sum(axis=1).mean(),
        multiplier=multipliers["l0"],
        fractional_multiplier=multipliers["fractional"],
        finite=finite,
    )
    taken = SearchState(params, moments, key, state.step + 1, finite)
    return choose(finite, taken, state._replace(finite=finite)), info


def relaxation(state: SearchState, objective: Objective, config: SearchConfig) -> Relaxation:
    """How the relaxed mask does on all examples of an objective, before anything refines it."""
    location, baseline = state.params["location"], to_baseline(state.params["values"])
    batch = objective.everything()

    def accuracy(mask: Float[Array, "rows units"]) -> Float[Array, ""]:
        outcome = objective(Intervention(mask, baseline[batch.direction]), batch, None, NoKL())
        return (losses.success(outcome.log_ratio) * outcome.weight).sum()

    of_row = batch.direction % len(location)
    gates = hard_concrete.sample(state.key, location[of_row], config.temperature, config.support)
    hard = thresholded(location, config)
    return Relaxation(accuracy(gates), accuracy(hard[of_row]), hard.sum(axis=1).mean())


def harden(state: SearchState, config: SearchConfig) -> HardState:
    """The hard mask at the end of the relaxation.

    Without refinement these are the units with E[z] > 0.5. With it they are the ``floor(alpha k)``
    units of each mask whose gates are the most open, which exchanges then improve.
    """
    location = state.params["location"]
    if config.exchange_rounds:
        rank = jnp.argsort(jnp.argsort(-location, axis=1), axis=1)
        mask = (rank < budget(location.shape[1], config.alpha)).astype(location.dtype)
    else:
        mask = thresholded(location, config)
    key, judge_key = jax.random.split(state.key)
    hard = exchange.unjudged(mask, state.params["values"])
    return HardState(hard, key, judge_key, state.finite)


def refine(
    state: HardState, objective: Objective, config: SearchConfig
) -> tuple[HardState, ExchangeInfo]:
    """One round of exchange, which changes nothing if the run has stopped or stops in it."""
    key, round_key = jax.random.split(state.key)
    hard, info = exchange.round_of_exchange(
        round_key,
        state.judge_key,
        state.hard,
        objective,
        kl_weight(config.kl_weight),
        rows=config.exchange_rows,
        refit_steps=config.refit_steps,
        refit_rows=config.batch_size,
        kl=config.kl,
    )
    finite = state.finite & info.finite
    taken = HardState(hard, key, state.judge_key, finite)
    info = info._replace(finite=finite, settled=info.settled | ~finite)
    return choose(finite, taken, state._replace(finite=finite)), info


def found(state: HardState) -> Intervention:
    """The intervention of a hard mask, with a row a direction."""
    return from_values(state.hard.mask, state.hard.values)


def run(
    key: Key[Array, ""], objective: Objective, config: SearchConfig
) -> tuple[Intervention, History]:
    """A whole search: relax, harden, refine. Put it under ``jit`` and, for an ensemble, ``vmap``.

    Args:
        key: of this run.
        objective: how the model responds, see `jaxmask.objective.Objective`.
        config: settings.

    Returns:
        The intervention with its hard mask, and what was observed on the way.

    Raises:
        ValueError: see `check`.
    """
    start = init(key, objective, config)
    relaxed, steps = jax.lax.scan(
        lambda state, _: step(state, objective, config), start, None, length=config.steps
    )
    hard, rounds = jax.lax.scan(
        lambda state, _: refine(state, objective, config),
        harden(relaxed, config),
        None,
        length=config.exchange_rounds,
    )
    return found(hard), History(steps, rounds)


def budget(n_units: int, alpha: float | Float[Array, ""]) -> Float[Array, ""]:
    """The most units a hard mask may have: ``floor(alpha n_units)``, but at least 1."""
    return jnp.maximum(1.0, jnp.floor(alpha * n_units * (1.0 + 1e-6)))  # 0.29 * 100 is 29


def converged(
    intervention: Intervention, history: History, config: SearchConfig
) -> Bool[Array, ""]:
    """Does the hard mask keep the constraint, and did its accuracy no longer rise?

    A run that stopped early has not converged.

    The accuracy counts as risen if the last rounds of exchange gained more than 0.5 points in all;
    without exchange, if the mean over the last tenth of the steps is that much above the mean over
    the tenth before.
    """
    masks = 1 if config.shared_mask else len(intervention.mask)
    allowed = budget(intervention.mask.shape[1], config.alpha)
    constraint = jnp.all(intervention.mask[:masks].sum(axis=1) <= allowed)
    observed = history.rounds if config.exchange_rounds else history.steps
    finite = observed.finite[-1]
    if config.exchange_rounds:
        rise = history.rounds.gain[-_LAST_ROUNDS:].sum()
    else:
        tenth = max(1, config.steps // 10)
        late, before = history.steps.accuracy[-tenth:], history.steps.accuracy[-2 * tenth : -tenth]
        rise = late.mean() - before.mean()
    return finite & constraint & (rise <= _MOST_RISE)


def steps_taken(history: History, config: SearchConfig) -> Int[Array, ""]:
    """Gradient steps of a run, of relaxation and refitting together, up to one that stopped it.

    A run that is settled refits nothing in the rounds that are left.
    """
    steps = jnp.asarray(config.steps, jnp.int32)
    if config.exchange_rounds:
        rounds = 1 + jnp.sum(~history.rounds.settled[:-1], dtype=jnp.int32)
        steps += rounds * config.refit_steps
    stopped = stopped_at(history, config)
    return jnp.where(stopped > 0, stopped, steps)


def stopped_at(history: History, config: SearchConfig) -> Int[Array, ""]:
    """The gradient step, from 1, that wasn't finite and ended the run; 0 if there was none.

    Rounds of exchange go on counting, ``refit_steps`` each; one that isn't finite ends the run at
    its last.
    """
    taken = jnp.sum(history.steps.finite, dtype=jnp.int32)
    stopped = jnp.where(taken < config.steps, taken + 1, 0)
    if config.exchange_rounds:
        rounds = jnp.sum(history.rounds.finite, dtype=jnp.int32)
        later = config.steps + (rounds + 1) * config.refit_steps
        in_rounds = (taken == config.steps) & (rounds < config.exchange_rounds)
        stopped = jnp.where(in_rounds, later, stopped)
    return stopped


def check(config: SearchConfig) -> None:
    """Checks settings; those that are being traced have no value yet, and can't be checked.

    Raises:
        ValueError: a setting is NaN, infinite, or can't be; says which, what was expected and what
            was found.
    """
    hard_concrete.check(config.temperature, config.support)
    for name in ("alpha", "beta"):
        check_range(name, getattr(config, name), 0.0, 1.0, above=True)
    for name in ("initial_alpha", "warmup", "head_start", "multiplier_decay"):
        check_range(name, getattr(config, name), 0.0, 1.0)
    for name in ("kl_weight", "location_rate", "value_rate", "multiplier_rate"):
        check_range(name, getattr(config, name), 0.0)
    for name in ("exchange_rounds", "refit_steps"):
        check_range(name, getattr(config, name), 0.0)
    if isinstance(config.kl, SampledKL):
        check_range("kl: rows", config.kl.rows, 1.0)
    elif not isinstance(config.kl, NoKL | ExactKL):
        raise ValueError(f"kl: expected NoKL(), SampledKL(rows) or ExactKL(), found {config.kl!r}")
    for name in ("steps", "batch_size", "exchange_rows"):
        check_range(name, getattr(config, name), 1.0)
    for name in ("lowest", "highest"):
        check_range(name, getattr(config, name))
    if not isinstance(config.lowest, jax.core.Tracer):
        check_range("highest", config.highest, np.max(config.lowest), above=True)
    if config.surrogate not in losses.SURROGATES:
        known = ", ".join(losses.SURROGATES)
        raise ValueError(f"surrogate: expected one of {known}, found {config.surrogate!r}")


def settings(config: Any) -> dict[str, Any]:
    """The settings of a search, or of another method, by name and in JSON's types."""
    return {
        field.name: _in_json(getattr(config, field.name)) for field in dataclasses.fields(config)
    }


def _in_json(value: Any) -> Any:
    if isinstance(value, KL):
        return str(value)
    if isinstance(value, tuple):
        return [_in_json(part) for part in value]
    return value if isinstance(value, bool | int | float | str) else np.asarray(value).tolist()


def thresholded(
    location: Float[Array, "masks units"], config: SearchConfig
) -> Float[Array, "masks units"]:
    """The hard mask of the paper: 1 where E[z] > 0.5."""
    return (hard_concrete.mean(location, config.temperature, config.support) > 0.5).astype(
        location.dtype
    )


def kl_weight(weight: float | Float[Array, ""]) -> Float[Array, ""]:
    """A weight in the ratio's units, beside a surrogate that is 1 at `losses.TYPICAL_LOG_RATIO`."""
    return weight / losses.ratio(jnp.asarray(losses.TYPICAL_LOG_RATIO))


def shrinking_target(step: Array, limit: float | Array, config: Schedule) -> Float[Array, ""]:
    """What a constraint asks for at a step: geometric from ``initial_alpha`` down to ``limit``."""
    ramp = jnp.maximum(config.warmup * config.steps, 1.0)
    start = jnp.maximum(config.initial_alpha, limit)
    return start * (limit / start) ** jnp.clip((step + 1) / ramp, 0.0, 1.0)


_CONSTRAINTS = {
    "l0": hard_concrete.prob_nonzero,
    "fractional": hard_concrete.prob_fractional,
}


def _optimizer(step: Array, config: SearchConfig) -> optax.GradientTransformation:
    rise = jnp.clip(step / jnp.maximum(config.head_start * config.steps, 1.0), 0.0, 1.0)
    descent = {
        "location": optax.adam(config.location_rate * rise),
        "values": optax.adam(config.value_rate),
    }
    return minmax.descent_ascent(descent, config.multiplier_rate)
