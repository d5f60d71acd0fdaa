"""What no intervention changes, computed once for all of an objective's gradients.

States before the first intervened word, input gates of each distinct word, and differences of
decoder rows: from them on, neither the embedding nor most of the decoder is needed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask import lstm
from jaxmask.lstm import LSTMState, Params
from jaxmask.packing import Packed


class Tables(NamedTuple):
    """Tables of packed examples.

    Attributes:
        prefix_state: after each distinct prefix; if upward, before its last word.
        word_gates: layer 1's input gates of each distinct word.
        difference: decoder rows of pair[0] minus pair[1].
        difference_bias: likewise.
    """

    prefix_state: LSTMState
    word_gates: Float[Array, "words gates"]
    difference: Float[Array, "differences hidden"]
    difference_bias: Float[Array, " differences"]


def compute(params: Params, packed: Packed, context: LSTMState, upward: bool) -> Tables:
    """All tables, as one program.

    Args:
        params: the frozen model.
        packed: examples.
        context: the state before the first word of every sentence.
        upward: see `jaxmask.lstm.unroll`.
    """
    prefixes, length = _padded(packed, upward)
    return _compute(params, prefixes, length, packed.words, packed.differences, context)


def _padded(
    packed: Packed, upward: bool
) -> tuple[Int[np.ndarray, "time prefixes"], Int[np.ndarray, " prefixes"]]:
    """The prefixes, a column each, and their lengths.

    If interventions go upward, the last word isn't read: how it is depends on them.
    """
    prefixes = [prefix[:-1] if upward else prefix for prefix in packed.prefixes]
    length = np.array([len(prefix) for prefix in prefixes], np.int32)
    tokens = np.zeros((length.max(), len(prefixes)), np.int32)
    for column, prefix in enumerate(prefixes):
        tokens[: len(prefix), column] = prefix
    return tokens, length


@jax.jit
def _compute(
    params: Params,
    prefixes: Int[Array, "time prefixes"],
    length: Int[Array, " prefixes"],
    words: Int[Array, " words"],
    differences: Int[Array, "differences 2"],
    context: LSTMState,
) -> Tables:
    columns = len(length)
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (columns, x.shape[-1])), context)

    def read(state: LSTMState, word: tuple[Array, Array]) -> tuple[LSTMState, None]:
        tokens, time = word
        gates = lstm.input_gates(params, lstm.embed(params, tokens))
        _, after = lstm.unroll(params, state, gates[:, None])
        goes_on = (time < length)[:, None]
        return jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), after, state), None

    state, _ = jax.lax.scan(read, start, (prefixes, jnp.arange(len(prefixes))))
    word_gates = lstm.input_gates(params, lstm.embed(params, words))
    decoder, bias = lstm.decoder_weight(params), params["decoder"]["bias"]
    a, b = differences.T
    return Tables(state, word_gates, decoder[a] - decoder[b], bias[a] - bias[b])
