"""Descent on some parameters and ascent on the multipliers of constraints, with optax.

The problem is ``min_x max_{m >= 0} f(x) + sum_c m_c v_c(x)``, where constraint ``c`` requires
``v_c <= 0``. The gradient of the sum with respect to a multiplier is the violation ``v_c``, so that
one gradient serves both sides. Multipliers follow it by plain ascent, without momentum.

Source: De Cao et al., Eq. 5. Plain ascent, and the decrease of a multiplier once its constraint
holds, are from Gallego-Posada et al., "Cooper: a library for constrained optimization in deep
learning".
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Multipliers = dict[str, Float[Array, ""]]


def descent_ascent(
    descent: dict[str, optax.GradientTransformation], multiplier_rate: float | Float[Array, ""]
) -> optax.GradientTransformation:
    """One optimiser of ``{label: parameters, ..., "multipliers": multipliers}``.

    Args:
        descent: the optimiser for the parameters of each label.
        multiplier_rate: increase of a multiplier in one step at a violation of 1.

    Example:
        >>> optimiser = descent_ascent({"x": optax.sgd(0.1)}, multiplier_rate=0.5)
        >>> params = {"x": jnp.array(1.0), "multipliers": {"l0": jnp.array(0.0)}}
        >>> gradient = {"x": jnp.array(1.0), "multipliers": {"l0": jnp.array(1.0)}}
        >>> updates, _ = optimiser.update(gradient, optimiser.init(params), params)
        >>> round(float(updates["x"]), 3), float(updates["multipliers"]["l0"])
        (-0.1, 0.5)
    """
    ascent = optax.chain(optax.scale(-1.0), optax.sgd(multiplier_rate))
    return optax.partition({**descent, "multipliers": ascent}, lambda params: _labels(params))


def _labels(params: dict[str, Any]) -> dict[str, Any]:
    """For each array the label of the optimiser that it belongs to."""
    return {
        label: jax.tree.map(lambda _, label=label: label, tree) for label, tree in params.items()
    }


def project(
    multipliers: Multipliers, violations: Multipliers, decay: float | Float[Array, ""]
) -> Multipliers:
    """Sets negative multipliers to 0, and decreases those whose constraint holds.

    Without the decrease, a multiplier that grew while its constraint was violated would keep its
    influence long after the constraint holds.

    Args:
        multipliers: after an update.
        violations: of the constraints; a constraint holds where the violation is below 0. Those
            that are known by an estimate only aren't given: the multipliers of these don't
            decrease so.
        decay: in [0, 1], the fraction that a multiplier loses in a step; 1 sets it to 0.

    Example:
        >>> multipliers = {"l0": jnp.array(4.0), "fractional": jnp.array(-1.0)}
        >>> violations = {"l0": jnp.array(-0.1), "fractional": jnp.array(0.2)}
        >>> {name: float(m) for name, m in project(multipliers, violations, 0.25).items()}
        {'l0': 3.0, 'fractional': 0.0}
    """

    def settle(name: str, multiplier: Array) -> Array:
        positive = jnp.maximum(multiplier, 0.0)
        if name not in violations:
            return positive
        return positive * jnp.where(violations[name] < 0.0, 1.0 - decay, 1.0)

    return {name: settle(name, multiplier) for name, multiplier in multipliers.items()}
