"""Intervals of shares and means over examples, and what sets share by chance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Z = 1.959963984540054  # of a normal distribution, between -Z and Z lie 95%
DRAWS = 1000  # of a bootstrap


class Interval(NamedTuple):
    """From the lowest to the highest value that the data don't contradict.

    Attributes:
        low: lower end.
        high: upper end.

    Example:
        >>> Interval(0.25, 0.5).scaled(100.0)
        Interval(low=25.0, high=50.0)
    """

    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """Both ends times a factor."""
        return Interval(factor * self.low, factor * self.high)


def wilson(successes: int, size: int) -> Interval:
    """The 95% interval of Wilson for a share, as if all examples were independent.

    With ``p = successes / size``, ``n = size`` and ``z = Z``:
    ``(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.

    Args:
        successes: number of successes.
        size: number of examples, at least 1.

    Example:
        >>> [round(end, 4) for end in wilson(90, 100)]
        [0.8256, 0.9448]

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    share, square = successes / size, Z**2
    centre = share + square / (2 * size)
    half = Z * math.sqrt(share * (1 - share) / size + square / (4 * size**2))
    scale = 1 + square / size
    return Interval(max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def bootstrap(
    values: Float[np.ndarray, " examples"] | Bool[np.ndarray, " examples"],
    clusters: Sequence[Int[np.ndarray, " examples"]],
    level: float = 0.95,
) -> Interval:
    """The interval of a mean when examples that share a word aren't independent.

    Each draw takes as many clusters of each clustering as there are, with replacement, and weights
    an example by the product of how often its clusters were drawn. With one clustering this is the
    bootstrap of clusters; with several, such as subjects and verbs, it is the pigeonhole bootstrap,
    whose intervals are rather too wide than too narrow. The draws are the same at every call.

    Args:
        values: a number for each example; for a paired test, a difference.
        clusters: clusterings of the examples, a number for each example.
        level: share of the draws whose means lie inside.

    Example:
        >>> values, subject = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])
        >>> bootstrap(values, [subject])
        Interval(low=0.0, high=1.0)

    Source: Owen, "The pigeonhole bootstrap", 2007.
    """
    rng = np.random.default_rng(0)
    weight = np.ones((DRAWS, len(values)))
    for clustering in clusters:
        number = np.unique(clustering, return_inverse=True)[1]
        of_all = number.max() + 1
        drawn = rng.multinomial(of_all, np.full(of_all, 1 / of_all), size=DRAWS)
        weight *= drawn[:, number]
    total = weight.sum(axis=1)
    means = (weight @ np.asarray(values, np.float64))[total > 0] / total[total > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def share_interval(
    flags: Bool[np.ndarray, " examples"], clusters: Sequence[Int[np.ndarray, " examples"]]
) -> Interval:
    """The 95% interval of a share: the wider one of `wilson` and `bootstrap` at each end.

    The bootstrap alone would give an interval of no width where all examples are alike.

    Example:
        >>> flags = np.array([True] * 10)
        >>> [round(end, 2) for end in share_interval(flags, [np.arange(10)])]
        [0.72, 1.0]
    """
    simple = wilson(int(flags.sum()), len(flags))
    clustered = bootstrap(flags, clusters)
    return Interval(min(simple.low, clustered.low), max(simple.high, clustered.high))


def jaccard(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of the units of two sets that both have; 1 for two empty sets.

    Example:
        >>> jaccard([1, 2, 3], [2, 3, 4])
        0.5
    """
    union = {*one, *other}
    return len({*one} & {*other}) / len(union) if union else 1.0


def jaccard_by_chance(one: int, other: int, units: int) -> float:
    """The expected `jaccard` of two random sets of ``one`` and ``other`` of so many units.

    The number of common units is hypergeometric.

    Example:
        >>> jaccard_by_chance(1, 1, 4)  # the same unit with probability 1/4
        0.25
    """
    if not one + other:
        return 1.0
    ways = math.comb(units, other)
    return sum(
        math.comb(one, common)
        * math.comb(units - one, other - common)
        / ways
        * (common / (one + other - common))
        for common in range(max(0, one + other - units), min(one, other) + 1)
    )
