"""Many sequences read by the untouched model, their common beginnings once.

Where a sequence is the beginning of another one, only the longer one is read: what a token does
doesn't depend on those behind it.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models.transformer import forward
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params

_AT_ONCE = 32  # sequences: memory doesn't grow with their number

Sequences = Sequence[tuple[int, ...]]


class Read(NamedTuple):
    """What the model did at the last token of each sequence.

    Attributes:
        state: the normalised state that the decoder reads.
        kept: what was asked for, of all layers, see `jaxmask.models.transformer.forward.read`.
    """

    state: Float[np.ndarray, "sequences width"]
    kept: dict[str, Float[np.ndarray, "layers sequences ..."]]


def read_all(
    params: Params,
    config: TransformerConfig,
    sequences: Sequences,
    keep: Collection[str] = (),
) -> Read:
    """Reads sequences, and keeps what the model does at the last token of each.

    Args:
        params: the parameter tree.
        config: of the model.
        sequences: of tokens, from the first one of the context on.
        keep: names, see `jaxmask.models.transformer.forward.read`.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> read = read_all(params, tiny, [(0, 1), (0, 1, 2)], ["mlp"])
        >>> read.state.shape, read.kept["mlp"].shape
        ((2, 4), (3, 2, 8))
    """
    row, read = _hosts(sequences)
    last = np.array([len(sequence) - 1 for sequence in sequences])
    chunks = -(-len(read) // _AT_ONCE)
    tokens = np.zeros((chunks, _AT_ONCE, last.max() + 1), np.int32)
    for host, sequence in enumerate(read):
        tokens[host // _AT_ONCE, host % _AT_ONCE, : len(sequence)] = sequence
    names = tuple(sorted(keep))
    found: Read | None = None
    for number, chunk in enumerate(tokens):
        here = np.flatnonzero(row // _AT_ONCE == number)
        state, kept = _read(params, config, chunk, names)
        at = row[here] % _AT_ONCE, last[here]
        state = np.asarray(state)[at]
        kept = {name: np.asarray(x)[:, *at] for name, x in kept.items()}
        if found is None:
            size = len(sequences)
            found = Read(
                np.empty((size, *state.shape[1:]), state.dtype),
                {n: np.empty((len(x), size, *x.shape[2:]), x.dtype) for n, x in kept.items()},
            )
        found.state[here] = state
        for name, x in kept.items():
            found.kept[name][:, here] = x
    assert found is not None
    return found


def _hosts(sequences: Sequences) -> tuple[Int[np.ndarray, " sequences"], list[tuple[int, ...]]]:
    """Of each sequence the one that is read for it, and those that are read."""
    order = sorted(range(len(sequences)), key=lambda number: sequences[number], reverse=True)
    row = np.zeros(len(sequences), int)
    read: list[tuple[int, ...]] = []
    for number in order:  # what begins with a sequence comes before it
        sequence = sequences[number]
        if not read or read[-1][: len(sequence)] != sequence:
            read.append(sequence)
        row[number] = len(read) - 1
    return row, read


@partial(jax.jit, static_argnames=("config", "keep"))
def _read(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array, "sequences time"],
    keep: tuple[str, ...],
) -> tuple[Float[Array, "sequences time width"], dict[str, Array]]:
    return forward.read(params, config, tokens, keep)
