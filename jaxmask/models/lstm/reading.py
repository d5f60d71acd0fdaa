"""Words read by the untouched model: a context, many sequences, and the words expected after them.

What many sequences begin with is read once. Sequences form a tree: its entries on level t are the
distinct first t words, and the states of a level follow from those of the level above. Of some
thousand sentences of a task, which are made of the same parts, a tenth of the words remain.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models.logsumexp import linear_logsumexp
from jaxmask.models.lstm import network
from jaxmask.models.lstm.forward import read
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.examples import Examples

# Levels are padded to 64, 256, 1,024, ... sequences: a few compiled programs serve all of them.
_FEWEST = 64
_GROWTH = 4


def read_context(params: Params, tokens: list[int]) -> LSTMState:
    """The state from which every sentence starts: after ``tokens``, read from a zero state.

    Args:
        params: the frozen model.
        tokens: word indices; may be empty.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> params = init_params(jax.random.key(0), LSTMConfig(5, embedding=2, hidden=4))
        >>> read_context(params, [1]).hidden.shape
        (8,)
    """
    zeros = jnp.zeros((len(params["lstm"]) * network.hidden_per_layer(params),), jnp.float32)
    state = LSTMState(zeros, zeros)
    if not tokens:
        return state
    return _read_tokens(params, state, np.array(tokens))


@jax.jit
def _read_tokens(params: Params, state: LSTMState, tokens: Int[Array, " time"]) -> LSTMState:
    return read(params, state, tokens)[1]


def read_all(
    params: Params, context: LSTMState, sequences: Sequence[Sequence[int]]
) -> tuple[Float[np.ndarray, "sequences units"], Float[np.ndarray, "sequences units"]]:
    """The hidden and cell states after each sequence.

    Args:
        params: the frozen model.
        context: the state before the first word of every sequence.
        sequences: word indices; may be empty.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> hidden, cell = read_all(params, zero_state(config), [(3, 1), (3, 1, 2), ()])
        >>> hidden.shape, hidden[2].any().item()
        ((3, 8), False)
    """
    length = np.array([len(sequence) for sequence in sequences], np.int64)
    words = np.zeros((len(sequences), length.max(initial=0)), np.int64)
    words[np.arange(words.shape[1]) < length[:, None]] = [
        word for sequence in sequences for word in sequence
    ]
    state = jax.tree.map(lambda x: np.asarray(x)[None], context)
    entry = np.zeros(len(sequences), np.int64)  # of each sequence, on the present level
    hidden, cell = (np.zeros((len(sequences), len(x)), np.float32) for x in context)
    vocabulary = len(params["encoder"]["embedding"])
    for time in range(words.shape[1] + 1):
        if time:
            going = np.flatnonzero(length >= time)
            keys, entry[going] = np.unique(
                entry[going] * vocabulary + words[going, time - 1], return_inverse=True
            )
            padded = np.zeros(_padded(len(keys)), np.int64)
            padded[: len(keys)] = keys
            parent, word = np.divmod(padded, vocabulary)
            before = jax.tree.map(lambda x, parent=parent: x[parent], state)
            state = jax.tree.map(np.asarray, _read(params, before, word.astype(np.int32)))
        here = np.flatnonzero(length == time)
        hidden[here] = state.hidden[entry[here]]
        cell[here] = state.cell[entry[here]]
    return hidden, cell


def _padded(entries: int) -> int:
    """The size of a level: there are few of them, as each is compiled."""
    size = _FEWEST
    while size < entries:
        size *= _GROWTH
    return size


@jax.jit
def _read(params: Params, before: LSTMState, word: Int[Array, " entries"]) -> LSTMState:
    """The states of a level, each from its state on the level above and its word."""
    return read(params, before, word[:, None])[1]


def log_odds(
    params: Params, examples: Examples, context: LSTMState
) -> Float[np.ndarray, " examples"]:
    """Log p(pair[0]) - log p(pair[1]) in nats, by the untouched model, for each example.

    Args:
        params: the frozen model.
        examples: in any directions.
        context: the state before the first word of every sentence.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[4, 4]]), one, one, one)
        >>> log_odds(params, examples, zero_state(config)).tolist()
        [0.0]
    """
    sentences: dict[tuple[int, ...], int] = {}
    which = [
        sentences.setdefault(tuple(tokens[:length]), len(sentences))
        for tokens, length in zip(examples.tokens.tolist(), examples.length.tolist(), strict=True)
    ]
    hidden, _ = read_all(params, context, tuple(sentences))
    top = network.top_layer(params, hidden)[np.array(which, int)]
    return pair_log_odds(params, top, examples.pair)


def pair_log_odds(
    params: Params, top: Float[np.ndarray, "rows hidden"], pair: Int[np.ndarray, "rows 2"]
) -> Float[np.ndarray, " rows"]:
    """Log p(pair[0]) - log p(pair[1]) in nats, after each of many states of the top layer.

    See `jaxmask.models.lstm.network.pair_difference`.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> pair_log_odds(params, np.ones((1, 4), np.float32), np.array([[4, 4]])).tolist()
        [0.0]
    """
    weight, bias = np.asarray(network.decoder_weight(params)), np.asarray(params["decoder"]["bias"])
    with np.errstate(over="ignore", invalid="ignore"):  # seen by the result
        first, second = bias[pair.T]
        return np.einsum("nh,nh->n", top, network.pair_difference(weight, pair)) + first - second


def log_probs(
    params: Params,
    top: Float[Array, "rows hidden"],
    words: Int[Array | np.ndarray, "rows forms"],
) -> Float[Array, "rows forms"]:
    """Log-probabilities, in nats, of a few words after each of many states.

    ``log p(w) = x_w - logsumexp(x)`` with the decoder's ``x = W h + b``, of which only the rows of
    the given words are kept.

    Args:
        params: the parameter tree.
        top: states of the top layer, see `network.top_layer`.
        words: indices of the words asked for at each state.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4)
        >>> params = init_params(jax.random.key(0), config)
        >>> found = log_probs(params, jnp.ones((1, 4)), np.arange(5)[None])
        >>> round(float(jnp.exp(found).sum()), 5)
        1.0
    """
    weight, bias = network.decoder_weight(params), params["decoder"]["bias"]
    logits = jnp.einsum("nh,nfh->nf", top, weight[words], precision="highest") + bias[words]
    return logits - linear_logsumexp(top, weight, bias)[:, None]
