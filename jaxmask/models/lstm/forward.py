"""The forward pass of an LSTM language model, with interventions on its hidden states.

An intervention replaces a token's hidden states ``h'`` (see `jaxmask.models.lstm.network`) after
all layers have read the token. The altered state goes to the recurrence of every layer at the next
token and to the decoder. With the reach ``time`` the layer above reads the original state at the
same token, with ``all`` the altered one. Cell states are untouched.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import Intervention, Reach, intervene
from jaxmask.models.lstm.network import (
    LSTMState,
    Params,
    affine,
    cell,
    decode,
    embed,
    hidden_per_layer,
    input_gates,
    top_layer,
)

_Pair = tuple[Array, Array]

# Reading so few words is compiled without a loop: traced, compiled and run faster.
_WITHOUT_LOOP = 4


class Action(NamedTuple):
    """An intervention, and the tokens at which it acts.

    Attributes:
        intervention: mask and baseline of ``*batch units``, or broadcasting to that.
        where: ``*batch time``; the intervention acts at all tokens if it is not given.

    Example:
        See `read`.
    """

    intervention: Intervention
    where: Bool[Array | np.ndarray, "... time"] | None = None


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
    reach: Reach = "time",
    dropout: Dropout | None = None,
) -> tuple[Float[Array, "*batch time units"], LSTMState]:
    """Reads tokens in all layers, intervening on the hidden states on the way.

    Layers are computed one after the other: a layer's whole sequence is scanned before the next,
    which is possible as what a layer reads of the one below never depends on its own states.

    Args:
        params: the parameter tree.
        state: the state before the first token.
        first_gates: `jaxmask.models.lstm.network.input_gates` of the tokens.
        action: the intervention, if there is one.
        reach: does the layer above read altered states (``all``) or original ones (``time``)?
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
            h, c = cell(gates + h @ layer["recurrent_kernel"], c)
            changed = _alter(h, action, units, acts)
            return (changed, c), (h, changed)

        start = (state.hidden[..., units], state.cell[..., units])
        (_, c), (original, changed) = jax.lax.scan(
            step, start, (gates, acts), unroll=len(gates) <= _WITHOUT_LOOP
        )
        below = changed if reach == "all" else original
        altered.append(changed)
        cells.append(c)
    hidden = jnp.concatenate(altered, axis=-1)
    return jnp.moveaxis(hidden, 0, -2), LSTMState(hidden[-1], jnp.concatenate(cells, axis=-1))


def read(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
    reach: Reach = "time",
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
    return unroll(params, state, input_gates(params, embed(params, tokens)), action, reach)


def read_top(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
    reach: Reach = "time",
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
    hidden, state = unroll(params, state, gates, action, reach, between)
    return drop(last, top_layer(params, hidden)), state


def forward(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    action: Action | None = None,
    reach: Reach = "time",
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
    top, state = read_top(params, state, tokens, action, reach, dropout)
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
    reach: Reach = "time",
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
        h, c = cell(gates + recurrent[index], cells[..., units])
        changed = _alter(h, action, units, acts)
        below = changed if reach == "all" else h
        altered.append(changed)
        after.append(c)
    return LSTMState(jnp.concatenate(altered, axis=-1), jnp.concatenate(after, axis=-1))


def _alter(
    h: Float[Array, "*batch hidden"],
    action: Action | None,
    units: slice,
    acts: Bool[Array | np.ndarray, "*batch 1"] | None,
) -> Float[Array, "*batch hidden"]:
    """Eq. 1 on one layer's units, at the tokens where the intervention acts."""
    if action is None:
        return h
    mask, baseline = (part[..., units] for part in action.intervention)
    return intervene(h, mask if acts is None else mask * acts.astype(mask.dtype), baseline)


def _parts(dropout: Dropout | None, number: int) -> list[Dropout | None]:
    """As many independent dropouts of the same rate."""
    if dropout is None:
        return [None] * number
    return [Dropout(key, dropout.rate) for key in jax.random.split(dropout.key, number)]
