"""From a score of each unit to an intervention: the first units, zeroed or with learned values.

What integrated gradients, single-unit ablation and random masks share.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.intervention import DIRECTIONS, Intervention, from_values
from jaxmask.objective import KL, Objective, SampledKL
from jaxmask.search import exchange, losses, masks, parameters
from jaxmask.search.exchange import RefitConfig


class SelectionConfig(flax.struct.PyTreeNode):
    """Settings of the methods that score units; all but the static ones (last) may be traced.

    Attributes:
        alpha: fraction of units to intervene on, in (0, 1].
        kl_weight: weight of the mean KL while values are learned, as in the search.
        rows: rows that scores are computed from.
        refit_steps: gradient steps on the values, where they are learned.
        batch_size: rows of such a step.
        kl: how the KL of the batch of such a step is computed.

    Example:
        >>> from jaxmask.baselines.selection import SelectionConfig
        >>> SelectionConfig(alpha=0.01).refit_steps
        200
    """

    alpha: float = 0.02
    kl_weight: float = 1.0
    rows: int = flax.struct.field(pytree_node=False, default=512)
    refit_steps: int = flax.struct.field(pytree_node=False, default=200)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))


class Selection(NamedTuple):
    """The scores that selected the units: the highest ones."""

    score: Float[Array, " units"]


# (key, objective, config) -> a score of each unit
Score = Callable[[Key[Array, ""], Objective, SelectionConfig], Float[Array, " units"]]
# `zeroed` or `learned`
Choose = Callable[
    [Key[Array, ""], Float[Array, " units"], Objective, SelectionConfig], Intervention
]


def run(
    key: Key[Array, ""],
    score: Score,
    choose: Choose,
    objective: Objective,
    config: SelectionConfig,
) -> tuple[Intervention, Selection]:
    """Scores units and intervenes on the first ``floor(alpha k)`` of them.

    Args:
        key: of the scores and of the values; `zeroed` and `learned` get the same units from it.
        score: of each unit.
        choose: `zeroed` or `learned`.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import random_masks, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5)
        >>> key, score = jax.random.key(0), random_masks.score
        >>> found, scores = selection.run(key, score, selection.zeroed, objective, config)
        >>> found.mask.sum(axis=1).tolist()
        [1.0, 1.0]
    """
    score_key, choose_key = jax.random.split(key)
    scores = score(score_key, objective, config)
    return choose(choose_key, scores, objective, config), Selection(scores)


def zeroed(
    key: Key[Array, ""],
    score: Float[Array, " units"],
    objective: Objective,
    config: SelectionConfig,
) -> Intervention:
    """Sets the first ``floor(alpha k)`` units to 0, whatever the direction.

    Args:
        key: of no use here; as for `learned`.
        score: of each unit.
        objective: how the model responds; it knows which baseline is 0.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5)
        >>> score = jnp.array([0.1, 0.7])
        >>> selection.zeroed(jax.random.key(0), score, objective, config).mask.tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    mask = jnp.broadcast_to(first(score, config), (DIRECTIONS, len(score)))
    return Intervention(mask, jnp.broadcast_to(objective.value_range.zero, mask.shape))


def learned(
    key: Key[Array, ""],
    score: Float[Array, " units"],
    objective: Objective,
    config: SelectionConfig,
) -> Intervention:
    """Gives the first ``floor(alpha k)`` units values by `jaxmask.search.exchange.refit`.

    Args:
        key: of the first values, which are near 0, and of the batches.
        score: of each unit.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> score = jnp.array([0.1, 0.7])
        >>> found = jax.jit(selection.learned)(jax.random.key(0), score, objective, config)
        >>> bool(found.baseline[0, 1] > 0), bool(found.baseline[1, 1] < 0)
        (True, True)
    """
    start_key, refit_key = jax.random.split(key)
    start = parameters.first_values(start_key, len(score))
    return refitted(refit_key, first(score, config), start, objective, config)


def refitted(
    key: Key[Array, ""],
    mask: Float[Array, " units"],
    values: Float[Array, "directions units"],
    objective: Objective,
    config: SelectionConfig,
) -> Intervention:
    """Gives the units of a mask values by `jaxmask.search.exchange.refit`.

    Args:
        key: of the batches.
        mask: zeros and ones.
        values: to begin with, before `jaxmask.intervention.to_baseline`.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> key, mask, values = jax.random.key(0), jnp.array([0.0, 1.0]), jnp.zeros((2, 2))
        >>> found = jax.jit(selection.refitted)(key, mask, values, objective, config)
        >>> bool(found.baseline[0, 1] > 0), bool(found.baseline[1, 1] < 0)
        (True, True)
    """
    refit = RefitConfig(
        kl_term=losses.KLTerm(losses.kl_weight(config.kl_weight)),
        steps=config.refit_steps,
        rows=config.batch_size,
        kl=config.kl,
    )
    return from_values(mask, exchange.refit(key, mask[None], values, objective, refit))


def first(score: Float[Array, " units"], config: SelectionConfig) -> Float[Array, " units"]:
    """The mask of the first ``floor(alpha k)`` units.

    Args:
        score: of each unit.
        config: settings.

    Example:
        >>> first(jnp.array([0.1, 0.7]), SelectionConfig(alpha=0.5)).tolist()
        [0.0, 1.0]
    """
    return masks.top(score, masks.budget(len(score), config.alpha))
