"""Eqs. 2 and 8 as the paper states them, from whole softmaxes: the oracle of all families.

Each family computes the predictions in its own naive way; what they say is the same for all.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.text.examples import Examples


class Response(NamedTuple):
    """What an intervention did to each example.

    Attributes:
        log_ratio: log p(d) - log p(t) with the intervention.
        kl: mean of KL(original || intervened) over the positions of the sentence, in nats.
        kl_elsewhere: the part of this mean that the last position doesn't give.

    Example:
        See `response`.
    """

    log_ratio: Float[Array, " examples"]
    kl: Float[Array, " examples"]
    kl_elsewhere: Float[Array, " examples"]


def response(
    original: Float[Array, "examples time vocabulary"],
    intervened: Float[Array, "examples time vocabulary"],
    examples: Examples,
) -> Response:
    """The response of each example (Eqs. 2 and 8).

    Args:
        original: log-probabilities of the untouched model after each word.
        intervened: the same with the intervention.
        examples: with their directions known.

    Example:
        >>> import numpy as np
        >>> one = np.ones(1, np.int32)
        >>> examples = Examples(np.array([[2]]), one, one, np.array([[0, 1]]), one, one, one)
        >>> before, after = (jnp.log(jnp.array([[[p, 1 - p]]])) for p in (0.75, 0.5))
        >>> found = response(before, after, examples)
        >>> found.log_ratio.tolist(), found.kl.round(4).tolist(), found.kl_elsewhere.tolist()
        ([0.0], [0.1308], [0.0])
    """
    last = jnp.take_along_axis(intervened, (examples.length - 1)[:, None, None], axis=1)[:, 0]
    of_pair = jnp.take_along_axis(last, examples.pair, axis=1)
    turned_to = jnp.take_along_axis(of_pair, examples.direction[:, None], axis=1)[:, 0]
    kl = jnp.sum(jnp.exp(original) * (original - intervened), axis=-1)
    length = jnp.asarray(examples.length)[:, None]

    def mean(before: Array) -> Float[Array, " examples"]:
        inside = (jnp.arange(kl.shape[1])[None, :] < before).astype(kl.dtype)
        return jnp.sum(kl * inside, axis=1) / length[:, 0].astype(kl.dtype)

    return Response(of_pair.sum(axis=1) - 2 * turned_to, mean(length), mean(length - 1))
