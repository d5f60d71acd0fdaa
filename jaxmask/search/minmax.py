"""Descent on some parameters, ascent on the multipliers of constraints: min-max by optax.

For ``min_x max_{m >= 0} f(x) + sum_c m_c v_c(x)``, where ``v_c <= 0`` is what constraint ``c``
asks for. The gradient of the whole in a multiplier is the violation ``v_c``, so one gradient serves
both sides; multipliers follow it by plain ascent, without momentum.

Source: De Cao et al., Eq. 5; Gallego-Posada et al., "Cooper: a library for constrained
optimization in deep learning", for plain ascent and for what to do once a constraint holds.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Multipliers = dict[str, Float[Array, ""]]


def descent_ascent(
    descent: dict[str, optax.GradientTransformation], multiplier_rate: float
) -> optax.GradientTransformation:
    """One optimiser over ``{label: parameters, ..., "multipliers": multipliers}``.

    Args:
        descent: the optimiser of each label that is minimised over.
        multiplier_rate: how far a multiplier rises in a step for a violation of 1.
    """
    ascent = optax.chain(optax.scale(-1.0), optax.sgd(multiplier_rate))
    return optax.partition({**descent, "multipliers": ascent}, lambda params: _labels(params))


def _labels(params: dict[str, Any]) -> dict[str, Any]:
    return {
        label: jax.tree.map(lambda _, label=label: label, tree) for label, tree in params.items()
    }


def project(multipliers: Multipliers, violations: Multipliers, decay: float) -> Multipliers:
    """Multipliers after an update: not below 0, and shrinking where their constraint holds.

    A multiplier that grew while a constraint was far from holding would otherwise go on pressing
    long after; ``decay`` in [0, 1] is what it loses in a step, 1 is a restart from 0.
    """

    def settle(multiplier: Array, violation: Array) -> Array:
        kept = jnp.where(violation < 0.0, 1.0 - decay, 1.0)
        return jnp.maximum(multiplier, 0.0) * kept

    return jax.tree.map(settle, multipliers, violations)
