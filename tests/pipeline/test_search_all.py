"""All searches of a plan are those of the ensemble."""

import jax
import numpy as np

from jaxmask.pipeline import search_all as search_all_module
from jaxmask.pipeline.search_all import keys
from jaxmask.prune import prune
from jaxmask.runs import ensemble


def test_a_seed_has_the_same_key_whatever_the_number_of_seeds():
    few, many = (jax.random.key_data(keys(count)) for count in (3, 10))
    np.testing.assert_array_equal(few, many[:3])
    assert len({tuple(key) for key in many.tolist()}) == 10


def test_the_searches_are_those_of_the_ensemble_on_the_training_examples(searched):
    prepared, plan, found = searched
    same = ensemble.run(keys(plan.seeds), prepared.train_objective, plan.config)
    for one, other in zip(
        jax.tree.leaves((found.interventions, found.history)),
        jax.tree.leaves((same.interventions, same.history)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert found.history.steps.loss.shape == (2, 50)
    assert found.history.rounds.loss.shape == (2, 2)
    assert found.interventions.mask.sum(axis=2).tolist() == [[3, 3], [3, 3]]


def test_a_pruned_set_has_the_units_that_its_training_accuracy_needs(searched):
    prepared, _, found = searched
    pruned = search_all_module._pruned(found, prepared)
    assert pruned.history is found.history
    for run in range(2):
        one = jax.tree.map(lambda x, run=run: x[run], found.interventions)
        expected = prune(one, prepared.train_objective).intervention
        np.testing.assert_array_equal(pruned.interventions.mask[run], expected.mask)
        np.testing.assert_array_equal(pruned.interventions.baseline[run], expected.baseline)
