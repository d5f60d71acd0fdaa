"""The trainer against slower ways to the same numbers."""

import lzma
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import train_language_model as script
from jaxmask import language_model_training as training
from jaxmask.lstm import LSTMConfig, forward, init_params, zero_state
from jaxmask.store import load_model
from jaxmask.tasks import number_agreement

MODEL = LSTMConfig(vocabulary=23, embedding=6, hidden=6, layers=2, tied=True)
SETTINGS = training.TrainingConfig(steps=40, learning_rate=1e-2, warmup=2)
COLUMNS, WINDOW = 3, 5


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


def assert_equal_trees(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("predictions", [1, training.CHUNK, training.CHUNK + 7])
def test_cross_entropy_and_its_gradient_equal_the_naive_ones(predictions):
    keys = jax.random.split(jax.random.key(1), 4)
    top = jax.random.normal(keys[0], (predictions, 6))
    weight, bias = jax.random.normal(keys[1], (23, 6)), jax.random.normal(keys[2], (23,))
    targets = random_tokens(predictions)
    weights = jax.random.uniform(keys[3], (predictions,))

    def naive(top, weight, bias):
        losses = -jax.nn.log_softmax(top @ weight.T + bias)[jnp.arange(predictions), targets]
        return jnp.sum(losses * weights)

    def ours(top, weight, bias):
        return training.cross_entropy(top, weight, bias, targets, weights)

    expected, gradient = jax.value_and_grad(naive, argnums=(0, 1, 2))(top, weight, bias)
    found, found_gradient = jax.value_and_grad(ours, argnums=(0, 1, 2))(top, weight, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(ours(top, weight, bias), expected, rtol=1e-5)
    for one, other in zip(found_gradient, gradient, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_sampled_normaliser_is_unbiased():
    keys = jax.random.split(jax.random.key(1), 3)
    top, weight = jax.random.normal(keys[0], (11, 6)), jax.random.normal(keys[1], (23, 6))
    bias, targets = jax.random.normal(keys[2], (23,)), random_tokens(11)
    correct = jnp.sum(top * weight[targets], axis=-1) + bias[targets]
    whole = jax.nn.logsumexp(top @ weight.T + bias, axis=-1)

    def one_normaliser(key, row):
        loss = training.sampled_cross_entropy(
            key, top[row, None], weight, bias, targets[row, None], 5, 9
        )
        return jnp.exp(loss + correct[row] - whole[row])

    many = jax.random.split(jax.random.key(2), 4000)
    for row in range(11):
        ratios = jax.vmap(one_normaliser, in_axes=(0, None))(many, row)
        assert abs(ratios.mean() - 1) < 5 * ratios.std() / len(many) ** 0.5 + 1e-4


def test_window_loss_equals_naive_computation(params):
    tokens = random_tokens(COLUMNS, WINDOW + 1)
    loss, _ = training.window_loss(
        jax.random.key(0), params, zero_state(MODEL, (COLUMNS,)), tokens, SETTINGS
    )
    expected = naive_losses(params, tokens[:, :-1], tokens[:, 1:]).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_carried_state_equals_one_long_pass(params):
    tokens = random_tokens(COLUMNS * 31)
    windows = training.windows(tokens, COLUMNS, WINDOW)
    assert windows.shape == (6, COLUMNS, WINDOW + 1)
    hidden, losses = zero_state(MODEL, (COLUMNS,)), []
    for window in windows:
        loss, hidden = training.window_loss(jax.random.key(0), params, hidden, window, SETTINGS)
        losses.append(loss)
    whole = tokens.reshape(COLUMNS, 31)
    expected = naive_losses(params, whole[:, :-1], whole[:, 1:])
    np.testing.assert_allclose(np.mean(losses), expected.mean(), rtol=1e-5)


def test_first_update_goes_against_the_gradient(params):
    settings = SETTINGS._replace(dropout=0.3, warmup=0, weight_decay=0.0)
    tokens = random_tokens(COLUMNS, WINDOW + 1)
    state, key = training.init(params, MODEL, settings, COLUMNS), jax.random.key(3)

    @jax.jit
    def loss(params):
        key_of_update = jax.random.fold_in(key, 0)
        return training.window_loss(key_of_update, params, state.hidden, tokens, settings)[0]

    new, info = jax.jit(training.step, static_argnames="config")(key, state, tokens, settings)
    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    np.testing.assert_allclose(info.loss, value, rtol=1e-6)
    assert new.step == 1
    for old, moved, slope in zip(
        *map(jax.tree.leaves, (params, new.params, gradient)), strict=True
    ):
        clear = np.abs(slope) > 1e-5  # Adam's first update has the size of the learning rate
        expected = -settings.learning_rate * np.sign(slope)
        np.testing.assert_allclose((moved - old)[clear], expected[clear], rtol=1e-2)


def test_loss_decreases_on_text_that_can_be_predicted(params):
    tokens = np.tile(np.arange(MODEL.vocabulary, dtype=np.int32), 80)
    windows = training.windows(tokens, COLUMNS, WINDOW)
    settings = SETTINGS._replace(steps=len(windows), learning_rate=0.05)
    run = jax.jit(training.run, static_argnames="config")
    start = training.init(params, MODEL, settings, COLUMNS)
    _, info = run(jax.random.key(0), start, windows, config=settings)
    assert info.loss[-1] < 0.5 * info.loss[0]


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


def test_shuffling_keeps_every_sentence_whole():
    end = 0
    sentences = [[1, 2, end], [3, end], [4, 5, 6, end], [end], [7, end]]
    tokens = np.array([word for sentence in sentences for word in sentence], np.int32)
    found = training.shuffle_sentences(np.random.default_rng(3), tokens, end).tolist()
    assert found != tokens.tolist()
    again, current = [], []
    for word in found:
        current.append(word)
        if word == end:
            again.append(current)
            current = []
    assert sorted(again) == sorted(sentences)


def test_windows_share_one_word_and_follow_the_columns():
    windows = training.windows(np.arange(24, dtype=np.int32), columns=2, window=5)
    expected = [[range(6), range(12, 18)], [range(5, 11), range(17, 23)]]
    np.testing.assert_array_equal(windows, [[list(row) for row in window] for window in expected])
    assert len(training.windows(np.arange(9, dtype=np.int32), columns=2, window=5)) == 0


@pytest.fixture
def texts(tmp_path):
    """A plain and a compressed file of sentences, and one to validate."""
    sentences = ["the cat sees a dog .", "a dog sees the cat . <eos>", "", "dogs see cats ."] * 90
    plain, compressed, valid = (tmp_path / name for name in ("a.txt", "b.txt.xz", "valid.txt"))
    plain.write_text("\n".join(sentences))
    with lzma.open(compressed, "wt") as file:
        file.write("\n".join(sentences[::-1]))
    valid.write_text("a cat sees the unicorn .\n")
    return {"train": (plain, compressed), "valid": valid}


TINY = {"words": 9, "embedding": 5, "hidden": 5, "steps": 100, "every": 50, "sampled": 2, "head": 3}
TINY |= {"columns": 2, "window": 4, "dropout": 0.1}


def test_built_vocabulary_holds_frequent_and_kept_words(texts):
    vocabulary = script.build_vocabulary(texts["train"], 6, keep=["unicorn"])
    assert vocabulary.words == ("<unk>", ".", "<eos>", "cat", "the", "unicorn")
    assert script.encode([texts["valid"]], vocabulary).tolist() == [0, 3, 0, 4, 5, 1, 2]


def test_script_writes_a_model_folder_and_an_average(texts, tmp_path, capsys):
    first = script.Config(**texts, **TINY, out=tmp_path / "first", half=True)
    script.main(first)
    start = load_model(first.out)
    assert start.config == LSTMConfig(9, 5, 5, 2, tied=True)
    assert len(start.vocabulary) == 9
    assert '"perplexity"' in capsys.readouterr().out
    second = script.Config(
        **texts,
        **TINY,
        out=tmp_path / "second",
        start_from=first.out,
        average_with=first.out,
        average_weight=0.25,
    )
    average = script.train(second)
    with script.checkpoints(second) as saved:
        trained = saved.restore(second.steps)["params"]
    expected = jax.tree.map(lambda old, new: 0.75 * new + 0.25 * old, start.params, trained)
    assert_equal_trees(average.params, expected)


def test_killed_run_resumes_to_the_same_weights(texts, tmp_path, monkeypatch):
    whole = script.train(script.Config(**texts, **TINY, out=tmp_path / "whole"))
    config = script.Config(**texts, **TINY, out=tmp_path / "killed")
    batches = script.batches

    def first_batch_only(*args):
        yield next(batches(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "batches", first_batch_only)
    with pytest.raises(KeyboardInterrupt):
        script.train(config)
    monkeypatch.setattr(script, "batches", batches)
    assert_equal_trees(script.train(config).params, whole.params)


def test_bundled_model_loads_and_knows_the_words_of_the_task():
    folder = Path(training.__file__).parent / "bundled_model"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000
    model = load_model(folder)
    assert set(number_agreement.WORDS) <= set(model.vocabulary.words)
    assert {"he", "she"} <= set(model.vocabulary.words)
