"""Training an LSTM language model: truncated back-propagation through time over a stream of text.

The text is one long row of word indices in which `<eos>` ends a sentence. It is cut into
``columns`` that are read side by side, ``window`` words at a time; the hidden state is carried from
a window to the next, the gradient is not. `step` makes one update, `run` many in one `lax.scan`.

Every random choice of an update comes from ``fold_in(key, number of the update)``, so a run that
is stopped and taken up again from its `TrainingState` gives the same weights, bit for bit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from jaxmask.lstm import (
    LSTMConfig,
    LSTMState,
    Params,
    decoder_weight,
    dropout,
    embed,
    input_gates,
    top_layer,
    unroll,
    zero_state,
)

CHUNK = 320  # predictions whose logits over the whole vocabulary are held at a time


class TrainingConfig(NamedTuple):
    """Settings of a training run; hashable, so it can be a static argument.

    Attributes:
        steps: number of updates the learning rate is planned for.
        learning_rate: its highest value; linear warm-up to it, then a half cosine down to 0.
        warmup: number of updates of the warm-up.
        weight_decay: AdamW's, times the learning rate.
        clip: largest norm of the gradient of all parameters together.
        dropout: rate after the embedding, between layers and before the decoder.
        head: with ``sampled``, the first words of the vocabulary, always in the softmax.
        sampled: number of further words drawn for the softmax of an update; 0 takes all words.
    """

    steps: int
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    head: int = 1024
    sampled: int = 0


class TrainingState(NamedTuple):
    """All that an update carries to the next."""

    params: Params
    optimizer: optax.OptState
    hidden: LSTMState
    step: Int[Array, ""]


class TrainingInfo(NamedTuple):
    """What an update is observed by: mean loss in nats a word, and the norm of the gradient."""

    loss: Float[Array, "*steps"]
    gradient_norm: Float[Array, "*steps"]


def optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW after clipping, with a warm-up and a cosine decay of the learning rate to 0."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, max(config.steps, config.warmup + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(schedule, weight_decay=config.weight_decay),
    )


def init(params: Params, model: LSTMConfig, config: TrainingConfig, columns: int) -> TrainingState:
    """The state before the first update of ``params``, with nothing read."""
    return TrainingState(
        params,
        optimizer(config).init(params),
        zero_state(model, (columns,)),
        jnp.zeros((), jnp.int32),
    )


def step(
    key: Key[Array, ""],
    state: TrainingState,
    tokens: Int[Array, "columns window_and_one"],
    config: TrainingConfig,
) -> tuple[TrainingState, TrainingInfo]:
    """One update on one window; its last word is only predicted, and the next window's first.

    Args:
        key: of the whole run; the update's own is folded in.
        state: from `init` or the update before.
        tokens: word indices.
        config: settings.
    """
    key = jax.random.fold_in(key, state.step)

    def loss(params: Params) -> tuple[Array, LSTMState]:
        return window_loss(key, params, state.hidden, tokens, config)

    (value, hidden), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, new = optimizer(config).update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient)))
    return TrainingState(params, new, hidden, state.step + 1), TrainingInfo(value, norm)


def run(
    key: Key[Array, ""],
    state: TrainingState,
    tokens: Int[Array, "steps columns window_and_one"],
    config: TrainingConfig,
) -> tuple[TrainingState, TrainingInfo]:
    """One `step` for each window."""
    return jax.lax.scan(lambda state, window: step(key, state, window, config), state, tokens)


def window_loss(
    key: Key[Array, ""],
    params: Params,
    hidden: LSTMState,
    tokens: Int[Array, "columns window_and_one"],
    config: TrainingConfig,
) -> tuple[Float[Array, ""], LSTMState]:
    """Mean cross-entropy of a window's predictions in nats, and the state after it."""
    drop, draw = jax.random.split(key)
    top, hidden = read(params, hidden, tokens[:, :-1], drop, config.dropout)
    top, targets = top.reshape(-1, top.shape[-1]), tokens[:, 1:].reshape(-1)
    weight, bias = decoder_weight(params), params["decoder"]["bias"]
    if config.sampled:
        total = sampled_cross_entropy(draw, top, weight, bias, targets, config.head, config.sampled)
    else:
        total = cross_entropy(top, weight, bias, targets, jnp.ones(len(targets)))
    return total / len(targets), hidden


def read(
    params: Params,
    hidden: LSTMState,
    tokens: Int[Array, "*batch time"],
    key: Key[Array, ""] | None = None,
    rate: float = 0.0,
) -> tuple[Float[Array, "*batch time hidden"], LSTMState]:
    """What the decoder reads after every token, and the state after the last.

    With a key it is dropped out as in `jaxmask.lstm.forward`, whose logits are not made here.
    """
    first, between, last = (None, None, None) if key is None else jax.random.split(key, 3)
    gates = input_gates(params, dropout(first, rate, embed(params, tokens)))
    states, hidden = unroll(params, hidden, gates, dropout_key=between, dropout_rate=rate)
    return dropout(last, rate, top_layer(params, states)), hidden


@jax.custom_vjp
def cross_entropy(
    top: Float[Array, "predictions hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
    targets: Int[Array, " predictions"],
    weights: Float[Array, " predictions"],
) -> Float[Array, ""]:
    """Weighted sum of ``logsumexp(x) - x[target]`` in nats, with ``x = top @ weight.T + bias``.

    Logits exist for `CHUNK` predictions at a time, and the gradient in ``top``, ``weight`` and
    ``bias`` is made on the way: memory doesn't grow with predictions x vocabulary, and nothing is
    computed again in the backward pass.
    """
    return _cross_entropy(top, weight, bias, targets, weights, with_gradient=False)[0]


def _cross_entropy(
    top: Array, weight: Array, bias: Array, targets: Array, weights: Array, with_gradient: bool
) -> tuple:
    """The sum, and its gradient in (top, weight, bias) or None."""
    chunks = -(-len(targets) // CHUNK)

    def split(x: Array) -> Array:
        padding = [(0, chunks * CHUNK - len(x))] + [(0, 0)] * (x.ndim - 1)
        return jnp.pad(x, padding).reshape(chunks, CHUNK, *x.shape[1:])

    def add(carry: tuple, rows: tuple) -> tuple:
        total, gradient = carry
        top, targets, weights = rows
        logits = top @ weight.T + bias
        highest = logits.max(axis=-1, keepdims=True)
        mass = jnp.exp(logits - highest)
        sums = mass.sum(axis=-1, keepdims=True)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)
        total += jnp.sum(weights * (highest + jnp.log(sums) - chosen)[:, 0])
        if not with_gradient:
            return (total, gradient), None
        error = (mass / sums).at[jnp.arange(CHUNK), targets].add(-1.0) * weights[:, None]
        in_weight, in_bias = gradient
        return (total, (in_weight + error.T @ top, in_bias + error.sum(axis=0))), error @ weight

    zeros = (jnp.zeros_like(weight), jnp.zeros_like(bias)) if with_gradient else None
    rows = (split(top), split(targets), split(weights))
    (total, gradient), in_top = jax.lax.scan(add, (jnp.zeros(()), zeros), rows)
    if not with_gradient:
        return total, None
    return total, (in_top.reshape(-1, top.shape[-1])[: len(top)], *gradient)


def _cross_entropy_forward(*inputs: Array) -> tuple:
    return _cross_entropy(*inputs, with_gradient=True)


def _cross_entropy_backward(gradient: tuple, cotangent: Array) -> tuple:
    return (*(cotangent * leaf for leaf in gradient), None, None)


cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def sampled_cross_entropy(
    key: Key[Array, ""],
    top: Float[Array, "predictions hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
    targets: Int[Array, " predictions"],
    head: int,
    sampled: int,
) -> Float[Array, ""]:
    """Sum of cross-entropies whose normaliser is exact over frequent words, sampled over the rest.

    With N words outside the head, of which the set S (with repetition) is drawn uniformly,

        Z ~ sum_{w in head} exp(x_w) + [t not in head] exp(x_t)
            + N/|S| sum_{w in S, w != t} exp(x_w)

    is an unbiased estimate of the normaliser for the target t. The vocabulary should be in order of
    frequency; in any other order the estimate is noisier, not wrong.
    """
    tail = len(bias) - head
    drawn = jax.random.randint(key, (sampled,), head, len(bias))
    correct = jnp.sum(top * weight[targets], axis=-1) + bias[targets]
    of_head = top @ weight[:head].T + bias[:head]
    of_drawn = top @ weight[drawn].T + bias[drawn] + jnp.log(tail / sampled)
    of_drawn = jnp.where(drawn == targets[:, None], -jnp.inf, of_drawn)
    of_target = jnp.where(targets < head, -jnp.inf, correct)
    logits = jnp.concatenate([of_head, of_drawn, of_target[:, None]], axis=-1)
    return jnp.sum(jax.nn.logsumexp(logits, axis=-1) - correct)


def perplexity(
    params: Params,
    model: LSTMConfig,
    tokens: Int[np.ndarray, " words"],
    start: int,
    columns: int = 32,
    window: int = 70,
) -> float:
    """``exp`` of the mean cross-entropy over ``tokens``, each of which is predicted once.

    Args:
        params: the parameter tree.
        model: its sizes.
        tokens: word indices; every one counts, `<unk>` and `<eos>` among them.
        start: the word before the first, `<eos>` as a rule.
        columns: parts read side by side, each from a zero state.
        window: words read at a time.
    """
    length = -(-len(tokens) // columns)  # of a column
    length = -(-length // window) * window
    columns = -(-len(tokens) // length)
    padding = (0, columns * length - len(tokens))
    inputs = np.pad(np.concatenate([[start], tokens[:-1]]), padding)
    weights = np.pad(np.ones(len(tokens), np.float32), padding)
    rows = tuple(
        np.moveaxis(np.asarray(x).reshape(columns, -1, window), 1, 0)
        for x in (inputs, np.pad(tokens, padding), weights)
    )
    total = _stream_loss(params, zero_state(model, (columns,)), rows)
    return float(np.exp(total / len(tokens)))


@jax.jit
def _stream_loss(params: Params, hidden: LSTMState, rows: tuple) -> Float[Array, ""]:
    def add(hidden: LSTMState, window: tuple) -> tuple[LSTMState, Array]:
        inputs, targets, weights = window
        top, hidden = read(params, hidden, inputs)
        top = top.reshape(-1, top.shape[-1])
        weight, bias = decoder_weight(params), params["decoder"]["bias"]
        return hidden, cross_entropy(top, weight, bias, targets.reshape(-1), weights.reshape(-1))

    return jnp.sum(jax.lax.scan(add, hidden, rows)[1])


def shuffle_sentences(
    rng: np.random.Generator, tokens: Int[np.ndarray, " words"], end: int
) -> Int[np.ndarray, " words"]:
    """The same sentences in another order; each ends in the word ``end``."""
    ends = np.flatnonzero(tokens == end) + 1
    starts = np.concatenate([[0], ends[:-1]])
    order = rng.permutation(len(ends))
    lengths = (ends - starts)[order]
    shift = np.repeat(starts[order] - (np.cumsum(lengths) - lengths), lengths)
    return tokens[np.arange(lengths.sum()) + shift]


def windows(
    tokens: Int[np.ndarray, " words"], columns: int, window: int
) -> Int[np.ndarray, "steps columns window_and_one"]:
    """Cuts a stream into columns and those into windows that share one word with the next.

    What doesn't fill the last window, fewer than ``columns * (window + 1)`` words, is left out.
    """
    steps = (len(tokens) // columns - 1) // window
    return np.lib.stride_tricks.as_strided(
        tokens,
        (steps, columns, window + 1),
        tuple(tokens.itemsize * n for n in (window, len(tokens) // columns, 1)),
        writeable=False,
    )
