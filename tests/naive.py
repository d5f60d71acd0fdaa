"""The objective as the paper states it, with nothing saved: the oracle of the fast one.

Whole sentences are read from the context twice, with and without the intervention, and a full
softmax over the vocabulary is taken at every position.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmask.intervention import Intervention
from jaxmask.lstm import LSTMState, forward


class Response(NamedTuple):
    """Of each example: log p(d) - log p(t), and the mean KL over the sentence's positions."""

    log_ratio: jax.Array
    kl: jax.Array


@partial(jax.jit, static_argnames="upward")
def respond(params, examples, where, context, intervention: Intervention, upward=False):
    """The response of each example to its own row of mask and baseline."""
    size, time = examples.tokens.shape
    start = LSTMState(*(jnp.broadcast_to(x, (size, x.shape[-1])) for x in context))

    def predictions(intervention):
        logits, _ = forward(params, start, examples.tokens, intervention, where, upward=upward)
        return jax.nn.log_softmax(logits)

    original, intervened = predictions(None), predictions(intervention)
    last = jnp.take_along_axis(intervened, (examples.length - 1)[:, None, None], axis=1)[:, 0]
    of_pair = jnp.take_along_axis(last, examples.pair, axis=1)
    turned_to = jnp.take_along_axis(of_pair, examples.direction[:, None], axis=1)[:, 0]
    kl = jnp.sum(jnp.exp(original) * (original - intervened), axis=-1)
    inside = jnp.arange(time)[None, :] < examples.length[:, None]
    return Response(
        of_pair.sum(axis=1) - 2 * turned_to, jnp.sum(kl * inside, axis=1) / examples.length
    )
