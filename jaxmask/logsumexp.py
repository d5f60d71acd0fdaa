"""log-sum-exp of a linear layer's outputs, without ever holding them all.

With ``x = h W^T + b`` over a large vocabulary, a KL term needs only ``logsumexp(x)`` and, for its
gradient, ``softmax(x) W``. Both come from one pass over chunks of the vocabulary with a running
maximum, so memory is batch x chunk, and nothing is computed again in the backward pass.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

CHUNK = 4096


@jax.custom_vjp
def linear_logsumexp(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> Float[Array, " batch"]:
    """``logsumexp(hidden @ weight.T + bias)``, differentiable in ``hidden`` only.

    ``weight`` and ``bias`` belong to a frozen model: their gradient is zero by declaration.
    """
    return _pass(hidden, weight, bias, with_mean=False)[0]


def logsumexp_and_mean(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> tuple[Float[Array, " batch"], Float[Array, "batch hidden"]]:
    """The logsumexp and its gradient in ``hidden``, the expected row ``softmax(x) @ weight``."""
    return _pass(hidden, weight, bias, with_mean=True)


def _pass(hidden: Array, weight: Array, bias: Array, with_mean: bool) -> tuple[Array, Array]:
    chunk = min(CHUNK, len(bias))
    whole, rest = divmod(len(bias), chunk)

    def add(carry: tuple, rows: tuple) -> tuple:
        highest, total, weighted = carry
        weight, bias = rows
        logits = hidden @ weight.T + bias
        new = jnp.maximum(highest, logits.max(axis=-1))
        shrink = jnp.exp(highest - new)
        mass = jnp.exp(logits - new[:, None])
        total = total * shrink + mass.sum(axis=-1)
        if with_mean:
            weighted = weighted * shrink[:, None] + mass @ weight
        return (new, total, weighted), None

    n = len(hidden)
    carry = (
        jnp.full((n,), -jnp.inf, hidden.dtype),
        jnp.zeros((n,), hidden.dtype),
        jnp.zeros(hidden.shape if with_mean else (0,), hidden.dtype),
    )
    body = whole * chunk
    chunks = (weight[:body].reshape(whole, chunk, -1), bias[:body].reshape(whole, chunk))
    carry, _ = jax.lax.scan(add, carry, chunks)
    if rest:
        carry, _ = add(carry, (weight[body:], bias[body:]))
    highest, total, weighted = carry
    mean = weighted / total[:, None] if with_mean else weighted
    return highest + jnp.log(total), mean


def _forward(hidden: Array, weight: Array, bias: Array) -> tuple[Array, tuple]:
    value, mean = logsumexp_and_mean(hidden, weight, bias)
    return value, (mean, weight, bias)


def _backward(residual: tuple, gradient: Array) -> tuple[Array, Array, Array]:
    mean, weight, bias = residual
    return gradient[:, None] * mean, jnp.zeros_like(weight), jnp.zeros_like(bias)


linear_logsumexp.defvjp(_forward, _backward)
