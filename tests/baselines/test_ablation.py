"""Single-unit ablation against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model, toy

from jaxmask.baselines import ablation, random_masks
from jaxmask.baselines.ablation import Effects
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.models.lstm import objective
from jaxmask.models.lstm.network import LSTMState
from jaxmask.objective import NoKL
from jaxmask.search import masks

CONFIG = SelectionConfig(alpha=0.3, rows=24, refit_steps=60, batch_size=24)


def language_model(places):
    examples = small_model.examples()
    where = small_model.places(places, examples)
    context = LSTMState(jnp.zeros(8), jnp.zeros(8))
    return objective.build(small_model.model(), examples, where, context)


def loop(objective, batch):
    """(fraction flipped, mean log-ratio) with each unit at 0, then with none."""
    found = []
    shape = 2, objective.n_units
    respond = jax.jit(lambda change: objective(change.toward(batch.direction), batch, None, NoKL()))
    for unit in [*range(objective.n_units), None]:
        mask = np.zeros(shape, np.float32)
        if unit is not None:
            mask[:, unit] = 1
        outcome = respond(Intervention(jnp.asarray(mask), jnp.zeros(shape)))
        log_ratio, weight = np.asarray(outcome.log_ratio), np.asarray(outcome.weight)
        found.append((weight[log_ratio < 0].sum(), (weight * log_ratio).sum()))
    return np.array(found).T


@pytest.mark.parametrize("chunk", [3, 100])
@pytest.mark.parametrize("kind", ["toy", "single", "every"])
def test_is_what_a_plain_loop_gives(monkeypatch, kind, chunk):
    monkeypatch.setattr(ablation, "CHUNK", chunk)
    tried = toy.toy(seed=2) if kind == "toy" else language_model(kind)
    tried = tried.replace(margin=tried.margin - 1.5) if kind == "toy" else tried
    batch = tried.sample(jax.random.key(0), 20)
    found = jax.jit(lambda *x: ablation.effects(*x))(tried, batch)
    flipped, log_ratio = loop(tried, batch)
    assert len(set(np.round(log_ratio, 3).tolist())) > 4
    assert flipped.max() > 0
    np.testing.assert_allclose(found.flipped, flipped[:-1], atol=1e-5)
    np.testing.assert_allclose(found.change, log_ratio[:-1] - log_ratio[-1], atol=1e-5)
    np.testing.assert_allclose(found.untouched, flipped[-1], atol=1e-5)


def test_ranks_by_flips_then_by_the_fall_of_the_log_ratio():
    effects = Effects(
        jnp.array([0.1, 0.0, 0.0, 0.2, 0.1]), jnp.array([0.5, -0.2, 0.1, 0.3, -0.4]), jnp.zeros(())
    )
    order = np.argsort(-ablation.ranking(effects))
    assert order.tolist() == [3, 4, 0, 1, 2]


def test_zeroes_or_sets_the_first_of_the_ranking():
    objective = toy.toy(seed=2)
    objective = objective.replace(margin=objective.margin - 1.5)
    flipped, log_ratio = loop(objective, objective.everything())
    expected = sorted(range(10), key=lambda unit: (-flipped[unit], log_ratio[unit]))[:3]
    keys = jax.random.split(jax.random.key(0), 2)
    zeroed, _ = jax.jit(jax.vmap(ablation.run, (0, None, None)))(keys, objective, CONFIG)
    learned, _ = jax.jit(jax.vmap(ablation.run_learned, (0, None, None)))(keys, objective, CONFIG)
    np.testing.assert_array_equal(zeroed.baseline, 0.0)
    for found in (zeroed, learned):
        assert found.mask.shape == (2, 2, 10)
        for mask in found.mask.reshape(4, 10):
            assert np.flatnonzero(mask).tolist() == sorted(expected)
    failures = [
        toy.failures(objective, found.mask[0, :1], found.baseline[0])[0]
        for found in (zeroed, learned)
    ]
    assert failures[1] < failures[0] - 0.05


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_the_top_scores(count):
    score = jnp.array([0.5, 2.0, -1.0, 2.0, 0.7])
    expected = np.zeros(5)
    expected[[1, 3, 4, 0, 2][:count]] = 1
    np.testing.assert_array_equal(masks.top(score, count), expected)


def test_random_masks_are_uniform_nested_and_fitted():
    objective = toy.toy()
    quick = CONFIG.replace(refit_steps=1)

    def one(key, alpha):
        return random_masks.run(key, objective, quick.replace(alpha=alpha))[0].mask

    draw = jax.jit(jax.vmap(one, in_axes=(0, None)))
    keys = jax.random.split(jax.random.key(0), 400)
    three, five = draw(keys, 0.3), draw(keys, 0.5)
    np.testing.assert_array_equal(three.sum(axis=2), 3)
    assert np.all(three <= five)
    # Binomial(400, 0.3) has a standard deviation of 9.
    assert np.abs(three[:, 0].sum(axis=0) - 120).max() < 4.5 * 9.2
    found, _ = jax.jit(random_masks.run)(keys[0], objective, CONFIG)
    before = toy.failures(objective, found.mask[:1], jnp.zeros((2, 10)))
    assert toy.failures(objective, found.mask[:1], found.baseline)[0] < before[0]
