"""The KL between two next-word distributions whose logits are capped, without ever holding them.

With logits ``z(h) = cap tanh(W h / cap)`` and ``A(h) = logsumexp(z(h))`` the KL between the
distributions after two states is

    KL(p || q) = sum_v p_v (z_v(h_p) - z_v(h_q)) + A(h_q) - A(h_p)

and, with ``s_v(h) = 1 - tanh^2(w_v . h / cap)``, its gradient in ``h_q`` is
``sum_v (q_v - p_v) s_v(h_q) w_v``. The form of `jaxmask.models.kl`, which needs the distribution p
in one row of the decoder only, holds for logits that are linear in the state. Here p is computed
again, chunk by chunk of the vocabulary, in the one pass that gives value and gradient.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.models import logsumexp
from jaxmask.models.kl import Predictions
from jaxmask.products import exact


def predictions(
    hidden: Float[Array, "batch hidden"], weight: Float[Array, "vocabulary hidden"], cap: float
) -> Predictions:
    """What `divergence` needs of the distributions after some states; ``mean`` is one column of 0.

    Args:
        hidden: the states that the decoder reads, untouched.
        weight: of the decoder, one row a word.
        cap: of the logits.

    Example:
        >>> float(predictions(jnp.zeros((1, 2)), jnp.eye(2), 30.0).logsumexp[0])  # log 2
        0.6931471824645996
    """
    # Of no width it couldn't be made part by part, see `jax.lax.map`.
    unknown = Predictions(hidden, jnp.zeros(len(hidden)), jnp.zeros_like(hidden[:, :1]))
    highest, total, *_ = _pass(unknown, hidden, weight, cap)
    return unknown._replace(logsumexp=highest + jnp.log(total))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def divergence(
    original: Predictions,
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    cap: float,
) -> Float[Array, " batch"]:
    """KL(original || altered) of next-word distributions, in nats; see the module's equation.

    It is differentiable in ``hidden`` only: the gradient in the others is declared to be zero.

    Args:
        original: of the untouched states.
        hidden: the altered states.
        weight: of the decoder, one row a word.
        cap: of the logits.

    Example:
        >>> original = predictions(jnp.zeros((1, 2)), jnp.eye(2), 30.0)
        >>> divergence(original, jnp.array([[0.0, 1.0]]), jnp.eye(2), 30.0).round(4)
        Array([0.12], dtype=float32)
    """
    return _forward(original, hidden, weight, cap)[0]


def _pass(
    original: Predictions, hidden: Array, weight: Array, cap: float
) -> tuple[Array, Array, Array, Array, Array]:
    """One pass over chunks of the vocabulary.

    Returns:
        The highest logit, ``sum_v exp(z_v - highest)``, ``sum_v exp(z_v - highest) s_v w_v``,
        ``sum_v p_v (z_v(h_p) - z_v)`` and ``sum_v p_v s_v w_v``.
    """
    words, n = len(weight), len(hidden)
    chunks = -(-words // logsumexp.CHUNK)
    chunk = -(-words // chunks)

    def add(number: Array, carry: tuple) -> tuple:
        highest, total, weighted, gap, expected = carry
        # The last chunk begins earlier, and leaves out what the one before it has had.
        start = jnp.minimum(number * chunk, words - chunk)
        rows = jax.lax.dynamic_slice_in_dim(weight, start, chunk).astype(hidden.dtype)
        new_word = (start + jnp.arange(chunk) >= number * chunk)[None]
        bent = jnp.tanh(exact(hidden, rows.T) / cap)
        before = jnp.tanh(exact(original.hidden, rows.T) / cap)
        p = jnp.where(new_word, jnp.exp(cap * before - original.logsumexp[:, None]), 0.0)
        logits = jnp.where(new_word, cap * bent, -jnp.inf)
        slope = 1.0 - bent**2
        new = jnp.maximum(highest, logits.max(axis=-1))
        shrink = jnp.exp(highest - new)
        mass = jnp.exp(logits - new[:, None])
        return (
            new,
            total * shrink + mass.sum(axis=-1),
            weighted * shrink[:, None] + exact(mass * slope, rows),
            gap + jnp.sum(p * cap * (before - bent), axis=-1),
            expected + exact(p * slope, rows),
        )

    nothing = jnp.zeros(n, hidden.dtype)
    none = jnp.zeros_like(hidden)
    return jax.lax.fori_loop(0, chunks, add, (nothing - jnp.inf, nothing, none, nothing, none))


def _forward(
    original: Predictions, hidden: Array, weight: Array, cap: float
) -> tuple[Array, tuple]:
    highest, total, weighted, gap, expected = _pass(original, hidden, weight, cap)
    value = gap + highest + jnp.log(total) - original.logsumexp
    return value, (original, weight, weighted / total[:, None] - expected)


def _backward(cap: float, residual: tuple, gradient: Array) -> tuple:
    original, weight, slope = residual
    nothing = jax.tree.map(jnp.zeros_like, original)
    return nothing, gradient[:, None] * slope, jnp.zeros_like(weight)


divergence.defvjp(_forward, _backward)
