"""From a score of each unit to an intervention: the first units, zeroed or with learned values.

What integrated gradients, single-unit ablation and random masks share.
"""

from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask import search
from jaxmask.intervention import DIRECTIONS, Intervention, from_values
from jaxmask.objective import KL, Objective, SampledKL
from jaxmask.search import exchange

_INITIAL_VALUE_SCALE = 0.1  # as in the search


class SelectionConfig(flax.struct.PyTreeNode):
    """Settings of the methods that score units; all but the static ones (last) may be traced.

    Attributes:
        alpha: fraction of units to intervene on, in (0, 1].
        kl_weight: weight of the mean KL while values are learned, as in the search.
        rows: rows that scores are computed from.
        refit_steps: gradient steps on the values, where they are learned.
        batch_size: rows of such a step.
        kl: how the KL of such a step's batch is computed.
    """

    alpha: float = 0.02
    kl_weight: float = 1.0
    rows: int = flax.struct.field(pytree_node=False, default=512)
    refit_steps: int = flax.struct.field(pytree_node=False, default=200)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))


class Selection(NamedTuple):
    """By what units were selected: those with the highest scores."""

    score: Float[Array, " units"]


def top(score: Float[Array, " units"], count: int | Float[Array, ""]) -> Float[Array, " units"]:
    """1 for the ``count`` highest scores (the first of equal ones), 0 for the others."""
    rank = jnp.argsort(jnp.argsort(-score))
    return (rank < count).astype(score.dtype)


def zeroed(
    score: Float[Array, " units"], objective: Objective, config: SelectionConfig
) -> Intervention:
    """Sets the first ``floor(alpha k)`` units to 0, whatever the direction."""
    mask = top(score, search.budget(len(score), config.alpha))
    mask = jnp.broadcast_to(mask, (DIRECTIONS, len(score)))
    return Intervention(mask, jnp.zeros_like(mask))


def learned(
    key: Key[Array, ""],
    score: Float[Array, " units"],
    objective: Objective,
    config: SelectionConfig,
) -> Intervention:
    """Gives the first ``floor(alpha k)`` units values by `exchange.refit`, from near 0."""
    start_key, refit_key = jax.random.split(key)
    mask = top(score, search.budget(len(score), config.alpha))
    shape = DIRECTIONS, len(score)
    values = exchange.refit(
        refit_key,
        mask[None],
        _INITIAL_VALUE_SCALE * jax.random.normal(start_key, shape),
        objective,
        search.kl_weight(config.kl_weight),
        config.refit_steps,
        config.batch_size,
        config.kl,
    )
    return from_values(mask, values)
