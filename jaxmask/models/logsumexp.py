"""log-sum-exp of a linear layer's outputs, without ever holding them all.

With ``x = h W^T + b`` over a large vocabulary, a KL term needs only ``logsumexp(x)`` and, for its
gradient, ``softmax(x) W``. Both come from one pass over chunks of the vocabulary with a running
maximum, so memory is batch x chunk, and nothing is computed again in the backward pass.

Training also needs ``softmax(x)^T h``, the gradient in W. It can't come from that pass, which knows
the maximum and the sum only at its end: going over the vocabulary once more takes four products of
this size in place of three. `cross_entropy` therefore goes over rows of ``h`` in its backward pass,
the whole vocabulary at a time.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

CHUNK = 2048  # words, at most
ROWS = 320  # of hidden, whose logits over the whole vocabulary are held at a time in training


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
    words, n = len(bias), len(hidden)
    chunks = -(-words // CHUNK)
    chunk = -(-words // chunks)  # alike, or the last would compute much that is left out

    def add(number: Array, carry: tuple) -> tuple:
        highest, total, weighted = carry
        # The last chunk begins before its place, so that all are alike, and leaves out what the
        # one before has had. Slices of the weight as it is: any other shape would be a copy of it.
        start = jnp.minimum(number * chunk, words - chunk)
        rows = jax.lax.dynamic_slice_in_dim(weight, start, chunk)
        new_word = start + jnp.arange(chunk) >= number * chunk
        logits = hidden @ rows.T + jax.lax.dynamic_slice_in_dim(bias, start, chunk)
        logits = jnp.where(new_word, logits, -jnp.inf)
        new = jnp.maximum(highest, logits.max(axis=-1))
        shrink = jnp.exp(highest - new)
        mass = jnp.exp(logits - new[:, None])
        total = total * shrink + mass.sum(axis=-1)
        if with_mean:
            weighted = weighted * shrink[:, None] + mass @ rows
        return new, total, weighted

    start = (
        jnp.full((n,), -jnp.inf, hidden.dtype),
        jnp.zeros((n,), hidden.dtype),
        jnp.zeros(hidden.shape if with_mean else (0,), hidden.dtype),
    )
    highest, total, weighted = jax.lax.fori_loop(0, chunks, add, start)
    mean = weighted / total[:, None] if with_mean else weighted
    return highest + jnp.log(total), mean


def _forward(hidden: Array, weight: Array, bias: Array) -> tuple[Array, tuple]:
    value, mean = logsumexp_and_mean(hidden, weight, bias)
    return value, (mean, weight, bias)


def _backward(residual: tuple, gradient: Array) -> tuple[Array, Array, Array]:
    mean, weight, bias = residual
    return gradient[:, None] * mean, jnp.zeros_like(weight), jnp.zeros_like(bias)


linear_logsumexp.defvjp(_forward, _backward)


@jax.custom_vjp
def cross_entropy(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
    targets: Int[Array, " batch"],
    weights: Float[Array, " batch"],
) -> Float[Array, ""]:
    """Weighted sum of ``logsumexp(x) - x[target]`` in nats, with ``x = hidden @ weight.T + bias``.

    Differentiable in ``hidden``, ``weight`` and ``bias``, all of whose gradients are made in one
    pass over `ROWS` rows at a time, with the value.
    """
    chosen = jnp.sum(hidden * weight[targets], axis=-1) + bias[targets]
    return jnp.sum(weights * (linear_logsumexp(hidden, weight, bias) - chosen))


# Under vmap one model after another: its products are large enough to fill a device, and logits of
# several models at once would only take memory.
@jax.custom_batching.sequential_vmap
def _cross_entropy_forward(
    hidden: Array, weight: Array, bias: Array, targets: Array, weights: Array
) -> tuple[Array, tuple]:
    n = len(hidden)
    rows = min(ROWS, n)
    chunks = -(-n // rows)

    def split(x: Array) -> Array:
        padding = [(0, chunks * rows - n)] + [(0, 0)] * (x.ndim - 1)
        return jnp.pad(x, padding).reshape(chunks, rows, *x.shape[1:])

    def add(carry: tuple, some: tuple) -> tuple[tuple, Array]:
        total, in_weight, in_bias = carry
        hidden, targets, weights = some
        logits = hidden @ weight.T + bias
        highest = logits.max(axis=-1, keepdims=True)
        mass = jnp.exp(logits - highest)
        sums = mass.sum(axis=-1, keepdims=True)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)
        total += jnp.sum(weights * (highest + jnp.log(sums) - chosen)[:, 0])
        error = mass * (weights[:, None] / sums)
        error = error.at[jnp.arange(rows), targets].add(-weights)
        carry = (total, in_weight + error.T @ hidden, in_bias + error.sum(axis=0))
        return carry, error @ weight

    carry = (jnp.zeros((), hidden.dtype), jnp.zeros_like(weight), jnp.zeros_like(bias))
    carry, in_hidden = jax.lax.scan(add, carry, (split(hidden), split(targets), split(weights)))
    total, *gradient = carry
    return total, (in_hidden.reshape(-1, hidden.shape[-1])[:n], *gradient)


def _cross_entropy_backward(gradient: tuple, cotangent: Array) -> tuple:
    return (*(cotangent * part for part in gradient), None, None)


cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)
