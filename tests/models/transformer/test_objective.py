"""The fast objective against the naive one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.comparing import equals_naive
from support.small_model import examples, keys_of, places, unpack
from support.small_transformer import CONFIGS, model

from jaxmask.intervention import Intervention, Kind, Range
from jaxmask.models import logsumexp
from jaxmask.models.transformer import naive, packed
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.packed import build, check, pack
from jaxmask.objective import NoKL, SampledKL

CASES = {
    # name: places, site, context, model, most strata
    "single, mlp": ("single", "mlp", (1,), "gpt2", 16),
    "anywhere, residual, llama": ("random", "residual", (1, 2, 8), "llama", 2),
    "every, attention, gemma": ("every", "attention", (1,), "gemma", 16),
    "anywhere, mlp, gemma": ("random", "mlp", (1, 2), "gemma", 2),
    "single, residual, gemma": ("single", "residual", (1,), "gemma", 16),
    "every, mlp, llama": ("every", "mlp", (1,), "llama", 16),
}
INTERVENTIONS = 2


@pytest.fixture(autouse=True)
def _small_chunk(monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", 8)


def interventions(rows, units):
    """A few with fractional masks; one row for each of ``rows``."""
    keys = jax.random.split(jax.random.key(7))
    shape = (INTERVENTIONS, rows, units)
    mask = jax.random.uniform(keys[0], shape) ** 2
    return Intervention(mask, jax.random.uniform(keys[1], shape, minval=-1))


class Setting:
    """Both objectives for one case."""

    def __init__(self, place, site, context, name, most_strata):
        self.config = CONFIGS[name]
        self.params = model(self.config)
        self.examples = examples(longest=4)
        self.where = places(place, self.examples)
        self.context, self.kind = context, Kind(site, "all")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(packed, "MOST_STRATA", most_strata)
            rows = pack(self.examples, self.where)
        fast = build(self.params, self.config, rows, self.kind, self.context)
        low = jax.random.uniform(jax.random.key(5), (fast.n_units,), minval=-1.0)
        self.value_range = Range(low, low + 0.5)
        self.fast = fast.replace(value_range=self.value_range)
        at = {entry[:4]: (entry.row, entry.column) for entry in unpack(rows)}
        self.row, self.column = np.array([at[key] for key in keys_of(self.examples, self.where)]).T

    def naive(self, by_row):
        """The naive response of each example to the intervention of its row."""
        given = jax.tree.map(lambda x: x[self.row], by_row).within(self.value_range)
        action = Action(given, self.where)
        site = self.kind.site
        return naive.respond(self.params, self.config, self.examples, action, site, self.context)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_naive_objective_in_value_and_gradient(case):
    setting = Setting(*CASES[case])
    rows = len(setting.fast.everything().direction)
    equals_naive(setting, interventions(rows, setting.fast.n_units), log_ratios=1e-5)


@pytest.fixture(scope="module")
def setting():
    return Setting(*CASES["anywhere, residual, llama"])


@pytest.fixture(scope="module")
def respond():
    """One program for all tests of a batch of all rows."""
    return jax.jit(lambda fast, given, batch: fast(given, batch))


def one_intervention(setting, rows=2):
    return jax.tree.map(lambda x: x[0], interventions(rows, setting.fast.n_units))


@pytest.mark.parametrize("by_direction", [False, True])
def test_a_sampled_kl_needs_a_key(setting, by_direction):
    batch = setting.fast.everything(by_direction)
    one = one_intervention(setting).toward(batch.direction)
    with pytest.raises(ValueError, match="needs a key"):
        jax.eval_shape(lambda: setting.fast(one, batch, None, SampledKL(2)))


def test_a_mask_of_zeros_changes_nothing(setting, respond):
    batch = setting.fast.everything()
    zeros = jnp.zeros((len(batch.direction), setting.fast.n_units))
    outcome = respond(setting.fast, Intervention(zeros, zeros + 0.5), batch)
    assert abs(float(outcome.kl)) < 1e-6
    untouched = setting.naive(Intervention(zeros, zeros)).log_ratio
    np.testing.assert_allclose(
        outcome.log_ratio[setting.row, setting.column], untouched, rtol=1e-5, atol=1e-5
    )


def test_what_rows_share_is_computed_once_without_changing_anything(setting, respond):
    one = one_intervention(setting)
    batches = [setting.fast.everything(by_direction) for by_direction in (True, False)]
    assert [batch.as_tree for batch in batches] == [True, False]
    tree, rows = (respond(setting.fast, one.toward(b.direction), b) for b in batches)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), tree, rows)
    computed = len(setting.fast.tree.node)
    assert computed < int(np.sum(np.asarray(setting.fast.steps) + 1))


def test_padding_changes_nothing(setting, respond):
    one = one_intervention(setting)
    batch = setting.fast.everything(by_direction=True)
    expected = respond(setting.fast, one.toward(batch.direction), batch)
    for more in (1, 3, 8):
        wider = ((0, 0), (0, more))
        longer = setting.examples._replace(tokens=np.pad(setting.examples.tokens, wider))
        where = np.pad(setting.where, wider)
        rows = pack(longer, where)
        fast = build(setting.params, setting.config, rows, setting.kind, setting.context)
        fast = fast.replace(value_range=setting.value_range, strata=setting.fast.strata)
        found = respond(fast, one.toward(batch.direction), batch)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_batch_is_its_rows_one_by_one(setting):
    """Whatever else is in a batch, of whatever length."""
    batch = setting.fast.sample(jax.random.key(3), 12)
    given = one_intervention(setting, len(batch.rows))
    together = jax.jit(lambda fast, given: fast(given, batch, None, NoKL()))(setting.fast, given)

    @jax.jit
    def alone(fast, row, given):
        counts = (1,) + (0,) * (len(fast.strata) - 1)
        one = batch.replace(
            rows=batch.rows[row][None], weight=batch.weight[row][None],
            direction=batch.direction[row][None], counts=counts,
        )  # fmt: skip
        return fast(jax.tree.map(lambda x: x[row][None], given), one, None, NoKL()).log_ratio[0]

    each = [alone(setting.fast, row, given) for row in range(len(batch.rows))]
    np.testing.assert_allclose(together.log_ratio, np.stack(each), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("by_direction", [None, True])
def test_sampled_batches_and_sampled_kl_are_unbiased(setting, by_direction):
    one = one_intervention(setting)

    def observe(fast, key):
        keys = jax.random.split(key)
        batch = fast.everything(True) if by_direction else fast.sample(keys[0], 12)
        sampled = fast(one.toward(batch.direction), batch, keys[1], SampledKL(5))
        share = jnp.sum(sampled.weight * jax.nn.sigmoid(sampled.log_ratio))
        return jnp.stack([share, sampled.kl, sampled.kl_elsewhere, sampled.weight.sum()])

    def exact(fast):
        batch = fast.everything(True)
        outcome = fast(one.toward(batch.direction), batch)
        share = jnp.sum(outcome.weight * jax.nn.sigmoid(outcome.log_ratio))
        return jnp.stack([share, outcome.kl, outcome.kl_elsewhere])

    keys = jax.random.split(jax.random.key(0), 1000)
    found = np.asarray(jax.jit(jax.vmap(observe, (None, 0)))(setting.fast, keys))
    np.testing.assert_allclose(found[:, 3], 1.0, rtol=1e-5)
    error = np.abs(found[:, :3].mean(axis=0) - jax.jit(exact)(setting.fast))
    standard_error = found[:, :3].std(axis=0) / np.sqrt(len(keys))
    assert (error < 4 * standard_error + 1e-5).all()
    assert (standard_error[1:] > 0).all()


def test_a_model_that_does_not_answer_is_reported(setting):
    fast = setting.fast
    with pytest.raises(ValueError, match="residual: expected unit 1"):
        check(fast.replace(where=fast.where & False))
    with pytest.raises(ValueError, match="residual: expected a KL of 0 nats"):
        check(fast.replace(past=fast.past._replace(values=fast.past.values + 1.0)))


def test_directions_have_to_be_known(setting):
    unknown = setting.examples._replace(direction=setting.examples.direction * 0 - 1)
    with pytest.raises(ValueError, match="directions"):
        pack(unknown, setting.where)


def test_weights_of_low_precision_answer_in_float32(setting):
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.ndim > 1 else x, setting.params)
    rows = pack(setting.examples, setting.where)
    fast = build(low, setting.config, rows, setting.kind, setting.context)
    assert fast.past.keys.dtype == fast.original.logsumexp.dtype == jnp.float32
    batch = fast.everything(by_direction=True)
    none = Intervention(jnp.zeros((2, fast.n_units)), jnp.zeros((2, fast.n_units)))
    odds = [
        jax.jit(lambda o: o(none.toward(batch.direction), batch))(one).log_ratio
        for one in (fast, setting.fast)
    ]
    assert 0.0 < float(jnp.abs(odds[0] - odds[1]).max()) < 0.2
