"""Units taken away from an intervention, one at a time, while its accuracy stays.

A search fills the number of units that it is allowed; how many of them it needs is found here.
Values aren't learned again.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmask.evaluate import accuracies_in_parts
from jaxmask.intervention import Intervention, from_arrays, units
from jaxmask.objective import Objective

SLACK = 0.005  # of the accuracy: half a point


class Pruned(NamedTuple):
    """An intervention without the units that it doesn't need.

    Attributes:
        intervention: with the units that are left.
        removed: numbers, from 1, of the units that were taken away, in their order.
        accuracy: fraction of decisions flipped before, then after each removal.

    Example:
        See `prune`.
    """

    intervention: Intervention
    removed: list[int]
    accuracy: list[float]


def leave_one_out(found: Intervention, objective: Objective) -> Float[np.ndarray, " units"]:
    """The accuracy without each unit of an intervention, in the order of its unit numbers.

    Args:
        found: one intervention; its baselines are places in the range of each unit.
        objective: the model's, on some examples.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> found = Intervention(np.ones((2, 2)), np.array([[1.0, 1.0], [-1.0, -1.0]]))
        >>> leave_one_out(found, objective).tolist()  # only the second unit does something
        [1.0, 0.0]
    """
    mask, baseline = (np.asarray(x) for x in found)
    numbers = units(mask)
    masks = np.repeat(mask[None], len(numbers), axis=0)
    for row, unit in enumerate(numbers):
        masks[row, :, unit - 1] = 0.0
    if not numbers:
        return np.zeros(0, np.float32)
    return accuracies_in_parts(from_arrays(masks, baseline), objective)


def prune(found: Intervention, objective: Objective, slack: float = SLACK) -> Pruned:
    """Takes away the unit that is missed least, while accuracy stays within ``slack`` of the whole.

    Args:
        found: one intervention; its baselines are places in the range of each unit.
        objective: the model's, on the examples that were searched on.
        slack: how much of the accuracy may be lost in all.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> found = Intervention(np.ones((2, 2)), np.array([[1.0, 1.0], [-1.0, -1.0]]))
        >>> pruned = prune(found, objective)
        >>> pruned.removed, pruned.accuracy, units(pruned.intervention.mask)
        ([1], [1.0, 1.0], [2])
    """
    mask, baseline = (np.array(x) for x in found)
    whole = accuracies_in_parts(from_arrays(mask[None], baseline[None]), objective)
    accuracy, removed = [float(whole[0])], []
    while numbers := units(mask):
        without = leave_one_out(from_arrays(mask, baseline), objective)
        least = int(np.argmax(without))
        if without[least] < accuracy[0] - slack:
            break
        mask[:, numbers[least] - 1] = 0.0
        removed.append(numbers[least])
        accuracy.append(float(without[least]))
    return Pruned(from_arrays(mask, baseline), removed, accuracy)
