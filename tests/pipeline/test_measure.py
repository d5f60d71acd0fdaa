"""What is measured is what `evaluate` and the model say of each intervention."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxmask import search
from jaxmask.evaluate import evaluate
from jaxmask.intervention import every_step
from jaxmask.pipeline import measure as module
from jaxmask.pipeline.measure import encode_text, measure
from jaxmask.text import ordinary_text

EVALUATE = jax.jit(evaluate)


@pytest.fixture(scope="module")
def results(searched):
    prepared, plan, found = searched
    return measure(found, prepared, plan)


def of_run(stacked, number):
    return jax.tree.map(lambda x: np.asarray(x)[number], stacked)


@pytest.mark.parametrize("number", [0, 1])
def test_each_run_is_evaluated_on_the_examples_held_out(searched, results, number):
    prepared, plan, found = searched
    one = of_run(found.interventions, number)
    np.testing.assert_array_equal(results.search.interventions.mask[number], one.mask)
    expected = EVALUATE(one, prepared.evaluation_objective)
    for ours, theirs in zip(of_run(results.evaluations, number), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    on_training = EVALUATE(one, prepared.train_objective)
    assert results.train_accuracy[number] == pytest.approx(float(on_training.accuracy), rel=1e-5)
    assert results.train_accuracy[number] != pytest.approx(float(expected.accuracy), rel=1e-5)
    relaxed = jax.tree.map(lambda x: x[number], found.relaxed)
    gap = jax.jit(search.relaxation)(relaxed, prepared.evaluation_objective, plan.config)
    for ours, theirs in zip(of_run(results.relaxations, number), gap, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_kl_on_text_is_the_model_s(searched, results):
    prepared, plan, found = searched
    model, kind = prepared.model, plan.design.kind
    text = encode_text(plan.text.sentences, model)
    once = ordinary_text.random_step(np.random.default_rng(0), text.length)
    assert once.sum(axis=1).tolist() == [1, 1]
    assert set(results.text_kl) == {"every", "random"}
    for name, where in (("every", every_step(text.length)), ("random", once)):
        expected = model.text_kl(found.interventions, text, kind, where, prepared.context)
        np.testing.assert_allclose(results.text_kl[name], expected, rtol=1e-5)
        assert results.text_kl[name].shape == (2, 2)
        assert (results.text_kl[name] > 0).all()
    assert (results.text_kl["every"] != results.text_kl["random"]).any()


def test_without_a_text_there_is_no_kl_on_it(searched, monkeypatch):
    prepared, _, found = searched
    monkeypatch.setattr(module, "encode_text", None)
    assert module._text_kl(found.interventions, prepared, None) == {}


def test_without_rounds_of_exchange_training_examples_are_evaluated(searched, results):
    prepared, plan, found = searched
    short = found._replace(history=found.history._replace(rounds=None))
    for ensemble, how in ((short, plan), (found, plan._replace(prune=True))):
        np.testing.assert_allclose(
            module._train_accuracy(ensemble, prepared, how), results.train_accuracy, rtol=1e-5
        )


def test_nothing_is_done_toward_a_direction_that_had_no_examples(searched):
    prepared, _, found = searched
    only = prepared.train.take(np.flatnonzero(prepared.train.direction == 1))
    one_sided = dataclasses.replace(prepared, train=only)
    kept = module._where_learned(found.interventions, one_sided)
    assert not np.asarray(kept.mask)[:, 0].any()
    np.testing.assert_array_equal(kept.mask[:, 1], found.interventions.mask[:, 1])
    np.testing.assert_array_equal(kept.baseline, found.interventions.baseline)
    both = module._where_learned(found.interventions, prepared)
    np.testing.assert_array_equal(both.mask, found.interventions.mask)


@pytest.mark.parametrize("sentences", [[], [["The"], []]])
def test_a_text_without_words_is_refused(searched, sentences):
    with pytest.raises(ValueError, match="expected"):
        encode_text(sentences, searched.prepared.model)
