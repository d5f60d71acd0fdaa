"""The fast objective against the naive one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.small_model import examples, keys_of, places, unpack
from support.small_transformer import CONFIGS, model

from jaxmask.intervention import Intervention, Kind, Range
from jaxmask.models import logsumexp
from jaxmask.models.packing import pack
from jaxmask.models.transformer import naive, objective
from jaxmask.models.transformer.objective import build
from jaxmask.objective import ExactKL, NoKL, SampledKL

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
            patch.setattr(objective, "MOST_STRATA", most_strata)
            fast = build(
                self.params, self.config, self.examples, self.where, self.kind, self.context
            )
        low = jax.random.uniform(jax.random.key(5), (fast.n_units,), minval=-1.0)
        self.value_range = Range(low, low + 0.5)
        self.fast = fast.replace(value_range=self.value_range)
        at = {
            entry[:4]: (entry.row, entry.column)
            for entry in unpack(pack(self.examples, self.where))
        }
        self.row, self.column = np.array([at[key] for key in keys_of(self.examples, self.where)]).T

    def naive(self, by_row):
        """The naive response of each example to the intervention of its row."""
        given = jax.tree.map(lambda x: x[self.row], by_row).within(self.value_range)
        return naive.respond(
            self.params, self.config, self.examples, self.where, given,
            kind=self.kind, context=self.context,
        )  # fmt: skip


def scalars(log_ratio, weight, kl):
    """Something to differentiate that depends on all there is."""
    return jnp.sum(weight * jax.nn.sigmoid(log_ratio)) + 0.7 * kl


def close(found, expected, tolerance):
    """Within ``tolerance`` of the largest of the expected numbers."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_equals_the_naive_objective_in_value_and_gradient(case):
    setting = Setting(*CASES[case])
    everything = setting.fast.everything()
    many = interventions(len(everything.direction), setting.fast.n_units)

    def fast(one):
        outcome = setting.fast(one, everything)
        return scalars(*outcome), outcome

    def slow(one):
        response = setting.naive(one)
        size = setting.examples.size
        return scalars(response.log_ratio, 1 / size, response.kl.mean()), response

    (found, outcome), found_gradient = jax.jit(jax.vmap(jax.value_and_grad(fast, has_aux=True)))(
        many
    )
    (expected, response), gradient = jax.jit(jax.vmap(jax.value_and_grad(slow, has_aux=True)))(many)
    np.testing.assert_allclose(
        outcome.log_ratio[:, setting.row, setting.column], response.log_ratio, rtol=1e-5, atol=1e-5
    )
    assert np.asarray(response.kl.mean(axis=1)).min() > 0.01  # or there is nothing to compare
    np.testing.assert_allclose(outcome.kl, response.kl.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    close(found_gradient.mask, gradient.mask, 1e-4)
    close(found_gradient.baseline, gradient.baseline, 1e-4)
    np.testing.assert_allclose(outcome.weight.sum(axis=(1, 2)), 1.0, rtol=1e-5)
