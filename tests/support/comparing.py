"""What tests of a fast objective against the naive one share."""

import jax
import jax.numpy as jnp
import numpy as np


def scalars(log_ratio, weight, kl, kl_elsewhere):
    """Something to differentiate that depends on all there is."""
    return jnp.sum(weight * jax.nn.sigmoid(log_ratio)) + 0.7 * kl + 0.4 * kl_elsewhere


def close(found, expected, tolerance):
    """Within ``tolerance`` of the largest of the expected numbers."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def equals_naive(setting, many, log_ratios):
    """A fast objective gives what the naive one gives, and its gradients, under vmap.

    ``setting`` has both (``fast``, and ``naive`` of interventions by row), the examples, and the
    ``row`` and ``column`` of each in the outcome; ``many`` are interventions of all rows, and
    ``log_ratios`` is the tolerance of log-ratios.
    """
    everything = setting.fast.everything()

    def fast(one):
        outcome = setting.fast(one, everything)
        return scalars(*outcome), outcome

    def slow(one):
        response = setting.naive(one)
        size = setting.examples.size
        kls = response.kl.mean(), response.kl_elsewhere.mean()
        return scalars(response.log_ratio, 1 / size, *kls), response

    (found, outcome), found_gradient = jax.jit(jax.vmap(jax.value_and_grad(fast, has_aux=True)))(
        many
    )
    (expected, response), gradient = jax.jit(jax.vmap(jax.value_and_grad(slow, has_aux=True)))(many)
    np.testing.assert_allclose(
        outcome.log_ratio[:, setting.row, setting.column],
        response.log_ratio,
        rtol=log_ratios,
        atol=log_ratios,
    )
    assert np.asarray(response.kl.mean(axis=1)).min() > 0.01  # or there is nothing to compare
    np.testing.assert_allclose(outcome.kl, response.kl.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(outcome.kl_elsewhere, response.kl_elsewhere.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    close(found_gradient.mask, gradient.mask, 1e-4)
    close(found_gradient.baseline, gradient.baseline, 1e-4)
    np.testing.assert_allclose(outcome.weight.sum(axis=(1, 2)), 1.0, rtol=1e-5)
