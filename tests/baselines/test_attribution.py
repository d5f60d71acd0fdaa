"""Attributions where the model is linear: there they are exact."""

import jax
import jax.numpy as jnp
import numpy as np
from support import toy

from jaxmask.baselines import attribution
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL

CONFIG = SelectionConfig(alpha=0.4, rows=24, batch_size=24, refit_steps=20)


def log_ratios(objective, intervention):
    """The part of the mean log-ratio that the rows of each direction have."""
    batch = objective.everything()
    outcome = objective(intervention.toward(batch.direction), batch, None, NoKL())
    of_rows = (outcome.log_ratio * outcome.weight).sum(axis=1)
    return jnp.stack([jnp.sum(of_rows, where=batch.direction == way) for way in range(2)])


def alone(objective, unit, value):
    mask = jnp.zeros((2, objective.n_units)).at[:, unit].set(1.0)
    nothing = Intervention(0.0 * mask, mask)
    return log_ratios(objective, Intervention(mask, value * mask)) - log_ratios(objective, nothing)


def test_scores_are_what_units_do_alone():
    objective = toy.toy()
    batch = objective.everything()
    edges = jax.jit(attribution.at_edges)(objective, batch)
    middle = jax.jit(attribution.in_middle)(objective, batch)
    for unit in range(objective.n_units):
        high, low = alone(objective, unit, 1.0), alone(objective, unit, -1.0)
        expected = -np.minimum(high, low).sum()
        np.testing.assert_allclose(edges.score[unit], expected, atol=1e-4)
        np.testing.assert_array_equal(edges.baseline[:, unit], np.where(high <= low, 1.0, -1.0))
        np.testing.assert_allclose(middle[unit], alone(objective, unit, 0.0).sum(), atol=1e-4)


def test_the_first_units_go_to_the_better_ends():
    objective = toy.toy()
    edges = attribution.at_edges(objective, objective.everything())
    best = np.argsort(-np.asarray(edges.score))[:4]
    found, selected = jax.jit(attribution.run)(jax.random.key(0), objective, CONFIG)
    assert set(np.flatnonzero(found.mask[0])) == set(best)
    np.testing.assert_array_equal(found.baseline, edges.baseline)
    np.testing.assert_allclose(selected.score, edges.score, atol=1e-5)
    expected = -np.sort(-np.asarray(edges.score))[:4].sum()
    nothing = found._replace(mask=0.0 * found.mask)
    fall = log_ratios(objective, nothing) - log_ratios(objective, found)
    np.testing.assert_allclose(fall.sum(), expected, rtol=1e-4)


def test_values_are_learned_from_the_ends_on():
    objective = toy.toy(cost=2.0)  # so that the ends aren't best
    run, learned = (
        jax.jit(method)(jax.random.key(0), objective, CONFIG.replace(kl_weight=1.0))[0]
        for method in (attribution.run, attribution.run_learned)
    )
    np.testing.assert_array_equal(run.mask, learned.mask)
    inside = np.asarray(run.mask) > 0
    assert (np.abs(learned.baseline)[inside] < 1.0).any()
    assert (np.sign(learned.baseline)[inside] == run.baseline[inside]).mean() > 0.5
    none = jax.jit(attribution.run_learned)(
        jax.random.key(0), objective, CONFIG.replace(refit_steps=0)
    )[0]
    np.testing.assert_allclose(none.baseline, run.baseline, atol=1e-6)


def test_the_middle_is_the_middle():
    objective = toy.toy()
    found, selected = jax.jit(attribution.run_middle)(jax.random.key(0), objective, CONFIG)
    scores = np.abs(attribution.in_middle(objective, objective.everything()))
    np.testing.assert_allclose(selected.score, scores, atol=1e-5)
    assert set(np.flatnonzero(found.mask[0])) == set(np.argsort(-scores)[:4])
    np.testing.assert_array_equal(found.baseline, 0.0)
