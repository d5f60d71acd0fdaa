"""The sparsest mask that reaches an accuracy, on a toy where each size's accuracy is known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL
from jaxmask.runs import sparsest
from jaxmask.runs.ensemble import Session
from jaxmask.runs.programs import Programs
from jaxmask.runs.sparsest import Goal
from jaxmask.search import SearchConfig

CONFIG = SearchConfig(steps=100, batch_size=24, kl=NoKL(), exchange_rounds=4, exchange_rows=24)
UNITS = 10
SESSION = Session(programs=Programs())  # all tests search toys of one shape


def best_accuracy(objective, size):
    masks = toy.all_masks(UNITS, size)
    values = toy.good_values(objective)
    return max(
        float(evaluate(Intervention(jnp.stack([m, m]), values), objective).accuracy) for m in masks
    )


@pytest.mark.parametrize("expected", [1, 9])
def test_finds_the_size_that_brute_force_finds(expected):
    objective = toy.toy(seed=4, units=UNITS)
    best = [best_accuracy(objective, size) for size in range(1, 7)]
    size = next(n for n in range(1, 6) if best[n] > best[n - 1] + 0.1)  # n + 1 units
    wanted = (best[size - 1] + best[size]) / 2
    goal = Goal(wanted, expected, most=UNITS)
    found = sparsest.find(jax.random.key(0), objective, CONFIG, goal, SESSION)
    assert found.units == size + 1, (best, found)
    reached = dict(found.probes)
    assert reached[found.units] >= wanted > reached[found.units - 1]
    assert list(reached) == sorted(reached)


def test_says_so_when_no_size_suffices():
    objective = toy.toy(seed=4, units=UNITS)
    found = sparsest.find(jax.random.key(0), objective, CONFIG, Goal(1.1, 1, most=3), SESSION)
    assert found.units is None
    assert found.probes[-1].units == 3


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        ({2: [0.9], 4: [1.0]}, (0, 2)),
        ({2: [0.1], 4: [1.0]}, (2, 4)),
        ({2: [0.9], 3: [0.2], 4: [1.0]}, (3, 4)),  # larger sizes must reach it too
        ({2: [0.1], 4: [0.2]}, (4, None)),
        ({2: [0.4, 1.0]}, (0, 2)),  # several searches of a size count together
        ({2: [0.1], 3: [0.9], 4: [0.6], 5: [1.0]}, (2, 3)),  # one that is out of luck is evened out
        ({2: [0.9], 3: [0.9], 4: [0.2], 5: [1.0]}, (4, 5)),
    ],
)
def test_bracket(probes, expected):
    assert sparsest._bracket(probes, 0.7) == expected


def test_rising_is_the_closest_of_all_that_rise():
    random = np.random.default_rng(0)
    levels = np.round(np.linspace(0.0, 1.0, 13), 3)
    for _ in range(5):
        probes = {n: random.choice(levels[::3], random.integers(1, 3)).tolist() for n in (1, 3, 4)}
        found = list(sparsest._rising(probes).values())

        def distance(values, probes=probes):
            pairs = zip(values, probes.values(), strict=True)
            return sum((value - x) ** 2 for value, reached in pairs for x in reached)

        assert found == sorted(found)
        rising = itertools.combinations_with_replacement(levels, 3)
        assert distance(found) <= min(map(distance, rising)) + 1e-12
