"""The log-sum-exp of the outputs of a linear layer, without holding all outputs in memory.

Let ``x = h W^T + b`` be the outputs over a large vocabulary. A KL term needs only ``logsumexp(x)``
and, for its gradient, ``softmax(x) W``. Both come from one pass over chunks of the vocabulary with
a running maximum: the memory is batch x chunk, and the backward pass computes nothing again.

Training also needs ``softmax(x)^T h``, the gradient with respect to ``W``. That pass can't give it,
because it knows the maximum and the sum only at its end, and a second pass over the vocabulary
takes four products of this size instead of three. `cross_entropy` therefore goes over rows of
``h``, with the whole vocabulary at a time, and computes value and gradients together.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmask.products import exact

CHUNK = 2048  # largest number of words in a chunk
ROWS = 320  # rows of hidden whose logits over the whole vocabulary training holds at a time


@jax.custom_vjp
def linear_logsumexp(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> Float[Array, " batch"]:
    """``logsumexp(hidden @ weight.T + bias)``, differentiable with respect to ``hidden`` only.

    ``weight`` and ``bias`` belong to a frozen model: their gradient is declared to be zero.

    Args:
        hidden: inputs of the layer.
        weight: of the layer.
        bias: of the layer.

    Example:
        >>> weight, bias = jnp.zeros((4, 3)), jnp.zeros(4)
        >>> float(linear_logsumexp(jnp.ones((2, 3)), weight, bias)[0])  # log 4
        1.3862943649291992
    """
    return _pass(hidden, weight, bias, with_mean=False)[0]


def logsumexp_and_mean(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> tuple[Float[Array, " batch"], Float[Array, "batch hidden"]]:
    """The log-sum-exp and its gradient with respect to ``hidden``.

    The gradient is the expected row of the weight, ``softmax(x) @ weight``.

    Args:
        hidden: inputs of the layer.
        weight: of the layer.
        bias: of the layer.

    Example:
        >>> weight, bias = jnp.array([[0.0, 4.0], [2.0, 0.0]]), jnp.zeros(2)
        >>> logsumexp_and_mean(jnp.zeros((1, 2)), weight, bias)[1].tolist()
        [[1.0, 2.0]]
    """
    return _pass(hidden, weight, bias, with_mean=True)


def _pass(hidden: Array, weight: Array, bias: Array, with_mean: bool) -> tuple[Array, Array]:
    """The log-sum-exp and, if asked for, the expected row of the weight."""
    words, n = len(bias), len(hidden)
    chunks = -(-words // CHUNK)
    chunk = -(-words // chunks)  # equal chunks; otherwise much of the last one could be wasted

    def add(number: Array, carry: tuple) -> tuple:
        highest, total, weighted = carry
        # The last chunk begins earlier, so that all chunks have the same size, and leaves out the
        # words that the chunk before it has had. Slices are taken of the weight itself, because
        # another shape of it would be a copy.
        start = jnp.minimum(number * chunk, words - chunk)
        rows = jax.lax.dynamic_slice_in_dim(weight, start, chunk)
        new_word = start + jnp.arange(chunk) >= number * chunk
        rows = rows.astype(hidden.dtype)
        logits = exact(hidden, rows.T) + jax.lax.dynamic_slice_in_dim(bias, start, chunk)[None]
        logits = jnp.where(new_word, logits, -jnp.inf)
        new = jnp.maximum(highest, logits.max(axis=-1))
        shrink = jnp.exp(highest - new)
        mass = jnp.exp(logits - new[:, None])
        total = total * shrink + mass.sum(axis=-1)
        if with_mean:
            weighted = weighted * shrink[:, None] + exact(mass, rows)
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
    """The weighted sum of ``logsumexp(x) - x[target]``, with ``x = hidden @ weight.T + bias``.

    It is differentiable with respect to ``hidden``, ``weight`` and ``bias``. One pass, over `ROWS`
    rows at a time, computes the value and all gradients.

    Args:
        hidden: inputs of the layer.
        weight: of the layer.
        bias: of the layer.
        targets: index of the correct word for each row.
        weights: of each row in the sum.

    Returns:
        The cross-entropy in nats.

    Example:
        >>> hidden, weight, bias = jnp.ones((2, 3)), jnp.zeros((4, 3)), jnp.zeros(4)
        >>> float(cross_entropy(hidden, weight, bias, jnp.array([0, 1]), jnp.full(2, 0.5)))
        1.3862943649291992
    """
    chosen = jnp.sum(hidden * weight[targets], axis=-1) + bias[targets]
    return jnp.sum(weights * (linear_logsumexp(hidden, weight, bias) - chosen))


# Under vmap the models are computed one after another: the products of one model are large enough
# to fill a device, and the logits of several models at once would only take memory.
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
        logits = hidden @ weight.T + bias[None]
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
