"""The activations of found units, read and drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.models import model_folder
from jaxmask.models.lstm.forward import forward
from jaxmask.pipeline.plan import Design, Split
from jaxmask.pipeline.prepare import prepare
from jaxmask.report.figures import found_units
from jaxmask.tasks import number_agreement

UNITS = (2, 5, 7, 8, 12)


@pytest.fixture(scope="module")
def prepared(model):
    design = Design(split=Split(evaluation=100))
    return prepare(model_folder.load_model(model), number_agreement.generate(0), design)


@pytest.fixture(scope="module")
def intervention():
    """One that turns a sentence of each construction; most stay as they are."""
    signs = np.sign(np.random.default_rng(7).uniform(-1, 1, (2, 12)))
    mask = np.isin(np.arange(1, 13), UNITS) * np.ones((2, 1))
    return Intervention(jnp.asarray(mask, jnp.float32), jnp.asarray(signs, jnp.float32))


@pytest.fixture(scope="module")
def reading(prepared, intervention):
    return found_units.read(prepared, intervention)


def test_intervened_states_hold_the_values(reading, prepared, intervention):
    part = prepared.evaluation
    columns = [unit - 1 for unit in UNITS]
    acts = np.arange(part.tokens.shape[1]) == part.position[:, None]
    np.testing.assert_array_equal(reading.where, acts)
    expected = np.asarray(intervention.baseline)[part.direction][:, columns]
    np.testing.assert_allclose(reading.intervened[acts][:, columns], expected, atol=1e-6)
    before = np.arange(part.tokens.shape[1]) < part.position[:, None]
    np.testing.assert_array_equal(reading.original[before], reading.intervened[before])
    assert np.all(np.isnan(reading.original[np.arange(acts.shape[1]) >= part.length[:, None]]))


def test_flips_are_those_that_evaluate_counts(reading, prepared, intervention):
    accuracy = jax.jit(evaluate)(intervention, prepared.evaluation_objective).accuracy
    assert 0 < reading.flipped.mean() < 1
    assert reading.flipped.mean() == pytest.approx(float(accuracy))


def test_states_and_words_are_those_of_one_sentence_read_alone(reading, prepared):
    row = 60
    model, words = prepared.model, reading.sentences[row]
    tokens = jnp.array(model.vocabulary.encode(["<eos>", *words]))
    start = jax.tree.map(jnp.zeros_like, prepared.context)
    logits, state = forward(model.params, start, tokens)
    np.testing.assert_allclose(reading.original[row, len(words) - 1], state.hidden, atol=1e-5)
    preferred, turned = (model.vocabulary.encode([word])[0] for word in reading.pair[row])
    assert logits[-1, preferred] > logits[-1, turned]
    assert reading.toward[row] == ("singular" if reading.pair[row][1].endswith("s") else "plural")


def test_shown_units_are_the_prevalent_then_the_moved(reading, intervention):
    moved = np.abs(reading.intervened - reading.original)[reading.where].mean(axis=0)
    by_movement = sorted(UNITS, key=lambda unit: -moved[unit - 1])
    equal = [{"unit": unit, "prevalence": 100.0} for unit in UNITS]
    assert found_units.shown_units(reading, intervention, equal) == by_movement[:4]
    first = by_movement[-1]
    rest = [{"unit": unit, "prevalence": 50.0} for unit in (*UNITS, 3)]
    rest[UNITS.index(first)]["prevalence"] = 100.0
    shown = found_units.shown_units(reading, intervention, rest)
    assert shown == [first, *by_movement[:3]]


def test_example_flips_and_prefers_a_direction(reading):
    for toward in set(np.array(reading.toward)[reading.flipped]):
        row = found_units.example(reading, lambda group: True, toward)
        assert reading.flipped[row]
        assert reading.toward[row] == toward
    row = found_units.example(reading, lambda group: True, "neither")
    assert row == np.flatnonzero(reading.flipped)[0]
    row = found_units.example(reading, lambda group: group == "adv")
    assert reading.group[row] == "adv"
    assert found_units.example(reading, lambda group: False) is None


def test_example_figure(reading):
    row = found_units.example(reading, lambda group: group == "nounpp")
    figure = found_units.example_figure(reading, row, UNITS[:4])
    shown = [tick.get_text() for tick in figure.axes[-1].get_xticklabels()]
    assert shown == list(reading.sentences[row])
    preferred, turned = reading.pair[row]
    title = figure.get_suptitle()
    assert title == f"“{preferred}” becomes “{turned}” (to {reading.toward[row]})"
    assert (
        "doesn't become"
        in found_units.example_figure(
            reading._replace(flipped=~reading.flipped), row, UNITS[:4]
        ).get_suptitle()
    )


def test_heat_map_has_each_sentence_once_by_direction(reading):
    twice = reading._replace(
        **{
            name: field + field if isinstance(field, tuple) else np.concatenate([field, field])
            for name, field in reading._asdict().items()
            if name not in ("site", "patterns")
        }
    )
    figure = found_units.heat_map_figure(twice, "simple", UNITS[:4])
    left = next(axes for axes in figure.axes if axes.get_images())
    keys = {
        (toward, sentence)
        for toward, sentence, group in zip(
            reading.toward, reading.sentences, reading.group, strict=True
        )
        if group == "simple"
    }
    assert left.get_images()[0].get_array().shape == (len(keys), 2)
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["The", "subject"]
    counts = [int(tick.get_text().split("(")[1].rstrip(")")) for tick in left.get_yticklabels()]
    directions = sorted({toward for toward, _ in keys})
    assert counts == [sum(toward == one for toward, _ in keys) for one in directions]


@pytest.mark.parametrize(
    ("sentences", "pattern", "expected"),
    [
        ([["The", "boy"], ["The", "girl"]], "The SUBJECT VERB", ["The", "subject"]),
        ([["The", "boy"]], "The SUBJECT VERB", ["The", "boy"]),
        ([["The", "cook", "ate", "because"], ["The", "poet", "ate", "because"]],
         "The PROFESSION ate because", ["The", "profession", "ate", "because"]),
        ([["a", "b"], ["c", "b"]], "", ["…", "b"]),
        ([["a", "b"], ["a"]], "", ["a", "…"]),
    ],
)  # fmt: skip
def test_word_labels(sentences, pattern, expected):
    assert found_units.word_labels(sentences, pattern) == expected


def test_the_longest_sentence_may_be_one_to_search_on(model):
    """Held-out sentences that are shorter than all others are read and drawn."""
    task = number_agreement.generate(0)
    short = [s for s in task.stimuli if s.group in ("simple", "adv")][:60]
    (longest,) = [s for s in task.stimuli if s.group == "nounpp_adv"][:1]
    task = task._replace(stimuli=[*short, longest], lines=())
    chosen = next(
        prepared
        for seed in range(20)
        if (prepared := prepare(
            model_folder.load_model(model), task, Design(split=Split(20, seed=seed))
        )).evaluation.length.max() < len(longest.words)
    )  # fmt: skip
    everything = jnp.ones((2, 12), jnp.float32)
    reading = found_units.read(chosen, Intervention(everything, 0.5 * everything))
    assert reading.original.shape[1] == reading.where.shape[1] == chosen.evaluation.length.max()
    group = reading.group[0]
    assert found_units.heat_map_figure(reading, group, [1, 2]) is not None
