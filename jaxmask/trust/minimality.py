"""Measures 10 and 11: whether every unit is needed, and how much of each."""

import jax
import numpy as np

from jaxmask.evaluate import accuracies_in_parts
from jaxmask.intervention import from_arrays
from jaxmask.prune import leave_one_out, prune
from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.subject import Subject

MOST_REMOVED = 0.1  # of the units
DOSES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
MOST_FALL = 2.0  # points from a dose to the next
RULE = (
    "Passes if at most a tenth of the units can be taken away while training accuracy stays within "
    "half a point."
)
DOSE_RULE = (
    "Passes if flips never fall by more than 2 points from a dose to the next: the effect is one "
    "of degree."
)


def minimality(subject: Subject) -> Measure:
    """The units that are left after pruning, and what each unit is worth.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared = subject.prepared
    pruned = prune(subject.found, prepared.train_objective)
    stack = jax.tree.map(lambda x: np.asarray(x)[None], subject.found)
    held_out = prepared.evaluation_objective
    whole = accuracies_in_parts(stack, held_out)[0]
    costs = 100.0 * (whole - leave_one_out(subject.found, held_out))
    size, left = len(subject.units), len(subject.units) - len(pruned.removed)
    least = f"the least needed unit costs {costs.min():.1f} points" if size else "there is no unit"
    return Measure(
        "minimality",
        float(left),
        "units",
        None,
        f"found: {size}; {least}" + " of held-out accuracy" * bool(size),
        "So many units are left once those are taken away, one at a time, without which training "
        f"accuracy stays within half a point ({100 * pruned.accuracy[0]:.1f}% to "
        f"{100 * pruned.accuracy[-1]:.1f}%).",
        RULE,
        judged(len(pruned.removed) <= MOST_REMOVED * size),
        {
            "removed": pruned.removed,
            "train_accuracy": [100.0 * one for one in pruned.accuracy],
            "cost_of_unit": {
                str(unit): float(cost) for unit, cost in zip(subject.units, costs, strict=True)
            },
        },
    )


def dose(subject: Subject) -> Measure:
    """Flips with the units moved only part of the way to their learned values.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    mask, baseline = (np.asarray(x) for x in subject.found)
    masks = np.stack([amount * mask for amount in DOSES]).astype(np.float32)
    stack = from_arrays(masks, baseline)
    flipped = 100.0 * accuracies_in_parts(stack, subject.prepared.evaluation_objective)
    falls = -np.diff(flipped)
    curve = ", ".join(f"{amount:g}: {x:.0f}%" for amount, x in zip(DOSES, flipped, strict=True))
    return Measure(
        "dose",
        float(flipped[DOSES.index(0.5)]),
        "%",
        None,
        f"flips by dose: {curve}",
        "With every unit moved half of the way to its learned value, this many decisions flip.",
        DOSE_RULE,
        judged(bool(flipped[-1] > 0.0 and falls.max() <= MOST_FALL)),
        {"doses": list(DOSES), "flips": [float(x) for x in flipped]},
    )
