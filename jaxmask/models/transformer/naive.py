"""The objective as the paper states it, with nothing saved: the oracle of the fast one.

Whole sentences are read from the context twice, with and without the intervention, and a full
softmax over the vocabulary is taken at every position.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.models.naive import Response, response
from jaxmask.models.transformer import altered, forward
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.text.examples import Examples


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
    size = len(examples.tokens)
    before = jnp.broadcast_to(jnp.array(context, jnp.int32), (size, len(context)))
    tokens = jnp.concatenate([before, examples.tokens], axis=1)
    acts = jnp.concatenate([jnp.zeros(before.shape, bool), action.where], axis=1)

    def predictions(action: Action | None) -> Float[Array, "examples time vocabulary"]:
        state, _ = altered.read(params, config, tokens, site, action)
        return jax.nn.log_softmax(forward.logits(params, config, state))[:, len(context) :]

    original, intervened = predictions(None), predictions(action._replace(where=acts))
    return response(original, intervened, examples)
