"""Exchanges on a toy where predictions are exact and all sets can be tried."""

import dataclasses
from collections.abc import Callable

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask.intervention import EDGE, Intervention, to_baseline
from jaxmask.objective import ExactKL, NoKL, SampledKL
from jaxmask.search import exchange


def start(objective, size, masks=1, seed=0):
    """A mask of random units, and small values."""
    keys = jax.random.split(jax.random.key(seed))
    noise = jax.random.uniform(keys[0], (masks, objective.n_units))
    rank = jnp.argsort(jnp.argsort(noise, axis=1), axis=1)
    values = 0.1 * jax.random.normal(keys[1], (2, objective.n_units))
    return (rank < size).astype(jnp.float32), values


def rounds(
    objective,
    mask,
    values,
    count,
    seed=0,
    kl_weight=0.0,
    rows=1000,
    refit_steps=0,
    kl=SampledKL(10),
):
    """States after 1, 2, ... ``count`` rounds, and what was observed."""

    def one(present, key):
        present, info = exchange.round_of_exchange(
            key, jax.random.key(99), present, objective, kl_weight,
            rows=rows, refit_steps=refit_steps, refit_rows=100, kl=kl,
        )  # fmt: skip
        return present, (present.mask, present.values, info)

    keys = jax.random.split(jax.random.key(seed), count)
    return jax.lax.scan(one, exchange.unjudged(mask, values), keys)[1]


rounds_jit = jax.jit(rounds, static_argnames=("count", "rows", "refit_steps"))


def chain(objective, mask, values):
    """One exchange made after the other, on all examples, stacked; the first is the mask itself."""
    batch = objective.everything()
    member = exchange._membership(mask, batch.direction)
    linear = exchange.linearise(mask, to_baseline(values), objective, batch)
    links = [exchange._first(mask, values, linear, member)]
    for _ in range(exchange.TRIES):
        links.append(
            exchange._exchange(links[-1], linear=linear, member=member, direction=batch.direction)
        )
    return member, jax.tree.map(lambda *x: jnp.stack(x), *links)


def exact(objective, mask, values):
    """Smoothed failures of a mask of one or two rows, with given values."""
    batch = objective.everything()
    mask = jnp.broadcast_to(mask, values.shape)
    outcome = objective(Intervention(mask, to_baseline(values)).toward(batch.direction), batch)
    failures = exchange.losses.failure(outcome.log_ratio) * outcome.weight
    return float(failures.sum()), float(outcome.kl)


def failed(objective, mask, values):
    """What `judge` is to say, without KL."""
    return (1 - accuracy(objective, mask, values) + exact(objective, mask, values)[0]) / 2


def accuracy(objective, mask, values):
    batch = objective.everything()
    change = Intervention(jnp.broadcast_to(mask, values.shape), to_baseline(values))
    return float((objective(change.toward(batch.direction), batch).log_ratio[:, 0] < 0).mean())


@pytest.mark.parametrize("masks", [1, 2])
def test_predictions_are_exact_where_the_model_is_linear(masks):
    objective = toy.toy(units=8)
    mask, values = start(objective, 3, masks)
    batch = objective.everything()
    member, links = chain(objective, mask, values)
    assert links.inside.shape == (exchange.TRIES + 1, masks, 8)
    for index in range(exchange.TRIES + 1):
        inside = jnp.broadcast_to(links.inside[index], (2, 8))[batch.direction]
        baseline = to_baseline(links.values[index])[batch.direction]
        outcome = objective(Intervention(inside.astype(jnp.float32), baseline), batch, None, NoKL())
        predicted = (links.log_ratio[index] * member).sum(axis=0)
        np.testing.assert_allclose(predicted, outcome.log_ratio[:, 0], atol=1e-5)


def test_the_first_link_is_the_best_single_exchange():
    """Against all exchanges of one unit for one, each direction with its better sign."""
    objective = toy.toy(units=8)
    mask, values = start(objective, 3)
    _, links = chain(objective, mask, values)
    tried = {}
    for out in np.flatnonzero(mask[0]):
        for into in np.flatnonzero(mask[0] == 0):
            new = mask[0].at[out].set(0).at[into].set(1)
            tried[tuple(new.tolist())] = sum(
                min(
                    toy.failures(
                        objective, new[None], to_baseline(values).at[:, into].set(s), [way]
                    )[0]
                    for s in (-1, 1)
                )
                for way in (0, 1)
            )
    best = min(tried, key=tried.get)
    assert tuple(links.inside[1, 0].astype(float).tolist()) == best


def test_candidates_are_the_units_that_are_best_alone(monkeypatch):
    """With a single candidate on each side, these two are what is exchanged."""
    monkeypatch.setattr(exchange, "CANDIDATES", 1)
    objective = toy.toy(seed=4, units=8)
    mask, values = start(objective, 4)
    values = 3 * values
    _, links = chain(objective, mask, values)

    def score(unit, value, baseline, ways=(0, 1)):
        return toy.failures(objective, mask.at[0, unit].set(value), to_baseline(baseline), ways)[0]

    def after_adding(unit):
        signs = [values.at[:, unit].set(sign * EDGE) for sign in (-1, 1)]
        return sum(min(score(unit, 1, baseline, [way]) for baseline in signs) for way in (0, 1))

    inside = np.asarray(mask[0]) > 0
    out = min(np.flatnonzero(inside), key=lambda unit: score(unit, 0, values))
    into = min(np.flatnonzero(~inside), key=after_adding)
    changed = np.flatnonzero(np.asarray(links.inside[1, 0]) != inside)
    assert set(changed) == {out, into}


@pytest.mark.parametrize("masks", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_a_round_keeps_the_budget_and_never_loses(size, masks):
    """Also where a chain is longer than there are units to take out or to bring in."""
    objective = toy.toy(units=10)
    mask, values = start(objective, size, masks)
    found, found_values, info = rounds_jit(objective, mask, values, count=6)
    assert set(np.unique(found)) <= {0.0, 1.0}
    np.testing.assert_array_equal(found.sum(axis=2), size)
    assert np.abs(found_values).max() <= EDGE
    left = [failed(objective, m, v) for m, v in zip(found, found_values, strict=True)]
    assert (np.diff(left) <= 1e-6).all()
    assert left[-1] < failed(objective, mask, values)
    np.testing.assert_allclose(info.loss, left, atol=1e-5)
    moved = np.abs(np.diff(np.concatenate([mask[None], found]), axis=0)).sum(axis=(1, 2)) / 2
    np.testing.assert_array_equal(info.exchanges, moved)


@pytest.mark.parametrize(
    ("gains", "taken", "tried"),
    [
        ([1, -1, 3, -1, -1, -1], [0, 1, 2], 6),  # 2 is worth 1
        ([-1, -1, 2, -1, -1, -1], [2], 6),  # neither 0 nor 0 with 1 is better: they are left out
        ([1] * 9, range(exchange.TRIES), exchange.TRIES),
        ([0, -1, -1, 9], [], exchange.MISSES),  # what changes nothing is no better
    ],
)
def test_exchanges_are_made_where_they_prove_to_be_better(gains, taken, tried):
    """Of units that come in one after another; unit ``n`` lowers the loss by ``gains[n]``."""
    gains = jnp.asarray(gains, jnp.float32)
    units = len(gains)
    nothing = jnp.zeros((1, units), bool)
    sets = exchange._Sets(nothing, nothing, ~nothing, jnp.zeros((2, units)), jnp.zeros((1, 3)))

    def bring_in_the_next(sets):
        unit = sets.addable[0].argmax()
        return sets._replace(
            inside=sets.inside.at[0, unit].set(True),
            addable=sets.addable.at[0, unit].set(False),
            values=sets.values.at[:, unit].set(exchange.EDGE),
        )

    def loss_of(sets):
        return -(sets.inside @ gains)

    trial = exchange._try_exchanges(sets, loss_of(sets), bring_in_the_next, loss_of)
    expected = np.isin(np.arange(units), list(taken))
    np.testing.assert_array_equal(trial.sets.inside[0], expected)
    np.testing.assert_array_equal(trial.sets.values[1], exchange.EDGE * expected)
    assert trial.tried == tried
    assert trial.loss == -gains[expected].sum()


def test_the_observed_accuracy_and_gain_are_the_true_ones():
    objective = toy.toy(units=10)
    mask, values = start(objective, 3)
    found, found_values, info = rounds_jit(objective, mask, values, count=6)
    accuracies = [accuracy(objective, *state) for state in zip(found, found_values, strict=True)]
    np.testing.assert_allclose(info.accuracy, accuracies, atol=1e-6)
    before = accuracy(objective, mask, values)
    np.testing.assert_allclose(info.gain, np.diff([before, *accuracies]), atol=1e-6)


def test_a_small_sample_proposes_and_all_examples_decide():
    """With a sample of three rows, most proposals are bad; none of them is taken."""
    objective = toy.toy(units=10, rows=60)
    mask, values = start(objective, 4)
    found, found_values, info = rounds_jit(objective, mask, values, count=30, rows=3)
    left = [failed(objective, m, v) for m, v in zip(found, found_values, strict=True)]
    assert (np.diff([failed(objective, mask, values), *left]) <= 1e-6).all()
    np.testing.assert_allclose(info.loss, left, atol=1e-5)
    stood_still = np.asarray(info.exchanges) == 0
    assert stood_still.any()
    assert not stood_still.all()


@flax.struct.dataclass
class Watched(toy.Toy):
    """Tells of which rows it gives a sample, and for how many of its rows it is asked for the KL.

    The latter when it is traced.
    """

    tell: Callable = flax.struct.field(pytree_node=False, default=None)

    def sample(self, key, size):
        batch = super().sample(key, size)
        jax.debug.callback(lambda rows: self.tell(np.asarray(rows)), batch.row)
        return batch

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        self.tell(kl)
        return super().__call__(intervention, batch, key, kl)


def watched(tell):
    plain = toy.toy(rows=20_000)
    return Watched(*(getattr(plain, field.name) for field in dataclasses.fields(plain)), tell)


def test_exchanges_are_tried_on_other_rows_than_they_are_chosen_by():
    told = []
    objective = watched(told.append)
    jax.block_until_ready(rounds(objective, *start(objective, 3), count=1, rows=410))
    jax.effects_barrier()
    chosen_by, tried_on = sorted((x for x in told if isinstance(x, np.ndarray)), key=len)[::-1]
    assert (len(chosen_by), len(tried_on)) == (410, 205)
    assert len(np.intersect1d(chosen_by, tried_on)) < 20


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (NoKL(), {NoKL()}),
        (ExactKL(), {NoKL(), ExactKL()}),
        (SampledKL(10), {NoKL(), *map(SampledKL, (10, 50, 200))}),
    ],
)
def test_the_kl_is_exact_or_from_a_share_of_the_rows(kl, expected):
    """Of 100 that refit, 500 that try and all that judge, as of 2,000; predictions need none."""
    told = []
    objective = watched(told.append)
    rounds(objective, *start(objective, 3), count=1, refit_steps=1, kl=kl)
    assert {x for x in told if not isinstance(x, np.ndarray)} == expected


def test_a_mask_that_rounds_leave_as_it_was_is_settled():
    """It stays as it is, bit for bit, whatever further rounds would propose."""
    objective = toy.toy(units=10)
    mask, values = start(objective, 4)
    idle, seen = 0, []
    for left, moved in zip(*rounds_until_settled(objective, mask, values), strict=True):
        seen.append(left)
        if idle >= exchange.PATIENCE:
            assert not moved
        idle = 0 if moved else idle + 1
    assert idle > exchange.PATIENCE
    assert seen[0] > seen[-1]


def rounds_until_settled(objective, mask, values):
    """The loss after each of 20 rounds, and whether the round changed anything."""
    found, found_values, info = rounds_jit(objective, mask, values, count=20, rows=12)
    before = [mask, *found[:-1]], [values, *found_values[:-1]]
    same = [
        bool((m == a).all() and (v == b).all())
        for m, v, a, b in zip(found, found_values, *before, strict=True)
    ]
    return info.loss.tolist(), [not one for one in same]


def test_runs_side_by_side_are_judged_like_one():
    objective = toy.toy(units=10)
    starts = [start(objective, 3, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *starts)

    def some(mask, values):
        return rounds(objective, mask, values, count=3, rows=12)

    together = jax.jit(jax.vmap(some))(*stacked)
    for number, (mask, values) in enumerate(starts):
        alone = jax.jit(some)(mask, values)
        jax.tree.map(
            lambda a, b, number=number: np.testing.assert_allclose(a[number], b, atol=1e-5),
            together,
            alone,
        )


@pytest.mark.parametrize("size", [1, 3])
def test_rounds_end_where_no_exchange_helps_and_find_the_best_set(size):
    objective = toy.toy(seed=1, units=11)
    values = toy.good_values(objective)
    every = toy.all_masks(11, size)
    scores = toy.failures(objective, every, values)
    reached = []
    for seed in range(5):
        mask, random_values = start(objective, size, seed=seed)
        found, _, _ = rounds_jit(objective, mask, random_values, seed=seed, count=8, refit_steps=80)
        common = np.asarray(every @ found[-1, 0])
        score = scores[common == size].item()
        assert score < scores[common == size - 1].min() + 1e-3  # of all sets one exchange away
        reached.append(score)
    assert min(reached) == scores.min()


def test_separate_masks_are_the_best_of_each_direction():
    objective = toy.toy(seed=2, units=9)
    values = toy.good_values(objective)
    every = toy.all_masks(9, 2)
    mask, random_values = start(objective, 2, masks=2)
    found, _, _ = rounds_jit(objective, mask, random_values, count=8, refit_steps=80)
    for way in (0, 1):
        scores = toy.failures(objective, every, values, [way])
        mine = toy.failures(objective, found[-1][way][None], values, [way])[0]
        assert mine < scores.min() + 0.005
    assert np.any(found[-1][0] != found[-1][1])


def test_the_kl_keeps_expensive_units_out():
    objective = toy.toy(seed=3, units=9)
    mask, values = start(objective, 3)
    cheap, _, _ = rounds_jit(objective, mask, values, count=5)
    dear = objective.replace(cost=jnp.where(cheap[-1, 0] > 0, 1.0, 0.01))
    found, _, _ = rounds_jit(dear, mask, values, count=5, kl_weight=5.0)
    assert np.sum(found[-1] * cheap[-1]) < 3


def test_refitting_lowers_the_loss_and_leaves_units_outside_alone():
    objective = toy.toy(cost=0.05)
    mask, values = start(objective, 4)
    found = exchange.refit(jax.random.key(0), mask, values, objective, 0.3, 30, 100, SampledKL(10))
    before, after = exact(objective, mask, values), exact(objective, mask, found)
    assert after[0] + 0.3 * after[1] < before[0] + 0.3 * before[1] - 0.01
    outside = np.asarray(mask[0]) == 0
    np.testing.assert_array_equal(found[:, outside], values[:, outside])
