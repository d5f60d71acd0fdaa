"""The objective as the paper states it, with nothing saved: the oracle of the fast one.

Whole sentences are read from the context twice, with and without the intervention, and a full
softmax over the vocabulary is taken at every position.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.models.transformer import altered, forward
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.text.examples import Examples


class Response(NamedTuple):
    """Of each example: log p(d) - log p(t), and the mean KL over the sentence's positions."""

    log_ratio: Float[Array, " examples"]
    kl: Float[Array, " examples"]


@partial(jax.jit, static_argnames=("config", "site", "context"))
def respond(
    params: Params,
    config: TransformerConfig,
    examples: Examples,
    action: Action,
    site: str,
    context: tuple[int, ...],
) -> Response:
    """The response of each example to its own row of mask and baseline (Eqs. 2 and 8).

    Args:
        params: the parameter tree.
        config: of the model.
        examples: with their directions known.
        action: the intervention, at tokens of the sentences without their context.
        site: name of the states that are replaced.
        context: tokens before every sentence.
    """
    size, time = examples.tokens.shape
    before = jnp.broadcast_to(jnp.array(context, jnp.int32), (size, len(context)))
    tokens = jnp.concatenate([before, examples.tokens], axis=1)
    acts = jnp.concatenate([jnp.zeros(before.shape, bool), action.where], axis=1)

    def predictions(action: Action | None) -> Float[Array, "examples time vocabulary"]:
        state, _ = altered.read(params, config, tokens, site, action)
        return jax.nn.log_softmax(forward.logits(params, config, state))[:, len(context) :]

    original, intervened = predictions(None), predictions(action._replace(where=acts))
    last = jnp.take_along_axis(intervened, (examples.length - 1)[:, None, None], axis=1)[:, 0]
    of_pair = jnp.take_along_axis(last, examples.pair, axis=1)
    turned_to = jnp.take_along_axis(of_pair, examples.direction[:, None], axis=1)[:, 0]
    kl = jnp.sum(jnp.exp(original) * (original - intervened), axis=-1)
    inside = (jnp.arange(time)[None, :] < examples.length[:, None]).astype(kl.dtype)
    return Response(
        of_pair.sum(axis=1) - 2 * turned_to,
        jnp.sum(kl * inside, axis=1) / examples.length.astype(kl.dtype),
    )
