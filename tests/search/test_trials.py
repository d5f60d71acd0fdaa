"""Exchanges that are predicted, made and tried, on a toy where predictions are exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask.intervention import EDGE, Intervention, to_baseline
from jaxmask.objective import NoKL
from jaxmask.search import masks, trials


def chain(objective, mask, values):
    """One exchange made after the other, on all examples, stacked; the first is the mask itself."""
    batch = objective.everything()
    linear = trials.linearise(mask, to_baseline(values), objective, batch)
    links = [trials.first_sets(mask, values, linear)]
    for _ in range(trials.TRIES):
        links.append(trials.best_exchange(links[-1], linear))
    member = masks.membership(len(mask), batch.direction)
    return member, jax.tree.map(lambda *x: jnp.stack(x), *links)


@pytest.mark.parametrize("rows", [1, 2])
def test_predictions_are_exact_where_the_model_is_linear(rows):
    objective = toy.toy(units=8)
    mask, values = toy.start(objective, 3, rows)
    batch = objective.everything()
    member, links = chain(objective, mask, values)
    assert links.inside.shape == (trials.TRIES + 1, rows, 8)
    for index in range(trials.TRIES + 1):
        inside = jnp.broadcast_to(links.inside[index], (2, 8))[batch.direction]
        baseline = to_baseline(links.values[index])[batch.direction]
        outcome = objective(Intervention(inside.astype(jnp.float32), baseline), batch, None, NoKL())
        predicted = (links.log_ratio[index] * member).sum(axis=0)
        np.testing.assert_allclose(predicted, outcome.log_ratio[:, 0], atol=1e-5)


def test_the_first_link_is_the_best_single_exchange():
    """Against all exchanges of one unit for one, each direction with its better sign."""
    objective = toy.toy(units=8)
    mask, values = toy.start(objective, 3)
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
    monkeypatch.setattr(trials, "CANDIDATES", 1)
    objective = toy.toy(seed=4, units=8)
    mask, values = toy.start(objective, 4)
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


@pytest.mark.parametrize(
    ("gains", "taken", "tried"),
    [
        ([1, -1, 3, -1, -1, -1], [0, 1, 2], 6),  # 2 is worth 1
        ([-1, -1, 2, -1, -1, -1], [2], 6),  # neither 0 nor 0 with 1 is better: they are left out
        ([1] * 9, range(trials.TRIES), trials.TRIES),
        ([0, -1, -1, 9], [], trials.MISSES),  # what changes nothing is no better
    ],
)
def test_exchanges_are_made_where_they_prove_to_be_better(gains, taken, tried):
    """Of units that come in one after another; unit ``n`` lowers the loss by ``gains[n]``."""
    gains = jnp.asarray(gains, jnp.float32)
    units = len(gains)
    nothing = jnp.zeros((1, units), bool)
    sets = trials.Sets(nothing, nothing, ~nothing, jnp.zeros((2, units)), jnp.zeros((1, 3)))

    def bring_in_the_next(sets):
        unit = sets.addable[0].argmax()
        return sets._replace(
            inside=sets.inside.at[0, unit].set(True),
            addable=sets.addable.at[0, unit].set(False),
            values=sets.values.at[:, unit].set(EDGE),
        )

    def loss_of(sets):
        return -(sets.inside.astype(float) @ gains)

    trial = trials.try_exchanges(sets, bring_in_the_next, loss_of)
    expected = np.isin(np.arange(units), list(taken))
    np.testing.assert_array_equal(trial.sets.inside[0], expected)
    np.testing.assert_array_equal(trial.sets.values[1], EDGE * expected)
    assert trial.tried == tried
    assert trial.loss == -gains[expected].sum()
