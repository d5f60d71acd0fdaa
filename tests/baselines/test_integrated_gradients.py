"""Integrated Gradients against a closed form, and its completeness axiom on a language model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model, toy

from jaxmask.baselines import integrated_gradients
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.models.lstm import objective
from jaxmask.models.lstm.network import LSTMState
from jaxmask.objective import NoKL

attributions = jax.jit(integrated_gradients.attributions, static_argnames="points")


def mean_log_ratio(objective, batch, scale):
    """With all intervened states scaled, entry by entry: the path of the integral."""
    shape = len(batch.direction), objective.n_units
    mask = jnp.broadcast_to(1.0 - jnp.asarray(scale), shape)
    outcome = objective(Intervention(mask, jnp.zeros(shape)), batch, None, NoKL())
    return (outcome.log_ratio * outcome.weight).sum()


@pytest.fixture(scope="module", params=["single", "every"])
def language_model(request):
    examples = small_model.examples()
    where = small_model.places(request.param, examples)
    context = LSTMState(jnp.zeros(8), jnp.zeros(8))
    return objective.build(small_model.model(), examples, where, context)


def test_is_effect_times_state_where_the_model_is_linear():
    objective = toy.toy()
    batch = objective.everything()
    found = attributions(objective, batch, points=1)
    np.testing.assert_allclose(found, (objective.effect * objective.hidden).mean(axis=0), atol=1e-5)
    many = attributions(objective, batch, points=5)
    np.testing.assert_allclose(many, found, atol=1e-5)


def test_attributions_add_up_to_the_whole_difference(language_model):
    batch = language_model.sample(jax.random.key(1), 20)
    found = attributions(language_model, batch)
    whole = mean_log_ratio(language_model, batch, 1.0) - mean_log_ratio(language_model, batch, 0.0)
    assert abs(whole) > 0.1
    np.testing.assert_allclose(found.sum(), whole, rtol=1e-4)
    assert abs(attributions(language_model, batch, points=1).sum() - whole) > 5e-4 * abs(whole)


def test_each_attribution_is_its_part_of_the_path(language_model):
    """Against small differences of one unit's scale, at many points of the path."""
    batch = language_model.everything()
    points, difference = 64, 0.01

    @jax.jit
    @jax.vmap
    def slopes(a):
        nudges = jnp.eye(language_model.n_units) * difference / 2
        change = jax.vmap(
            lambda nudge: (
                mean_log_ratio(language_model, batch, a + nudge)
                - mean_log_ratio(language_model, batch, a - nudge)
            )
        )(nudges)
        return change / difference

    expected = slopes((jnp.arange(points, dtype=float) + 0.5) / points).mean(axis=0)
    np.testing.assert_allclose(attributions(language_model, batch), expected, atol=2e-3)


@pytest.mark.parametrize("alpha", [0.1, 0.35, 1.0])
def test_zeroes_the_units_with_the_largest_attributions(alpha):
    objective = toy.toy()
    config = SelectionConfig(alpha=alpha, rows=24)
    found, history = jax.jit(integrated_gradients.run)(jax.random.key(0), objective, config)
    size = np.abs((objective.effect * objective.hidden).mean(axis=0))
    chosen = np.argsort(-size)[: int(10 * alpha)]
    np.testing.assert_array_equal(np.flatnonzero(found.mask[0]), np.sort(chosen))
    np.testing.assert_array_equal(found.mask[0], found.mask[1])
    np.testing.assert_array_equal(found.baseline, 0.0)
    np.testing.assert_allclose(history.score, size, atol=1e-5)


def test_learned_values_flip_more_and_leave_the_choice_alone():
    objective = toy.toy()
    config = SelectionConfig(rows=6, refit_steps=60, batch_size=24)
    keys = jax.random.split(jax.random.key(0), 2)

    def both(key, alpha):
        changed = config.replace(alpha=alpha)
        return [
            run(key, objective, changed)[0]
            for run in (integrated_gradients.run, integrated_gradients.run_learned)
        ]

    sweep = jax.jit(jax.vmap(jax.vmap(both, (0, None)), (None, 0)))
    zeroed, learned = sweep(keys, jnp.array([0.2, 0.5]))
    np.testing.assert_array_equal(zeroed.mask, learned.mask)
    np.testing.assert_array_equal(zeroed.mask[:, 0, 0].sum(axis=1), [2, 5])
    before = toy.failures(objective, zeroed.mask[1, :1, 0], jnp.zeros((2, 10)))
    after = toy.failures(objective, learned.mask[1, :1, 0], learned.baseline[1, 0])
    assert after[0] < before[0] - 0.05
