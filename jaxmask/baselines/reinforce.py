"""REINFORCE, or the score function estimator: the search's objective with coins for gates.

Masks are drawn from ``Bernoulli(sigmoid(gamma))``, one for each row of the batch. The loss of row
r, which has the mask ``z_r`` and the weight w_r,

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

from jaxmask.finite import all_finite, take
from jaxmask.intervention import DIRECTIONS, Intervention, from_values, to_baseline
from jaxmask.objective import KL, Objective, SampledKL
from jaxmask.products import exact
from jaxmask.search import SearchInfo, losses, masks, parameters


class ReinforceConfig(flax.struct.PyTreeNode):
    """Settings of REINFORCE; all but the static ones (last) may be swept in one compiled call.

    A name that `jaxmask.search.SearchConfig` has too means the same there.

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
        lowest: gamma is clipped to [lowest, highest]; None for what alpha needs,
            `jaxmask.search.parameters.lowest_location`.
        highest: see ``lowest``.
        steps: gradient steps.
        batch_size: rows a step, each with a mask of its own.
        kl: how the KL of such a batch is computed.
        surrogate: a name of `jaxmask.search.losses.SURROGATES`.

    Example:
        >>> from jaxmask.baselines.reinforce import ReinforceConfig
        >>> ReinforceConfig(alpha=0.01).steps
        2000
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
    lowest: float | None = None
    highest: float = 3.0
    steps: int = flax.struct.field(pytree_node=False, default=2000)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))
    surrogate: str = flax.struct.field(pytree_node=False, default="share")


class Averages(NamedTuple):
    """Moving averages of what steps observed: the baselines of the estimator.

    Attributes:
        loss: mean loss of the rows of each direction.
        kl: of a batch.
    """

    loss: Float[Array, " directions"]
    kl: Float[Array, ""]


class ReinforceState(NamedTuple):
    """What a run carries from step to step.

    Attributes:
        params: ``location`` (gamma); ``values``, the baselines before `to_baseline`;
            ``multipliers``.
        optimizer: state of the optimiser.
        averages: the baselines of the estimator.
        key: for the steps to come.
        step: number of steps done.
        finite: were all steps finite so far? After one that isn't, the state no longer changes.
    """

    params: dict
    optimizer: optax.OptState
    averages: Averages
    key: Key[Array, ""]
    step: Int[Array, ""]
    finite: Bool[Array, ""]


class Observed(NamedTuple):
    """What the estimate of a gradient observed on its batch.

    Attributes:
        averages: the mean loss of the rows of each direction, and the KL.
        loss: surrogate and KL, without the constraint.
        accuracy: fraction of decisions flipped.
    """

    averages: Averages
    loss: Float[Array, ""]
    accuracy: Float[Array, ""]


def init(key: Key[Array, ""], objective: Objective, config: ReinforceConfig) -> ReinforceState:
    """The state before the first step: all coins alike, at the first target.

    Args:
        key: of this run.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = reinforce.ReinforceConfig()
        >>> state = reinforce.init(jax.random.key(0), objective, config)
        >>> state.params["location"].shape, state.params["values"].shape
        ((2,), (2, 2))
    """
    values_key, key = jax.random.split(key)
    params = {
        "location": jnp.full(objective.n_units, parameters.first_location(config)),
        "values": parameters.first_values(values_key, objective.n_units),
        "multipliers": {"l0": jnp.zeros(())},
    }
    # A surrogate is measured in units of its value where nothing has been flipped yet.
    averages = Averages(jnp.ones(DIRECTIONS), jnp.zeros(()))
    step, finite = jnp.zeros((), jnp.int32), jnp.ones((), bool)
    return ReinforceState(params, _optimizer(config).init(params), averages, key, step, finite)


def gradient(
    key: Key[Array, ""],
    params: dict[str, Any],
    averages: Averages,
    objective: Objective,
    batch: Any,
    config: ReinforceConfig,
) -> tuple[dict[str, Array], Observed]:
    """An unbiased estimate of the gradient of the expected loss on a batch.

    Args:
        key: of the masks and of the rows of the KL.
        params: with ``location`` (gamma) and ``values``.
        averages: the baselines of the estimator; anything that doesn't depend on ``key``.
        objective: how the model responds.
        batch: its rows.
        config: settings.

    Returns:
        The gradient in ``location`` and ``values``, by name, and what was observed.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config, key = reinforce.ReinforceConfig(), jax.random.key(0)
        >>> state, batch = reinforce.init(key, objective, config), objective.everything()
        >>> gradient, _ = jax.jit(reinforce.gradient)(
        ...     key, state.params, state.averages, objective, batch, config
        ... )
        >>> gradient["location"].shape, gradient["values"].shape
        ((2,), (2, 2))
    """
    location, values = params["location"], params["values"]
    mask_key, kl_key = jax.random.split(key)
    shape = len(batch.direction), len(location)
    probability = jnp.broadcast_to(jax.nn.sigmoid(location), shape)
    mask = jax.random.bernoulli(mask_key, probability).astype(location.dtype)
    surrogate = losses.SURROGATES[config.surrogate]
    scale = losses.scale(surrogate)
    kl_weight = losses.kl_weight(config.kl_weight)

    def loss(values: Array) -> tuple[Array, tuple]:
        baseline = to_baseline(values)[batch.direction]
        outcome = objective(Intervention(mask, baseline), batch, kl_key, config.kl)
        of_row = (surrogate(outcome.log_ratio) * outcome.weight).sum(axis=1) / scale
        return of_row.sum() + kl_weight * outcome.kl, (of_row, outcome)

    (total, (of_row, outcome)), pathwise = jax.value_and_grad(loss, has_aux=True)(values)
    weight = outcome.weight.sum(axis=1)
    advantage = of_row - weight * averages.loss[batch.direction]
    advantage += kl_weight * (outcome.kl - averages.kl)
    score = mask - probability  # d log p(mask) / d location
    member = masks.by_direction(batch.direction)
    present = exact(member, weight)
    mean = jnp.where(
        present > 0, exact(member, of_row) / jnp.maximum(present, 1e-12), averages.loss
    )
    observed = Observed(Averages(mean, outcome.kl), total, losses.flipped(outcome).sum())
    return {"location": advantage @ score, "values": pathwise}, observed


def step(
    state: ReinforceState, objective: Objective, config: ReinforceConfig
) -> tuple[ReinforceState, SearchInfo]:
    """One descent-ascent step on one batch, with masks drawn anew for every row.

    Args:
        state: before the step.
        objective: how the model responds.
        config: settings.

    Returns:
        The state after the step, and what the step observed; the multiplier of the search's second
        constraint, which these masks have no need of, is 0.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = reinforce.ReinforceConfig(alpha=0.5)
        >>> state = reinforce.init(jax.random.key(0), objective, config)
        >>> state, info = jax.jit(reinforce.step)(state, objective, config)
        >>> int(state.step), float(info.target)
        (1, 1.0)
    """
    key, batch_key, gradient_key = jax.random.split(state.key, 3)
    batch = objective.sample(batch_key, config.batch_size)
    target = parameters.shrinking_target(state.step, config.alpha, config)

    estimate, observed = gradient(
        gradient_key, state.params, state.averages, objective, batch, config
    )
    violation, slope = jax.value_and_grad(
        lambda location: jax.nn.sigmoid(location).mean() / target - 1.0
    )(state.params["location"])
    gradients = {
        "location": estimate["location"] + state.params["multipliers"]["l0"] * slope,
        "values": estimate["values"],
        "multipliers": {"l0": violation},
    }
    params, moments = parameters.update(
        state.params, state.optimizer, gradients, {"l0": violation}, _optimizer(config), config
    )
    averages = jax.tree.map(
        lambda old, new: config.average_decay * old + (1.0 - config.average_decay) * new,
        state.averages,
        observed.averages,
    )
    units = objective.n_units
    finite = state.finite & all_finite((observed.loss, gradients, params, moments, averages))
    info = SearchInfo(
        loss=observed.loss,
        accuracy=observed.accuracy,
        kl=observed.averages.kl,
        expected_l0=(violation + 1.0) * target * units,
        target=target * units,
        fractional_gates=jnp.zeros(()),  # coins are never in between
        hard_units=hard_mask(params["location"], config).sum(),
        multiplier=params["multipliers"]["l0"],
        fractional_multiplier=jnp.zeros(()),
        finite=finite,
    )
    after = ReinforceState(params, moments, averages, key, state.step + 1, finite)
    return take(after, state), info


def hard_mask(location: Float[Array, " units"], config: ReinforceConfig) -> Float[Array, " units"]:
    """1 where sigmoid(gamma) > 0.5; of more than ``floor(alpha k)`` such units, the most likely.

    Args:
        location: gamma.
        config: settings.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> location, config = jnp.array([2.0, 1.0, -3.0]), reinforce.ReinforceConfig(alpha=0.34)
        >>> reinforce.hard_mask(location, config).tolist()
        [1.0, 0.0, 0.0]
    """
    likeliest = masks.top(location, masks.budget(len(location), config.alpha))
    return likeliest * (location > 0.0).astype(likeliest.dtype)


def found(state: ReinforceState, config: ReinforceConfig) -> Intervention:
    """The intervention of the hard mask, with the learned values.

    Args:
        state: after any step.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = reinforce.ReinforceConfig(alpha=0.5)
        >>> state = reinforce.init(jax.random.key(0), objective, config)
        >>> reinforce.found(state, config).mask.tolist()  # no coin is likely to show 1
        [[0.0, 0.0], [0.0, 0.0]]
    """
    return from_values(hard_mask(state.params["location"], config), state.params["values"])


def run(
    key: Key[Array, ""], objective: Objective, config: ReinforceConfig
) -> tuple[Intervention, SearchInfo]:
    """A whole run.

    Args:
        key: of this run.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention with its hard mask, and what each step observed.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import reinforce
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = reinforce.ReinforceConfig(alpha=0.5, steps=100)
        >>> found, history = jax.jit(reinforce.run)(jax.random.key(0), objective, config)
        >>> history.loss.shape
        (100,)
    """
    state, history = jax.lax.scan(
        lambda state, _: step(state, objective, config),
        init(key, objective, config),
        None,
        length=config.steps,
    )
    return found(state, config), history


def _optimizer(config: ReinforceConfig) -> optax.GradientTransformation:
    return parameters.optimizer(config.location_rate, config)
