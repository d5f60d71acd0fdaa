"""Intervals of shares and means over examples, and what sets share by chance."""

import math
from collections.abc import Sequence
from statistics import NormalDist
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


def wilson(successes: float | int, size: int) -> Interval:
    """The 95% interval of Wilson for a share, as if all examples were independent.

    With ``p = successes / size``, ``n = size`` and ``z = Z``:
    ``(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.

    Args:
        successes: number of successes; a fraction where examples count in part.
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


def distinct(clusters: Sequence[Int[np.ndarray, " examples"]]) -> int:
    """The number of examples, those that are alike in all clusterings counted once.

    Example:
        >>> distinct([np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6])])
        3
    """
    return np.unique(np.stack(clusters), axis=1).shape[1]


def share_interval(
    flags: Bool[np.ndarray, " examples"], clusters: Sequence[Int[np.ndarray, " examples"]]
) -> Interval:
    """The 95% interval of a share: at each end, the wider one of `wilson` and `bootstrap`.

    The bootstrap alone gives an interval of no width where all examples are alike. Wilson's is that
    of so many examples as are `distinct`: two that share all their words say little more than one.

    Args:
        flags: whether each example is a success.
        clusters: clusterings of the examples, a number for each example.

    Example:
        >>> flags = np.array([True] * 10)
        >>> [round(end, 2) for end in share_interval(flags, [np.arange(10)])]
        [0.72, 1.0]
        >>> [round(end, 2) for end in share_interval(flags, [np.arange(10) // 2])]
        [0.57, 1.0]
    """
    size = distinct(clusters)
    simple = wilson(float(flags.mean()) * size, size)
    clustered = bootstrap(flags, clusters)
    return Interval(min(simple.low, clustered.low), max(simple.high, clustered.high))


def bonett_price(
    gained: float | int, lost: float | int, size: int, level: float = 0.95
) -> Interval:
    """The interval of Bonett and Price for the difference of two shares of the same examples.

    With ``p = (gained + 1) / (n + 2)``, ``q = (lost + 1) / (n + 2)``, ``n = size``, and ``z`` of a
    normal distribution: ``p - q -+ z sqrt((p + q - (p - q)^2) / (n + 2))``, within [-1, 1]. Its
    width isn't 0, not even where all examples agree.

    Args:
        gained: number of examples of which only the first is a success.
        lost: number of examples of which only the second is.
        size: number of examples, at least 1.
        level: 1 - the share of intervals that miss the difference.

    Example:
        >>> [round(end, 3) for end in bonett_price(8, 2, 40)]
        [-0.013, 0.299]

    Source: Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", 2012.
    """
    p, q = ((count + 1) / (size + 2) for count in (gained, lost))
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((p + q - (p - q) ** 2) / (size + 2))
    return Interval(max(-1.0, p - q - half), min(1.0, p - q + half))


def difference_interval(
    differences: Float[np.ndarray, " examples"],
    clusters: Sequence[Int[np.ndarray, " examples"]],
    level: float = 0.95,
) -> Interval:
    """The interval of a paired difference: at each end, the wider of two.

    They are `bonett_price`'s, of so many examples as are `distinct`, and that of the `bootstrap`,
    which has no width where all differences are alike.

    Args:
        differences: of each example, in [-1, 1]; between these where one of the two outcomes is a
            mean over several sets.
        clusters: clusterings of the examples, a number for each example.
        level: share of the intervals that are to hold the difference.

    Example:
        >>> always = np.ones(50)
        >>> bootstrap(always, [np.arange(50)])
        Interval(low=1.0, high=1.0)
        >>> [round(end, 2) for end in difference_interval(always, [np.arange(50)])]
        [0.89, 1.0]
    """
    size = distinct(clusters)
    gained, lost = (float(np.maximum(sign * differences, 0.0).mean()) for sign in (1, -1))
    simple = bonett_price(gained * size, lost * size, size, level)
    clustered = bootstrap(differences, clusters, level)
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
