"""An ensemble is the mapped search, in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from experiments.shared.checkpoints import Checkpoints
from jaxmask import search
from jaxmask.evaluate import evaluate
from jaxmask.runs import devices, ensemble
from jaxmask.runs.ensemble import Session
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

CONFIG = SearchConfig(alpha=0.3, steps=70, batch_size=24, exchange_rounds=3, exchange_rows=24)
WHOLE_CHUNKS = CONFIG.replace(steps=100, exchange_rounds=4)  # no shorter chunk to compile

PROGRAMS = Programs()  # of several tests


def test_equals_the_mapped_search_and_reports_progress():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 3)
    seen = []
    session = Session(observe=lambda *told: seen.append(told), programs=PROGRAMS)
    result = ensemble.run(keys, objective, CONFIG, session)

    mapped = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))
    interventions, history = mapped(keys, objective, CONFIG)
    for ours, theirs in zip(
        jax.tree.leaves((result.interventions, result.history)),
        jax.tree.leaves((interventions, history)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)

    # Steps in chunks of 50, rounds in chunks of 2, each with a shorter last one.
    assert [(done, type(info)) for done, info in seen] == [
        (50, search.SearchInfo), (70, search.SearchInfo),
        (2, search.ExchangeInfo), (3, search.ExchangeInfo),
    ]  # fmt: skip
    np.testing.assert_array_equal(seen[1][1].loss, result.history.steps.loss[:, -1])
    assert result.seconds > 0
    assert result.compile_seconds > 0


def test_exchange_ends_where_all_runs_are_settled():
    """With the result of all rounds, and the same history."""
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 3)
    config = CONFIG.replace(exchange_rounds=16)
    seen, programs = [], CountingPrograms()
    session = Session(observe=lambda done, _: seen.append(done), programs=programs)
    result = ensemble.run(keys, objective, config, session)
    interventions, history = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))(
        keys, objective, config
    )
    for ours, theirs in zip(
        jax.tree.leaves((result.interventions, result.history)),
        jax.tree.leaves((interventions, history)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    rounds = 2 * sum(" of " in name and "refine" in name for name in programs.called)
    assert 2 < rounds < 16
    assert seen[-1] == 16
    settled = np.asarray(history.rounds.settled)
    assert settled[:, rounds - 1].all()
    taken = jax.vmap(lambda history: search.steps_taken(history, config))(history)
    np.testing.assert_array_equal(taken, 70 + config.refit_steps * (1 + settled.argmax(axis=1)))
    assert not settled[:, rounds - 3].all()


class CountingPrograms(Programs):
    """Remembers what was called."""

    def __init__(self):
        super().__init__()
        self.called = []

    def call(self, name, function, *args):
        self.called.append(name)
        return super().call(name, function, *args)


def test_evaluations_are_those_of_each_intervention():
    objective = toy.toy(seed=1, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    config = WHOLE_CHUNKS.replace(exchange_rounds=0)
    found = ensemble.run(keys, objective, config).interventions
    both = ensemble.evaluations(found, objective)
    for number in range(2):
        one = evaluate(jax.tree.map(lambda x, n=number: jnp.asarray(x)[n], found), objective)
        jax.tree.map(
            lambda a, b, n=number: np.testing.assert_allclose(a[n], b, rtol=1e-5), both, one
        )


def test_settings_may_differ_from_run_to_run():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    alphas = jnp.array([0.3, 0.5])
    both = ensemble.run(keys, objective, WHOLE_CHUNKS.replace(alpha=alphas))
    np.testing.assert_array_equal(both.interventions.mask.sum(axis=2), [[2, 2], [4, 4]])
    for number, alpha in enumerate(alphas):
        alone = ensemble.run(
            keys[number : number + 1],
            objective,
            WHOLE_CHUNKS.replace(alpha=alpha),
            Session(programs=PROGRAMS),
        )
        np.testing.assert_array_equal(both.interventions.mask[number], alone.interventions.mask[0])
        np.testing.assert_allclose(
            both.history.steps.loss[number], alone.history.steps.loss[0], rtol=1e-3, atol=1e-3
        )


def test_programs_are_compiled_once_for_each_shape():
    objective = toy.toy(seed=4, units=8)
    config, programs = WHOLE_CHUNKS, Programs()
    session = Session(programs=programs)
    keys = jax.random.split(jax.random.key(0), 2)
    ensemble.run(keys, objective, config, session)
    compiled = dict(programs._compiled)
    assert len(compiled) == 4  # init, a chunk of steps, harden, a chunk of rounds
    again = ensemble.run(keys, objective, config.replace(alpha=0.5), session)
    assert programs._compiled == compiled
    assert again.compile_seconds < 0.1 < programs.compiling
    ensemble.run(keys, objective, config.replace(alpha=jnp.array([0.3, 0.5])), session)
    assert len(programs._compiled) == 2 * len(compiled)


def test_relaxations_are_those_of_the_masks():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    config = WHOLE_CHUNKS.replace(exchange_rounds=0, beta=0.05)
    result = ensemble.run(keys, objective, config)
    hard, gap = ensemble.judged(result.interventions, result.relaxed, objective, config)
    # Without exchange what is found is the thresholded mask.
    np.testing.assert_allclose(gap.hard_accuracy, hard.accuracy, rtol=1e-5)
    np.testing.assert_array_equal(gap.hard_units, result.interventions.mask[:, 0].sum(axis=1))
    assert ((gap.sampled_accuracy >= 0) & (gap.sampled_accuracy <= 1)).all()


def assert_same(ours, theirs):
    """Of two ensembles: the same bit for bit, but for the seconds they took."""
    for name in ("interventions", "relaxed", "history"):
        one, other = (devices.gather(getattr(each, name)) for each in (ours, theirs))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
                a, b = map(jax.random.key_data, (a, b))
            np.testing.assert_array_equal(a, b)


def test_grid_is_the_product_of_keys_and_values():
    keys = jax.random.split(jax.random.key(0), 2)
    of_run, config = ensemble.grid(keys, CONFIG, kl_weight=[0.0, 1.0], alpha=(0.1, 0.2, 0.3))
    data = jax.random.key_data(of_run)
    rows = [
        (w, a, k) for w in (0.0, 1.0) for a in (0.1, 0.2, 0.3) for k in jax.random.key_data(keys)
    ]
    assert len(of_run) == len(rows) == 12
    for number, (weight, alpha, key) in enumerate(rows):
        assert config.kl_weight[number] == np.float32(weight)
        assert config.alpha[number] == np.float32(alpha)
        np.testing.assert_array_equal(data[number], key)
    assert config.beta == CONFIG.beta
    for name in ("steps", "support", "speed"):
        with pytest.raises(ValueError, match=f"expected one of alpha, beta.*found {name}"):
            ensemble.grid(keys, CONFIG, **{name: [1]})
    with pytest.raises(ValueError, match="alpha: expected at least one value"):
        ensemble.grid(keys, CONFIG, alpha=[])


def test_any_product_of_settings_is_one_program():
    objective = toy.toy(seed=4, units=8, cost=0.1)
    config = CONFIG.replace(steps=10, exchange_rounds=2)
    values = {
        "beta": (0.1,), "kl_weight": (0.0, 2.0), "temperature": (0.5, 0.7), "alpha": (0.25, 0.5),
        "location_rate": (0.05,), "value_rate": (0.1, 0.2), "multiplier_rate": (0.01,),
    }  # fmt: skip
    keys, configs = ensemble.grid(jax.random.split(jax.random.key(0), 2), config, **values)
    programs = Programs()
    result = ensemble.run(keys, objective, configs, Session(programs=programs))
    assert len(programs._compiled) == 4
    units = result.interventions.mask[:, 0].sum(axis=1)
    np.testing.assert_array_equal(units, np.tile(np.repeat([2, 4], 4), 4))
    loss = np.asarray(result.history.steps.loss).reshape(2, 2, 2, 2, 2, 10)
    for axis in range(5):  # each setting, and the key, make a difference
        assert (loss.take(0, axis) != loss.take(1, axis)).any()


class Stopped(Exception):
    pass


def stop(done, info):
    raise Stopped


def test_parts_are_done_by_one_program_and_gone_on_with_where_they_were(monkeypatch, tmp_path):
    objective, keys = toy.toy(seed=4, units=8), jax.random.split(jax.random.key(0), 3)
    whole = ensemble.run(keys, objective, CONFIG, Session(programs=PROGRAMS))
    before, sizes, seen = len(PROGRAMS._compiled), [], []

    def together(runs, taken, mesh):
        sizes.append(taken(runs))
        return 2

    monkeypatch.setattr(devices, "together", together)
    session = Session(lambda done, info: seen.append((done, len(info.loss))), PROGRAMS)
    undisturbed = ensemble.run(keys, objective, CONFIG, session)
    assert sizes[0] > 4 * 8 * 3  # bytes: more than a vector a run
    assert len(PROGRAMS._compiled) == before + 6  # of 2 runs: two to begin phases, chunks of 2 x 2
    assert seen == [(25, 2), (35, 2), (60, 1), (70, 1), (1, 2), (1, 2), (2, 1), (3, 1)]
    for name in ("interventions", "history"):
        for a, b in zip(
            jax.tree.leaves(getattr(undisturbed, name)),
            jax.tree.leaves(getattr(whole, name)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)

    stops = 0
    while True:  # it is stopped after each chunk
        try:
            kept = Session(stop, PROGRAMS, Checkpoints(tmp_path, minutes=0))
            again = ensemble.run(keys, objective, CONFIG, kept)
            break
        except Stopped:
            stops += 1
    assert stops == 8
    assert_same(again, undisturbed)
    assert_same(ensemble.run(keys, objective, CONFIG, Session(programs=PROGRAMS)), undisturbed)
    parts = sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir())
    assert parts == [
        "exchange_1_to_2_of_3", "exchange_3_to_3_of_3",
        "relaxation_1_to_2_of_3", "relaxation_3_to_3_of_3",
    ]  # fmt: skip
