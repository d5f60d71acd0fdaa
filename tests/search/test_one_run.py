"""The search on a toy whose best set is known, and the contracts of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.objective import LinearObjective, NoKL
from jaxmask.search import SearchConfig
from jaxmask.search.hard_concrete import prob_nonzero

UNITS = 10
QUICK = SearchConfig(alpha=0.3, steps=150, batch_size=24, exchange_rounds=4, exchange_rows=24)

run = jax.jit(search.run)
ensemble = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))


def best(objective, size, directions=(0, 1)):
    """The best set of a size and its smoothed failures, and those of the second best."""
    masks = toy.all_masks(objective.n_units, size)
    scores = toy.failures(objective, masks, toy.good_values(objective), directions)
    order = np.argsort(scores)
    return np.asarray(masks[order[0]]), scores[order[0]], scores[order[1]]


def same_runs(one, other):
    """Equal to float tolerance: interventions, and all that was observed."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_finds_the_best_mask_and_single_runs_equal_vmapped_ones():
    objective = toy.toy(seed=4, units=UNITS)
    mask, score, second = best(objective, 3)
    assert second > score + 0.005  # or which is best is a matter of luck
    keys = jax.random.split(jax.random.key(0), 6)
    found, history = ensemble(keys, objective, QUICK)
    hits = [np.array_equal(one, np.stack([mask, mask])) for one in found.mask]
    assert sum(hits) >= 5
    signs = toy.good_values(objective)
    for one in np.flatnonzero(hits):
        used = mask > 0
        np.testing.assert_array_equal(np.sign(found.baseline[one][:, used]), signs[:, used])
    assert history.steps.loss.shape == (6, QUICK.steps)
    assert history.rounds.loss.shape == (6, QUICK.exchange_rounds)
    single = run(keys[4], objective, QUICK)
    same_runs(single, jax.tree.map(lambda x: x[4], (found, history)))


def test_the_relaxation_alone_finds_it_too():
    """Exchanges refine; they aren't what does the work on an easy problem."""
    objective = toy.toy(seed=1, units=UNITS)
    _, score, _ = best(objective, 3)
    config = QUICK.replace(exchange_rounds=0, steps=400, beta=0.05)
    found, history = ensemble(jax.random.split(jax.random.key(1), 5), objective, config)
    values = toy.good_values(objective)
    scores = toy.failures(objective, found.mask[:, 0], values)
    assert np.median(found.mask[:, 0].sum(axis=1)) in (2, 3)
    everything_masked = toy.failures(objective, jnp.ones((1, UNITS)), values)[0]
    nothing_masked = toy.failures(objective, jnp.zeros((1, UNITS)), values)[0]
    assert everything_masked < score < nothing_masked
    assert np.median(scores) < score + 0.35 * (nothing_masked - score)
    assert history.rounds.loss.shape == (5, 0)


def test_separate_masks_fit_each_direction():
    objective = toy.toy(seed=2, units=UNITS)
    config = QUICK.replace(shared_mask=False, alpha=0.2)
    found, history = ensemble(jax.random.split(jax.random.key(2), 4), objective, config)
    values = toy.good_values(objective)
    np.testing.assert_array_equal(found.mask.sum(axis=2), 2)
    good = 0
    for masks in found.mask:
        for way in (0, 1):
            score = toy.failures(objective, masks[way][None], values, [way])[0]
            good += score < best(objective, 2, [way])[1] + 0.005
    assert good >= 7
    assert np.isfinite(history.steps.loss).all()


def test_a_sweep_of_settings_compiles_once():
    objective = toy.toy(units=UNITS)
    config = QUICK.replace(steps=20, exchange_rounds=2)

    def one(key, alpha, kl_weight, temperature, rate):
        changed = config.replace(
            alpha=alpha, kl_weight=kl_weight, temperature=temperature, value_rate=rate
        )
        return search.run(key, objective, changed)

    sweep = jax.jit(jax.vmap(jax.vmap(one, (0, None, None, None, None)), (None, 0, 0, 0, 0)))
    keys = jax.random.split(jax.random.key(0), 3)
    ones = jnp.ones(2)
    before = len(toy.calls)
    found, _ = sweep(keys, jnp.array([0.1, 0.5]), ones, 0.3 * ones, 0.1 * ones)
    traced = len(toy.calls)
    assert traced - before < 20  # not once a step, a seed or an alpha
    again, _ = sweep(keys, jnp.array([0.2, 0.9]), 0 * ones, 0.5 * ones, 0.2 * ones)
    assert len(toy.calls) == traced
    assert sweep._cache_size() == 1
    np.testing.assert_array_equal(found.mask.sum(axis=3)[:, :, 0], [[1] * 3, [5] * 3])
    np.testing.assert_array_equal(again.mask.sum(axis=3)[:, :, 0], [[2] * 3, [9] * 3])


def test_the_papers_settings_run():
    objective = toy.toy(units=UNITS, cost=0.01)
    config = SearchConfig(**{**search.PAPER, "steps": 60}, alpha=0.3)
    found, history = run(jax.random.key(0), objective, config)
    target = np.asarray(history.steps.target)
    np.testing.assert_allclose(target, 0.3 * UNITS, rtol=1e-5)  # from the first step on
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((found, history)))
    assert set(np.unique(found.mask)) <= {0.0, 1.0}


def test_the_target_shrinks_geometrically_and_stays():
    objective = toy.toy(units=UNITS)
    config = QUICK.replace(alpha=0.01, initial_alpha=0.16, warmup=0.5, steps=80, exchange_rounds=0)
    _, history = run(jax.random.key(0), objective, config)
    target = history.steps.target / UNITS
    np.testing.assert_allclose(target[np.array([9, 19, 29])], [0.08, 0.04, 0.02], rtol=1e-5)
    np.testing.assert_allclose(target[39:], 0.01, rtol=1e-5)
    # The first step starts from where the target does.
    np.testing.assert_allclose(history.steps.expected_l0[0], history.steps.target[0], rtol=1e-3)


def test_separate_masks_have_locations_of_their_own():
    objective = toy.toy(units=UNITS)
    for shared, rows in ((True, 1), (False, 2)):
        state = search.init(jax.random.key(0), objective, QUICK.replace(shared_mask=shared))
        assert state.params["location"].shape == (rows, UNITS)


def test_steps_carry_all_that_a_run_needs():
    """A run is its steps, one after another; and without a KL none is observed."""
    objective = toy.toy(units=UNITS, cost=0.1)
    config = QUICK.replace(steps=3, exchange_rounds=1, kl=NoKL())
    expected, history = run(jax.random.key(3), objective, config)
    state = search.init(jax.random.key(3), objective, config)
    one_step, one_round = jax.jit(search.step), jax.jit(search.refine)
    for count in range(3):
        state, info = one_step(state, objective, config)
        np.testing.assert_allclose(info.loss, history.steps.loss[count], rtol=1e-4)
    hard, _ = one_round(search.harden(state, config), objective, config)
    same_runs(search.found(hard), expected)
    np.testing.assert_array_equal(history.steps.kl, 0.0)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3, 0.7, 1.0])
def test_the_hard_mask_holds_the_most_open_gates(alpha):
    location = jax.random.normal(jax.random.key(0), (2, UNITS)) - 3
    state = search.init(jax.random.key(0), toy.toy(units=UNITS), QUICK)
    state = state._replace(params=state.params | {"location": location})
    hard = search.harden(state, QUICK.replace(alpha=alpha))
    size = max(1, round(alpha * UNITS))
    for mask, row in zip(hard.hard.mask, location, strict=True):
        assert mask.sum() == size
        assert row[mask > 0].min() >= np.max(row[mask == 0], initial=-np.inf)
    paper = search.harden(state, QUICK.replace(alpha=alpha, exchange_rounds=0))
    np.testing.assert_array_equal(paper.hard.mask, location > 0)


def test_observes_expected_and_hard_units():
    objective = toy.toy(units=UNITS)
    state = search.init(jax.random.key(0), objective, QUICK)
    location = state.params["location"]
    after, info = jax.jit(search.step)(state, objective, QUICK)
    nonzero = prob_nonzero(location, QUICK.temperature, QUICK.support).sum()
    np.testing.assert_allclose(info.expected_l0, nonzero, rtol=1e-5)
    np.testing.assert_allclose(info.hard_units, (after.params["location"] > 0).sum())
    assert info.multiplier >= 0
    assert int(after.step) == 1


@pytest.mark.parametrize("change", [
    {"batches": "independent"}, {"gates": "batch"},
    {"initial_location": 0.0},
], ids=str)  # fmt: skip
def test_other_batches_gates_and_starts_find_it_too(change):
    objective = toy.toy(seed=4, units=UNITS)
    _, score, _ = best(objective, 3)
    found, _ = ensemble(jax.random.split(jax.random.key(0), 4), objective, QUICK.replace(**change))
    values = toy.good_values(objective)
    scores = toy.failures(objective, found.mask[:, 0], values)
    assert np.mean(scores < score + 0.05) >= 0.5


def gates_of_a_batch(config):
    """The gates of a step's batch, row by row, and the directions of its rows."""
    seen = []

    class Watched(LinearObjective):
        def __call__(self, intervention, batch, key=None, kl=None):
            jax.debug.callback(lambda *x: seen.append(x), intervention.mask, batch.direction)
            return super().__call__(intervention, batch, key, kl)

    direction = jnp.arange(24) % 2
    objective = Watched(jnp.ones((24, UNITS)), direction)
    state = search.init(jax.random.key(0), objective, config)
    search.step(state, objective, config)
    jax.effects_barrier()
    return seen[0]


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_has_one_sample_of_the_gates_or_one_a_sentence(shared):
    config = QUICK.replace(initial_location=0.0, shared_mask=shared)
    each, _ = gates_of_a_batch(config)
    assert len(np.unique(each, axis=0)) == 24
    same, direction = gates_of_a_batch(config.replace(gates="batch"))
    assert len(np.unique(same, axis=0)) == (1 if shared else 2)
    for side in (0, 1):
        assert len(np.unique(same[direction == side], axis=0)) == 1


def test_gates_begin_where_they_are_told_to():
    objective = toy.toy(seed=4, units=UNITS)
    for location in (0.0, -1.5):
        state = search.init(jax.random.key(0), objective, QUICK.replace(initial_location=location))
        assert (state.params["location"] == location).all()
    bounded = QUICK.replace(initial_location=9.0)
    state = search.init(jax.random.key(0), objective, bounded)
    assert (state.params["location"] == bounded.highest).all()
    with pytest.raises(ValueError, match=r"initial_location: expected .* found nan"):
        search.init(jax.random.key(0), objective, QUICK.replace(initial_location=float("nan")))


def test_an_objective_that_draws_in_one_way_only_is_named():
    class Own(LinearObjective):
        def sample(self, key, size):
            return super().sample(key, size)

    objective = Own(jnp.ones((4, UNITS)), jnp.arange(4) % 2)
    config = QUICK.replace(batches="independent")
    state = search.init(jax.random.key(0), objective, config)
    with pytest.raises(ValueError, match=r"^batches: expected 'even', as sample"):
        search.step(state, objective, config)
