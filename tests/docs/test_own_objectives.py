"""The objectives in Flax NNX and Equinox of the guide: what they say, and what a search finds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import doc_examples

from jaxmask import check_objective, search
from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL

CONFIG = search.SearchConfig(alpha=0.2, beta=0.2, kl_weight=0.1, steps=100)


def of_nnx():
    example = doc_examples.load("nnx_objective")
    model = example.train()

    def log_probs(tokens, replaced):
        given = jnp.asarray(tokens)[None]
        change = lambda hidden: jnp.where(replaced[0], replaced[1], hidden)  # noqa: E731
        return model(given, change)[0][0][None]

    return example.objective(model), log_probs


def of_equinox():
    pytest.importorskip("equinox")
    example = doc_examples.load("equinox_objective")
    model = example.train(jax.random.key(0))

    def log_probs(tokens, replaced):
        return model(tokens, lambda state: jnp.where(replaced[0], replaced[1], state))

    return example.objective(model), log_probs


@pytest.fixture(scope="module", params=[of_nnx, of_equinox])
def case(request):
    """An objective, and the log-probabilities of one sentence with some units replaced."""
    return request.param()


def test_it_is_an_objective_of_a_model_that_has_learned(case):
    objective, _ = case
    check_objective(objective, jax.random.key(0))
    tokens, direction = objective.all.tokens, objective.all.direction
    np.testing.assert_array_equal(direction, tokens[:, 0] < 4)  # it prefers the right form


def test_the_outcome_is_that_of_the_definition(case):
    objective, log_probs = case
    random = np.random.default_rng(0)
    mask = np.zeros((2, objective.n_units), np.float32)
    mask[:, [1, 4]] = 1.0
    places = random.uniform(-1, 1, mask.shape).astype(np.float32)
    rows = np.array([3, 60, 100])
    batch = jax.tree.map(lambda x: x[rows], objective.everything())
    given = Intervention(jnp.asarray(mask), jnp.asarray(places)).toward(batch.direction)
    outcome = objective(given, batch)
    low, high = (np.asarray(end) for end in objective.value_range)
    own = low + (high - low) * (places + 1) / 2
    kl = []
    for row in range(3):
        way = int(batch.direction[row])
        q = log_probs(batch.tokens[row], (mask[way] > 0, own[way]))
        p = log_probs(batch.tokens[row], (np.zeros_like(mask[way]) > 0, own[way]))
        expected = float(q[-1, 13 - way] - q[-1, 12 + way])
        assert float(outcome.log_ratio[row, 0]) == pytest.approx(expected, abs=1e-5)
        kl.append(float((np.exp(p) * (p - q)).sum(axis=-1).mean()))
    assert float(outcome.kl) == pytest.approx(np.mean(kl), rel=1e-4)
    assert objective(given, batch, kl=NoKL()).kl == 0.0


def test_a_search_finds_units_that_flip_as_much_as_the_best(case):
    objective, _ = case
    found, _ = jax.jit(search.run)(jax.random.key(1), objective, CONFIG)
    size = int(CONFIG.alpha * objective.n_units)
    assert found.mask.sum(axis=1).max() <= size

    sets = list(itertools.combinations(range(objective.n_units), size))
    masks = np.zeros((len(sets), objective.n_units), np.float32)
    masks[np.arange(len(sets))[:, None], sets] = 1.0
    ends = [np.ones_like(masks)]
    for column in range(size):
        flipped = np.ones_like(masks)
        flipped[np.arange(len(sets)), np.array(sets)[:, column]] = -1.0
        ends += [flipped, -flipped]
    values = np.stack([*ends, -ends[0]], axis=1)

    def accuracy(mask, value):
        both = Intervention(jnp.stack([mask, mask]), jnp.stack([value, value]))
        return evaluate(both, objective, NoKL()).accuracy_by_direction

    tried = np.asarray(jax.jit(jax.vmap(jax.vmap(accuracy, (None, 0))))(masks, values))
    share = np.bincount(objective.all.direction, minlength=2) / len(objective.all.direction)
    best = (tried.max(axis=1) @ share).max()
    assert evaluate(found, objective, NoKL()).accuracy >= best - 0.02 > 0.9


def test_values_of_a_range_of_ones_own():
    objective, _ = of_nnx()
    assert float(objective.value_range.low.min()) == 0.0  # activations of a ReLU
    found, _ = jax.jit(search.run)(jax.random.key(1), objective, CONFIG)
    values = found.within(objective.value_range).baseline[found.mask > 0]
    assert float(values.max()) > 1.0
    assert float(values.min()) >= 0.0
