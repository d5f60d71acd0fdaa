"""An LSTM language model: its sizes, its parameters, and the parts of its forward pass.

All are pure functions over a parameter tree; `jaxmask.models.lstm.forward` puts them together. The
equations are those of PyTorch's ``nn.LSTM`` (gates in the order input, forget, cell, output):

    i, f, g, o = split(x W_x + h W_h + b)
    c' = sigmoid(f) c + sigmoid(i) tanh(g)
    h' = sigmoid(o) tanh(c')

The parameter tree, with V words, E embedding columns, H hidden units a layer:

    encoder/embedding              V x E
    lstm/layer_1/input_kernel      E x 4H      (H x 4H in the layers above)
    lstm/layer_1/recurrent_kernel  H x 4H
    lstm/layer_1/bias              4H
    decoder/weight                 V x H       (absent when tied to the embedding)
    decoder/bias                   V
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmask.intervention import Kind
from jaxmask.products import exact

Params = dict  # the tree above
JaxOrNumpy = TypeVar("JaxOrNumpy", Array, np.ndarray)


class LSTMConfig(NamedTuple):
    """Sizes of an LSTM language model.

    Attributes:
        vocabulary: number of words.
        embedding: columns of the embedding.
        hidden: hidden units of a layer.
        layers: number of layers.
        tied: is the decoder's weight the embedding? They then have as many columns.

    Example:
        >>> LSTMConfig(vocabulary=50_001, embedding=650, hidden=650).units
        1300
    """

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
    """Hidden and cell states of all layers side by side, layer 1 first.

    Attributes:
        hidden: in (-1, 1), unless an intervention has replaced them.
        cell: of any size.
    """

    hidden: Float[Array, "... units"]
    cell: Float[Array, "... units"]


def zero_state(config: LSTMConfig, batch: tuple[int, ...] = ()) -> LSTMState:
    """The state before anything has been read.

    Example:
        >>> zero_state(LSTMConfig(5, embedding=2, hidden=4), batch=(3,)).hidden.shape
        (3, 8)
    """
    zeros = jnp.zeros((*batch, config.units), jnp.float32)
    return LSTMState(zeros, zeros)


def init_params(key: Key[Array, ""], config: LSTMConfig) -> Params:
    """Random parameters by Gulordava's recipe.

    Embedding and decoder are uniform(-0.1, 0.1) with a zero decoder bias; the LSTM is
    uniform(-1/sqrt(H), 1/sqrt(H)), PyTorch's default.

    Example:
        >>> params = init_params(jax.random.key(0), LSTMConfig(5, embedding=2, hidden=4))
        >>> params["lstm"]["layer_2"]["input_kernel"].shape
        (4, 16)
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
    """The parameter tree of ``config`` as `jax.ShapeDtypeStruct` leaves; nothing is allocated.

    Example:
        >>> param_shapes(LSTMConfig(50_001, embedding=650, hidden=650))["decoder"]["bias"].shape
        (50001,)
    """
    return jax.eval_shape(lambda: init_params(jax.random.key(0), config))


def hidden_per_layer(params: Params) -> int:
    """H, the number of hidden units a layer."""
    return params["lstm"]["layer_1"]["recurrent_kernel"].shape[0]


def site_units(params: Params, kind: Kind) -> int:
    """Number of units of all layers and states of a kind's site.

    Example:
        >>> params = init_params(jax.random.key(0), LSTMConfig(5, embedding=2, hidden=4))
        >>> site_units(params, Kind()), site_units(params, Kind("hidden+cell"))
        (8, 16)
    """
    return len(kind.states) * len(params["lstm"]) * hidden_per_layer(params)


def of_site(state: LSTMState, kind: Kind) -> Float[Array, "*batch units"]:
    """The units of a kind's site, one state after another.

    Example:
        >>> state = LSTMState(jnp.array([0.1, 0.2]), jnp.array([3.0, 4.0]))
        >>> of_site(state, Kind("cell"))
        Array([3., 4.], dtype=float32)
    """
    return jnp.concatenate([getattr(state, name) for name in kind.states], axis=-1)


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
    return affine(embedded, first["input_kernel"], first["bias"])


def affine(
    x: Float[Array, "*batch width"],
    kernel: Float[Array, "width outputs"],
    bias: Float[Array, " outputs"],
) -> Float[Array, "*batch outputs"]:
    """``x W + b``, whatever the number of axes before the last.

    Example:
        >>> affine(jnp.ones((1, 2)), jnp.eye(2), jnp.array([0.0, 1.0])).tolist()
        [[1.0, 2.0]]
    """
    product = x @ kernel
    return product + jnp.broadcast_to(bias, product.shape)


def cell(
    gates: Float[Array, "*batch gates"], c: Float[Array, "*batch hidden"]
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """One LSTM cell: its new state c and ``sigmoid(o)``, with which `output` gives the new h.

    Args:
        gates: the summed inputs of the gates.
        c: the cell's state before.

    Example:
        >>> c, gate = cell(jnp.zeros(4), jnp.ones(1))
        >>> c, gate
        (Array([0.5], dtype=float32), Array([0.5], dtype=float32))
    """
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o)


def output(
    c: Float[Array, "*batch hidden"], gate: Float[Array, "*batch hidden"]
) -> Float[Array, "*batch hidden"]:
    """The hidden state ``sigmoid(o) tanh(c)`` that follows from a cell's state, see `cell`."""
    return gate * jnp.tanh(c)


def top_layer(
    params: Params, hidden: Float[JaxOrNumpy, "*batch units"]
) -> Float[JaxOrNumpy, "*batch hidden"]:
    """The last layer's part of the hidden states: what the decoder reads."""
    return hidden[..., -hidden_per_layer(params) :]


def decode(params: Params, top: Float[Array, "*batch hidden"]) -> Float[Array, "*batch vocabulary"]:
    """Logits of all words from the top layer's hidden state."""
    product = exact(top, decoder_weight(params).T)
    return product + jnp.broadcast_to(params["decoder"]["bias"], product.shape)


def pair_difference(
    decoder: Float[JaxOrNumpy, "vocabulary ..."], pairs: Int[Array | np.ndarray, "pairs 2"]
) -> Float[JaxOrNumpy, "pairs ..."]:
    """The decoder's rows (or biases) of pair[0] minus those of pair[1].

    With the difference ``w`` of their rows and ``b`` of their biases,
    ``log p(pair[0]) - log p(pair[1]) = w . h + b`` after a state ``h`` of the top layer: what
    normalises the two probabilities cancels.

    Example:
        >>> pair_difference(np.eye(3), np.array([[2, 0]])).tolist()
        [[-1.0, 0.0, 1.0]]
    """
    first, second = pairs.T
    return decoder[first] - decoder[second]
