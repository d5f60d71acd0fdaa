"""Many sequences of words read by the untouched model, what they begin with read once.

Sequences form a tree: its entries on level t are the distinct first t words, and the states of a
level follow from those of the level above. Of some thousand sentences of a task, which are made of
the same parts, a tenth of the words remain.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params

# Levels are padded to powers of two, at least this: a few compiled programs serve all of them.
_FEWEST = 64


def read_all(
    params: Params, context: LSTMState, sequences: Sequence[Sequence[int]]
) -> tuple[Float[np.ndarray, "sequences units"], Float[np.ndarray, "sequences units"]]:
    """The hidden and cell states after each sequence.

    Args:
        params: the frozen model.
        context: the state before the first word of every sequence.
        sequences: word indices; may be empty.
    """
    length = np.array([len(sequence) for sequence in sequences], np.int64)
    words = np.zeros((len(sequences), length.max(initial=0)), np.int64)
    words[np.arange(words.shape[1]) < length[:, None]] = [
        word for sequence in sequences for word in sequence
    ]
    state = jax.tree.map(lambda x: jnp.broadcast_to(x, (_FEWEST, len(x))), context)
    entry = np.zeros(len(sequences), np.int64)  # of each sequence, on the present level
    hidden, cell = (np.zeros((len(sequences), len(x)), np.float32) for x in context)
    vocabulary = len(params["encoder"]["embedding"])
    for time in range(words.shape[1] + 1):
        if time:
            going = np.flatnonzero(length >= time)
            keys, entry[going] = np.unique(
                entry[going] * vocabulary + words[going, time - 1], return_inverse=True
            )
            padded = np.zeros(max(_FEWEST, 1 << (len(keys) - 1).bit_length()), np.int64)
            padded[: len(keys)] = keys
            parent, word = np.divmod(padded, vocabulary)
            state = _read(params, state, parent.astype(np.int32), word.astype(np.int32))
        here = np.flatnonzero(length == time)
        hidden[here] = np.asarray(state.hidden)[entry[here]]
        cell[here] = np.asarray(state.cell)[entry[here]]
    return hidden, cell


@jax.jit
def _read(
    params: Params, state: LSTMState, parent: Int[Array, " entries"], word: Int[Array, " entries"]
) -> LSTMState:
    """The states of a level from those of the level above."""
    before = jax.tree.map(lambda x: x[parent], state)
    gates = network.input_gates(params, network.embed(params, word))
    return network.unroll(params, before, gates[:, None])[1]
