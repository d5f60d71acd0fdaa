"""Each key is used once: what is drawn by one part of a search says nothing about the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.objective import ExactKL
from jaxmask.search import SearchConfig, exchange, hard_concrete, parameters

CONFIG = SearchConfig(alpha=0.3, steps=3, batch_size=8, exchange_rounds=2, exchange_rows=8)


@pytest.fixture
def used(monkeypatch):
    """The keys that the parts of a search are given, in their order."""
    keys = []

    def spy(module, name, position=0):
        original = getattr(module, name)

        def noted(*args, **kwargs):
            keys.append(bytes(np.asarray(jax.random.key_data(args[position]))))
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, noted)

    spy(hard_concrete, "sample")
    spy(parameters, "first_values")
    spy(toy.Toy, "sample", 1)
    respond = toy.Toy.__call__

    def noted(self, intervention, batch, key=None, kl=ExactKL()):
        if key is not None:
            keys.append(bytes(np.asarray(jax.random.key_data(key))))
        return respond(self, intervention, batch, key, kl)

    monkeypatch.setattr(toy.Toy, "__call__", noted)
    return keys


def test_steps_draw_anew_each_time(used):
    objective = toy.toy()
    state = search.init(jax.random.key(0), objective, CONFIG)
    for _ in range(3):
        state, _ = search.step(state, objective, CONFIG)
    used.append(bytes(np.asarray(jax.random.key_data(state.key))))
    assert len(used) == 1 + 3 * 3 + 1
    assert len(set(used)) == len(used)


def test_rounds_draw_anew_but_judge_by_the_same_rows(monkeypatch):
    given = []

    def noted(key, judge_key, present, objective, config):
        given.append(tuple(bytes(np.asarray(jax.random.key_data(k))) for k in (key, judge_key)))
        return original(key, judge_key, present, objective, config)

    original = exchange.round_of_exchange
    monkeypatch.setattr(exchange, "round_of_exchange", noted)
    objective = toy.toy()
    state = search.harden(search.init(jax.random.key(0), objective, CONFIG), CONFIG)
    first = bytes(np.asarray(jax.random.key_data(state.key)))
    for _ in range(2):
        state, _ = search.refine(state, objective, CONFIG)
    rounds, judges = zip(*given, strict=True)
    assert len(set(judges)) == 1
    assert len({*rounds, *judges, first}) == 4


def test_the_loss_is_in_units_of_its_value_at_a_typical_log_ratio():
    """Of an objective that no intervention changes, whatever the gates."""
    objective = toy.toy()
    objective = objective.replace(effect=jnp.zeros_like(objective.effect), margin=1.0)
    for name, expected in (
        ("share", (1 / (1 + np.exp(-1.0))) / (1 / (1 + np.exp(-3.0)))),
        ("ratio", np.exp(1.0) / np.exp(3.0)),
        ("log_ratio", 1.0 / 3.0),
        ("log1p_ratio", np.log1p(np.exp(1.0)) / np.log1p(np.exp(3.0))),
    ):
        config = CONFIG.replace(surrogate=name)
        state = search.init(jax.random.key(0), objective, config)
        _, info = search.step(state, objective, config)
        np.testing.assert_allclose(info.loss, expected, rtol=1e-5)
