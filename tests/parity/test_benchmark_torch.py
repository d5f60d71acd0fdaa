"""The search that the benchmark has in PyTorch is the search: same loss, gradient and steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model

from experiments.benchmarks import gradient
from jaxmask import search
from jaxmask.intervention import Intervention, Range, to_baseline
from jaxmask.models.lstm.naive import NaiveObjective
from jaxmask.models.lstm.objective import build
from jaxmask.models.lstm.reading import read_context
from jaxmask.models.packing import pack
from jaxmask.objective import ExactKL, NoKL
from jaxmask.search import SearchConfig, hard_concrete, losses

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

MODEL = small_model.CONFIG
PARAMS = small_model.model()
CONFIG = SearchConfig(
    alpha=0.3, beta=0.2, initial_alpha=0.6, steps=10, kl_weight=20.0, multiplier_rate=0.3
)


@pytest.fixture(scope="module")
def context():
    return read_context(PARAMS, [1, 5])


@pytest.fixture(scope="module")
def examples():
    """Sentences of several lengths, intervened on at the second word."""
    some = small_model.examples(size=60, longest=5)
    some = some.take(np.flatnonzero(some.length >= 2))
    assert len(set(some.length.tolist())) > 2
    return some._replace(position=np.ones(some.size, np.int32))


def plain(examples, context, **settings):
    from experiments.benchmarks.in_torch import LanguageModel, PlainSearch

    softmaxes = settings.pop("softmaxes", "all")
    config = CONFIG.replace(**settings)
    return PlainSearch(LanguageModel(PARAMS), examples, context, config, softmaxes)


def start(of, seed=0):
    """Random parameters, given to a search in PyTorch too."""
    keys = jax.random.split(jax.random.key(seed))
    location = jax.random.normal(keys[0], of.location.shape)
    values = jax.random.normal(keys[1], of.values.shape)
    with torch.no_grad():
        of.location.copy_(torch.tensor(np.asarray(location)))
        of.values.copy_(torch.tensor(np.asarray(values)))
    return {"location": location, "values": values}


@pytest.mark.parametrize("shared_mask", [True, False])
@pytest.mark.parametrize(
    ("kl", "softmaxes"), [(ExactKL(), "all"), (NoKL(), "all"), (NoKL(), "last")]
)
def test_loss_and_gradient_are_the_fast_objective_s(examples, context, kl, softmaxes, shared_mask):
    where = small_model.places("single", examples)
    fast = build(PARAMS, examples, where, context)
    everything = fast.everything()
    entries = {e[:4]: e.row for e in small_model.unpack(pack(examples, where))}
    row = np.array([entries[key] for key in small_model.keys_of(examples, where)])
    slow = plain(examples, context, kl=kl, softmaxes=softmaxes, shared_mask=shared_mask)
    params = start(slow)
    noise = jax.random.uniform(jax.random.key(5), (len(everything.rows), MODEL.units), minval=1e-6)

    def loss(params):
        location, direction = params["location"], everything.direction
        gates = hard_concrete.quantile(noise, location[direction % len(location)])
        intervention = Intervention(gates, to_baseline(params["values"])[direction])
        outcome = fast(intervention, everything, None, kl)
        typical = losses.share(jnp.asarray(losses.TYPICAL_LOG_RATIO))
        surrogate = (losses.share(outcome.log_ratio) * outcome.weight).sum() / typical
        return surrogate + search.kl_weight(CONFIG.kl_weight) * outcome.kl

    expected, gradient = jax.jit(jax.value_and_grad(loss))(params)
    found = slow.loss(torch.arange(examples.size), torch.tensor(np.asarray(noise[row])))
    found.backward()
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)
    for name in ("location", "values"):
        ours = np.asarray(gradient[name])
        assert np.abs(ours).max() > 1e-3
        theirs = getattr(slow, name).grad
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4 * np.abs(ours).max())


class Fixed(NaiveObjective):
    """Every batch is all examples."""

    def sample(self, key, size):
        return self.everything()


@pytest.mark.parametrize("shared_mask", [True, False])
def test_steps_are_those_of_the_search(examples, context, shared_mask, monkeypatch):
    """Rates, targets, multipliers and clipping: a run ends where ours does."""
    slow = plain(examples, context, shared_mask=shared_mask)
    config = slow.config
    where = jnp.asarray(small_model.places("single", examples))
    everything = jax.tree.map(jnp.asarray, examples)
    naive = Fixed(PARAMS, everything, where, context, Range.same(MODEL.units))
    ours = search.init(jax.random.key(0), naive, config)
    np.testing.assert_allclose(slow.location.detach(), ours.params["location"], rtol=1e-5)
    ours = ours._replace(params=ours.params | start(slow))
    noise = jax.random.uniform(
        jax.random.key(2), (config.steps, examples.size, MODEL.units), minval=1e-6
    )
    rows = torch.arange(examples.size)

    @jax.jit
    def step(state, noise):
        with monkeypatch.context() as patch:
            patch.setattr(
                hard_concrete, "sample", lambda key, *rest: hard_concrete.quantile(noise, *rest)
            )
            return search.step(state, naive, config)

    multipliers = []
    for of_step in noise:
        ours, info = step(ours, of_step)
        loss = slow.step(rows, torch.tensor(np.asarray(of_step)))
        np.testing.assert_allclose(loss, info.loss, rtol=1e-4)
        expected = [ours.params["multipliers"][name] for name in ("l0", "fractional")]
        np.testing.assert_allclose(slow.multipliers, expected, rtol=1e-3, atol=1e-6)
        multipliers.append(slow.multipliers[:])
    assert (np.max(multipliers, axis=0) > 0.1).all()
    for name in ("location", "values"):
        np.testing.assert_allclose(getattr(slow, name).detach(), ours.params[name], atol=2e-3)

    found = slow.found()
    expected = search.found(search.harden(ours, config))
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.mask.sum(axis=1).tolist() == [2, 2]  # 0.3 of 8
    np.testing.assert_allclose(found.baseline, expected.baseline, atol=2e-3)


def test_what_it_cannot_do_is_refused(examples, context):
    slow = plain(small_model.examples(), context)
    with pytest.raises(ValueError, match="position"):
        slow.step(*slow.draw(64))
    with pytest.raises(ValueError, match="surrogate"):
        plain(examples, context, surrogate="ratio")
    with pytest.raises(ValueError, match="softmaxes"):
        plain(examples, context, softmaxes="last")


def test_weights_get_no_gradients(examples, context):
    slow = plain(examples, context)
    slow.step(*slow.draw(4))
    assert all(x.grad is None and not x.requires_grad for x in slow.model.parameters())
    assert slow.location.grad.abs().max() > 0


def test_the_benchmark_times_it_where_it_is_installed():
    assert gradient.Case("exact KL", "PyTorch") in gradient.cases(2, None)
