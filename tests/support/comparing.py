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
