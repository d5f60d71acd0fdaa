"""Training an LSTM language model: truncated back-propagation through time over a stream of text.

The text is one long row of word indices in which ``<eos>`` ends a sentence. It is cut into
``columns`` that are read side by side, ``window`` words at a time (`jaxmask.text.corpus`); the
hidden state is carried from a window to the next, the gradient is not. `step` makes one update; a
caller vmaps it over seeds.

Every random choice of an update comes from ``fold_in(key, number of the update)``, so a run that
is stopped and taken up again from its `TrainingState` gives the same weights, bit for bit.

An update whose loss or gradient isn't finite isn't made, and ends the training.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.finite import all_finite, choose
from jaxmask.models.logsumexp import cross_entropy
from jaxmask.models.lstm.forward import Dropout, read_top
from jaxmask.models.lstm.network import LSTMConfig, LSTMState, Params, decoder_weight, zero_state


class TrainingConfig(NamedTuple):
    """Settings of a training run; hashable, so it can be a static argument.

    Attributes:
        steps: number of updates the learning rate of AdamW is planned for.
        optimizer: ``adamw``, with a linear warm-up to the learning rate and a half cosine down to
            0; or ``sgd``, Gulordava's, whose learning rate only `anneal` changes.
        learning_rate: its highest value.
        warmup: AdamW's number of updates of the warm-up.
        weight_decay: AdamW's, times the learning rate.
        annealing: what `anneal` divides the learning rate of SGD by.
        clip: largest norm of the gradient of all parameters together.
        dropout: rate after the embedding, between layers and before the decoder.
        head: with ``sampled``, the first words of the vocabulary, always in the softmax.
        sampled: number of further words drawn for the softmax of an update; 0 takes all words.
        b2: AdamW's decay of the mean of squared gradients.
    """

    steps: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.01
    annealing: float = 4.0
    clip: float = 1.0
    dropout: float = 0.0
    head: int = 1024
    sampled: int = 0
    b2: float = 0.999


class Annealing(NamedTuple):
    """What SGD's learning rate is multiplied by, and the best parameters so far."""

    scale: Float[Array, ""]
    perplexity: Float[Array, ""]
    params: Params


class TrainingState(NamedTuple):
    """All that an update carries to the next; ``annealing`` is None with AdamW.

    Once an update isn't ``finite``, nothing changes any more, and ``step`` stays at the last that
    was.
    """

    params: Params
    optimizer: optax.OptState
    hidden: LSTMState
    step: Int[Array, ""]
    annealing: Annealing | None
    finite: Bool[Array, ""]


class TrainingInfo(NamedTuple):
    """What an update is observed by: mean loss in nats a word, and the norm of the gradient."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


def optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """SGD or AdamW after clipping; see `TrainingConfig`.

    The updates are PyTorch's but for one thing: its LSTM has two biases, which are only ever added,
    so that their sum moves twice as far there as our one bias does, and counts twice in the norm.
    """
    if config.optimizer == "sgd":
        descent = optax.sgd(config.learning_rate)
    else:
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, config.warmup, max(config.steps, config.warmup + 1)
        )
        descent = optax.adamw(schedule, b2=config.b2, weight_decay=config.weight_decay)
    return optax.chain(optax.clip_by_global_norm(config.clip), descent)


def init(params: Params, model: LSTMConfig, config: TrainingConfig, columns: int) -> TrainingState:
    """The state before the first update of ``params``, with nothing read."""
    annealing = None
    if config.optimizer == "sgd":
        annealing = Annealing(jnp.ones(()), jnp.full((), jnp.inf), params)
    state = TrainingState(
        params,
        optimizer(config).init(params),
        zero_state(model, (columns,)),
        jnp.zeros((), jnp.int32),
        annealing,
        jnp.ones((), bool),
    )
    return jax.tree.map(jnp.copy, state)  # so that each array can be given away on its own


def step(
    key: Key[Array, ""],
    state: TrainingState,
    tokens: Int[Array | np.ndarray, "columns window_and_one"],
    config: TrainingConfig,
) -> tuple[TrainingState, TrainingInfo]:
    """One update on one window; its last word is only predicted, and the next window's first.

    Args:
        key: of the whole run; the update's own is folded in.
        state: from `init` or the update before.
        tokens: word indices.
        config: settings.

    Example:
        >>> from jaxmask.models.lstm.network import init_params
        >>> model = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> config = TrainingConfig(steps=10, optimizer="sgd", learning_rate=0.1)
        >>> state = init(init_params(jax.random.key(0), model), model, config, columns=1)
        >>> update = jax.jit(step, static_argnames="config")
        >>> state, info = update(jax.random.key(1), state, jnp.array([[2, 3, 4]]), config)
        >>> int(state.step), round(float(info.loss), 1)
        (1, 1.6)
    """
    key = jax.random.fold_in(key, state.step)

    def loss(params: Params) -> tuple[Array, LSTMState]:
        return window_loss(key, params, state.hidden, tokens, config)

    (value, hidden), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, new = optimizer(config).update(gradient, state.optimizer, state.params)
    if state.annealing is not None:
        scale = state.annealing.scale
        updates = jax.tree.map(lambda update: scale * update, updates)
    params = optax.apply_updates(state.params, updates)
    norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient)))
    info = TrainingInfo(value, norm)
    finite = state.finite & all_finite(info)
    taken = TrainingState(params, new, hidden, state.step + 1, state.annealing, finite)
    return choose(finite, taken, state._replace(finite=finite)), info


def start_epoch(state: TrainingState) -> TrainingState:
    """The state before the text is read from its start, with nothing read."""
    return state._replace(hidden=jax.tree.map(jnp.zeros_like, state.hidden))


def anneal(
    state: TrainingState, perplexity: Float[Array, ""], config: TrainingConfig
) -> TrainingState:
    """SGD after a validation: keeps the best parameters, or lowers the learning rate.

    Gulordava's recipe: the learning rate is divided by 4 whenever the perplexity isn't lower than
    all those before, and the best parameters are those in the end.

    Raises:
        ValueError: the state is AdamW's, whose learning rate follows a schedule.
    """
    best = state.annealing
    if best is None:
        raise ValueError("only the learning rate of SGD is annealed, this state is AdamW's")
    improved = perplexity < best.perplexity
    return state._replace(
        annealing=Annealing(
            jnp.where(improved, best.scale, best.scale / config.annealing),
            jnp.where(improved, perplexity, best.perplexity),
            jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.params, best.params),
        )
    )


def window_loss(
    key: Key[Array, ""],
    params: Params,
    hidden: LSTMState,
    tokens: Int[Array | np.ndarray, "columns window_and_one"],
    config: TrainingConfig,
) -> tuple[Float[Array, ""], LSTMState]:
    """Mean cross-entropy of a window's predictions in nats, and the state after it."""
    drop, draw = jax.random.split(key)
    dropout = Dropout(drop, config.dropout) if config.dropout else None
    top, hidden = read_top(params, hidden, tokens[:, :-1], dropout=dropout)
    top, targets = top.reshape(-1, top.shape[-1]), jnp.asarray(tokens[:, 1:]).reshape(-1)
    weight, bias = decoder_weight(params), params["decoder"]["bias"]
    if config.sampled:
        total = sampled_cross_entropy(draw, top, weight, bias, targets, config)
    else:
        total = cross_entropy(top, weight, bias, targets, jnp.ones(len(targets)))
    return total / len(targets), hidden


def sampled_cross_entropy(
    key: Key[Array, ""],
    top: Float[Array, "predictions hidden"],
    weight: Float[Array, "vocabulary hidden"],
    bias: Float[Array, " vocabulary"],
    targets: Int[Array, " predictions"],
    config: TrainingConfig,
) -> Float[Array, ""]:
    """Sum of cross-entropies whose normaliser is exact over frequent words, sampled over the rest.

    With N words outside the head, of which the set S (with repetition) is drawn uniformly,

        Z ~ sum_{w in head} exp(x_w) + [t not in head] exp(x_t)
            + N/|S| sum_{w in S, w != t} exp(x_w)

    is an unbiased estimate of the normaliser for the target t. The vocabulary should be in order of
    frequency; in any other order the estimate is noisier, not wrong.

    Args:
        key: for the draws.
        top: what the decoder reads.
        weight: of the decoder.
        bias: of the decoder.
        targets: the words to predict.
        config: its ``head`` and ``sampled``.

    Example:
        >>> config = TrainingConfig(steps=1, head=2, sampled=3)
        >>> top, weight, bias = jnp.ones((1, 2)), jnp.ones((6, 2)), jnp.zeros(6)
        >>> args = jax.random.key(0), top, weight, bias, jnp.array([1]), config
        >>> round(float(sampled_cross_entropy(*args)), 4)  # of 6 words that are equally likely
        1.7918
    """
    head, sampled = config.head, config.sampled
    tail = len(bias) - head
    drawn = jax.random.randint(key, (sampled,), head, len(bias))
    correct = jnp.sum(top * weight[targets], axis=-1) + bias[targets]
    of_head = top @ weight[:head].T + bias[None, :head]
    of_drawn = top @ weight[drawn].T + bias[None, drawn] + jnp.log(tail / sampled)
    of_drawn = jnp.where(drawn[None] == targets[:, None], -jnp.inf, of_drawn)
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
        tokens: word indices, read as they are needed; every one counts, ``<unk>`` and ``<eos>``
            among them.
        start: the word before the first, ``<eos>`` as a rule.
        columns: parts read side by side, each from a zero state.
        window: words read at a time.

    Example:
        >>> from jaxmask.models.lstm.network import init_params
        >>> model = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = jax.tree.map(jnp.zeros_like, init_params(jax.random.key(0), model))
        >>> round(perplexity(params, model, np.array([2, 3, 4]), start=1, columns=1, window=3), 4)
        5.0
    """
    words = len(tokens)
    length = -(-words // columns)  # of a column
    length = -(-length // window) * window
    first = np.arange(0, words, length)[:, None]
    hidden, total = zero_state(model, (len(first),)), 0.0
    for offset in range(0, min(length, words), window):
        place = first + offset + np.arange(-1, window)
        some = np.where(place < 0, start, tokens[np.clip(place, 0, words - 1)])
        weights = (place[:, 1:] < words).astype(np.float32)
        loss, hidden = _weighted_loss(params, hidden, some.astype(np.int32), weights)
        total += float(loss)
    return float(np.exp(total / words))


@jax.jit
def _weighted_loss(
    params: Params, hidden: LSTMState, tokens: Array, weights: Array
) -> tuple[Float[Array, ""], LSTMState]:
    top, hidden = read_top(params, hidden, tokens[:, :-1])
    top, targets = top.reshape(-1, top.shape[-1]), tokens[:, 1:].reshape(-1)
    weight, bias = decoder_weight(params), params["decoder"]["bias"]
    return cross_entropy(top, weight, bias, targets, weights.reshape(-1)), hidden
