"""Training and what comes of it against PyTorch."""

import random

import jax
import numpy as np
import pytest

from converters import gulordava, to_torch
from experiments import supplementary_text
from experiments.benchmark_training import ours, pytorch_model, pytorchs
from experiments.train_language_model import train
from experiments.training.options import TrainingOptions
from jaxmask.models.lstm import training as training
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.models.lstm.training import TrainingConfig
from jaxmask.models.model_folder import BUNDLED_MODEL, load_model, save_model
from jaxmask.tasks import number_agreement
from jaxmask.text import examples

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("optimized")]

COLUMNS, WINDOW = 3, 7
CONFIGS = [LSTMConfig(23, 6 if tied else 5, 6, 2, tied) for tied in (False, True)]
SETTINGS = {
    "sgd": TrainingConfig(10**6, "sgd", learning_rate=2.0, clip=0.25),
    "adamw": TrainingConfig(10**6, "adamw", learning_rate=0.01, warmup=0, weight_decay=0.1),
}


def windows(model, updates):
    shape = (updates, COLUMNS, WINDOW + 1)
    return np.random.default_rng(0).integers(model.vocabulary, size=shape, dtype=np.int32)


@pytest.mark.parametrize("optimizer", SETTINGS)
@pytest.mark.parametrize("model", CONFIGS, ids=["untied", "tied"])
def test_weights_after_some_updates_are_pytorchs(model, optimizer):
    config, params = SETTINGS[optimizer], init_params(jax.random.key(0), model)
    step = jax.jit(training.step, static_argnames="config")
    state = training.init(params, model, config, COLUMNS)
    network, their_state = pytorch_model(model, params, 0.0), None
    for layer in range(model.layers):  # PyTorch has two biases where we have one
        getattr(network.rnn, f"bias_hh_l{layer}").requires_grad_(False)
    descent = (
        torch.optim.SGD(network.parameters(), config.learning_rate)
        if optimizer == "sgd"
        else torch.optim.AdamW(
            network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
    )
    for window in windows(model, 4):
        state, info = step(jax.random.key(1), state, window, config)
        words = torch.from_numpy(window.T.astype(np.int64))
        descent.zero_grad()
        if their_state is not None:
            their_state = tuple(part.detach() for part in their_state)
        logits, their_state = network(words[:-1], their_state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), words[1:].flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        descent.step()
        np.testing.assert_allclose(info.loss, loss.item(), rtol=1e-5)
        np.testing.assert_allclose(info.gradient_norm, norm, rtol=1e-4)
        # Adam divides by the gradient's own size: entries near 0 are as uncertain as their sign.
        atol = {"sgd": 1e-5, "adamw": 1e-3}[optimizer]
        expected = network.state_dict()
        for name, found in to_torch.state_dict(state.params).items():
            np.testing.assert_allclose(found, expected[name], atol=atol, err_msg=name)
    assert optimizer == "adamw" or norm > config.clip
    assert np.abs(state.params["decoder"]["bias"]).max() > 0.02  # they began at 0


@pytest.mark.parametrize("model", CONFIGS, ids=["untied", "tied"])
def test_both_sides_of_the_benchmark_do_the_same(model):
    config = SETTINGS["sgd"]._replace(learning_rate=0.5)
    updates = [side(model, config, COLUMNS) for side in (ours, pytorchs)]
    text = windows(model, 1).repeat(6, axis=0)
    losses = np.array([[update(window) for update in updates] for window in text])
    np.testing.assert_allclose(*losses.T, rtol=1e-3)  # PyTorch's second bias moves too
    assert losses[-1, 0] < losses[0, 0] - 0.01


@pytest.fixture
def trained(tmp_path):
    """A small model of sentences of the task's words, trained here."""
    draw = random.Random(0)
    for name, count in (("train", 4000), ("valid", 200)):
        lines = [supplementary_text.generate(draw) + "\n" for _ in range(count)]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    words = sorted(set(number_agreement.WORDS))
    (tmp_path / "keep.txt").write_text("\n".join(words))
    sizes = {"embedding": 24, "hidden": 24, "words": 400, "columns": 16, "window": 10}
    options = TrainingOptions(
        out=tmp_path / "out", data=tmp_path, keep=tmp_path / "keep.txt", steps=250,
        learning_rate=0.02, warmup=20, sampled=0, **sizes,
    )  # fmt: skip
    (one,) = train(options)
    assert one.perplexity < 100, "a model that hasn't learned would prove little"
    return one.folder


@pytest.fixture
def bundled():
    return BUNDLED_MODEL


@pytest.fixture
def standin(shared, tmp_path):
    """The real-sized checkpoint."""
    files = shared / "checkpoints"
    model = gulordava.convert(files / "standin-650.pt", files / "standin-650.vocab.txt")
    save_model(tmp_path / "standin", model)
    return tmp_path / "standin"


@pytest.mark.parametrize(
    ("fixture", "every", "sentences"),
    [
        ("trained", 1, 200),
        pytest.param("bundled", 5, 500, marks=pytest.mark.slow),
        pytest.param("standin", 20, 200, marks=pytest.mark.slow),
    ],
)
def test_exported_model_is_the_same_model(fixture, every, sentences, request, tmp_path):
    model = load_model(request.getfixturevalue(fixture))
    to_torch.main([str(request.getfixturevalue(fixture)), str(tmp_path / "m.pt")])
    network = pytorch_model(model.config, model.params, 0.0).eval()
    for parameter in network.parameters():
        parameter.data.zero_()
    network.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))

    draw = random.Random(1)
    text = [(supplementary_text.generate(draw) + " <eos>").split() for _ in range(sentences)]
    tokens = np.array(model.vocabulary.encode(word for words in text for word in words))
    end = model.vocabulary.index["<eos>"]
    found = training.perplexity(model.params, model.config, tokens, end, columns=1)
    assert found == pytest.approx(their_perplexity(network, tokens, end), rel=1e-3)

    items = examples.encode(number_agreement.generate(0), model.vocabulary).examples
    items = items.take(np.arange(0, items.size, every))
    context = read_context(model.params, [end])
    odds = log_odds(model.params, items, context)
    theirs = their_log_odds(network, items, end)
    np.testing.assert_allclose(odds, theirs, atol=1e-4)
    assert min(np.abs(theirs)) > 1e-6, "an item that isn't decided"
    right = [(each < 0) == items.correct for each in (odds, theirs)]
    np.testing.assert_array_equal(*right)
    assert 0.4 < np.mean(right) < 1.0


@torch.no_grad()
def their_perplexity(network, tokens, end):
    """Of one stream from a zero state, 50 words at a time."""
    words = torch.from_numpy(np.concatenate([[end], tokens]).astype(np.int64))[:, None]
    state, total = None, 0.0
    for start in range(0, len(tokens), 50):
        logits, state = network(words[:-1][start : start + 50], state)
        target = words[1:][start : start + 50, 0]
        total += torch.nn.functional.cross_entropy(logits[:, 0], target, reduction="sum").item()
    return np.exp(total / len(tokens))


@torch.no_grad()
def their_log_odds(network, items, end):
    """log p(singular) - log p(plural) after ``<eos>`` and each sentence from a zero state."""
    odds = np.empty(items.size)
    for length in np.unique(items.length):
        rows = np.flatnonzero(items.length == length)
        words = np.pad(items.tokens[rows, :length], ((0, 0), (1, 0)), constant_values=end)
        for some in np.array_split(np.arange(len(rows)), -(-len(rows) // 200)):
            states, _ = network.rnn(network.encoder(torch.from_numpy(words[some].T.copy()).long()))
            log_probs = torch.log_softmax(network.decoder(states[-1]), dim=-1).numpy()
            chosen = np.take_along_axis(log_probs, items.pair[rows[some]], axis=1)
            odds[rows[some]] = chosen[:, 0] - chosen[:, 1]
    return odds
