"""The forward pass of an LSTM language model, with interventions on its states.

An intervention replaces hidden states ``h'`` or cell states ``c'`` of a token (see
`jaxmask.models.lstm.network`). The hidden state that goes with an altered cell state follows from
it, ``h' = sigmoid(o) tanh(c')``. Altered states go to the recurrence of every layer at the next
token and, from the top layer, to the decoder. The layer above reads, at the same token, the altered
hidden state with the reach ``all`` and the original one with ``time``.
"""

from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import Intervention, Kind, intervene
from jaxmask.models.lstm.network import (
    LSTMState,
    Params,
    affine,
    cell,
    decode,
    embed,
    hidden_per_layer,
    input_gates,
    output,
    top_layer,
)

_Pair = tuple[Array, Array]

# Reading so few words is compiled without a loop: traced, compiled and run faster.
_WITHOUT_LOOP = 4


class Action(flax.struct.PyTreeNode):
    """An intervention, the tokens at which it acts, and its kind.

    Attributes:
        intervention: mask and baseline of ``*batch units``, or broadcasting to that; the units are
            those of the site.
        where: ``*batch time``; the intervention acts at all tokens if it is not given.
        kind: its site and reach are followed (static).

    Example:
        See `read`.
    """

    intervention: Intervention
    where: Bool[Array | np.ndarray, "... time"] | None = None
    kind: Kind = flax.struct.field(pytree_node=False, default=Kind())


class Dropout(NamedTuple):
    """Which units are dropped in training.

    Attributes:
        key: with which they are drawn.
        rate: the fraction of units that are dropped, in (0, 1).
    """

    key: Key[Array, ""]
    rate: float


def drop(dropout: Dropout | None, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverted dropout: zeroes a fraction of the units and scales the rest.

    Example:
        >>> sorted(set(drop(Dropout(jax.random.key(0), 0.5), jnp.ones(100)).tolist()))
        [0.0, 2.0]
    """
    if dropout is None:
        return x
    keep = jax.random.bernoulli(dropout.key, 1.0 - dropout.rate, x.shape)
    return jnp.where(keep, x / (1.0 - dropout.rate), 0.0)


def unroll(
    params: Params,
    state: LSTMState,
    first_gates: Float[Array, "*batch time gates"],
    action: Action | None = None,
    dropout: Dropout | None = None,
) -> tuple[Float[Array, "*batch time units"], LSTMState]:
    """Reads tokens in all layers, intervening on their states on the way.

    Layers are computed one after the other: a layer's whole sequence is scanned before the next,
    which is possible as what a layer reads of the one below never depends on its own states.

    Args:
        params: the parameter tree.
        state: the state before the first token.
        first_gates: `jaxmask.models.lstm.network.input_gates` of the tokens.
        action: the intervention, if there is one.
        dropout: of units between layers, for training only.

    Returns:
        The altered hidden states after every token, and the state after the last.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> gates = input_gates(params, embed(params, jnp.array([3, 1, 2])))
        >>> hidden, state = unroll(params, zero_state(config), gates)
        >>> hidden.shape, state.cell.shape
        ((3, 8), (8,))
    """
    width = hidden_per_layer(params)
    layers = list(params["lstm"].values())
    dropouts = _parts(dropout, len(layers))
    gates = jnp.moveaxis(first_gates, -2, 0)  # time first, as lax.scan wants it
    acts = None
    if action is not None and action.where is not None:
        acts = jnp.moveaxis(action.where, -1, 0)[..., None]
    altered, cells, below = [], [], None
    for index, layer in enumerate(layers):
        units = slice(index * width, (index + 1) * width)
        if below is not None:
            below = drop(dropouts[index], below)
            gates = affine(below, layer["input_kernel"], layer["bias"])

        def step(
            carry: _Pair, xs: tuple, layer: dict = layer, units: slice = units
        ) -> tuple[_Pair, _Pair]:
            h, c = carry
            gates, acts = xs
            read = _read_layer(gates + h @ layer["recurrent_kernel"], c, action, units, acts)
            return (read.hidden, read.cell), (read.below, read.hidden)

        start = (state.hidden[..., units], state.cell[..., units])
        (_, c), (below, hidden) = jax.lax.scan(
            step, start, (gates, acts), unroll=len(gates) <= _WITHOUT_LOOP
        )
        altered.append(hidden)
        cells.append(c)
    hidden = jnp.concatenate(altered, axis=-1)
    return jnp.moveaxis(hidden, 0, -2), LSTMState(hidden[-1], jnp.concatenate(cells, axis=-1))


def read(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
) -> tuple[Float[Array, "*batch time units"], LSTMState]:
    """`unroll` of the tokens' embeddings: hidden states after every token, and the last state.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> ones = Intervention(jnp.ones(4), jnp.array([0.5, -0.5, 0.0, 1.0]))
        >>> hidden, _ = read(params, zero_state(config), jnp.array([3, 1]), Action(ones))
        >>> hidden
        Array([[ 0.5, -0.5,  0. ,  1. ],
               [ 0.5, -0.5,  0. ,  1. ]], dtype=float32)
    """
    return unroll(params, state, input_gates(params, embed(params, tokens)), action)


def read_top(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
    dropout: Dropout | None = None,
) -> tuple[Float[Array, "*batch time hidden"], LSTMState]:
    """What the decoder reads after every token, and the state after the last token.

    The arguments are those of `unroll`, with tokens in place of gates. Dropout acts after the
    embedding, between layers and before the decoder.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> top, _ = read_top(params, zero_state(config), jnp.array([3, 1, 2]))
        >>> top.shape
        (3, 4)
    """
    first, between, last = _parts(dropout, 3)
    gates = input_gates(params, drop(first, embed(params, tokens)))
    hidden, state = unroll(params, state, gates, action, between)
    return drop(last, top_layer(params, hidden)), state


def forward(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
    dropout: Dropout | None = None,
) -> tuple[Float[Array, "*batch time vocabulary"], LSTMState]:
    """Logits of the next word after every token, and the state after the last token.

    The arguments are those of `read_top`.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> logits, _ = forward(params, zero_state(config), jnp.array([3, 1]))
        >>> logits.shape
        (2, 5)
    """
    top, state = read_top(params, state, tokens, action, dropout)
    return decode(params, top), state


def recurrent_gates(
    params: Params, hidden: Float[Array, "*batch units"]
) -> list[Float[Array, "*batch gates"]]:
    """What each layer's state adds to its own gates at the next token, ``h W_h``.

    Tokens that may follow the same state share it, see `read_token`.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> [gates.shape for gates in recurrent_gates(params, zero_state(config).hidden)]
        [(16,), (16,)]
    """
    return [
        h @ layer["recurrent_kernel"]
        for h, layer in zip(
            jnp.split(hidden, len(params["lstm"]), axis=-1), params["lstm"].values(), strict=True
        )
    ]


def read_token(
    params: Params,
    recurrent: list[Float[Array, "*batch gates"]],
    cells: Float[Array, "*batch units"],
    first_gates: Float[Array, "*batch gates"],
    action: Action | None = None,
) -> LSTMState:
    """One step of `unroll`, from what `recurrent_gates` gives and the cells' states.

    ``action.where`` has no axis of time here.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> start = zero_state(config)
        >>> gates = input_gates(params, embed(params, jnp.array(3)))
        >>> state = read_token(params, recurrent_gates(params, start.hidden), start.cell, gates)
        >>> bool(jnp.allclose(state.hidden, read(params, start, jnp.array([3]))[0][0]))
        True
    """
    width = hidden_per_layer(params)
    gates = first_gates
    acts = None if action is None or action.where is None else action.where[..., None]
    altered, after, below = [], [], None
    for index, layer in enumerate(params["lstm"].values()):
        units = slice(index * width, (index + 1) * width)
        if below is not None:
            gates = affine(below, layer["input_kernel"], layer["bias"])
        read = _read_layer(gates + recurrent[index], cells[..., units], action, units, acts)
        below = read.below
        altered.append(read.hidden)
        after.append(read.cell)
    return LSTMState(jnp.concatenate(altered, axis=-1), jnp.concatenate(after, axis=-1))


class _LayerRead(NamedTuple):
    """The states of a layer after a token, and the hidden state that the next layer reads."""

    below: Float[Array, "*batch hidden"]
    hidden: Float[Array, "*batch hidden"]
    cell: Float[Array, "*batch hidden"]


def read_states(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
) -> LSTMState:
    """`read`, with hidden and cell states of all layers after every token.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> read_states(params, zero_state(config), jnp.array([3, 1, 2])).cell.shape
        (3, 8)
    """
    gates = jnp.moveaxis(input_gates(params, embed(params, tokens)), -2, 0)
    where = None
    if action is not None and action.where is not None:
        where = jnp.moveaxis(action.where, -1, 0)

    def step(state: LSTMState, xs: tuple) -> tuple[LSTMState, LSTMState]:
        gates, where = xs
        here = None if action is None else action.replace(where=where)
        recurrent = recurrent_gates(params, state.hidden)
        state = read_token(params, recurrent, state.cell, gates, here)
        return state, state

    _, states = jax.lax.scan(step, state, (gates, where))
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -2), states)


def _read_layer(
    gates: Float[Array, "*batch gates"],
    c: Float[Array, "*batch hidden"],
    action: Action | None,
    units: slice,
    acts: Bool[Array | np.ndarray, "*batch 1"] | None,
) -> _LayerRead:
    """One layer at one token, with Eq. 1 on its states where the intervention acts.

    Args:
        gates: the summed inputs of its gates.
        c: the cell's state before.
        action: the intervention, if there is one.
        units: the place of the layer's units among those of all layers.
        acts: does the intervention act at this token?
    """
    c, gate = cell(gates, c)
    original = h = output(c, gate)
    if action is None:
        return _LayerRead(h, h, c)
    states = action.kind.states
    parts = (jnp.split(part, len(states), axis=-1) for part in action.intervention)
    changes = {}
    for state, mask, baseline in zip(states, *parts, strict=True):
        mask = mask[..., units]
        mask = mask if acts is None else mask * acts.astype(mask.dtype)
        changes[state] = mask, baseline[..., units]
    if "cell" in changes:
        c = intervene(c, *changes["cell"])
        h = output(c, gate)
    if "hidden" in changes:
        h = intervene(h, *changes["hidden"])
    return _LayerRead(h if action.kind.reach == "all" else original, h, c)


def _parts(dropout: Dropout | None, number: int) -> list[Dropout | None]:
    """As many independent dropouts of the same rate."""
    if dropout is None:
        return [None] * number
    return [Dropout(key, dropout.rate) for key in jax.random.split(dropout.key, number)]
