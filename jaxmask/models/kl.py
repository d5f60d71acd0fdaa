"""The KL between two next-word distributions of one decoder, without ever holding them.

A decoder turns a state ``h`` into logits ``W h + b`` over a large vocabulary. With
``A(h) = logsumexp(W h + b)``, whose gradient is the expected decoder row ``softmax(W h + b) W``,
the KL between the distributions after two states is a Bregman divergence:

    KL(p || q) = A(h_q) - A(h_p) - (h_q - h_p) . grad A(h_p)

Of the untouched model's distribution ``p`` it needs what `Predictions` holds and no more, which is
computed once for all interventions.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.models.logsumexp import linear_logsumexp, logsumexp_and_mean


class Predictions(NamedTuple):
    """What the KL needs of the untouched model's next-word distributions.

    Attributes:
        hidden: the states ``h_p`` that the decoder reads.
        logsumexp: of the logits, ``A(h_p)``.
        mean: the expected decoder row, ``grad A(h_p)``.
    """

    hidden: Float[Array, "batch hidden"]
    logsumexp: Float[Array, " batch"]
    mean: Float[Array, "batch hidden"]


def predictions(
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> Predictions:
    """What `divergence` needs of the distributions after some states.

    Args:
        hidden: the states that the decoder reads, untouched.
        weight: of the decoder, one row a word.
        bias: of the decoder.

    Example:
        >>> predictions(jnp.zeros((1, 2)), jnp.eye(2), jnp.zeros(2)).mean
        Array([[0.5, 0.5]], dtype=float32)
    """
    return Predictions(hidden, *logsumexp_and_mean(hidden, weight, bias))


def divergence(
    original: Predictions,
    hidden: Float[Array, "batch hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
) -> Float[Array, " batch"]:
    """KL(original || altered) of next-word distributions, in nats; see the module's equation.

    It is differentiable in ``hidden`` only.

    Args:
        original: of the untouched states.
        hidden: the altered states.
        weight: of the decoder, one row a word.
        bias: of the decoder.

    Example:
        >>> weight, bias = jnp.eye(2), jnp.zeros(2)
        >>> original = predictions(jnp.zeros((1, 2)), weight, bias)
        >>> divergence(original, jnp.array([[0.0, 1.0]]), weight, bias).round(4)
        Array([0.1201], dtype=float32)
    """
    gap = linear_logsumexp(hidden, weight, bias) - original.logsumexp
    return gap - jnp.sum((hidden - original.hidden) * original.mean, axis=-1)
