"""How many units a mask may have, and which."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.search import masks


@pytest.mark.parametrize(("units", "alpha", "expected"), [
    (100, 0.29, 29), (10, 0.3, 3), (1300, 7 / 1300, 7), (100, 0.299, 29), (10, 0.01, 1),
])  # fmt: skip
def test_the_budget_is_rounded_down_but_not_below_what_was_meant(units, alpha, expected):
    assert float(masks.budget(units, alpha)) == expected
    assert float(masks.budget(units, jnp.asarray(alpha, jnp.float32))) == expected


def test_all_sizes_that_a_person_would_write_as_a_fraction():
    for units in (7, 12, 300, 650, 1300):
        found = [float(masks.budget(units, size / units)) for size in range(1, units + 1)]
        assert found == list(range(1, units + 1))


def test_the_highest_scores_are_taken():
    scores = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    for count in (0, 1, 7, 20):
        found = np.asarray(masks.top(jnp.asarray(scores), count))
        for row, score in zip(found, scores, strict=True):
            assert set(np.flatnonzero(row)) == set(np.argsort(-score)[:count])
