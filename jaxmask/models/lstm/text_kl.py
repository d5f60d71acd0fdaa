"""What an intervention does to ordinary text, far from the stimuli it was found on.

The paper's claim is that the units found do nothing else. The KL of Eq. 8 on the task's own
sentences can't tell: their words were what the search was about.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmask.intervention import Intervention, Kind
from jaxmask.models.kl import divergence, predictions
from jaxmask.models.lstm import network
from jaxmask.models.lstm.forward import Action, read
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.ordinary_text import Text

_SENTENCES_AT_ONCE = 32


def text_kl(
    intervention: Intervention,
    params: Params,
    text: Text,
    where: Bool[Array | np.ndarray, "sentences time"],
    context: LSTMState,
    kind: Kind = Kind(),
) -> Float[Array, " directions"]:
    """Eq. 8 for each direction: mean over sentences of the mean KL over a sentence's words.

    In nats; see `jaxmask.models.kl`.

    Args:
        intervention: one row a direction.
        params: of the model.
        text: what it reads.
        where: at which words the intervention acts.
        context: the state before every sentence.
        kind: of the intervention.
    """
    decoder = network.decoder_weight(params), params["decoder"]["bias"]

    def of_sentence(tokens: Array, length: Array, at: Array) -> Float[Array, " directions"]:
        untouched = network.top_layer(params, read(params, context, tokens)[0])
        original = predictions(untouched, *decoder)

        def toward(one: Intervention) -> Float[Array, ""]:
            hidden, _ = read(params, context, tokens, Action(one, at, kind))
            kls = divergence(original, network.top_layer(params, hidden), *decoder)
            inside = (jnp.arange(len(tokens)) < length).astype(kls.dtype)
            return jnp.sum(kls * inside) / length.astype(kls.dtype)

        return jax.vmap(toward)(intervention)

    return jax.lax.map(
        lambda sentence: of_sentence(*sentence),
        (jnp.asarray(text.tokens), jnp.asarray(text.length), jnp.asarray(where)),
        batch_size=_SENTENCES_AT_ONCE,
    ).mean(axis=0)
