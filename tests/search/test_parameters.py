"""What is learned stays where it may be, and the limits of constraints shrink as they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.intervention import EDGE
from jaxmask.search import SearchConfig, hard_concrete, parameters


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_what_is_learned_is_clipped(sign):
    config = SearchConfig(lowest=-2.0, highest=1.0)
    params = {
        "location": jnp.zeros((1, 3)),
        "values": jnp.zeros((2, 3)),
        "multipliers": {"l0": jnp.zeros(())},
    }
    gradient = jax.tree.map(lambda x: jnp.full_like(x, sign), params)
    optimizer = parameters.optimizer(100.0, config.replace(value_rate=100.0))
    moments = optimizer.init(params)
    violations = {"l0": jnp.ones(())}
    after, _ = parameters.update(params, moments, gradient, violations, optimizer, config)
    np.testing.assert_array_equal(after["location"], -2.0 if sign > 0 else 1.0)
    np.testing.assert_array_equal(after["values"], -sign * EDGE)
    np.testing.assert_allclose(after["multipliers"]["l0"], max(0.0, sign * config.multiplier_rate))


def test_the_limit_falls_from_step_to_step_and_then_stays():
    config = SearchConfig(steps=10, warmup=0.5, initial_alpha=0.16)
    found = [float(parameters.shrinking_target(step, 0.01, config)) for step in range(10)]
    steps = np.minimum((np.arange(10) + 1) / 5, 1.0)
    np.testing.assert_allclose(found, 0.16 * (0.01 / 0.16) ** steps, rtol=1e-5)
    np.testing.assert_allclose(found[4:], 0.01, rtol=1e-5)
    larger = float(parameters.shrinking_target(0, 0.5, config))
    np.testing.assert_allclose(larger, 0.5)  # a limit above the first one is taken at once


@pytest.mark.parametrize("alpha", [0.5, 0.02, 1e-3, 8 / 46_080, 1e-6])
def test_gates_that_are_as_closed_as_they_can_be_leave_room_for_the_open_ones(alpha):
    lowest = parameters.lowest_location(SearchConfig(alpha=alpha))
    closed = hard_concrete.prob_nonzero(jnp.asarray(lowest))
    assert closed < 0.25 * alpha
    swept = parameters.lowest_location(SearchConfig(alpha=jnp.float32(alpha)))
    np.testing.assert_allclose(swept, lowest, rtol=1e-6)


def test_a_lowest_location_that_is_set_is_kept():
    assert parameters.lowest_location(SearchConfig(alpha=1e-6, lowest=-3.0)) == -3.0
