"""REINFORCE, or the score function estimator: the search's objective with coins for gates.

Masks are drawn from ``Bernoulli(sigmoid(gamma))``, one for each row of the batch. The loss of row
r, with its mask ``z_r`` and the row's weight w_r,

    L_r = w_r surrogate(log-ratio_r)

has no gradient in ``z_r``, so that of its expectation in ``gamma`` is estimated by

    sum_r (L_r - w_r B_d + kl_weight (KL - B_KL)) (z_r - sigmoid(gamma))

where the baselines B, moving averages over the steps before, one for each direction d and one for
the batch's KL, lower the variance and leave the mean as it is. Values, before `to_baseline`, are
learned by back-propagation. The constraint ``mean sigmoid(gamma) <= alpha`` is kept as in the
search (`jaxmask.search.minmax`), its target shrinking likewise.

Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", 1992; De Cao et al., Section 5 and Table 6, who call it SFE.
"""

from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask import search
from jaxmask.baselines import candidates, selection
from jaxmask.intervention import DIRECTIONS, EDGE, Intervention, from_values, to_baseline
from jaxmask.objective import KL, Objective, SampledKL
from jaxmask.search import losses, minmax
from jaxmask.search.finite import all_finite, choose

_INITIAL_VALUE_SCALE = 0.1


class ReinforceConfig(flax.struct.PyTreeNode):
    """Settings of REINFORCE; all but the static ones (last) may be swept in one compiled call.

    Where names are those of `jaxmask.search.SearchConfig`, so are meanings.

    Attributes:
        alpha: largest mean probability of a unit to be intervened on, and largest fraction of
            units in the hard mask.
        kl_weight: weight of the mean KL from the untouched model.
        location_rate: learning rate of gamma (Adam).
        value_rate: learning rate of the baselines before `to_baseline` (Adam).
        multiplier_rate: rate of plain ascent on the multiplier.
        multiplier_decay: what the multiplier loses in a step while its constraint holds.
        initial_alpha: what the constraint asks for at the first step, if it is more than ``alpha``.
        warmup: fraction of the steps after which that has come down to ``alpha``.
        average_decay: what a step leaves of the moving averages, in [0, 1).
        lowest: gamma is clipped to [lowest, highest].
        highest: see ``lowest``.
        steps: gradient steps.
        batch_size: rows a step, each with a mask of its own.
        kl: how the KL of a step's batch is computed.
        surrogate: a name of `jaxmask.search.losses.SURROGATES`.
    """

    alpha: float = 0.02
    kl_weight: float = 1.0
    location_rate: float = 0.1
    value_rate: float = 0.1
    multiplier_rate: float = 0.01
    multiplier_decay: float = 0.1
    initial_alpha: float = 0.15
    warmup: float = 0.85
    average_decay: float = 0.9
    lowest: float = -8.0
    highest: float = 3.0
    steps: int = flax.struct.field(pytree_node=False, default=2000)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))
    surrogate: str = flax.struct.field(pytree_node=False, default="share")


class Averages(NamedTuple):
    """Moving averages of what steps observed: the baselines of the estimator."""

    loss: Float[Array, " directions"]
    kl: Float[Array, ""]


class ReinforceState(NamedTuple):
    """What a run carries from step to step.

    Attributes:
        params: ``location`` (gamma); ``values``, the baselines before `to_baseline`;
            ``multipliers``.
        optimizer: of optax.
        averages: the estimator's baselines.
        key: for the steps to come.
        step: steps done.
        finite: were all steps so far? Once one isn't, the state doesn't change any more.
    """

    params: dict
    optimizer: optax.OptState
    averages: Averages
    key: Key[Array, ""]
    step: Int[Array, ""]
    finite: Bool[Array, ""]


class ReinforceInfo(NamedTuple):
    """What a step observed, on its own batch with sampled masks.

    Attributes:
        loss: surrogate and KL, without the constraint.
        accuracy: fraction of decisions flipped.
        kl: estimate of the mean KL, in nats.
        expected_l0: expected number of units of a mask.
        target: what ``expected_l0`` was to come down to.
        hard_units: number of units of the hard mask.
        multiplier: of the constraint.
        finite: were this step and all before it? Otherwise it wasn't taken.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    kl: Float[Array, ""]
    expected_l0: Float[Array, ""]
    target: Float[Array, ""]
    hard_units: Float[Array, ""]
    multiplier: Float[Array, ""]
    finite: Bool[Array, ""]


def init(key: Key[Array, ""], objective: Objective, config: ReinforceConfig) -> ReinforceState:
    """The state before the first step: all coins alike, at the first target."""
    values_key, key = jax.random.split(key)
    first = search.shrinking_target(jnp.zeros(()), config.alpha, config)
    logit = jnp.log(first) - jnp.log1p(-jnp.minimum(first, 1.0 - 1e-6))
    shape = DIRECTIONS, objective.n_units
    params = {
        "location": jnp.full(shape[1], jnp.clip(logit, config.lowest, config.highest)),
        "values": _INITIAL_VALUE_SCALE * jax.random.normal(values_key, shape),
        "multipliers": {"l0": jnp.zeros(())},
    }
    # A surrogate is measured in units of its value where nothing has been flipped yet.
    averages = Averages(jnp.ones(shape[0]), jnp.zeros(()))
    step, finite = jnp.zeros((), jnp.int32), jnp.ones((), bool)
    return ReinforceState(params, _optimizer(config).init(params), averages, key, step, finite)


def gradient(
    key: Key[Array, ""],
    location: Float[Array, " units"],
    values: Float[Array, "directions units"],
    averages: Averages,
    objective: Objective,
    batch: Any,
    config: ReinforceConfig,
) -> tuple[tuple[Array, Array], tuple[Averages, Array, Array]]:
    """An unbiased estimate of the gradient of the expected loss on a batch.

    Args:
        key: of the masks and of the KL's rows.
        location: gamma.
        values: baselines before `to_baseline`.
        averages: the estimator's baselines; anything that doesn't depend on ``key``.
        objective: how the model responds.
        batch: its rows.
        config: settings.

    Returns:
        The gradient in ``location`` and ``values``; and what was observed: the mean loss of each
        direction's rows and the KL, the loss, the accuracy.
    """
    mask_key, kl_key = jax.random.split(key)
    shape = len(batch.direction), len(location)
    mask = jax.random.bernoulli(mask_key, jax.nn.sigmoid(location), shape).astype(location.dtype)
    surrogate = losses.SURROGATES[config.surrogate]
    scale = surrogate(jnp.asarray(losses.TYPICAL_LOG_RATIO))
    weight_of_kl = search.kl_weight(config.kl_weight)

    def loss(values: Array) -> tuple[Array, tuple]:
        baseline = to_baseline(values)[batch.direction]
        outcome = objective(Intervention(mask, baseline), batch, kl_key, config.kl)
        of_row = (surrogate(outcome.log_ratio) * outcome.weight).sum(axis=1) / scale
        return of_row.sum() + weight_of_kl * outcome.kl, (of_row, outcome)

    (total, (of_row, outcome)), pathwise = jax.value_and_grad(loss, has_aux=True)(values)
    weight = outcome.weight.sum(axis=1)
    advantage = of_row - weight * averages.loss[batch.direction]
    advantage += weight_of_kl * (outcome.kl - averages.kl)
    score = mask - jax.nn.sigmoid(location)  # d log p(mask) / d location
    of = candidates.one_hot(objective, batch)
    present = of @ weight
    observed = Averages(
        jnp.where(present > 0, of @ of_row / jnp.maximum(present, 1e-12), averages.loss),
        outcome.kl,
    )
    accuracy = (losses.success(outcome.log_ratio) * outcome.weight).sum()
    return (advantage @ score, pathwise), (observed, total, accuracy)


def step(
    state: ReinforceState, objective: Objective, config: ReinforceConfig
) -> tuple[ReinforceState, ReinforceInfo]:
    """One descent-ascent step on one batch, with masks drawn anew for every row."""
    key, batch_key, gradient_key = jax.random.split(state.key, 3)
    batch = objective.sample(batch_key, config.batch_size)
    location, values = state.params["location"], state.params["values"]
    multiplier = state.params["multipliers"]["l0"]
    target = search.shrinking_target(state.step, config.alpha, config)

    (of_location, of_values), (observed, loss, accuracy) = gradient(
        gradient_key, location, values, state.averages, objective, batch, config
    )
    violation, slope = jax.value_and_grad(
        lambda location: jax.nn.sigmoid(location).mean() / target - 1.0
    )(location)
    gradients = {
        "location": of_location + multiplier * slope,
        "values": of_values,
        "multipliers": {"l0": violation},
    }
    updates, moments = _optimizer(config).update(gradients, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    multipliers = minmax.project(params["multipliers"], {"l0": violation}, config.multiplier_decay)
    params = {
        "location": jnp.clip(params["location"], config.lowest, config.highest),
        "values": jnp.clip(params["values"], -EDGE, EDGE),
        "multipliers": multipliers,
    }
    averages = jax.tree.map(
        lambda old, new: config.average_decay * old + (1.0 - config.average_decay) * new,
        state.averages,
        observed,
    )
    units = objective.n_units
    finite = state.finite & all_finite((loss, gradients, params, moments, averages))
    info = ReinforceInfo(
        loss=loss,
        accuracy=accuracy,
        kl=observed.kl,
        expected_l0=(violation + 1.0) * target * units,
        target=target * units,
        hard_units=hard_mask(params["location"], config).sum(),
        multiplier=multipliers["l0"],
        finite=finite,
    )
    taken = ReinforceState(params, moments, averages, key, state.step + 1, finite)
    return choose(finite, taken, state._replace(finite=finite)), info


def hard_mask(location: Float[Array, " units"], config: ReinforceConfig) -> Float[Array, " units"]:
    """1 where sigmoid(gamma) > 0.5; of more than ``floor(alpha k)`` such units, the most likely."""
    likeliest = selection.top(location, search.budget(len(location), config.alpha))
    return likeliest * (location > 0.0)


def found(state: ReinforceState, config: ReinforceConfig) -> Intervention:
    """The intervention of the hard mask, with values as learned."""
    return from_values(hard_mask(state.params["location"], config), state.params["values"])


def run(
    key: Key[Array, ""], objective: Objective, config: ReinforceConfig
) -> tuple[Intervention, ReinforceInfo]:
    """A whole run, and what each of its steps observed."""
    state, history = jax.lax.scan(
        lambda state, _: step(state, objective, config),
        init(key, objective, config),
        None,
        length=config.steps,
    )
    return found(state, config), history


def _optimizer(config: ReinforceConfig) -> optax.GradientTransformation:
    descent = {
        "location": optax.adam(config.location_rate),
        "values": optax.adam(config.value_rate),
    }
    return minmax.descent_ascent(descent, config.multiplier_rate)
