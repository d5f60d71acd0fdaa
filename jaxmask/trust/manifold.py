"""Measure 8: whether the learned values are values that the units ever have."""

import numpy as np
from jaxtyping import Bool, Float

from jaxmask.intervention import from_arrays, places
from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.subject import Subject, flips

SHARES = (0.001, 0.999)  # between them lie the values that count as natural
ROUNDING = 1e-4  # of the range, by which a value at its end may be off
MOST_OUTSIDE, MOST_LOST = 0.05, 0.05
RULE = (
    "Passes if at most 5% of the values are outside the range from the 0.1st to the 99.9th "
    "percentile of their unit, and at most 5 points of the flips are lost once they are clipped to "
    "it."
)


def manifold(subject: Subject) -> Measure:
    """The share of learned values that the units never have, and flips without those.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    states = natural_states(subject)
    low, high = np.quantile(states, SHARES, axis=0, method="inverted_cdf")  # values that occur
    slack = ROUNDING * (high - low)
    mask, values = (np.asarray(x) for x in subject.own)
    used = mask > 0
    outside = ((values < low - slack) | (values > high + slack)) & used
    share = float(outside.sum() / max(used.sum(), 1))
    clipped = np.where(used, np.clip(values, low, high), values).astype(np.float32)
    after = flips(subject.prepared, subject.examples, from_arrays(mask, clipped))
    whole, left = float(subject.flips.mean()), float(after.mean())
    far = [nearest(states, values[row], used[row]) for row in range(len(mask)) if used[row].any()]
    return Measure(
        "manifold",
        100.0 * share,
        "%",
        None,
        f"{100 * left:.1f}% of the decisions flip with the values clipped to the range, "
        f"{100 * whole:.1f}% with the learned ones",
        f"This many of the learned values are ones that the unit does not have at {len(states)} "
        "places of the training sentences.",
        RULE,
        judged(share <= MOST_OUTSIDE and whole - left <= MOST_LOST),
        {
            "places": len(states),
            "outside": 100.0 * share,
            "flips_clipped": 100.0 * left,
            "flips_learned": 100.0 * whole,
            "nearest_state": far,
        },
    )


def natural_states(subject: Subject) -> Float[np.ndarray, "places units"]:
    """What the units do, untouched, wherever the intervention acts in training sentences.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    examples, reading = subject.train_reading
    where = places(subject.kind.place, examples.position, examples.length)
    return np.asarray(reading.states)[where]


def nearest(
    states: Float[np.ndarray, "places units"],
    values: Float[np.ndarray, " units"],
    used: Bool[np.ndarray, " units"],
) -> float:
    """How far values are from the nearest natural state, beside a natural state's distance.

    Distances are Euclidean, over the used units, in standard deviations of each; the result is the
    distance to the nearest of the states, divided by the median distance between two states.

    Args:
        states: natural ones.
        values: one number a unit.
        used: truth values; the units that count.

    Example:
        >>> states = np.array([[0.0, 5.0], [2.0, 7.0]])
        >>> nearest(states, np.array([4.0, 0.0]), np.array([True, False]))
        1.0
    """
    some = np.unique(states[:, used], axis=0)
    scale = np.where(some.std(axis=0) > 0, some.std(axis=0), 1.0)
    some, point = some / scale, values[used] / scale
    between = np.linalg.norm(some[:200, None] - some[None, :200], axis=-1)
    typical = np.median(between[np.triu_indices(len(between), 1)]) if len(some) > 1 else 1.0
    return float(np.linalg.norm(some - point, axis=1).min() / typical)
