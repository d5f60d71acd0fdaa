"""Pruning on objectives where the right answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.toy import good_values, toy

from jaxmask.evaluate import PART, accuracies, accuracies_in_parts, evaluate
from jaxmask.intervention import Intervention, units
from jaxmask.objective import NoKL
from jaxmask.prune import leave_one_out, prune


def whole(objective):
    values = np.asarray(good_values(objective))
    return Intervention(np.ones_like(values), values)


def judged(found, objective):
    found = jax.tree.map(jnp.asarray, found)
    return float(evaluate(found, objective, NoKL()).accuracy)


def test_leave_one_out_is_the_accuracy_of_every_set_without_a_unit():
    objective = toy()
    found = whole(objective)
    without = leave_one_out(found, objective)
    assert len(without) == objective.n_units
    for unit, accuracy in enumerate(without):
        mask = np.array(found.mask)
        mask[:, unit] = 0
        assert accuracy == judged(Intervention(mask, found.baseline), objective)


@pytest.mark.parametrize("slack", [0.0, 0.1])
def test_what_is_left_is_as_accurate_and_misses_every_unit(slack):
    objective = toy(units=6)
    found = whole(objective)
    pruned = prune(found, objective, slack)
    accuracy = judged(pruned.intervention, objective)
    assert accuracy == pruned.accuracy[-1] >= pruned.accuracy[0] - slack
    assert sorted(units(pruned.intervention.mask) + pruned.removed) == list(range(1, 7))
    left = leave_one_out(pruned.intervention, objective)
    assert (left < pruned.accuracy[0] - slack).all()


def test_pruned_units_are_those_without_effect():
    objective = toy(units=6)
    idle = objective.replace(effect=objective.effect.at[:, np.array([1, 4])].set(0.0))
    assert {2, 5} <= set(prune(whole(objective), idle).removed)


def test_an_empty_set_stays_empty():
    objective = toy(units=3)
    nothing = Intervention(*np.zeros((2, 2, 3), np.float32))
    assert prune(nothing, objective).removed == []
    assert len(leave_one_out(nothing, objective)) == 0


@pytest.mark.parametrize("runs", [1, PART, PART + 1])
def test_parts_give_what_the_whole_stack_does(runs):
    objective = toy()
    stack = jax.tree.map(lambda x: np.stack([x] * runs), whole(objective))
    stack = stack._replace(mask=stack.mask * np.linspace(0, 1, runs)[:, None, None])
    stack = jax.tree.map(lambda x: np.asarray(x, np.float32), stack)
    expected = np.asarray(accuracies(stack, objective))
    np.testing.assert_array_equal(accuracies_in_parts(stack, objective), expected)
