"""Intervals against scipy and by simulation."""

import itertools

import numpy as np
import pytest

from jaxmask.trust import statistics


@pytest.mark.parametrize(("successes", "size"), [(0, 7), (7, 7), (90, 100), (1, 1), (433, 1000)])
def test_wilson_is_that_of_scipy(successes, size):
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(successes, size).proportion_ci(method="wilson")
    assert statistics.wilson(successes, size) == pytest.approx(tuple(wanted), abs=1e-12)


def test_wilson_as_tabulated():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    wanted = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611),
              (1, 29): (0.0061, 0.1718)}  # fmt: skip
    for counts, ends in wanted.items():
        assert statistics.wilson(*counts) == pytest.approx(ends, abs=5e-5)


@pytest.mark.parametrize("two_ways", [False, True])
def test_bootstrap_covers_the_mean_where_words_differ(two_ways):
    """Subjects (and verbs) have effects of their own; independent examples would cover far less."""
    rng = np.random.default_rng(1)
    subject, verb = np.divmod(np.arange(30 * 15), 15)
    clusters = [subject, verb] if two_ways else [subject]
    inside, naive = [], []
    for _ in range(100):
        values = rng.normal(size=30)[subject] + rng.normal(size=len(subject))
        values += rng.normal(size=15)[verb] if two_ways else 0.0
        low, high = statistics.bootstrap(values, clusters)
        inside.append(low <= 0.0 <= high)
        half = statistics.Z * values.std() / np.sqrt(len(values))
        naive.append(abs(values.mean()) <= half)
    assert np.mean(inside) >= 0.9
    assert np.mean(naive) < 0.6


def test_bootstrap_of_single_examples_is_about_the_normal_interval():
    values = np.random.default_rng(0).normal(size=400)
    low, high = statistics.bootstrap(values, [np.arange(400)])
    half = statistics.Z * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    wide = statistics.bootstrap(values, [np.arange(400)], level=0.99)
    assert wide.low < low < high < wide.high


def test_bootstrap_weighs_examples_by_their_clusters():
    """Two clusters of different size: the mean of a draw is one of three."""
    values, cluster = np.array([1.0, 1.0, 1.0, 0.0]), np.array([7, 7, 7, 3])
    assert statistics.bootstrap(values, [cluster]) == (0.0, 1.0)
    assert statistics.bootstrap(np.ones(4), [cluster, cluster]) == (1.0, 1.0)


def test_a_share_of_all_has_an_interval():
    flags = np.ones(50, bool)
    interval = statistics.share_interval(flags, [np.arange(50)])
    assert interval == (statistics.wilson(50, 50).low, 1.0)


@pytest.mark.parametrize(
    ("interval", "kind"),
    [(statistics.share_interval, bool), (statistics.difference_interval, float)],
)
def test_copies_of_an_example_make_no_interval_narrower(interval, kind):
    values, once = np.array([1, 1, 0, 1, 1]).astype(kind), np.arange(5)
    clusters = [np.repeat(once, 40), np.repeat(once % 2, 40)]
    assert statistics.distinct(clusters) == 5
    few, many = interval(values, [once, once % 2]), interval(np.repeat(values, 40), clusters)
    assert tuple(many) == pytest.approx(tuple(few))


def test_bonett_price_by_hand():
    """1 and 7 of 21 discordant: -6 / 23 -+ 1.95996 sqrt((10 / 23 - (6 / 23)^2) / 23)."""
    low, high = statistics.bonett_price(1, 7, 21)
    assert (low, high) == pytest.approx((-0.5084, -0.0134), abs=5e-5)
    assert statistics.bonett_price(7, 1, 21) == pytest.approx((0.0134, 0.5084), abs=5e-5)


def test_a_paired_difference_covers_near_the_edge_where_the_bootstrap_does_not():
    """True differences of 0.97; most samples of 40 hold differences of 1 only."""
    rng = np.random.default_rng(0)
    clusters = [np.arange(40)]
    inside, naive = [], []
    for _ in range(200):
        values = (rng.random(40) < 0.97).astype(float)
        low, high = statistics.difference_interval(values, clusters)
        inside.append(low <= 0.97 <= high)
        low, high = statistics.bootstrap(values, clusters)
        naive.append(low <= 0.97 <= high)
    assert np.mean(inside) >= 0.95
    assert np.mean(naive) < 0.8


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_paired_difference_of_all_has_an_interval(sign):
    ends = statistics.difference_interval(np.full(300, sign), [np.arange(300)], level=0.99)
    inner, outer = sorted(abs(end) for end in ends)
    assert outer == 1.0
    assert 0.95 < inner < 1.0
    assert statistics.difference_interval(np.zeros(300), [np.arange(300)]).low < 0.0


@pytest.mark.parametrize(("one", "other", "units"), [(2, 3, 6), (4, 4, 5), (0, 2, 4), (0, 0, 3)])
def test_jaccard_by_chance_is_the_mean_over_all_sets(one, other, units):
    first = tuple(range(one))
    every = [statistics.jaccard(first, second)
             for second in itertools.combinations(range(units), other)]  # fmt: skip
    assert statistics.jaccard_by_chance(one, other, units) == pytest.approx(np.mean(every))
