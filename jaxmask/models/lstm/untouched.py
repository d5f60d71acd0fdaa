"""What no intervention changes, computed once for all of an objective's gradients.

States before the first intervened word, input gates of each distinct word, differences of decoder
rows, and what the KL needs of the untouched model: from them on, the embedding isn't needed, and of
the decoder only its product with altered states.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmask.intervention import Kind
from jaxmask.models.kl import Predictions, predictions
from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.packing import Packed

_NODES_AT_ONCE = 1024  # memory doesn't grow with the examples


class Tables(NamedTuple):
    """Tables of packed examples.

    Attributes:
        prefix_state: after each distinct prefix; before its last word if `reads_again`.
        word_gates: layer 1's input gates of each distinct word.
        difference: decoder rows of pair[0] minus those of pair[1], for each distinct pair.
        difference_bias: biases of pair[0] minus those of pair[1].
        original: the untouched model's predictions at all nodes.
    """

    prefix_state: LSTMState
    word_gates: Float[Array, "words gates"]
    difference: Float[Array, "differences hidden"]
    difference_bias: Float[Array, " differences"]
    original: Predictions


def reads_again(kind: Kind) -> bool:
    """Does the first word that is intervened on have to be read once for each intervention?

    What the layer above makes of the word, or the hidden state that goes with a cell state, then
    depends on the intervention.

    Example:
        >>> reads_again(Kind(reach="time")), reads_again(Kind("cell", reach="time"))
        (False, True)
    """
    return kind.reach == "all" or kind.site != "hidden"


def compute(params: Params, packed: Packed, context: LSTMState, kind: Kind) -> Tables:
    """All tables.

    Args:
        params: the frozen model.
        packed: examples.
        context: the state before the first word of every sentence.
        kind: of interventions.
    """
    prefixes = [prefix[:-1] if reads_again(kind) else prefix for prefix in packed.prefixes]
    states = reading.read_all(params, context, (*prefixes, *packed.nodes))
    prefix_state = LSTMState(*(jnp.asarray(x[: len(prefixes)]) for x in states))
    top = jnp.asarray(network.top_layer(params, states[0][len(prefixes) :]))
    gates, difference, difference_bias = _of_words(params, packed.words, packed.differences)
    return Tables(prefix_state, gates, difference, difference_bias, _original(params, top))


@jax.jit
def _of_words(
    params: Params, words: Int[Array, " words"], differences: Int[Array, "differences 2"]
) -> tuple[
    Float[Array, "words gates"], Float[Array, "differences hidden"], Float[Array, " differences"]
]:
    decoder, bias = network.decoder_weight(params), params["decoder"]["bias"]
    return (
        network.input_gates(params, network.embed(params, words)),
        network.pair_difference(decoder, differences),
        network.pair_difference(bias, differences),
    )


@jax.jit
def _original(params: Params, top: Float[Array, "nodes hidden"]) -> Predictions:
    decoder, bias = network.decoder_weight(params), params["decoder"]["bias"]

    def at(node: Float[Array, " hidden"]) -> Predictions:
        return jax.tree.map(lambda x: x[0], predictions(node[None], decoder, bias))

    return jax.lax.map(at, top, batch_size=_NODES_AT_ONCE)
