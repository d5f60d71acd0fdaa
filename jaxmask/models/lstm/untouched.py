"""What no intervention changes, computed once for all of an objective's gradients.

States before the first intervened word, input gates of each distinct word, differences of decoder
rows, and what the KL needs of the untouched model: from them on, the embedding isn't needed, and of
the decoder only its product with altered states.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmask.models.logsumexp import logsumexp_and_mean
from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.lstm.packing import Packed

_NODES_AT_ONCE = 1024  # memory doesn't grow with the examples


class Tables(NamedTuple):
    """Tables of packed examples.

    Attributes:
        prefix_state: after each distinct prefix; if upward, before its last word.
        word_gates: layer 1's input gates of each distinct word.
        difference: decoder rows of pair[0] minus pair[1].
        difference_bias: likewise.
        original_hidden: the untouched top layer's states h, at all nodes.
        original_logsumexp: of its logits, A(h).
        original_mean: its expected decoder row, grad A(h) = softmax(W h + b) W.
    """

    prefix_state: LSTMState
    word_gates: Float[Array, "words gates"]
    difference: Float[Array, "differences hidden"]
    difference_bias: Float[Array, " differences"]
    original_hidden: Float[Array, "nodes hidden"]
    original_logsumexp: Float[Array, " nodes"]
    original_mean: Float[Array, "nodes hidden"]


def compute(params: Params, packed: Packed, context: LSTMState, upward: bool) -> Tables:
    """All tables.

    Args:
        params: the frozen model.
        packed: examples.
        context: the state before the first word of every sentence.
        upward: see `jaxmask.models.lstm.network.unroll`.
    """
    # If interventions go upward, the last word isn't read: how it is depends on them.
    prefixes = [prefix[:-1] if upward else prefix for prefix in packed.prefixes]
    states = reading.read_all(params, context, (*prefixes, *packed.nodes))
    prefix_state = LSTMState(*(jnp.asarray(x[: len(prefixes)]) for x in states))
    top = jnp.asarray(network.top_layer(params, states[0][len(prefixes) :]))
    return Tables(
        prefix_state, *_of_words(params, packed.words, packed.differences), *_original(params, top)
    )


@jax.jit
def _of_words(
    params: Params, words: Int[Array, " words"], differences: Int[Array, "differences 2"]
) -> tuple[
    Float[Array, "words gates"], Float[Array, "differences hidden"], Float[Array, " differences"]
]:
    decoder, bias = network.decoder_weight(params), params["decoder"]["bias"]
    a, b = differences.T
    gates = network.input_gates(params, network.embed(params, words))
    return gates, decoder[a] - decoder[b], bias[a] - bias[b]


@jax.jit
def _original(
    params: Params, top: Float[Array, "nodes hidden"]
) -> tuple[Float[Array, "nodes hidden"], Float[Array, " nodes"], Float[Array, "nodes hidden"]]:
    decoder, bias = network.decoder_weight(params), params["decoder"]["bias"]

    def at(node: Float[Array, " hidden"]) -> tuple[Array, Array]:
        normaliser, mean = logsumexp_and_mean(node[None], decoder, bias)
        return normaliser[0], mean[0]

    return top, *jax.lax.map(at, top, batch_size=_NODES_AT_ONCE)
