"""What a hard intervention does to a model: decisions that flip, and the KL."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmask.intervention import Intervention
from jaxmask.objective import KL, ExactKL, NoKL, Objective
from jaxmask.search import losses

PART = 8  # interventions that one program judges


class Evaluation(NamedTuple):
    """How an intervention does on all examples of an objective.

    Attributes:
        accuracy: fraction of examples whose decision flipped.
        accuracy_by_direction: the same for each direction; NaN where it has no examples.
        kl: mean over examples and positions of KL(original || intervened), in nats.
        kl_elsewhere: the part of it that the target's position doesn't give; NaN where the
            objective doesn't tell the two apart. See `jaxmask.objective.Outcome`.

    Example:
        >>> kl, elsewhere = jnp.array(0.1), jnp.array(0.04)
        >>> Evaluation(jnp.array(0.75), jnp.array([1.0, 0.5]), kl, elsewhere).accuracy.item()
        0.75

    Example:
        See `evaluate`.
    """

    accuracy: Float[Array, ""]
    accuracy_by_direction: Float[Array, " directions"]
    kl: Float[Array, ""]
    kl_elsewhere: Float[Array, ""]


def evaluate(intervention: Intervention, objective: Objective, kl: KL = ExactKL()) -> Evaluation:
    """Accuracy and KL of an intervention, over all examples of an objective.

    Args:
        intervention: a row of mask and baseline for each direction.
        objective: the model's, on some examples.
        kl: how the KL is computed.

    Example:
        An intervention that turns only the decisions of the first direction:

        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask = jnp.array([[0.0, 1.0], [0.0, 1.0]])
        >>> found = Intervention(mask, jnp.array([[0.0, 1.0], [0.0, 1.0]]))
        >>> evaluation = evaluate(found, objective)
        >>> evaluation.accuracy.item(), evaluation.accuracy_by_direction.tolist()
        (0.5, [1.0, 0.0])
    """
    batch = objective.everything(by_direction=True)
    outcome = objective(intervention.toward(batch.direction), batch, None, kl)
    flipped = losses.flipped(outcome)
    directions = jnp.arange(len(intervention.baseline))
    here = (batch.direction[None] == directions[:, None])[:, :, None].astype(flipped.dtype)
    by_direction = jnp.sum(flipped[None] * here, axis=(1, 2)) / jnp.sum(
        outcome.weight[None] * here, axis=(1, 2)
    )
    return Evaluation(
        jnp.minimum(flipped.sum(), 1.0),  # rounded sums can be above
        jnp.minimum(by_direction, 1.0),
        outcome.kl,
        jnp.full_like(outcome.kl, jnp.nan)
        if outcome.kl_elsewhere is None
        else outcome.kl_elsewhere,
    )


@jax.jit
def accuracies(found: Intervention, objective: Objective) -> Float[Array, " runs"]:
    """The fraction of decisions flipped by each of a stack of interventions.

    Args:
        found: ``runs directions units``.
        objective: the model's, on some examples.

    Example:
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask = jnp.array([[0.0, 1.0], [0.0, 1.0]])
        >>> found = Intervention(mask, jnp.array([[0.0, 1.0], [0.0, 1.0]]))
        >>> accuracies(jax.tree.map(lambda x: jnp.stack([0 * x, x]), found), objective).tolist()
        [0.0, 0.5]
    """
    return jax.lax.map(lambda one: evaluate(one, objective, NoKL()).accuracy, found)


def accuracies_in_parts(found: Intervention, objective: Objective) -> Float[np.ndarray, " runs"]:
    """The same as `accuracies`, by one program for stacks of any size.

    Args:
        found: ``runs directions units``.
        objective: the model's, on some examples.

    Example:
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask = jnp.array([[0.0, 1.0], [0.0, 1.0]])
        >>> found = Intervention(mask, jnp.array([[0.0, 1.0], [0.0, 1.0]]))
        >>> stack = jax.tree.map(lambda x: jnp.stack([0 * x, x, x]), found)
        >>> accuracies_in_parts(stack, objective).tolist()
        [0.0, 0.5, 0.5]
    """
    runs = len(found.mask)
    padding = [(0, -runs % PART), (0, 0), (0, 0)]
    padded = jax.tree.map(lambda x: np.pad(np.asarray(x, np.float32), padding), found)
    parts = [
        np.asarray(accuracies(jax.tree.map(lambda x, at=at: x[at : at + PART], padded), objective))
        for at in range(0, runs, PART)
    ]
    return np.concatenate(parts)[:runs]
