"""An LSTM language model whose hidden states can be intervened on.

The forward pass is a pure function over a parameter tree; `LSTMLanguageModel` is its Flax face.
The equations are those of PyTorch's ``nn.LSTM`` (gates in the order input, forget, cell, output):

    i, f, g, o = split(x W_x + h W_h + b)
    c' = sigmoid(f) c + sigmoid(i) tanh(g)
    h' = sigmoid(o) tanh(c')

and an intervention replaces ``h'`` after all layers have read a token: the altered state goes to
the recurrence of every layer at the next step and to the decoder, not from a layer to the one
above within the step (unless ``upward`` is set), and the cell state is untouched.

The parameter tree, with V words, E embedding columns, H hidden units a layer:

    encoder/embedding              V x E
    lstm/layer_1/input_kernel      E x 4H      (H x 4H in the layers above)
    lstm/layer_1/recurrent_kernel  H x 4H
    lstm/layer_1/bias              4H
    decoder/weight                 V x H       (absent when tied to the embedding)
    decoder/bias                   V
"""

from typing import NamedTuple, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import Intervention, intervene

Params = dict  # the tree above
_Pair = tuple[Array, Array]
JaxOrNumpy = TypeVar("JaxOrNumpy", Array, np.ndarray)

# Reading so few words is compiled without a loop: traced, compiled and run faster.
_WITHOUT_LOOP = 4


class LSTMConfig(NamedTuple):
    """Sizes of an LSTM language model."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int = 2
    tied: bool = False

    @property
    def units(self) -> int:
        """Hidden units of all layers together (``k`` in the paper)."""
        return self.layers * self.hidden


class LSTMState(NamedTuple):
    """Hidden and cell states of all layers side by side, layer 1 first."""

    hidden: Float[Array, "*batch units"]
    cell: Float[Array, "*batch units"]


def zero_state(config: LSTMConfig, batch: tuple[int, ...] = ()) -> LSTMState:
    """The state before anything has been read."""
    zeros = jnp.zeros((*batch, config.units), jnp.float32)
    return LSTMState(zeros, zeros)


def init_params(key: Key[Array, ""], config: LSTMConfig) -> Params:
    """Random parameters by Gulordava's recipe.

    Embedding and decoder are uniform(-0.1, 0.1) with a zero decoder bias; the LSTM is
    uniform(-1/sqrt(H), 1/sqrt(H)), PyTorch's default.
    """
    keys = iter(jax.random.split(key, 2 + 3 * config.layers))
    bound = config.hidden**-0.5

    def uniform(shape: tuple[int, ...], bound: float) -> Array:
        return jax.random.uniform(next(keys), shape, jnp.float32, -bound, bound)

    layers = {}
    for layer in range(1, config.layers + 1):
        width = config.embedding if layer == 1 else config.hidden
        layers[f"layer_{layer}"] = {
            "input_kernel": uniform((width, 4 * config.hidden), bound),
            "recurrent_kernel": uniform((config.hidden, 4 * config.hidden), bound),
            "bias": uniform((4 * config.hidden,), bound),
        }
    decoder = {"bias": jnp.zeros((config.vocabulary,), jnp.float32)}
    if not config.tied:
        decoder["weight"] = uniform((config.vocabulary, config.hidden), 0.1)
    embedding = uniform((config.vocabulary, config.embedding), 0.1)
    return {"encoder": {"embedding": embedding}, "lstm": layers, "decoder": decoder}


def param_shapes(config: LSTMConfig) -> Params:
    """The parameter tree of ``config`` as `jax.ShapeDtypeStruct` leaves; nothing is allocated."""
    return jax.eval_shape(lambda: init_params(jax.random.key(0), config))


def hidden_per_layer(params: Params) -> int:
    """H, the number of hidden units a layer."""
    return params["lstm"]["layer_1"]["recurrent_kernel"].shape[0]


def decoder_weight(params: Params) -> Float[Array, "vocabulary hidden"]:
    """One row a word: the decoder's own weight, or the embedding when they are tied."""
    return params["decoder"].get("weight", params["encoder"]["embedding"])


def embed(
    params: Params, tokens: Int[Array | np.ndarray, "*batch"]
) -> Float[Array, "*batch embedding"]:
    """Rows of the embedding."""
    return params["encoder"]["embedding"][tokens]


def input_gates(
    params: Params, embedded: Float[Array, "*batch embedding"]
) -> Float[Array, "*batch gates"]:
    """What a token adds to layer 1's gates, ``x W_x + b``: it depends on no state."""
    first = params["lstm"]["layer_1"]
    return embedded @ first["input_kernel"] + first["bias"]


def cell(
    gates: Float[Array, "*batch gates"], c: Float[Array, "*batch hidden"]
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """One LSTM cell from its summed gate inputs: the new (h, c)."""
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def dropout(key: Key[Array, ""] | None, rate: float, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverted dropout: zeroes a fraction ``rate`` and scales the rest; no key, no dropout."""
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0)


def unroll(
    params: Params,
    state: LSTMState,
    first_gates: Float[Array, "*batch time gates"],
    intervention: Intervention | None = None,
    where: Bool[Array, "*batch time"] | None = None,
    *,
    upward: bool = False,
    dropout_key: Key[Array, ""] | None = None,
    dropout_rate: float = 0.0,
) -> tuple[Float[Array, "*batch time units"], LSTMState]:
    """Reads tokens in all layers, intervening on the hidden states on the way.

    Layer by layer: what goes up within a step is the state before the intervention, what goes on
    in time is the state after it, so a layer's whole sequence can be scanned before the next.

    Args:
        params: the parameter tree.
        state: the state before the first token.
        first_gates: `input_gates` of the tokens.
        intervention: mask and baseline of ``*batch units``, or broadcasting to that.
        where: at which tokens to intervene; at all of them if not given.
        upward: feed a layer's altered, not its original, state to the layer above.
        dropout_key: drop units between layers with ``dropout_rate``; for training only.
        dropout_rate: in [0, 1).

    Returns:
        The altered hidden states after every token, and the state after the last.
    """
    width = hidden_per_layer(params)
    layers = list(params["lstm"].values())
    keys = (
        [None] * len(layers) if dropout_key is None else jax.random.split(dropout_key, len(layers))
    )
    gates = jnp.moveaxis(first_gates, -2, 0)  # time first, as lax.scan wants it
    at = None if where is None else jnp.moveaxis(where, -1, 0)[..., None]
    altered, cells, below = [], [], None
    for index, layer in enumerate(layers):
        units = slice(index * width, (index + 1) * width)
        if below is not None:
            below = dropout(keys[index], dropout_rate, below)
            gates = below @ layer["input_kernel"] + layer["bias"]

        def read(
            carry: _Pair, xs: tuple, layer: dict = layer, units: slice = units
        ) -> tuple[_Pair, _Pair]:
            h, c = carry
            gates, at = xs
            h, c = cell(gates + h @ layer["recurrent_kernel"], c)
            changed = _alter(h, intervention, units, at)
            return (changed, c), (h, changed)

        start = (state.hidden[..., units], state.cell[..., units])
        (_, c), (original, changed) = jax.lax.scan(
            read, start, (gates, at), unroll=len(gates) <= _WITHOUT_LOOP
        )
        below = changed if upward else original
        altered.append(changed)
        cells.append(c)
    hidden = jnp.concatenate(altered, axis=-1)
    return jnp.moveaxis(hidden, 0, -2), LSTMState(hidden[-1], jnp.concatenate(cells, axis=-1))


def recurrent_gates(
    params: Params, hidden: Float[Array, "*batch units"]
) -> list[Float[Array, "*batch gates"]]:
    """What each layer's state adds to its own gates at the next token, ``h W_h``.

    Tokens that may follow the same state share it, see `read_token`.
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
    intervention: Intervention | None,
    where: Bool[Array, "*batch"],
    *,
    upward: bool = False,
) -> LSTMState:
    """One step of `unroll`, from what `recurrent_gates` gives and the cells' states."""
    width = hidden_per_layer(params)
    at, gates = where[..., None], first_gates
    altered, after, below = [], [], None
    for index, layer in enumerate(params["lstm"].values()):
        units = slice(index * width, (index + 1) * width)
        if below is not None:
            gates = below @ layer["input_kernel"] + layer["bias"]
        h, c = cell(gates + recurrent[index], cells[..., units])
        changed = _alter(h, intervention, units, at)
        below = changed if upward else h
        altered.append(changed)
        after.append(c)
    return LSTMState(jnp.concatenate(altered, axis=-1), jnp.concatenate(after, axis=-1))


def _alter(
    h: Float[Array, "*batch hidden"],
    intervention: Intervention | None,
    units: slice,
    at: Bool[Array, "*batch 1"] | None,
) -> Float[Array, "*batch hidden"]:
    """Eq. 1 on one layer's units, where ``at`` says so."""
    if intervention is None:
        return h
    mask = intervention.mask[..., units]
    return intervene(h, mask if at is None else mask * at, intervention.baseline[..., units])


def forward(
    params: Params,
    state: LSTMState,
    tokens: Int[Array | np.ndarray, "*batch time"],
    intervention: Intervention | None = None,
    where: Bool[Array, "*batch time"] | None = None,
    *,
    upward: bool = False,
    dropout_key: Key[Array, ""] | None = None,
    dropout_rate: float = 0.0,
) -> tuple[Float[Array, "*batch time vocabulary"], LSTMState]:
    """Logits of the next word after every token, and the state after the last.

    The arguments are those of `unroll`, with tokens in place of gates. Training passes a
    ``dropout_key``: dropout then acts after the embedding, between layers and before the decoder.
    """
    first, between, last = (
        (None, None, None) if dropout_key is None else jax.random.split(dropout_key, 3)
    )
    gates = input_gates(params, dropout(first, dropout_rate, embed(params, tokens)))
    hidden, state = unroll(
        params,
        state,
        gates,
        intervention,
        where,
        upward=upward,
        dropout_key=between,
        dropout_rate=dropout_rate,
    )
    top = dropout(last, dropout_rate, top_layer(params, hidden))
    return decode(params, top), state


def top_layer(
    params: Params, hidden: Float[JaxOrNumpy, "*batch units"]
) -> Float[JaxOrNumpy, "*batch hidden"]:
    """The last layer's part of the hidden states: what the decoder reads."""
    return hidden[..., -hidden_per_layer(params) :]


def decode(params: Params, top: Float[Array, "*batch hidden"]) -> Float[Array, "*batch vocabulary"]:
    """Logits of all words from the top layer's hidden state."""
    return top @ decoder_weight(params).T + params["decoder"]["bias"]


class LSTMLanguageModel(nn.Module):
    """The same model as a Flax module: ``apply({"params": params}, tokens)`` gives logits.

    ``init`` gives the parameter tree of this file; ``apply`` is `forward` from a zero state.

    Attributes:
        config: sizes of the model.
        dropout_rate: used when ``apply`` is given ``rngs={"dropout": key}``.
    """

    config: LSTMConfig
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array | np.ndarray, "*batch time"],
        state: LSTMState | None = None,
        intervention: Intervention | None = None,
        where: Bool[Array, "*batch time"] | None = None,
        *,
        upward: bool = False,
    ) -> tuple[Float[Array, "*batch time vocabulary"], LSTMState]:
        """Logits and final state of `forward`; from a zero state if none is given."""
        names = list(param_shapes(self.config))
        params = {
            name: self.param(name, lambda key, name=name: init_params(key, self.config)[name])
            for name in names
        }
        state = zero_state(self.config, tokens.shape[:-1]) if state is None else state
        key = self.make_rng("dropout") if self.has_rng("dropout") else None
        return forward(
            params,
            state,
            tokens,
            intervention,
            where,
            upward=upward,
            dropout_key=key,
            dropout_rate=self.dropout_rate,
        )
