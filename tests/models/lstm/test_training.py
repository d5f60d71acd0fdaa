"""The trainer against slower ways to the same numbers."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models.lstm import training as training
from jaxmask.models.lstm.forward import forward
from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
from jaxmask.models.model_folder import load_model
from jaxmask.tasks import number_agreement

MODEL = LSTMConfig(vocabulary=23, embedding=6, hidden=6, layers=2, tied=True)
SETTINGS = training.TrainingConfig(steps=40, learning_rate=1e-2, warmup=2)
CLIPPED = SETTINGS._replace(optimizer="sgd", learning_rate=2.0, clip=1e-2, dropout=0.2)
COLUMNS, WINDOW = 3, 5

step = jax.jit(training.step, static_argnames="config")
window_loss = jax.jit(training.window_loss, static_argnames="config")


@pytest.fixture
def params():
    return init_params(jax.random.key(0), MODEL)


def random_tokens(*shape):
    return np.random.default_rng(0).integers(0, MODEL.vocabulary, shape, np.int32)


def naive_losses(params, inputs, targets, state=None):
    """Cross-entropy of each prediction from whole logits."""
    state = zero_state(MODEL, inputs.shape[:-1]) if state is None else state
    logits, _ = forward(params, state, inputs)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]


def windows_of(tokens):
    """Columns one beside the other, cut into windows that share a word."""
    columns = tokens[: len(tokens) // COLUMNS * COLUMNS].reshape(COLUMNS, -1)
    starts = range(0, columns.shape[1] - WINDOW, WINDOW)
    return np.stack([columns[:, start : start + WINDOW + 1] for start in starts])


def assert_equal_trees(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_sampled_normaliser_is_unbiased():
    keys = jax.random.split(jax.random.key(1), 3)
    top, weight = jax.random.normal(keys[0], (11, 6)), jax.random.normal(keys[1], (23, 6))
    bias, targets = jax.random.normal(keys[2], (23,)), jnp.asarray(random_tokens(11))
    correct = jnp.sum(top * weight[targets], axis=-1) + bias[targets]
    whole = jax.nn.logsumexp(top @ weight.T + bias[None], axis=-1)

    few = SETTINGS._replace(head=5, sampled=9)

    def one_normaliser(key, row):
        loss = training.sampled_cross_entropy(
            key, top[row, None], weight, bias, targets[row, None], few
        )
        return jnp.exp(loss + correct[row] - whole[row])

    many = jax.random.split(jax.random.key(2), 4000)
    normalisers = jax.jit(jax.vmap(one_normaliser, in_axes=(0, None)))
    for row in range(11):
        ratios = normalisers(many, row)
        assert abs(ratios.mean() - 1) < 5 * ratios.std() / len(many) ** 0.5 + 1e-4


def test_window_loss_equals_naive_computation(params):
    tokens = random_tokens(COLUMNS, WINDOW + 1)
    loss, _ = window_loss(
        jax.random.key(0), params, zero_state(MODEL, (COLUMNS,)), tokens, SETTINGS
    )
    expected = naive_losses(params, tokens[:, :-1], tokens[:, 1:]).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_carried_state_equals_one_long_pass(params):
    tokens = random_tokens(COLUMNS * 31)
    windows = windows_of(tokens)
    assert windows.shape == (6, COLUMNS, WINDOW + 1)
    hidden, losses = zero_state(MODEL, (COLUMNS,)), []
    for window in windows:
        loss, hidden = window_loss(jax.random.key(0), params, hidden, window, SETTINGS)
        losses.append(loss)
    whole = tokens.reshape(COLUMNS, 31)
    expected = naive_losses(params, whole[:, :-1], whole[:, 1:])
    np.testing.assert_allclose(np.mean(losses), expected.mean(), rtol=1e-5)


def test_first_update_goes_against_the_gradient(params):
    settings = SETTINGS._replace(dropout=0.3, warmup=0, weight_decay=0.0)
    tokens = random_tokens(COLUMNS, WINDOW + 1)
    state, key = training.init(params, MODEL, settings, COLUMNS), jax.random.key(3)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        key_of_update = jax.random.fold_in(key, 0)
        return training.window_loss(key_of_update, params, state.hidden, tokens, settings)[0]

    new, info = step(key, state, tokens, settings)
    value, gradient = loss(params)
    np.testing.assert_allclose(info.loss, value, rtol=1e-6)
    assert new.step == 1
    for old, moved, slope in zip(
        *map(jax.tree.leaves, (params, new.params, gradient)), strict=True
    ):
        clear = np.abs(slope) > 1e-5  # Adam's first update has the size of the learning rate
        expected = -settings.learning_rate * np.sign(slope)
        np.testing.assert_allclose((moved - old)[clear], expected[clear], rtol=1e-2)


def random_state(settings, seed=0):
    params = init_params(jax.random.key(seed), MODEL)
    return training.init(params, MODEL, settings, COLUMNS)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "learning_rate": 0.05},
        {"optimizer": "sgd", "learning_rate": 20.0, "clip": 0.25},
    ],
    ids=lambda changes: changes["optimizer"],
)
def test_loss_decreases_on_text_that_can_be_predicted(changes):
    windows = windows_of(np.tile(np.arange(MODEL.vocabulary, dtype=np.int32), 130))
    settings = SETTINGS._replace(steps=len(windows), **changes)
    state, losses = random_state(settings), []
    for window in windows:
        state, info = step(jax.random.key(0), state, window, settings)
        losses.append(info.loss)
    assert losses[-1] < 0.5 * losses[0]


def test_sgd_clips_the_gradient_and_is_annealed():
    window, key = random_tokens(COLUMNS, WINDOW + 1), jax.random.key(3)
    start = random_state(CLIPPED)
    moved, info = step(key, start, window, CLIPPED)
    assert info.gradient_norm > CLIPPED.clip
    np.testing.assert_allclose(distance(moved.params, start.params), 2e-2, rtol=1e-5)
    lowered = start._replace(annealing=start.annealing._replace(scale=jnp.float32(0.25)))
    moved, _ = step(key, lowered, window, CLIPPED)
    np.testing.assert_allclose(distance(moved.params, start.params), 5e-3, rtol=1e-4)


def distance(one, other):
    squares = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), one, other)
    return np.sqrt(sum(jax.tree.leaves(squares)))


def test_annealing_divides_by_4_whenever_the_best_perplexity_is_not_beaten():
    settings = SETTINGS._replace(optimizer="sgd")
    state, scales, bests = random_state(settings), [], []
    for number, perplexity in enumerate((9.0, 7.0, 8.0, 7.0, 6.0, 6.5)):
        params = jax.tree.map(lambda x, n=number: jnp.full_like(x, n), state.params)
        state = training.anneal(state._replace(params=params), jnp.float32(perplexity), settings)
        assert_equal_trees(state.params, params)
        scales.append(float(state.annealing.scale))
        bests.append(float(state.annealing.params["decoder"]["bias"][0]))
    assert scales == [1, 1, 1 / 4, 1 / 16, 1 / 16, 1 / 64]
    assert bests == [0, 1, 1, 1, 4, 4]
    assert state.annealing.perplexity == 6.0


def test_adamw_is_not_annealed():
    with pytest.raises(ValueError, match="only the learning rate of SGD"):
        training.anneal(random_state(SETTINGS), jnp.float32(9.0), SETTINGS)


def test_seeds_under_vmap_are_those_alone():
    states = [random_state(CLIPPED, seed) for seed in (0, 1)]
    keys = jax.random.split(jax.random.key(3))
    tokens = random_tokens(2, COLUMNS, WINDOW + 1)
    alone = [step(*each, CLIPPED) for each in zip(keys, states, tokens, strict=True)]
    stack = [jax.tree.map(lambda *x: jnp.stack(x), *trees) for trees in (states, alone)]
    together = jax.jit(jax.vmap(lambda *x: training.step(*x, CLIPPED)))(keys, stack[0], tokens)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6),
        together,
        stack[1],
    )


def test_an_epoch_starts_with_nothing_read():
    state = random_state(SETTINGS)
    read = state._replace(hidden=jax.tree.map(jnp.ones_like, state.hidden))
    assert_equal_trees(training.start_epoch(read), state)


def test_perplexity_of_a_uniform_model_is_the_vocabulary_size(params):
    uniform = jax.tree.map(jnp.zeros_like, params)
    tokens = random_tokens(1001)
    found = training.perplexity(uniform, MODEL, tokens, 0, columns=4, window=10)
    np.testing.assert_allclose(found, MODEL.vocabulary, rtol=1e-5)


def test_perplexity_counts_every_word_once(params):
    tokens = random_tokens(97)
    inputs = np.concatenate([[1], tokens[:-1]])
    expected = np.exp(naive_losses(params, inputs[None], tokens[None]).mean())
    found = training.perplexity(params, MODEL, tokens, 1, columns=1, window=10)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bundled_model_loads_and_knows_the_words_of_the_task():
    folder = Path(training.__file__).parents[2] / "bundled_model"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000
    model = load_model(folder)
    assert set(number_agreement.WORDS) <= set(model.vocabulary.words)
    assert {"he", "she"} <= set(model.vocabulary.words)
