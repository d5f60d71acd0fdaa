"""Units to add to an intervention with values of -1 and +1: screened by gradient, judged exactly.

What greedy and exhaustive search share.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective
from jaxmask.products import exact
from jaxmask.search import losses, masks, trials


class Response(NamedTuple):
    """What an intervention does to the rows of each direction; parts of the whole batch's means.

    Attributes:
        flipped: fraction of all decisions that flip and are of that direction.
        failure: the same of the smoothed failures `jaxmask.search.losses.failure`.
    """

    flipped: Float[Array, " directions"]
    failure: Float[Array, " directions"]


def screen(
    intervention: Intervention, objective: Objective, batch: Any, count: int
) -> Int[Array, " count"]:
    """The ``count`` units outside that are best to add by themselves, by linearisation.

    Args:
        intervention: a shared mask; values in [-1, 1].
        objective: how the model responds.
        batch: rows to judge by.
        count: at most the number of units outside; static.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import candidates
        >>> from jaxmask.intervention import Intervention
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> nothing = Intervention(jnp.zeros((2, 2)), jnp.zeros((2, 2)))
        >>> candidates.screen(nothing, objective, objective.everything(), 1).tolist()
        [1]
    """
    linear = trials.linearise(*intervention, objective, batch)
    high, low = trials.failures_after_adding(linear, linear.log_ratio, linear.weight)
    predicted = jnp.minimum(high, low).sum(axis=0)
    outside = intervention.mask[0] == 0
    return jax.lax.top_k(jnp.where(outside, -predicted, -jnp.inf), count)[1]


def respond(intervention: Intervention, objective: Objective, batch: Any) -> Response:
    """What an intervention does to the rows of each direction.

    Args:
        intervention: a row for each direction.
        objective: how the model responds.
        batch: rows to judge by.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import candidates
        >>> from jaxmask.intervention import Intervention
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> ones = jnp.array([[0.0, 1.0], [0.0, 1.0]])
        >>> unit_2 = Intervention(ones, ones)  # at 1, toward either direction
        >>> candidates.respond(unit_2, objective, objective.everything()).flipped.tolist()
        [0.5, 0.0]
    """
    outcome = objective(intervention.toward(batch.direction), batch, None, NoKL())
    member = masks.by_direction(batch.direction)
    flipped = losses.flipped(outcome).sum(axis=1)
    return Response(exact(member, flipped), exact(member, losses.smoothed_failures(outcome)))
