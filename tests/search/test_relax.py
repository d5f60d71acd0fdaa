"""A step on the relaxed mask: what each setting does to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.search import SearchConfig, hard_concrete

CONFIG = SearchConfig(
    alpha=0.5, beta=0.01, warmup=0.0, initial_alpha=0.0, steps=10, batch_size=8, head_start=0.0
)


def test_each_constraint_has_its_own_limit():
    """After a step from multipliers of 0, they are their rate times the violation."""
    objective = toy.toy()
    state = search.init(jax.random.key(0), objective, CONFIG)
    location = state.params["location"]
    after, info = search.step(state, objective, CONFIG)
    fractional = float(hard_concrete.prob_fractional(location).mean())
    expected = CONFIG.multiplier_rate * (fractional / 0.01 - 1.0)
    assert expected > 0.01
    np.testing.assert_allclose(after.params["multipliers"]["fractional"], expected, rtol=1e-4)
    np.testing.assert_allclose(info.fractional_gates, 10 * fractional, rtol=1e-4)
    nonzero = float(hard_concrete.prob_nonzero(location).mean())
    expected = max(0.0, CONFIG.multiplier_rate * (nonzero / 0.5 - 1.0))
    np.testing.assert_allclose(after.params["multipliers"]["l0"], expected, atol=1e-6)


@pytest.mark.parametrize(("head_start", "rises"), [(0.5, (0.0, 0.2, 0.4)), (0.0, (0.0, 1.0, 1.0))])
def test_values_have_a_head_start(head_start, rises):
    """Locations move by at most their rate, which rises from 0; values move at once."""
    config = CONFIG.replace(head_start=head_start)
    objective = toy.toy()
    state = search.init(jax.random.key(0), objective, config)
    for rise in rises:
        before, (state, _) = state, search.step(state, objective, config)
        moved = np.abs(state.params["location"] - before.params["location"]).max()
        most = config.location_rate * rise
        assert moved <= 1.01 * most + 1e-7
        assert moved >= 0.3 * most
        assert (state.params["values"] != before.params["values"]).any()
    assert jnp.isfinite(state.params["location"]).all()
