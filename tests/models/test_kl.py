"""The KL from states against the KL from whole softmaxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models import logsumexp
from jaxmask.models.kl import divergence, predictions


def random_layer(words=17, hidden=4, batch=6):
    """Untouched and altered states, and a decoder."""
    keys = jax.random.split(jax.random.key(0), 4)
    original, altered = (jax.random.normal(key, (batch, hidden)) for key in keys[:2])
    return (
        original,
        altered,
        jax.random.normal(keys[2], (words, hidden)),
        jax.random.normal(keys[3], (words,)),
    )


def direct(original, altered, weight, bias):
    p, q = (jax.nn.log_softmax(h @ weight.T + bias[None]) for h in (original, altered))
    return jnp.sum(jnp.exp(p) * (p - q), axis=-1)


def ours(original, altered, weight, bias):
    return divergence(predictions(original, weight, bias), altered, weight, bias)


@pytest.mark.parametrize("chunk", [3, 64])
def test_value_and_gradient_are_those_of_whole_softmaxes(chunk, monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", chunk)
    arguments = random_layer()
    expected = direct(*arguments)
    assert expected.min() > 0.01
    np.testing.assert_allclose(ours(*arguments), expected, rtol=1e-5, atol=1e-6)

    def gradient(function):
        return jax.grad(lambda altered: function(arguments[0], altered, *arguments[2:]).sum())

    np.testing.assert_allclose(
        gradient(ours)(arguments[1]), gradient(direct)(arguments[1]), rtol=1e-4, atol=1e-5
    )


def test_it_has_a_direction_and_is_0_without_a_change():
    original, altered, *decoder = random_layer()
    np.testing.assert_allclose(ours(original, original, *decoder), 0.0, atol=1e-6)
    there, back = ours(original, altered, *decoder), ours(altered, original, *decoder)
    assert np.all(np.abs(there - back) > 1e-3)
