"""Measure 9: what the untouched model can't do without the units."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmask.baselines import random_masks
from jaxmask.intervention import every_step, from_arrays
from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.statistics import difference_interval
from jaxmask.trust.subject import Subject, evenly_spread, log_ratios

SETS = 20
LEAST = 1.0  # points
RULE = (
    "Passes if the fall is at least one point and larger than that of every random set, and its "
    "interval is above 0: without the units, the model decides worse."
)


def necessity(subject: Subject, most: int) -> Measure:
    """The fall of the untouched model's accuracy with the units at their mean at every word.

    Where no form is right, the decisions of the untouched model count as right.

    Args:
        subject: the set and its examples.
        most: number of examples at most.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    rows = evenly_spread(subject.examples.size, most)
    mask = subject.chosen
    mean = mean_states(subject)
    both = from_arrays(np.stack([mask, mask]), np.zeros(len(mask)))
    random = random_masks.matched(both, subject.prepared.site, SETS, np.random.default_rng(0))
    whole = np.where(subject.examples.correct[rows] >= 0, subject.right[rows], True)
    found = _right_after(subject, rows, mask, mean)
    random_falls = 100.0 * np.array(
        [
            whole.mean() - _right_after(subject, rows, np.asarray(one[0]) > 0, mean).mean()
            for one in random.mask
        ]
    )
    lost = whole.astype(float) - found
    fall = 100.0 * float(lost.mean())
    interval = difference_interval(lost, [one[rows] for one in subject.clusters])
    passes = fall >= LEAST and fall > float(random_falls.max()) and interval.low > 0.0
    return Measure(
        "necessity",
        fall,
        "points",
        interval.scaled(100.0),
        f"{SETS} random sets of the same layers: {random_falls.mean():.1f} "
        f"({random_falls.min():.1f} to {random_falls.max():.1f})",
        "With the units held at their mean at every word, the model "
        + ("is right" if (subject.examples.correct[rows] >= 0).all() else "decides as untouched")
        + f" in {100 * found.mean():.1f}% of {len(rows)} examples, not {100 * whole.mean():.1f}%.",
        RULE,
        judged(passes),
        {
            "examples": len(rows),
            "untouched": 100.0 * float(whole.mean()),
            "ablated": 100.0 * float(found.mean()),
            "random_falls": random_falls.tolist(),
        },
    )


def mean_states(subject: Subject) -> Float[np.ndarray, " units"]:
    """The mean of each unit over all words of training sentences.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    examples, reading = subject.train_reading
    return np.asarray(reading.states)[every_step(examples.length)].mean(axis=0, dtype=np.float64)


def _right_after(
    subject: Subject,
    rows: Int[np.ndarray, " rows"],
    mask: Bool[np.ndarray, " units"],
    mean: Float[np.ndarray, " units"],
) -> Bool[np.ndarray, " examples"]:
    """Whether each decision is right with the units of a mask at their mean at every word."""
    prepared, examples = subject.prepared, subject.examples.take(rows)
    held = from_arrays(np.stack([mask, mask]), mean)
    kind = subject.kind._replace(place="every")
    odds = prepared.model.read(examples, kind, prepared.context, held).log_odds
    kept = log_ratios(odds, examples.direction) > 0
    prefers_first = odds > 0
    right = np.where(examples.correct == 0, prefers_first, ~prefers_first)
    return np.where(examples.correct >= 0, right, kept)
