"""What an intervention does to ordinary text, far from the stimuli it was found on.

The paper's claim is that the units found do nothing else. The KL of Eq. 8 on the task's own
sentences can't tell: their words were what the search was about.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmask.intervention import Intervention, Reach
from jaxmask.models.logsumexp import linear_logsumexp, logsumexp_and_mean
from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.ordinary_text import Text

_SENTENCES_AT_ONCE = 32


def text_kl(
    intervention: Intervention,
    params: Params,
    text: Text,
    where: Bool[Array | np.ndarray, "sentences time"],
    context: LSTMState,
    reach: Reach = "time",
) -> Float[Array, " directions"]:
    """Eq. 8 for each direction: mean over sentences of the mean KL over a sentence's words.

    With ``A(h) = logsumexp(W h + b)``,
    ``KL(p || q) = A(h_q) - A(h_p) - (h_q - h_p) . grad A(h_p)``, in nats.

    Args:
        intervention: one row a direction.
        params: of the model.
        text: what it reads.
        where: at which words the intervention acts.
        context: the state before every sentence.
        reach: of the intervention, see `jaxmask.intervention.Kind`.
    """
    weight, bias = network.decoder_weight(params), params["decoder"]["bias"]

    def of_sentence(tokens: Array, length: Array, at: Array) -> Float[Array, " directions"]:
        gates = network.input_gates(params, network.embed(params, tokens))
        original = network.top_layer(params, network.unroll(params, context, gates)[0])
        normaliser, mean = logsumexp_and_mean(original, weight, bias)

        def toward(one: Intervention) -> Float[Array, ""]:
            altered = network.top_layer(
                params, network.unroll(params, context, gates, one, at, upward=reach == "all")[0]
            )
            kl = linear_logsumexp(altered, weight, bias) - normaliser
            kl -= jnp.sum((altered - original) * mean, axis=-1)
            return jnp.sum(kl * (jnp.arange(len(tokens)) < length)) / length

        return jax.vmap(toward)(intervention)

    return jax.lax.map(
        lambda sentence: of_sentence(*sentence),
        (jnp.asarray(text.tokens), jnp.asarray(text.length), jnp.asarray(where)),
        batch_size=_SENTENCES_AT_ONCE,
    ).mean(axis=0)
