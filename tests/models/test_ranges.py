"""Ranges of states that were seen several times, against a list with all repetitions."""

import numpy as np

from jaxmask.models import ranges


def test_a_state_counts_as_often_as_it_was_seen():
    random = np.random.default_rng(0)
    values, times = random.normal(size=(30, 4)), random.integers(1, 40, 30)
    repeated = np.repeat(values, times, axis=0)
    low, high = ranges.between_percentiles(values, times.astype(float))
    expected = np.percentile(repeated, (1, 99), axis=0, method="inverted_cdf")
    np.testing.assert_allclose((low, high), expected, rtol=1e-6)
    unweighted = np.percentile(values, (1, 99), axis=0, method="inverted_cdf")
    assert (expected != unweighted).any()
    low, high = ranges.around_mean(values, times.astype(float))
    mean, far = repeated.mean(axis=0), 3 * repeated.std(axis=0)
    np.testing.assert_allclose((low, high), (mean - far, mean + far), rtol=1e-5)
