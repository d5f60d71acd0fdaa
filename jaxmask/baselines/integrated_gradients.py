"""Integrated Gradients: units by how much of the decision they carry on the way from zero.

With ``F`` the mean log-ratio and ``h`` the states of the intervened words, unit j is attributed

    integral from 0 to 1 of dF(a h) / da_j,   the same a for all units,

which sums to ``F(h) - F(0)`` over all units. The states ``a h`` are those of an intervention on
all units with mask ``1 - a`` and baseline 0, so that ``d/da_j = -d/dm_j``: an objective's answers
are all that is needed. Where several words are intervened on, all their states are scaled alike.

Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017; De Cao et al.,
Section 5, which sets the units with the largest attributions to 0.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective

POINTS = 16  # of the Gauss-Legendre rule


def attributions(objective: Objective, batch: Any, points: int = POINTS) -> Float[Array, " units"]:
    """The attribution of the weighted mean log-ratio of a batch to each unit, in nats.

    Args:
        objective: how the model responds.
        batch: rows to average over, with their weights.
        points: nodes of the Gauss-Legendre rule on [0, 1]; static.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import integrated_gradients
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> batch = objective.everything()
        >>> integrated_gradients.attributions(objective, batch, points=1).tolist()
        [0.0, 2.0]
    """
    shape = len(batch.direction), objective.n_units
    zero = jnp.broadcast_to(objective.value_range.zero, shape)

    def mean_log_ratio(mask: Float[Array, " units"]) -> Float[Array, ""]:
        scaled = Intervention(jnp.broadcast_to(mask, shape), zero)
        outcome = objective(scaled, batch, None, NoKL())
        return (outcome.log_ratio * outcome.weight).sum()

    def add(total: Array, node: Array) -> tuple[Array, None]:
        at, weight = node
        slope = jax.grad(mean_log_ratio)(jnp.full(shape[1], 1.0 - at))
        return total - weight * slope, None

    at, weight = np.polynomial.legendre.leggauss(points)  # on [-1, 1]
    nodes = np.stack([(at + 1.0) / 2.0, weight / 2.0], axis=1).astype(np.float32)
    return jax.lax.scan(add, jnp.zeros(shape[1]), jnp.asarray(nodes))[0]


def score(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> Float[Array, " units"]:
    """The absolute attributions on a sample of rows; the largest are taken first.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import integrated_gradients, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> config = selection.SelectionConfig()
        >>> score = integrated_gradients.score(jax.random.key(0), objective, config)
        >>> [round(one, 4) for one in score.tolist()]
        [0.0, 2.0]
    """
    return jnp.abs(attributions(objective, objective.sample(key, config.rows)))


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Sets the ``floor(alpha k)`` units with the largest absolute attributions to 0.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import integrated_gradients, selection
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> found, _ = integrated_gradients.run(jax.random.key(0), objective, config)
        >>> units(found.mask), found.baseline[0].tolist()
        ([2], [0.0, 0.0])
    """
    return selection.run(key, score, selection.zeroed, objective, config)


def run_learned(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Learns values for the units that `run` takes with the same key: the fairer rival.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import integrated_gradients, selection
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> run = jax.jit(integrated_gradients.run_learned)
        >>> found, _ = run(jax.random.key(0), objective, config)
        >>> units(found.mask), bool((found.baseline[:, 1] < 0).all())
        ([2], True)
    """
    return selection.run(key, score, selection.learned, objective, config)
