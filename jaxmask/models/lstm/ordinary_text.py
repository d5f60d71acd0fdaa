"""What an intervention does to ordinary text, far from the stimuli it was found on.

The paper's claim is that the units found do nothing else. The KL of Eq. 8 on the task's own
sentences can't tell: their words were what the search was about.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention
from jaxmask.models.logsumexp import linear_logsumexp, logsumexp_and_mean
from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.vocabulary import Vocabulary

_SENTENCES_AT_ONCE = 32


class Text(NamedTuple):
    """Sentences as word indices, padded at the end with 0."""

    tokens: Int[np.ndarray, "sentences time"]
    length: Int[np.ndarray, " sentences"]


def encode(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Text:
    """Word indices of sentences; words out of vocabulary become ``<unk>``.

    Raises:
        ValueError: there are no sentences, or one has no words.
    """
    length = np.array([len(words) for words in sentences], np.int32)
    if not length.all() or not len(length):
        raise ValueError("expected sentences of one word or more")
    tokens = np.zeros((len(length), length.max()), np.int32)
    for row, words in zip(tokens, sentences, strict=True):
        row[: len(words)] = vocabulary.encode(words)
    return Text(tokens, length)


def random_step(
    rng: np.random.Generator, length: Int[np.ndarray, " sentences"]
) -> Bool[np.ndarray, "sentences time"]:
    """One word of each sentence, any with the same probability."""
    return np.arange(length.max()) == rng.integers(0, length)[:, None]


def kl_on_text(
    intervention: Intervention,
    params: Params,
    text: Text,
    where: Bool[np.ndarray, "sentences time"],
    context: LSTMState,
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
    """
    weight, bias = network.decoder_weight(params), params["decoder"]["bias"]

    def of_sentence(tokens: Array, length: Array, at: Array) -> Float[Array, " directions"]:
        gates = network.input_gates(params, network.embed(params, tokens))
        original = network.top_layer(params, network.unroll(params, context, gates)[0])
        normaliser, mean = logsumexp_and_mean(original, weight, bias)

        def toward(one: Intervention) -> Float[Array, ""]:
            altered = network.top_layer(params, network.unroll(params, context, gates, one, at)[0])
            kl = linear_logsumexp(altered, weight, bias) - normaliser
            kl -= jnp.sum((altered - original) * mean, axis=-1)
            return jnp.sum(kl * (jnp.arange(len(tokens)) < length)) / length

        return jax.vmap(toward)(intervention)

    return jax.lax.map(
        lambda sentence: of_sentence(*sentence),
        (jnp.asarray(text.tokens), jnp.asarray(text.length), jnp.asarray(where)),
        batch_size=_SENTENCES_AT_ONCE,
    ).mean(axis=0)
