"""A run has converged if both constraints hold, or the conditions that don't are named."""

import jax
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.search import SearchConfig

UNITS = 20
CONFIG = SearchConfig(alpha=0.2, beta=0.1, steps=40, batch_size=24, exchange_rounds=2,
                      exchange_rows=24)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    found, history = jax.jit(search.run)(jax.random.key(0), toy.toy(units=UNITS), CONFIG)
    return found, jax.tree.map(np.asarray, history)


def changed(run, phase, **last):
    """The run, with other values observed at its last step or round."""
    found, history = run
    info = getattr(history, phase)
    for name, value in last.items():
        values = np.array(getattr(info, name))
        values[-1] = value
        info = info._replace(**{name: values})
    return found, history._replace(**{phase: info})


def unmet(run):
    met = search.convergence(*run, CONFIG)
    assert bool(search.converged(*run, CONFIG)) == all(met)
    return {name for name, holds in met._asdict().items() if not holds}


def test_limits_may_be_missed_by_a_twentieth(run):
    within = changed(run, "steps", expected_l0=1.049 * 4, fractional_gates=1.049 * 2)
    within = changed(within, "rounds", gain=-1.0)
    assert unmet(within) == set()
    assert unmet(changed(within, "steps", expected_l0=1.051 * 4)) == {"expected_units"}
    assert unmet(changed(within, "steps", fractional_gates=1.051 * 2)) == {"fractional_gates"}
    assert unmet(changed(within, "rounds", gain=1.0)) == {"settled"}
    assert unmet(changed(within, "rounds", finite=False)) == {"finite"}
    found, history = within
    more = found._replace(mask=np.ones_like(found.mask))
    assert unmet((more, history)) == {"units"}


def test_a_rise_is_that_of_the_last_rounds_together(run):
    _, history = within = changed(run, "steps", expected_l0=0.0, fractional_gates=0.0)
    for gain, rises in ((0.003, True), (0.002, False)):
        gains = np.full_like(history.rounds.gain, gain)
        both = within[0], history._replace(rounds=history.rounds._replace(gain=gains))
        assert ("settled" in unmet(both)) == rises


@pytest.mark.parametrize(
    ("settled", "rounds"),
    [((False, False), 2), ((False, True), 2), ((True, True), 1), ((True, False), 1)],
)
def test_rounds_are_counted_until_the_mask_is_settled(run, settled, rounds):
    _, history = run
    history = history._replace(rounds=history.rounds._replace(settled=np.array(settled)))
    assert search.steps_taken(history, CONFIG) == 40 + rounds * CONFIG.refit_steps


def test_gates_in_between_are_counted(run):
    _, history = run
    fractional = history.steps.fractional_gates
    assert ((fractional > 0) & (fractional <= history.steps.expected_l0 * (1 + 1e-5))).all()
