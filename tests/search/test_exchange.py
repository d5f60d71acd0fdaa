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
from jaxmask.search import exchange, losses
from jaxmask.search.exchange import ExchangeConfig, RefitConfig
from jaxmask.search.losses import KLTerm


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
    kl_at_most=None,
):
    """States after 1, 2, ... ``count`` rounds, and what was observed."""
    term = KLTerm(jnp.asarray(kl_weight, jnp.float32), kl_at_most)
    refit = RefitConfig(term, refit_steps, 100, kl)
    config = ExchangeConfig(refit, rows)

    def one(present, key):
        present, info = exchange.round_of_exchange(
            key, jax.random.key(99), present, objective, config
        )
        return present, (present.mask, present.values, info)

    keys = jax.random.split(jax.random.key(seed), count)
    return jax.lax.scan(one, exchange.unjudged(mask, values), keys)[1]


rounds_jit = jax.jit(rounds, static_argnames=("count", "rows", "refit_steps"))


def exact(objective, mask, values):
    """Smoothed failures of a mask of one or two rows, with given values."""
    batch = objective.everything()
    mask = jnp.broadcast_to(mask, values.shape)
    outcome = objective(Intervention(mask, to_baseline(values)).toward(batch.direction), batch)
    failures = losses.failure(outcome.log_ratio) * outcome.weight
    return float(failures.sum()), float(outcome.kl)


def failed(objective, mask, values):
    """What `judge` is to say, without KL."""
    return (1 - accuracy(objective, mask, values) + exact(objective, mask, values)[0]) / 2


def accuracy(objective, mask, values):
    batch = objective.everything()
    change = Intervention(jnp.broadcast_to(mask, values.shape), to_baseline(values))
    return float((objective(change.toward(batch.direction), batch).log_ratio[:, 0] < 0).mean())


@pytest.mark.parametrize("masks", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_a_round_keeps_the_budget_and_never_loses(size, masks):
    """Also where a chain is longer than there are units to take out or to bring in."""
    objective = toy.toy(units=10)
    mask, values = toy.start(objective, size, masks)
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


def test_the_observed_accuracy_and_gain_are_the_true_ones():
    objective = toy.toy(units=10)
    mask, values = toy.start(objective, 3)
    found, found_values, info = rounds_jit(objective, mask, values, count=6)
    accuracies = [accuracy(objective, *state) for state in zip(found, found_values, strict=True)]
    np.testing.assert_allclose(info.accuracy, accuracies, atol=1e-6)
    before = accuracy(objective, mask, values)
    np.testing.assert_allclose(info.gain, np.diff([before, *accuracies]), atol=1e-6)


def test_a_small_sample_proposes_and_all_examples_decide():
    """With a sample of three rows, most proposals are bad; none of them is taken."""
    objective = toy.toy(units=10, rows=60)
    mask, values = toy.start(objective, 4)
    found, found_values, info = rounds_jit(objective, mask, values, count=30, rows=3)
    left = [failed(objective, m, v) for m, v in zip(found, found_values, strict=True)]
    assert (np.diff([failed(objective, mask, values), *left]) <= 1e-6).all()
    np.testing.assert_allclose(info.loss, left, atol=1e-5)
    stood_still = np.asarray(info.exchanges) == 0
    assert stood_still.any()
    assert not stood_still.all()


@flax.struct.dataclass
class Watched(toy.Toy):
    """Notes the rows of each sample and, when it is traced, how it is asked for the KL."""

    note: Callable = flax.struct.field(pytree_node=False, default=None)

    def sample(self, key, size):
        batch = super().sample(key, size)
        jax.debug.callback(lambda rows: self.note(np.asarray(rows)), batch.row)
        return batch

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        self.note(kl)
        return super().__call__(intervention, batch, key, kl)


def watched(note):
    plain = toy.toy(rows=20_000)
    return Watched(*(getattr(plain, field.name) for field in dataclasses.fields(plain)), note)


def test_exchanges_are_tried_on_other_rows_than_they_are_chosen_by():
    noted = []
    objective = watched(noted.append)
    jax.block_until_ready(rounds(objective, *toy.start(objective, 3), count=1, rows=410))
    jax.effects_barrier()
    chosen_by, tried_on = sorted((x for x in noted if isinstance(x, np.ndarray)), key=len)[::-1]
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
    noted = []
    objective = watched(noted.append)
    rounds(objective, *toy.start(objective, 3), count=1, refit_steps=1, kl=kl)
    assert {x for x in noted if not isinstance(x, np.ndarray)} == expected


def test_a_mask_that_rounds_leave_as_it_was_is_settled():
    """It stays as it is, bit for bit, whatever further rounds would propose."""
    objective = toy.toy(units=10)
    mask, values = toy.start(objective, 4)
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
    starts = [toy.start(objective, 3, seed=seed) for seed in range(3)]
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


@pytest.mark.parametrize("masks", [1, 2])
def test_runs_are_exchanged_in_turn_or_side_by_side_alike(monkeypatch, masks):
    """As a CPU and as an accelerator take them; some runs settle before others."""
    objective = toy.toy(seed=4, units=10)
    mask, values = toy.start(objective, 3, masks)
    starts = jnp.stack([jnp.roll(mask, shift, axis=1) for shift in range(4)])

    def of_all(starts, values, objective):
        return jax.vmap(lambda mask: rounds(objective, mask, values, 9, rows=24, refit_steps=2))(
            starts
        )

    def of_all_runs(in_turn):
        monkeypatch.setattr(exchange.devices, "runs_in_turn", lambda: in_turn)
        return jax.jit(lambda *args: of_all(*args))(starts, values, objective)

    in_turn, in_turn_values, info = of_all_runs(True)
    side_by_side, side_by_side_values, other_info = of_all_runs(False)
    np.testing.assert_array_equal(side_by_side, in_turn)
    np.testing.assert_allclose(side_by_side_values, in_turn_values, atol=1e-4)
    np.testing.assert_array_equal(other_info.settled, info.settled)
    assert info.settled.any()
    assert not info.settled.all()


@pytest.mark.parametrize("size", [1, 3])
def test_rounds_end_where_no_exchange_helps_and_find_the_best_set(size):
    objective = toy.toy(seed=1, units=11)
    values = toy.good_values(objective)
    every = toy.all_masks(11, size)
    scores = toy.failures(objective, every, values)
    reached = []
    for seed in range(5):
        mask, random_values = toy.start(objective, size, seed=seed)
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
    mask, random_values = toy.start(objective, 2, masks=2)
    found, _, _ = rounds_jit(objective, mask, random_values, count=8, refit_steps=80)
    for way in (0, 1):
        scores = toy.failures(objective, every, values, [way])
        mine = toy.failures(objective, found[-1][way][None], values, [way])[0]
        assert mine < scores.min() + 0.005
    assert np.any(found[-1][0] != found[-1][1])


def test_the_kl_keeps_expensive_units_out():
    objective = toy.toy(seed=3, units=9)
    mask, values = toy.start(objective, 3)
    cheap, _, _ = rounds_jit(objective, mask, values, count=5)
    dear = objective.replace(cost=jnp.where(cheap[-1, 0] > 0, 1.0, 0.01))
    found, _, _ = rounds_jit(dear, mask, values, count=5, kl_weight=5.0)
    assert np.sum(found[-1] * cheap[-1]) < 3


def test_exchanges_keep_the_kl_below_its_limit():
    objective = toy.toy(units=10)
    mask, values = toy.start(objective, 3)
    cheap, _, _ = rounds_jit(objective, mask, values, count=5)
    dear = objective.replace(cost=jnp.where(cheap[-1, 0] > 0, 1.0, 0.01))

    def kl(masks, values):
        return float(exact(dear, masks[-1], values[-1])[1])

    free = kl(*rounds_jit(dear, mask, values, count=5)[:2])
    assert 0.4 * free > kl(*rounds_jit(dear, mask, values, count=5, kl_at_most=0.4 * free)[:2])


def test_refitting_lowers_the_loss_and_leaves_units_outside_alone():
    objective = toy.toy(cost=0.05)
    mask, values = toy.start(objective, 4)
    found = exchange.refit(
        jax.random.key(0), mask, values, objective, RefitConfig(KLTerm(0.3), 30, 100, SampledKL(10))
    )
    before, after = exact(objective, mask, values), exact(objective, mask, found)
    assert after[0] + 0.3 * after[1] < before[0] + 0.3 * before[1] - 0.01
    outside = np.asarray(mask[0]) == 0
    np.testing.assert_array_equal(found[:, outside], values[:, outside])


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_values_that_are_fitted_stay_where_searches_have_them(sign):
    """A unit that is better the further it is replaced ends at the edge, not beyond."""
    objective = toy.toy()
    objective = objective.replace(effect=jnp.full_like(objective.effect, -sign), margin=10.0)
    mask, values = jnp.ones((1, 10)), jnp.full((2, 10), sign * (EDGE - 0.01))
    config = RefitConfig(KLTerm(jnp.zeros(())), 9, 24, NoKL())
    found = exchange.refit(jax.random.key(0), mask, values, objective, config)
    assert np.abs(found).max() <= EDGE
    np.testing.assert_allclose(found, sign * EDGE, atol=0.02)


@pytest.mark.parametrize("masks", [1, 2])
def test_the_kl_counts_once_however_many_masks_there_are(masks):
    objective = toy.toy(cost=0.05)
    mask, values = toy.start(objective, 4, masks)
    config = ExchangeConfig(RefitConfig(KLTerm(jnp.asarray(0.7)), 0, 24, ExactKL()), 24)
    hard = exchange.judge(jax.random.key(0), mask, values, objective, config)
    kl = exact(objective, mask, values)[1]
    assert kl > 0.01
    expected = failed(objective, mask, values) + 0.7 * kl
    np.testing.assert_allclose(hard.loss.sum(), expected, rtol=1e-5)
