"""The fast objective against the naive one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.comparing import equals_naive, scalars
from support.small_model import CONFIG, examples, keys_of, model, places, unpack

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention, Kind, Range
from jaxmask.models import logsumexp, packing, prefix_tree
from jaxmask.models.lstm import naive as naive
from jaxmask.models.lstm import objective
from jaxmask.models.lstm.objective import build
from jaxmask.models.lstm.reading import read_context
from jaxmask.models.packing import pack
from jaxmask.objective import ExactKL, NoKL, SampledKL

TIED = CONFIG._replace(embedding=4, tied=True)
CASES = {
    # name: places, kind, context, model, most strata
    "single": ("single", Kind(), [1], CONFIG, 8),
    "single, all": ("single", Kind(reach="all"), [], CONFIG, 8),
    "every": ("every", Kind(), [], CONFIG, 8),
    "every, all": ("every", Kind(reach="all"), [1], CONFIG, 8),
    "anywhere": ("random", Kind(), [1, 2, 8], TIED, 2),
    "anywhere, all": ("random", Kind(reach="all"), [1], CONFIG, 2),
    "single, cell": ("single", Kind("cell", "time"), [1], CONFIG, 8),
    "anywhere, both, all": ("random", Kind("hidden+cell", "all"), [1], CONFIG, 2),
}
IN_THE_LONG_RUN = {"single, all", "every", "single, cell"}
INTERVENTIONS = 3


@pytest.fixture(autouse=True)
def _small_chunk(monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", 8)


def interventions(rows, units):
    """A few with fractional masks; one row for each of ``rows``."""
    keys = jax.random.split(jax.random.key(7))
    shape = (INTERVENTIONS, rows, units)
    mask = jax.random.uniform(keys[0], shape) ** 2
    return Intervention(mask, jax.random.uniform(keys[1], shape, minval=-1))


def units(config, kind):
    return len(kind.states) * config.units


class Setting:
    """Both objectives for one case."""

    def __init__(self, place, kind, context, config, most_strata):
        self.params = model(config)
        self.examples = examples()
        self.where = places(place, self.examples)
        self.context = read_context(self.params, context)
        self.kind = kind
        widest = 3.0 if kind.site == "cell" else 1.0  # cell states aren't bounded by 1
        low = widest * jax.random.uniform(jax.random.key(5), (units(config, kind),), minval=-1.0)
        self.value_range = Range(low, low + 0.5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(packing, "MOST_STRATA", most_strata)
            self.fast = build(
                self.params, self.examples, self.where, self.context,
                kind=kind,
            ).replace(value_range=self.value_range)  # fmt: skip
        at = {
            entry[:4]: (entry.row, entry.column)
            for entry in unpack(pack(self.examples, self.where))
        }
        self.row, self.column = np.array([at[key] for key in keys_of(self.examples, self.where)]).T

    def naive(self, by_row):
        """The naive response of each example to the intervention of its row."""
        return naive.respond(
            self.params,
            self.examples,
            self.where,
            self.context,
            jax.tree.map(lambda x: x[self.row], by_row).within(self.value_range),
            self.kind,
        )


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if c in IN_THE_LONG_RUN else c for c in CASES],
)
def test_equals_the_naive_objective_in_value_and_gradient(case):
    setting = Setting(*CASES[case])
    rows = len(setting.fast.everything().direction)
    equals_naive(setting, interventions(rows, setting.fast.n_units), log_ratios=1e-4)


def test_strata_are_merged_in_some_cases_only(setting, monkeypatch):
    given = examples()
    monkeypatch.setattr(packing, "MOST_STRATA", CASES["every"][-1])
    packed = pack(given, places("every", given))
    assert len(set(packed.steps.tolist())) == len(packed.strata) == 4
    assert len(set(setting.fast.steps.tolist())) > len(setting.fast.strata) == 2


@pytest.fixture(scope="module")
def setting():
    return Setting(*CASES["anywhere"])


@pytest.mark.parametrize("by_direction", [False, True])
def test_a_sampled_kl_needs_a_key(setting, by_direction):
    batch = setting.fast.everything(by_direction)
    one = jax.tree.map(lambda x: x[0], interventions(len(batch.direction), setting.fast.n_units))
    with pytest.raises(ValueError, match="needs a key"):
        jax.eval_shape(lambda: setting.fast(one, batch, None, SampledKL(2)))


def test_a_mask_of_zeros_changes_nothing(setting):
    everything = setting.fast.everything()
    zeros = jnp.zeros((len(everything.direction), setting.fast.n_units))
    outcome = jax.jit(setting.fast.__class__.__call__)(
        setting.fast, Intervention(zeros, zeros + 0.5), everything
    )
    assert abs(float(outcome.kl)) < 1e-6
    untouched = setting.naive(Intervention(zeros, zeros)).log_ratio
    np.testing.assert_allclose(
        outcome.log_ratio[setting.row, setting.column], untouched, rtol=1e-4, atol=1e-5
    )


def test_repeated_examples_weigh_as_often_as_they_occur(setting):
    """The weights reproduce means over examples, of anything."""
    everything = setting.fast.everything()
    weight = np.zeros(everything.weight.shape)
    np.add.at(weight, (setting.row, setting.column), 1 / setting.examples.size)
    np.testing.assert_allclose(everything.weight, weight, atol=1e-7)


def test_order_of_examples_does_not_matter(setting):
    order = np.random.default_rng(0).permutation(setting.examples.size)
    other = build(
        setting.params, setting.examples.take(order), setting.where[order], setting.context,
        kind=setting.kind,
    ).replace(value_range=setting.value_range)  # fmt: skip
    mask, baseline = jax.tree.map(lambda x: x[0], interventions(2, setting.fast.n_units))

    @jax.jit
    def response(objective):
        batch = objective.everything()
        outcome = objective(Intervention(mask, baseline).toward(batch.direction), batch)
        return scalars(*outcome), jnp.sum(outcome.weight, where=outcome.log_ratio < 0), outcome.kl

    np.testing.assert_allclose(response(setting.fast), response(other), rtol=1e-5)


def test_sampled_batches_and_sampled_kl_are_unbiased(setting):
    one = jax.tree.map(lambda x: x[0], interventions(2, setting.fast.n_units))

    def observe(objective, key):
        sample_key, kl_key = jax.random.split(key)
        batch = objective.sample(sample_key, 12)
        intervention = one.toward(batch.direction)
        sampled = objective(intervention, batch, kl_key, SampledKL(5))
        share = jnp.sum(sampled.weight * jax.nn.sigmoid(sampled.log_ratio))
        none = objective(intervention, batch, None, NoKL()).kl
        return jnp.stack([share, sampled.kl, sampled.kl_elsewhere, sampled.weight.sum(), none])

    @jax.jit
    def exact(objective):
        batch = objective.everything()
        outcome = objective(one.toward(batch.direction), batch)
        share = jnp.sum(outcome.weight * jax.nn.sigmoid(outcome.log_ratio))
        return jnp.stack([share, outcome.kl, outcome.kl_elsewhere])

    keys = jax.random.split(jax.random.key(0), 3000)
    found = np.asarray(jax.jit(jax.vmap(observe, (None, 0)))(setting.fast, keys))
    np.testing.assert_allclose(found[:, 3], 1.0, rtol=1e-5)
    np.testing.assert_array_equal(found[:, 4], 0.0)  # no KL if none is asked for
    error = np.abs(found[:, :3].mean(axis=0) - exact(setting.fast))
    standard_error = found[:, :3].std(axis=0) / np.sqrt(len(keys))
    assert (standard_error > 0).all()
    assert (error < 4 * standard_error).all()


def test_independent_samples_repeat_examples_as_chance_does(setting):
    """The mean number of distinct examples among n of m is m (1 - (1 - 1/m)^n)."""
    fast = setting.fast
    keys = jax.random.split(jax.random.key(5), 400)

    def rows(independent):
        drawn = jax.vmap(lambda key: fast.sample(key, 12, independent).rows)(keys)
        return np.asarray(drawn)

    independent, counts = rows(True), fast.sample(keys[0], 12, independent=True).counts
    before = np.asarray(fast.examples_up_to)
    first, distinct, column = 0, [], 0
    for stratum, count in zip(fast.strata, counts, strict=True):
        of_row = np.diff(before[first : first + stratum.rows], prepend=before[first - 1] if first
                         else 0)  # fmt: skip
        share = of_row / of_row.sum()
        expected = np.sum(1 - (1 - share) ** count)
        part = independent[:, column : column + count]
        found = np.mean([len(set(one.tolist())) for one in part])
        distinct.append((found, expected))
        seen = np.bincount(part.ravel() - first, minlength=stratum.rows) / part.size
        np.testing.assert_allclose(seen, share, atol=0.06)
        first, column = first + stratum.rows, column + count
    found, expected = np.sum(distinct, axis=0)
    assert found == pytest.approx(expected, rel=0.03)
    even = np.mean([len(set(one.tolist())) for one in rows(False)])
    assert even > found + 0.5


def test_samples_are_spread_evenly_over_the_examples(setting):
    """Of a stratum's n rows, the k-th is any of those in the k-th of n equal parts."""
    fast = setting.fast
    keys = jax.random.split(jax.random.key(0), 400)
    batches = jax.jit(jax.vmap(lambda key, fast: fast.sample(key, 12), (0, None)))(keys, fast)
    ends = np.asarray(fast.examples_up_to)
    begins = np.concatenate([[0], ends[:-1]])
    before = place = 0
    for stratum, count in zip(fast.strata, batches.counts, strict=True):
        parts = np.linspace(before, before + stratum.examples, count + 1)
        for k in range(count):
            rows = np.asarray(batches.rows[:, place + k])
            assert (begins[rows] < parts[k + 1]).all()
            assert (ends[rows] > parts[k]).all()
            possible = (begins < parts[k + 1] - 1) & (ends > parts[k] + 1)
            assert set(np.flatnonzero(possible)) <= set(rows.tolist())
        before += stratum.examples
        place += count
    assert max(batches.counts) > 2


def test_a_kl_from_some_entries_of_the_tree_is_unbiased(setting):
    one = jax.tree.map(lambda x: x[:2, 0], interventions(2, setting.fast.n_units))

    def mean_kl(objective, key, kl):
        batch = objective.everything(by_direction=True)
        outcome = objective(one.toward(batch.direction), batch, key, kl)
        return jnp.stack([outcome.kl, outcome.kl_elsewhere])

    keys = jax.random.split(jax.random.key(0), 2000)
    found = jax.jit(jax.vmap(lambda o, key: mean_kl(o, key, SampledKL(5)), (None, 0)))(
        setting.fast, keys
    )
    error = np.abs(found.mean(axis=0) - mean_kl(setting.fast, None, ExactKL()))
    assert (error > 0).all()
    assert (error < 4 * found.std(axis=0) / np.sqrt(len(keys))).all()


def test_rows_for_both_directions_change_nothing_but_shapes(setting):
    given, args = setting.examples, (setting.where, setting.context)
    turned = given._replace(direction=1 - given.direction * (np.arange(given.size) % 3 > 0))
    whole, other = (
        build(
            setting.params,
            x,
            *args,
            kind=setting.kind,
            both_directions=True,
        ).replace(value_range=setting.value_range)
        for x in (given, turned)
    )
    one = jax.tree.map(lambda x: x[0], interventions(2, whole.n_units))
    judge = jax.jit(evaluate)
    for found, expected in zip(judge(one, whole), judge(one, setting.fast), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert float(judge(one, whole).kl) > 0.01
    batch = jax.jit(lambda key, fast: fast.sample(key, 300))(jax.random.key(0), whole)
    assert (np.asarray(batch.weight.sum(axis=1)) > 0).all()  # empty rows are never drawn
    assert (whole.pair_weight.sum(axis=1) == 0).any()
    # What was compiled for a model serves another that prefers other forms.
    before = judge._cache_size()
    judge(one, other)
    assert judge._cache_size() == before


def test_unknown_directions_are_an_error(setting):
    unknown = setting.examples._replace(direction=np.full(setting.examples.size, -1))
    with pytest.raises(ValueError, match="directions"):
        build(setting.params, unknown, setting.where, setting.context)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if c in IN_THE_LONG_RUN else c for c in CASES],
)
def test_what_rows_share_can_be_computed_once(case, monkeypatch):
    """Interventions by direction: the tree of all rows gives what the rows give one by one."""
    monkeypatch.setattr(objective, "_STATES_AT_ONCE", 7)
    fast = Setting(*CASES[case]).fast
    entries, rows = sum(len(level.parent) for level in fast.tree.levels), fast.steps + 1
    assert entries < rows.sum()

    def observe(by_direction, kl):
        batch = fast.everything(by_direction=by_direction)
        mask, baseline = jax.tree.map(lambda x: x[0], interventions(2, fast.n_units))
        given = Intervention(mask, baseline).toward(batch.direction)
        return jax.jit(lambda fast: fast(given, batch, None, kl))(fast)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        observe(True, ExactKL()),
        observe(False, ExactKL()),
    )
    assert float(observe(False, ExactKL()).kl) > 0.01
    assert float(observe(True, NoKL()).kl) == 0.0


def test_a_tree_that_would_be_too_deep_is_not_grown(setting):
    assert prefix_tree.grow(pack(setting.examples, setting.where), 2) is None
    deep = setting.fast.replace(tree=None)
    assert not deep.everything(by_direction=True).as_tree
    assert setting.fast.everything(by_direction=True).as_tree
