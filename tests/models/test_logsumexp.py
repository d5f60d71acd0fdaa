"""The chunked logsumexp and cross-entropy against the whole ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models import logsumexp


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


# Trained weights.


def cross_entropy_inputs(batch=7, **sizes):
    hidden, weight, bias = layer(batch=batch, **sizes)
    targets = jax.random.randint(jax.random.key(1), (batch,), 0, len(bias))
    return hidden, weight, bias, targets, jnp.linspace(0.5, 2.0, batch)


def whole_cross_entropy(hidden, weight, bias, targets, weights):
    log_probs = jax.nn.log_softmax(hidden @ weight.T + bias[None, :])
    return -jnp.sum(weights * jnp.take_along_axis(log_probs, targets[:, None], axis=-1)[:, 0])


def with_gradients(function):
    return jax.jit(jax.value_and_grad(lambda *x: function(*x), argnums=(0, 1, 2)))


@pytest.mark.parametrize("rows", [1, 3, 7, 320])  # of which 7 is a multiple, or not
def test_cross_entropy_and_its_gradients_equal_the_whole_ones(rows, monkeypatch):
    monkeypatch.setattr(logsumexp, "ROWS", rows)
    ours, naive = with_gradients(logsumexp.cross_entropy), with_gradients(whole_cross_entropy)
    for scale in (0.1, 3.0, 1e3):
        inputs = cross_entropy_inputs(scale=scale)
        value, gradients = naive(*inputs)
        found, found_gradients = ours(*inputs)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        np.testing.assert_allclose(logsumexp.cross_entropy(*inputs), value, rtol=1e-5)
        for one, other in zip(found_gradients, gradients, strict=True):
            np.testing.assert_allclose(one / scale, other / scale, rtol=1e-4, atol=1e-5)


def test_cross_entropy_of_several_models_at_once():
    hidden, weight, bias, targets, weights = cross_entropy_inputs()
    stack = [jnp.stack([x, 2 * x, -x]) for x in (hidden, weight, bias)]

    def of_all(function):
        return jax.vmap(with_gradients(function), in_axes=(0, 0, 0, None, None))

    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5),
        of_all(logsumexp.cross_entropy)(*stack, targets, weights),
        of_all(whole_cross_entropy)(*stack, targets, weights),
    )


@pytest.mark.usefixtures("optimized")
def test_cross_entropy_never_holds_all_logits():
    def memory(function, batch):
        inputs = jax.eval_shape(lambda: cross_entropy_inputs(batch=batch, words=5000))
        return with_gradients(function).lower(*inputs).compile().memory_analysis()

    logits = 4 * 5000 * (5120 - 2560)  # bytes of what the larger batch has more
    for function, least, most in (
        (whole_cross_entropy, 1.0, np.inf),
        (logsumexp.cross_entropy, 0.0, 0.01),
    ):
        sizes = [memory(function, batch).temp_size_in_bytes for batch in (2560, 5120)]
        assert least * logits <= sizes[1] - sizes[0] <= most * logits
