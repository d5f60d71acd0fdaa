"""Examples and their stimuli belong together; flips are those of the objective and of a loop."""

import jax
import numpy as np
import pytest

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL
from jaxmask.trust import sentences, subject


@pytest.mark.parametrize("name", ["single", "every"])
def test_stimuli_are_those_of_the_examples(name, request):
    one = request.getfixturevalue(name)
    vocabulary = one.prepared.model.vocabulary
    assert one.prepared.encoded.dropped.total == 1
    for examples, stimuli in (
        (one.examples, one.stimuli), (one.prepared.train, one.train_stimuli)
    ):  # fmt: skip
        assert examples.size == len(stimuli)
        for row, stimulus in enumerate(stimuli):
            length = examples.length[row]
            assert tuple(examples.tokens[row, :length]) == tuple(vocabulary.encode(stimulus.words))
            assert examples.pair[row].tolist() == list(vocabulary.encode(stimulus.pair))
            assert examples.position[row] == stimulus.position


@pytest.mark.parametrize("name", ["single", "every"])
def test_flips_are_those_of_the_objective(name, request):
    one = request.getfixturevalue(name)
    judged = evaluate(one.found, one.prepared.evaluation_objective, NoKL())
    assert one.flips.mean() == pytest.approx(float(judged.accuracy))
    assert 0 < one.flips.sum() < len(one.flips)


def test_flips_with_values_of_each_example_are_those_of_a_loop(single):
    values = np.random.default_rng(1).uniform(-1, 1, (single.examples.size, 12)).astype(np.float32)
    mask = np.arange(12) % 2 == 0
    found = subject.flips_one_by_one(single.prepared, single.examples, mask, values, single.kind)
    for row, sentence in enumerate(sentences.sample(single, 1000)):
        own = Intervention(mask.astype(np.float32), values[row])
        words = sentence.stimulus.words
        last = sentences.log_probs(single.prepared, sentence, words, own)[-1]
        ratio = sentences.log_ratio(last, single.examples.pair[row], sentence.direction)
        assert found[row] == (ratio < 0)


def test_padding_changes_nothing(every):
    model, prepared = every.prepared.model, every.prepared
    for sentence in sentences.sample(every, 5):
        words = sentence.stimulus.words
        own = jax.tree.map(np.asarray, every.own.toward(sentence.direction))
        expected = model.log_probs(words, every.kind, prepared.context, own, sentence.where)
        found = sentences.log_probs(prepared, sentence, words, own)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert len(words) <= sentence.longest


def test_rows_that_are_read_are_spread_evenly():
    assert subject.evenly_spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    rows = subject.evenly_spread(1000, 10)
    assert len(set(rows)) == 10
    assert set(np.diff(rows)) == {100}
