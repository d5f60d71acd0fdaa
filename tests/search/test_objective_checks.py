"""Mistakes in objectives of one's own are found, and each is named."""

import jax
import jax.numpy as jnp
import pytest
from support import toy

from jaxmask import search
from jaxmask.intervention import Range
from jaxmask.objective import ExactKL, NoKL

KEY = jax.random.key(0)


class Faulty(toy.Toy):
    """A toy whose outcomes are changed by a class attribute."""

    change = None

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        outcome = super().__call__(intervention, batch, key, kl)
        return outcome._replace(**type(self).change(outcome, intervention, kl))


def faulty(change, **fields):
    made = type("Changed", (Faulty,), {"change": staticmethod(change)})
    plain = toy.toy(cost=0.1)
    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__} | fields
    return made(**fields)


FAULTS = {
    r"log_ratio: expected the shape \(24, pairs\), found \(24,\)": lambda outcome, *_: {
        "log_ratio": outcome.log_ratio[:, 0]
    },
    r"weight: expected the shape of log_ratio, \(24, 2\), found \(24, 1\)": lambda outcome, *_: {
        "weight": outcome.weight[:, :1]
    },
    "kl: expected one number, found": lambda outcome, *_: {"kl": jnp.zeros(24)},
    "kl_elsewhere: expected one number": lambda outcome, *_: {"kl_elsewhere": jnp.zeros(24)},
    "with the sum 1, found the sum 139": lambda outcome, *_: {"weight": 139 * outcome.weight},
    r"log_ratio: everything\(\): expected finite": lambda outcome, *_: {
        "log_ratio": outcome.log_ratio * jnp.nan
    },
    "found -2.97407 and others below 0 in 24 of 24": lambda outcome, *_: {
        "log_ratio": -outcome.log_ratio
    },
    "kl: everything.*expected 0 without": lambda outcome, *_: {"kl": outcome.kl + 0.5},
    "all units are replaced, found no change": lambda outcome, *_: {
        "log_ratio": jnp.ones_like(outcome.log_ratio)
    },
    r"kl: expected 0 for NoKL\(\), found 3": lambda outcome, one, kl: {
        "kl": outcome.kl + 3.0 * (kl == NoKL()) * one.mask[0, 0]
    },
    r"kl: expected 0 or more for Sampled.*, found -": lambda outcome, one, kl: {"kl": -outcome.kl},
    "kl_elsewhere: expected a part of the KL": lambda outcome, *_: {"kl_elsewhere": 2 * outcome.kl},
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_of_an_outcome_is_named(message):
    with pytest.raises(ValueError, match=message):
        search.check_objective(faulty(FAULTS[message]), KEY)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"direction": jnp.full(24, 2)}, "direction: expected 0 or 1"),
        ({"hidden": jnp.zeros((24, 10)), "effect": jnp.zeros((24, 10))}, "found no change"),
    ],
)
def test_a_fault_of_the_examples_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        search.check_objective(faulty(lambda *_: {}, **fields), KEY)


def test_a_range_of_another_size_is_named():
    class Wide(toy.Toy):
        value_range = Range.same(11)

    plain = toy.toy()
    wide = Wide(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    with pytest.raises(ValueError, match=r"expected n_units = 10 numbers each, found \(11,\)"):
        search.check_objective(wide, KEY)


def test_sound_objectives_pass():
    search.check_objective(toy.toy(cost=0.1), KEY)
    search.check_objective(faulty(lambda *_: {"kl_elsewhere": None}), KEY)


def test_a_search_checks_shapes_when_it_is_traced():
    objective = faulty(lambda outcome, *_: {"log_ratio": outcome.log_ratio[:, 0]})
    config = search.SearchConfig(steps=2, exchange_rounds=0)
    with pytest.raises(ValueError, match="log_ratio: expected the shape"):
        jax.eval_shape(lambda: search.run(KEY, objective, config))
