"""Training a small GPT-2: what it reads and writes, and a run that goes on."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import train_transformer as script
from experiments.shared.option_types import OptionError
from experiments.train_transformer import TransformerTraining
from experiments.training import subwords
from experiments.training.subwords import LENGTHS, Rows
from jaxmask.files.run_folder import RunFolderError
from jaxmask.models.model_folder import load_model
from jaxmask.models.transformer.families import read_config
from jaxmask.models.transformer.forward import logits, read
from jaxmask.tasks.number_agreement import WORDS

SENTENCES = ["The cat sees a dog .", "A dog , it seems , sees the cat . <eos>", "Dogs see cats ."]


@pytest.fixture
def options(tmp_path):
    text, valid = tmp_path / "text.txt", tmp_path / "valid.txt"
    text.write_text("\n".join(SENTENCES * 40))
    valid.write_text("A cat sees the unicorn .\nDogs see .\n")
    return TransformerTraining(
        text=(text, text), valid=valid, out=tmp_path / "model", tokens=1200, width=8, layers=2,
        heads=2, steps=6, batch=64, warmup=2, validate_every=3,
    )  # fmt: skip


def test_the_folder_is_one_of_hugging_face(options, capsys):
    script.work(options)
    model = load_model(options.out)
    assert (model.config.layers, model.config.width, model.config.positions) == (2, 8, 49)
    assert model.vocabulary.own_beginning == (0,) == (model.vocabulary.bos,)
    assert "240 sentences" in capsys.readouterr().out
    single = [len(model.vocabulary.tokens(("The", word)).ids) == 2 for word in WORDS]
    assert all(single)


def test_weights_come_back_as_they_were_written(options):
    config = read_config(script.fields(options), "config.json")
    params = jax.tree.map(
        lambda leaf: leaf + jax.random.normal(jax.random.key(leaf.size), leaf.shape),
        script.first_params(0, config),
    )
    made = subwords.make_tokenizer(SENTENCES, options.tokens, ())
    options.out.mkdir()
    script.write(options, made, params)
    again = load_model(options.out).params
    jax.tree.map(
        lambda one, other: np.testing.assert_array_equal(np.float16(one), np.float16(other)),
        params, again,
    )  # fmt: skip


def test_a_run_that_was_stopped_ends_with_the_same_weights(options, tmp_path, monkeypatch):
    script.work(options)
    other = dataclasses.replace(options, out=tmp_path / "other")
    batches, endless = [], script.endless

    def stops(*args):
        for some in endless(*args):
            if len(batches) == 4:
                raise KeyboardInterrupt
            batches.append(some)
            yield some

    with monkeypatch.context() as patch:
        patch.setattr(script, "endless", stops)
        with pytest.raises(KeyboardInterrupt):
            script.work(other)
    script.work(other)
    jax.tree.map(
        np.testing.assert_array_equal, load_model(options.out).params, load_model(other.out).params
    )
    with pytest.raises(RunFolderError, match="made with other settings"):
        script.work(dataclasses.replace(other, width=4))


def test_a_loss_that_is_not_finite_ends_the_run(options):
    with pytest.raises(OptionError, match=r"^--learning-rate: .* stopped at update"):
        script.work(dataclasses.replace(options, learning_rate=1e6, warmup=0))


def test_perplexity_against_one_sentence_after_the_other(options):
    config = read_config(script.fields(options), "config.json")
    params = script.first_params(1, config)
    sentences = [[5, 6, 7], [8], list(range(9, 9 + LENGTHS[1]))]
    rows = Rows(np.concatenate(sentences), np.cumsum([0, *map(len, sentences)]))
    losses = []
    for sentence in sentences:
        tokens = jnp.array([[0, *sentence, 0]])
        state, _ = read(params, config, tokens[:, :-1])
        log_p = jax.nn.log_softmax(logits(params, config, state))[0]
        losses += [-log_p[i, token] for i, token in enumerate(tokens[0, 1:])]
    expected = np.exp(np.mean(losses))
    np.testing.assert_allclose(script.perplexity(params, config, rows), expected, rtol=1e-5)


def test_an_epoch_reads_every_sentence_once():
    lengths = np.random.default_rng(0).integers(0, 60, 500)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = Rows(np.arange(starts[-1]) + 1, starts)
    expected = [[*rows.tokens[a:b], 0][: LENGTHS[-1]] for a, b in itertools.pairwise(starts)]
    read, shapes = [], set()
    for some in subwords.batches(np.random.default_rng(1), rows, 2 * LENGTHS[-1]):
        shapes.add(some.weights.shape)
        for row, weights in zip(some.tokens, some.weights, strict=True):
            assert row[0] == 0
            assert np.all(np.diff(weights) <= 0)
            if weights[0]:
                read.append(row[1 : 1 + int(weights.sum())].tolist())
    assert sorted(read) == sorted(expected)
    assert shapes == {(2 * LENGTHS[-1] // length, length) for length in LENGTHS}
