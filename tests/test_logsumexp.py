"""The chunked logsumexp against the whole one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask import logsumexp


@pytest.fixture(params=[3, 5, 64])
def chunk(request, monkeypatch):
    """Chunks of which 17 words are no multiple, and one that holds them all."""
    monkeypatch.setattr(logsumexp, "CHUNK", request.param)


def layer(scale=1.0, words=17, hidden=4, batch=6):
    keys = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.normal(keys[0], (batch, hidden)),
        scale * jax.random.normal(keys[1], (words, hidden)),
        scale * jax.random.normal(keys[2], (words,)),
    )


def whole(hidden, weight, bias):
    return jax.nn.logsumexp(hidden @ weight.T + bias[None, :], axis=-1)


@pytest.mark.usefixtures("chunk")
def test_value_and_gradient_equal_the_whole_ones():
    weights = jnp.arange(6.0)

    def both(function):
        return jax.jit(
            lambda *x: (function(*x), jax.grad(lambda h: weights @ function(h, *x[1:]))(x[0]))
        )

    ours, naive = both(logsumexp.linear_logsumexp), both(whole)
    with_mean = jax.jit(lambda *x: logsumexp.logsumexp_and_mean(*x))
    for scale in (0.1, 3.0, 1e3, 1e30):  # up to logits whose exp overflows
        arguments = layer(scale)
        value, gradient = naive(*arguments)
        found, found_gradient = ours(*arguments)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        np.testing.assert_allclose(found_gradient / scale, gradient / scale, rtol=1e-4, atol=1e-5)
        found, mean = with_mean(*arguments)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        np.testing.assert_allclose(
            weights[:, None] * mean / scale, gradient / scale, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("words", [1, 3, 4, 6, 7])
def test_any_size_of_vocabulary(words, monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", 3)
    found = jax.jit(lambda *x: logsumexp.linear_logsumexp(*x))(*layer(words=words))
    np.testing.assert_allclose(found, whole(*layer(words=words)), rtol=1e-5)


@pytest.mark.usefixtures("chunk")
def test_under_vmap_and_jit():
    hidden, weight, bias = layer()
    stack = jnp.stack([hidden, 2 * hidden, -hidden])

    def gradients(function):
        return jax.jit(jax.vmap(jax.grad(lambda h: jnp.sum(function(h, weight, bias) ** 2))))

    np.testing.assert_allclose(
        gradients(logsumexp.linear_logsumexp)(stack), gradients(whole)(stack), rtol=1e-4, atol=1e-4
    )


def test_frozen_weights_get_no_gradient():
    gradients = jax.grad(lambda *x: logsumexp.linear_logsumexp(*x).sum(), argnums=(1, 2))(*layer())
    assert not any(np.any(gradient) for gradient in gradients)
