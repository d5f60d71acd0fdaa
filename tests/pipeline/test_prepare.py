"""From a task to examples that can be searched: directions, splits, and what can't be used."""

import jax
import numpy as np
import pytest

from jaxmask.intervention import Intervention, Kind
from jaxmask.models import model_folder
from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.pipeline import prepare as module
from jaxmask.pipeline.plan import Design, Split
from jaxmask.pipeline.prepare import SplitError, prepare
from jaxmask.tasks import number_agreement
from jaxmask.text.examples import Stimulus, Task, TaskDataError

DESIGN = Design(split=Split(evaluation=100))


@pytest.fixture(scope="module")
def task():
    task = number_agreement.generate(0)
    return task._replace(stimuli=task.stimuli[::20])


@pytest.fixture(scope="module")
def tiny(model):
    return model_folder.load_model(model)


@pytest.fixture(scope="module")
def prepared(tiny, task):
    return prepare(tiny, task, DESIGN)


def rows(examples):
    """Each example in a form that can be compared."""
    return {
        (tuple(tokens[:length].tolist()), tuple(pair.tolist()), int(direction))
        for tokens, length, pair, direction in zip(
            examples.tokens, examples.length, examples.pair, examples.direction, strict=True
        )
    }


def test_examples_are_turned_away_from_what_the_model_prefers(prepared, tiny):
    examples = prepared.encoded.examples
    context = read_context(tiny.params, tiny.vocabulary.encode(["<eos>"]))
    odds = log_odds(tiny.params, examples, context)
    np.testing.assert_array_equal(examples.direction, (odds > 0).astype(int))
    right = np.where(examples.correct == 0, odds > 0, odds <= 0)
    assert 0 < right.mean() < 1
    assert prepared.model_accuracy == pytest.approx(100 * right.mean())


def test_the_two_parts_are_all_examples(prepared):
    train, held_out = rows(prepared.train), rows(prepared.evaluation)
    assert not train & held_out
    assert train | held_out == rows(prepared.encoded.examples)
    assert (prepared.train.size, prepared.evaluation.size) == (500, 100)
    for part, examples in (("train", prepared.train), ("evaluation", prepared.evaluation)):
        counts = [prepared.examples_toward(direction, part) for direction in (0, 1)]
        assert counts == np.bincount(examples.direction, minlength=2).tolist()
        assert all(counts)


def test_objectives_are_those_of_the_parts(prepared):
    assert prepared.train_objective is prepared.train_objective  # built once
    for objective, examples in (
        (prepared.train_objective, prepared.train),
        (prepared.evaluation_objective, prepared.evaluation),
    ):
        everything = objective.everything()
        nothing = Intervention(*jax.numpy.zeros((2, len(everything.direction), 12)))
        untouched = jax.jit(lambda *of: of[0](*of[1:]))(objective, nothing, everything)
        assert objective.n_units == prepared.site.units == 12
        shares = np.bincount(np.asarray(everything.direction), untouched.weight.sum(axis=1), 2)
        expected = np.bincount(examples.direction, minlength=2) / examples.size
        np.testing.assert_allclose(shares, expected, rtol=1e-5)
        assert (np.asarray(untouched.log_ratio)[np.asarray(untouched.weight) > 0] >= 0).all()
        assert float(untouched.kl) == pytest.approx(0.0, abs=1e-6)


def test_designs_decide_the_examples(tiny, task):
    word = prepare(tiny, task, Design(split=Split(100, "word")))
    subjects = [
        {int(tokens[place]) for tokens, place in zip(part.tokens, part.position, strict=True)}
        for part in (word.train, word.evaluation)
    ]
    assert not subjects[0] & subjects[1]
    first, again, other = (
        rows(prepare(tiny, task, Design(split=Split(100, seed=seed))).evaluation)
        for seed in (0, 0, 1)
    )
    assert first == again != other
    none = prepare(tiny, task, DESIGN._replace(context="none")).context
    assert all(not leaf.any() for leaf in jax.tree.leaves(none))


@pytest.mark.parametrize("by", ["example", "word", "group"])
def test_a_development_part_leaves_the_evaluation_part_unread(tiny, task, by):
    """It is taken from what the search would have used, and shares no word or construction."""
    usual = prepare(tiny, task, Design(split=Split(100, by)))
    tuned = prepare(tiny, task, Design(split=Split(100, by, development=50)))
    assert rows(tuned.train) | rows(tuned.evaluation) == rows(usual.train)
    assert not rows(tuned.train) & rows(tuned.evaluation)
    assert tuned.train.size + tuned.evaluation.size == usual.train.size
    assert tuned.evaluation.size == 50 if by == "example" else tuned.evaluation.size >= 50
    of_parts = [
        set(part.group.tolist() if by == "group" else words_at(part))
        for part in (tuned.train, tuned.evaluation)
    ]
    assert by == "example" or not of_parts[0] & of_parts[1]
    as_many = prepare(tiny, task, Design(split=Split(100, by, development=None)))
    assert as_many.evaluation.size >= 100


def words_at(part):
    return [int(row[place]) for row, place in zip(part.tokens, part.position, strict=True)]


def test_without_right_forms_no_accuracy_is_known(tiny, task):
    unknown = task._replace(stimuli=[one._replace(correct=-1) for one in task.stimuli])
    assert prepare(tiny, unknown, DESIGN).model_accuracy is None


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(600), "^evaluation: expected 1 to 599 of 600 examples"),
        (Split(0), "^evaluation: expected 1 to 599 of 600 examples, found 1000$"),
        (Split(599, "word"), "^evaluation: .* leaves no examples to train"),
        (Split(100, development=500), "^development: expected 1 to 499 of 500 examples, found 500"),
        (
            Split(300, development=None),
            "^development: expected 1 to 299 of 300 examples, found 300",
        ),
    ],
)
def test_a_part_without_examples_is_refused_before_any_computation(
    tiny, task, split, message, monkeypatch
):
    def computed(*_):
        raise AssertionError

    monkeypatch.setattr(module.examples, "directed", computed)
    monkeypatch.setattr(type(tiny), "read_context", computed)
    with pytest.raises(SplitError, match=message):
        prepare(tiny, task, Design(split=split))


def test_a_task_without_known_words_is_refused(tiny):
    strange = Task("mine", ("a", "b"), [Stimulus(("The",), 0, ("zyx", "xyz"), 0, "all")])
    with pytest.raises(TaskDataError, match="not in the vocabulary: xyz, zyx"):
        prepare(tiny, strange, Design())


def test_a_site_that_the_model_does_not_have_is_refused(tiny, task):
    with pytest.raises(ModelError, match=r"tiny: site: expected hidden or .*, found 'mlp'"):
        prepare(tiny, task, DESIGN._replace(kind=Kind("mlp")))


def test_what_a_model_can_not_tell_is_an_error(tiny):
    """Finite weights, of which logits overflow."""
    params = jax.tree.map(lambda leaf: leaf, tiny.params)
    params["decoder"]["weight"] = 3e38 * jax.numpy.sign(params["decoder"]["weight"])
    broken = tiny._replace(params=params)
    task = number_agreement.generate(0)
    with pytest.raises(ModelError, match=r"tiny: expected finite log-odds .* NaN or infinity for"):
        prepare(broken, task, Design())


def test_constructions_are_held_out_as_a_whole(task, model):
    tiny = model_folder.load_model(model)
    prepared = prepare(tiny, task, Design(split=Split(evaluation=100, by="group")))
    held_out, trained = set(prepared.evaluation.group), set(prepared.train.group)
    assert held_out
    assert trained
    assert not held_out & trained
    assert prepared.evaluation.size >= 100
