"""The KL of capped logits against the one that holds all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models import capped_kl, logsumexp

CAP = 3.0


@pytest.fixture(autouse=True)
def _small_chunk(monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", 4)


def dense(original, hidden, weight):
    p, q = (
        jax.nn.log_softmax(CAP * jnp.tanh(state @ weight.T / CAP)) for state in (original, hidden)
    )
    return jnp.sum(jnp.exp(p) * (p - q), axis=-1)


def test_value_and_gradient():
    keys = jax.random.split(jax.random.key(0), 3)
    original, hidden = (3.0 * jax.random.normal(key, (5, 6)) for key in keys[:2])
    weight = jax.random.normal(keys[2], (11, 6))  # more words than a multiple of a chunk

    def fast(hidden):
        predictions = capped_kl.predictions(original, weight, CAP)
        return capped_kl.divergence(predictions, hidden, weight, CAP)

    def value_and_gradient(function):
        return jax.jit(lambda hidden: jax.vjp(function, hidden)[1](share)[0])(hidden)

    share = jnp.arange(5.0)
    expected = dense(original, hidden, weight)
    assert float(expected.min()) > 0.1
    np.testing.assert_allclose(jax.jit(fast)(hidden), expected, rtol=1e-5)
    np.testing.assert_allclose(
        value_and_gradient(fast),
        value_and_gradient(lambda hidden: dense(original, hidden, weight)),
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(jax.jit(fast)(original), 0.0, atol=1e-6)


def test_predictions_are_made_part_by_part():
    keys = jax.random.split(jax.random.key(0))
    hidden, weight = jax.random.normal(keys[0], (5, 3)), jax.random.normal(keys[1], (7, 3))
    at_once = capped_kl.predictions(hidden, weight, 2.0)
    in_parts = jax.lax.map(
        lambda one: jax.tree.map(lambda x: x[0], capped_kl.predictions(one[None], weight, 2.0)),
        hidden,
        batch_size=2,
    )
    for one, other in zip(in_parts, at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
