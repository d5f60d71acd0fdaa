"""REINFORCE's gradient against the exact expectation over all masks, and a run on a toy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.baselines import reinforce
from jaxmask.baselines.reinforce import Averages, ReinforceConfig
from jaxmask.intervention import Intervention, to_baseline
from jaxmask.search import losses

UNITS = 4
DEAR = ReinforceConfig(kl_weight=20.0)  # so that the KL is as large as the rest
QUICK = ReinforceConfig(alpha=0.3, steps=600, batch_size=24)

run = jax.jit(reinforce.run)
ensemble = jax.jit(jax.vmap(reinforce.run, in_axes=(0, None, None)))


@pytest.fixture(scope="module")
def small():
    """An objective of 16 masks, and parameters under which all of them occur."""
    objective = toy.toy(seed=3, units=UNITS, rows=10, cost=0.2)
    random = np.random.default_rng(0)
    location = jnp.asarray(random.normal(size=UNITS), jnp.float32)
    return objective, location, jnp.asarray(random.normal(size=(2, UNITS)), jnp.float32)


def expected_loss(location, values, objective):
    """The mean of the loss over all masks, with their probabilities."""
    batch = objective.everything()
    masks = jnp.array(list(itertools.product((0.0, 1.0), repeat=UNITS)))
    probability = jnp.prod(
        jnp.where(masks > 0, jax.nn.sigmoid(location), jax.nn.sigmoid(-location)), axis=1
    )

    def loss(mask):
        intervention = Intervention(jnp.stack([mask, mask]), to_baseline(values))
        outcome = objective(intervention.toward(batch.direction), batch)
        share = jax.nn.sigmoid(outcome.log_ratio) / jax.nn.sigmoid(losses.TYPICAL_LOG_RATIO)
        return (share * outcome.weight).sum() + 20.0 / np.exp(3.0) * outcome.kl

    return probability @ jax.vmap(loss)(masks)


def estimates(objective, location, values, averages, count=20_000):
    """Many estimates of the gradient in gamma and in the values, flattened."""

    def one(key):
        batch = objective.everything()
        params = {"location": location, "values": values}
        found, _ = reinforce.gradient(key, params, averages, objective, batch, DEAR)
        return jnp.concatenate([found["location"], found["values"].reshape(-1)])

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), count)))


@pytest.mark.parametrize(("loss", "kl"), [((0.0, 0.0), 0.0), ((0.5, 0.6), 0.2), ((0.1, 1.0), 0.5)])
def test_the_gradient_is_that_of_the_expectation_whatever_the_baseline(small, loss, kl):
    objective, location, values = small
    of_location, of_values = jax.grad(expected_loss, (0, 1))(location, values, objective)
    exact = np.concatenate([of_location, of_values.reshape(-1)])
    found = estimates(objective, location, values, Averages(jnp.array(loss), jnp.array(kl)))
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - exact) < 4.5 * error + 1e-6)
    # The test has the power to tell: the gradient is many errors away from 0.
    assert np.abs(exact[:UNITS] / error[:UNITS]).max() > 5


def test_the_average_loss_is_a_good_baseline(small):
    objective, location, values = small
    batch = objective.everything()
    keys = jax.random.split(jax.random.key(0), 500)
    none = Averages(jnp.zeros(2), jnp.zeros(()))
    params = {"location": location, "values": values}
    observed = jax.vmap(
        lambda key: reinforce.gradient(key, params, none, objective, batch, DEAR)[1].averages
    )(keys)
    average = jax.tree.map(lambda x: x.mean(axis=0), observed)

    def variance(averages):
        return estimates(objective, location, values, averages, 2000)[:, :UNITS].var(axis=0).sum()

    assert variance(none._replace(kl=average.kl)) < 0.9 * variance(none)
    assert variance(average) < 0.9 * variance(none._replace(kl=average.kl))


def test_averages_follow_what_steps_observe(small):
    objective = small[0].replace(direction=jnp.zeros(10, jnp.int32))
    state = reinforce.init(jax.random.key(0), objective, QUICK)
    batch_key, key = jax.random.split(state.key, 3)[1:]
    batch = objective.sample(batch_key, QUICK.batch_size)
    _, observed = reinforce.gradient(key, state.params, state.averages, objective, batch, QUICK)
    observed = observed.averages
    after, _ = reinforce.step(state, objective, QUICK)
    np.testing.assert_allclose(after.averages.loss[0], 0.9 + 0.1 * observed.loss[0], rtol=1e-5)
    np.testing.assert_allclose(after.averages.loss[1], 1.0, rtol=1e-6)  # a direction without rows
    np.testing.assert_allclose(after.averages.kl, 0.1 * observed.kl, rtol=1e-5)


def test_finds_a_good_mask_and_single_runs_equal_vmapped_ones():
    objective = toy.toy(seed=4)
    values = toy.good_values(objective)
    scores = toy.failures(objective, toy.all_masks(10, 3), values)
    keys = jax.random.split(jax.random.key(0), 6)
    found, history = ensemble(keys, objective, QUICK)
    assert np.all(found.mask[:, 0] == found.mask[:, 1])
    assert np.all(found.mask[:, 0].sum(axis=1) <= 3)
    reached = toy.failures(objective, found.mask[:, 0], values)
    assert np.median(reached) < np.quantile(scores, 0.1)
    assert history.loss.shape == (6, QUICK.steps)
    single = run(keys[4], objective, QUICK)
    several = jax.tree.map(lambda x: x[4], (found, history))
    for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_a_sweep_of_settings_compiles_once():
    objective = toy.toy()

    def one(alpha, rate):
        config = QUICK.replace(steps=20, alpha=alpha, location_rate=rate)
        return reinforce.run(jax.random.key(0), objective, config)

    before = len(toy.calls)
    _, history = jax.jit(jax.vmap(one))(jnp.array([0.1, 0.3, 0.5]), jnp.array([0.01, 0.1, 0.1]))
    assert len(toy.calls) - before < 10
    np.testing.assert_allclose(history.target[:, -1], [1.0, 3.0, 5.0], rtol=1e-5)


def test_steps_carry_all_that_a_run_needs():
    objective = toy.toy(cost=0.1)
    config = QUICK.replace(steps=3)
    expected, history = run(jax.random.key(3), objective, config)
    state = reinforce.init(jax.random.key(3), objective, config)
    np.testing.assert_allclose(
        jax.nn.sigmoid(state.params["location"]).mean() * 10, history.target[0], rtol=1e-3
    )
    one_step = jax.jit(reinforce.step)
    for count in range(3):
        state, info = one_step(state, objective, config)
        np.testing.assert_allclose(info.loss, history.loss[count], rtol=1e-4)
    found = reinforce.found(state, config)
    np.testing.assert_allclose(found.mask, expected.mask)
    np.testing.assert_allclose(found.baseline, expected.baseline, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.1, 0.35, 1.0])
def test_the_hard_mask_holds_likely_units_within_the_budget(alpha):
    location = jnp.array([2.0, -1.0, 0.5, 3.0, -0.1, 1.0, -4.0, 0.1, 0.2, 2.5])
    config = QUICK.replace(alpha=alpha)
    mask = np.asarray(reinforce.hard_mask(location, config))
    assert mask.sum() == min(search.budget(10, alpha), 7)
    assert np.all(location[mask > 0] > 0)
    assert location[mask > 0].min() >= np.sort(location[location > 0])[::-1][int(mask.sum()) - 1]
