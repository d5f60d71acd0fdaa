"""The closed forms against frequencies of samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.search import hard_concrete

SAMPLES = 20_000
LOCATIONS = jnp.array([-4.0, -3.0, -1.0, 0.0, 0.7, 2.0, 5.0])
SETTINGS = [
    (1 / 3, (-0.1, 1.1)),
    (2 / 3, (-0.1, 1.1)),
    (0.2, (-0.2, 1.0)),
    (0.5, (0.0, 1.3)),
]


def samples(temperature, support):
    return np.asarray(
        hard_concrete.sample(
            jax.random.key(0), LOCATIONS, temperature, support, (SAMPLES, len(LOCATIONS))
        )
    )


@pytest.mark.parametrize(("temperature", "support"), SETTINGS)
def test_closed_forms_are_the_frequencies_of_samples(temperature, support):
    z = samples(temperature, support)
    assert z.min() >= 0
    assert z.max() <= 1
    events = [(hard_concrete.prob_nonzero, z != 0)]
    if support[1] > 1:  # else float32 rounds what is all but 1
        events += [
            (hard_concrete.prob_one, z == 1),
            (hard_concrete.prob_fractional, (z > 0) & (z < 1)),
        ]
    for probability, event in events:
        p = np.asarray(probability(LOCATIONS, temperature, support))
        assert ((p >= 0) & (p <= 1)).all()
        # A frequency of n samples is within 4.5 standard errors of p, all but once in 100,000.
        bound = 4.5 * np.sqrt(p * (1 - p) / SAMPLES) + 1e-6
        assert (np.abs(event.mean(axis=0) - p) <= bound).all(), probability.__name__


@pytest.mark.parametrize(("temperature", "support"), SETTINGS)
def test_mean_is_the_mean_of_samples(temperature, support):
    z = samples(temperature, support)
    mean = hard_concrete.mean(LOCATIONS, temperature, support)
    bound = 4.5 * z.std(axis=0) / np.sqrt(SAMPLES) + 2e-3  # and the error of 64 quantiles
    assert (np.abs(z.mean(axis=0) - mean) <= bound).all()


def test_a_closed_gate_has_a_small_mean():
    """With the stretch as Eq. 9 prints it, this gate would be open (0.94)."""
    assert hard_concrete.mean(jnp.array(-3.0)) < 0.06
    assert hard_concrete.mean(jnp.array(3.0)) > 0.94


def test_without_stretch_there_is_no_mass_at_the_ends():
    np.testing.assert_array_equal(hard_concrete.prob_one(LOCATIONS, 0.3, (-0.1, 1.0)), 0.0)
    np.testing.assert_array_equal(hard_concrete.prob_nonzero(LOCATIONS, 0.3, (0.0, 1.1)), 1.0)
    # Constraint (7) is constraint (6) over again.
    np.testing.assert_array_equal(
        hard_concrete.prob_fractional(LOCATIONS, 0.3, (-0.1, 1.0)),
        hard_concrete.prob_nonzero(LOCATIONS, 0.3, (-0.1, 1.0)),
    )


@pytest.mark.parametrize("support", [(-0.1, 1.1), (0.0, 1.0)])
def test_samples_are_differentiable(support):
    def total(locations):
        return hard_concrete.sample(jax.random.key(0), locations, 1 / 3, support).sum()

    locations = jnp.broadcast_to(jnp.array([-50.0, -1.0, 0.0, 2.0, 50.0]), (SAMPLES, 5))
    gradients = np.asarray(jax.grad(total)(locations))
    assert np.isfinite(gradients).all()
    assert (gradients >= 0).all()
    assert ((gradients > 0).mean(axis=0)[1:4] > 0.05).all()


def test_the_gradient_of_samples_is_that_of_the_mean():
    """By 20,000 samples each, with the same noise on both sides."""
    key = jax.random.key(0)

    @jax.jit
    def mean(location):
        return hard_concrete.sample(key, jnp.broadcast_to(location, (SAMPLES,))).mean()

    for location in (-1.0, 0.5):
        slope = (mean(location + 0.1) - mean(location - 0.1)) / 0.2
        np.testing.assert_allclose(jax.grad(mean)(location), slope, rtol=0.02)


@pytest.mark.parametrize("function", ["prob_nonzero", "prob_one", "prob_fractional", "mean"])
def test_probabilities_have_finite_gradients_at_the_edges(function):
    for support in [(-0.1, 1.1), (-0.1, 1.0), (0.0, 1.1)]:
        slope = jax.vmap(jax.grad(getattr(hard_concrete, function)), (0, None, None))
        assert np.isfinite(slope(jnp.array([-90.0, 0.0, 90.0]), 1 / 3, support)).all()


def test_quantiles_rise_from_end_to_end():
    u = jnp.linspace(1e-6, 1 - 1e-6, 101)
    z = hard_concrete.quantile(u, jnp.zeros(101))
    assert z[0] == 0.0
    assert z[-1] == 1.0
    assert (np.diff(z) >= 0).all()
    np.testing.assert_allclose(z[50], 0.5, atol=1e-6)
