"""The documentation's GRU: what a search finds in it, against every set of units."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import doc_examples

from jaxmask import search
from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective, Outcome

gru = doc_examples.load("gru_objective")
SIZE = 2  # units of a set
CONFIG = search.SearchConfig(
    alpha=SIZE / gru.HIDDEN, beta=0.25, kl_weight=0.0, kl=NoKL(), steps=100, exchange_rounds=2
)


@pytest.fixture(scope="module")
def params():
    return gru.train(jax.random.key(0))


@pytest.fixture(scope="module")
def objective(params):
    return gru.objective(params, jax.random.key(1), 128)


def test_it_is_an_objective_of_a_model_that_has_learned(objective):
    assert isinstance(objective, Objective)
    tokens, direction = objective.all.tokens, objective.all.direction
    np.testing.assert_array_equal(direction, tokens[:, 0] < 4)  # it prefers the right form
    nothing = jnp.zeros((len(tokens), gru.HIDDEN))
    outcome = objective(Intervention(nothing, nothing), objective.everything())
    assert outcome.kl == 0.0
    assert outcome.weight.sum() == pytest.approx(1.0)
    assert np.all(outcome.log_ratio > 0)  # as "d" is what it prefers


def test_the_outcome_is_that_of_the_definition(params, objective):
    mask = jnp.array([[1.0, 0, 0, 1, 0, 0, 0, 0]] * 2)
    intervention = Intervention(mask, jnp.linspace(-0.9, 0.9, 16).reshape(2, 8))
    batch = jax.tree.map(lambda x: x[:5], objective.everything())
    outcome = objective(intervention.toward(batch.direction), batch)
    assert isinstance(outcome, Outcome)
    kl = []
    for row in range(5):
        tokens, way = batch.tokens[row : row + 1], int(batch.direction[row])
        replace = lambda h, way=way: jnp.where(mask[way] > 0, intervention.baseline[way], h)  # noqa: E731
        p, q = gru.GRU().apply(params, tokens)[0], gru.GRU().apply(params, tokens, replace)[0]
        forms = (gru.SINGULAR, gru.PLURAL)
        expected = q[-1, forms[1 - way]] - q[-1, forms[way]]
        assert float(outcome.log_ratio[row, 0]) == pytest.approx(float(expected), abs=1e-5)
        kl.append((np.exp(p) * (p - q)).sum(axis=1).mean())
    assert outcome.kl == pytest.approx(np.mean(kl), rel=1e-4)


def test_what_is_found_flips_as_much_as_the_best_of_all_sets(params, objective):
    found, _ = jax.jit(search.run)(jax.random.key(2), objective, CONFIG)
    assert found.mask.sum(axis=1).tolist() == [SIZE, SIZE]

    sets = list(itertools.combinations(range(gru.HIDDEN), SIZE))
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=SIZE)))
    masks = np.zeros((len(sets), gru.HIDDEN), np.float32)
    masks[np.arange(len(sets))[:, None], sets] = 1
    values = np.zeros((len(sets), len(signs), gru.HIDDEN), np.float32)
    for row, chosen in enumerate(sets):
        values[row][:, chosen] = signs

    def flipped(mask, value):  # toward each direction, both with the same values
        both = Intervention(jnp.stack([mask, mask]), jnp.stack([value, value]))
        return evaluate(both, objective, NoKL()).accuracy_by_direction

    tried = jax.jit(jax.vmap(jax.vmap(flipped, (None, 0))))(masks, values)
    accuracy = np.asarray(tried).max(axis=1)  # the best values for each direction
    share = np.bincount(objective.all.direction, minlength=2) / len(objective.all.direction)
    best, worst = (accuracy @ share).max(), (accuracy @ share).min()
    assert worst < 0.9  # not every set will do
    assert best > 0.95
    assert evaluate(found, objective, NoKL()).accuracy >= best - 0.02
    held_out = gru.objective(params, jax.random.key(3), 128)
    assert evaluate(found, held_out, NoKL()).accuracy > 0.95
