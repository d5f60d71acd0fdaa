"""Runs over many devices and processes, here of this machine's CPU; each test in new processes."""

import numpy as np
import pytest
from support.processes import EIGHT, address, printed, started

from jaxmask.runs import devices


def assert_close(ours, theirs):
    assert len(ours["numbers"]) == len(theirs["numbers"]) > 10
    for one, other in zip(ours["numbers"], theirs["numbers"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    assert ours["seen"] == theirs["seen"]


def test_each_device_does_its_own_runs_and_they_do_not_talk():
    code = """
import jax.numpy as jnp

@jax.custom_batching.sequential_vmap
def one_after_another(x):
    return jnp.sin(x) @ x

def of_run(key, shared, config):
    noise = jax.random.normal(key, (3,)) * config["scale"]
    return jax.random.split(key)[0], one_after_another(shared + noise) + config["offset"]

runs = devices.padded(5, mesh := devices.mesh(5))
keys, shared = jax.random.split(jax.random.key(0), runs), jnp.ones(3)
config = {"scale": np.arange(runs, dtype=np.float32), "offset": np.float32(2)}
stacked = {"scale": True, "offset": False}
mapped = jax.vmap(of_run, (0, None, {"scale": 0, "offset": None}))
placed = [devices.place(x, mesh, over)
          for x, over in ((keys, True), (shared, False), (config, stacked))]
programs = Programs()
program = devices.on_all(mapped, mesh, True, False, stacked)
ours = devices.gather(programs.call("f", program, *placed))
theirs = jax.jit(mapped)(keys, shared, config)
text = programs.compile("f", program, *placed).as_text()
print(json.dumps({
    "runs": runs,
    "same_keys": bool((jax.random.key_data(ours[0]) == jax.random.key_data(theirs[0])).all()),
    "numbers": [ours[1].tolist(), theirs[1].tolist()],
    "talk": [word for word in ("all-gather", "all-reduce", "collective-permute") if word in text],
    "eight": "num_partitions=8" in text,
    "compiled": len(programs._compiled),
}))
"""
    result = printed(started(code, XLA_FLAGS=EIGHT))
    assert result["runs"] == 8
    assert result["same_keys"]
    np.testing.assert_allclose(*result["numbers"], rtol=1e-5)
    assert not result["talk"]
    assert result["eight"]
    assert result["compiled"] == 1


@pytest.mark.parametrize(
    ("runs", "groups", "of_a_run"),
    [
        pytest.param(1, 1, 8, marks=pytest.mark.slow),
        (2, 2, 4),
        pytest.param(3, 4, 2, marks=pytest.mark.slow),
        pytest.param(5, 8, 1, marks=pytest.mark.slow),
    ],
)
def test_with_fewer_runs_than_devices_each_has_some_rows(runs, groups, of_a_run):
    code = """
import re
import jax.numpy as jnp
from jaxmask import search
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL

objective, config = toy.toy(seed=4, units=8), SearchConfig(batch_size=16)

@jax.custom_batching.sequential_vmap
def one_after_another(mask, objective):
    batch = objective.everything()
    outcome = objective(Intervention(mask, 0 * mask).toward(batch.direction), batch, None, NoKL())
    return (outcome.log_ratio * outcome.weight).sum()

def of_run(key, objective, config):
    state, info = search.step(search.init(key, objective, config), objective, config)
    mask = jnp.tile(state.params["location"], (2, 1))
    return info.loss, state.params["values"], one_after_another(mask, objective)

def computed(runs, mesh):
    keys = jax.random.split(jax.random.key(0), runs)[np.arange(devices.padded(runs, mesh)) % runs]
    placed = [devices.place(x, mesh, over) for x, over in ((keys, True), (objective, False))]
    program = devices.on_all(jax.vmap(lambda *x: of_run(*x, config), (0, None)), mesh, True, False)
    compiled = jax.jit(program).lower(*placed).compile()
    found = [x[:runs].tolist() for x in devices.gather(compiled(*placed))]
    rows = {int(rows) for rows in re.findall(r"f32\\[(?:1,)?(\\d+),8\\]", compiled.as_text())}
    return found, sorted(rows), "all-reduce" in compiled.as_text()

runs = int(sys.argv[1])
mesh = devices.mesh(runs)
print(json.dumps([list(mesh.shape.values()), computed(runs, mesh), computed(runs, None)]))
"""
    shape, (eight, rows, talk), (one, *_) = printed(started(code, runs, XLA_FLAGS=EIGHT))
    assert shape == [groups, of_a_run]
    for ours, theirs in zip(eight, one, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert talk == (of_a_run > 1)
    # Of a batch, and of all there are; a device's part of either.
    assert {16 // of_a_run, 24 // of_a_run} <= set(rows)


@pytest.mark.slow
def test_eight_devices_do_as_one_does():
    code = """
programs = Programs()
eight = {runs: found(runs, programs) for runs in (5, 11)}  # neither fills the last device
texts = [compiled.result().as_text() for compiled in programs._compiled.values()]
devices.mesh = lambda runs, objective: None
print(json.dumps({
    "devices": jax.device_count(),
    "eight": eight,
    "one": {runs: found(runs) for runs in (5, 11)},
    "talk": [word for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all")
             for text in texts if word in text],
    "partitions": ["num_partitions=8" in text for text in texts],
}))
"""
    result = printed(started(code, XLA_FLAGS=EIGHT))
    assert result["devices"] == 8
    for runs in ("5", "11"):
        assert_close(result["eight"][runs], result["one"][runs])
    assert result["eight"]["11"]["seen"][0] == [50, 11]  # what only fills up isn't shown
    assert not result["talk"]
    assert all(result["partitions"])
    assert len(result["partitions"]) == 2 * 4  # init, steps, harden, rounds


@pytest.mark.slow
def test_rows_of_a_language_model_are_spread():
    code = """
import re
from support import small_model
from jaxmask.models.lstm import network
from jaxmask.models.lstm.objective import build

config = small_model.CONFIG._replace(hidden=12)
examples = small_model.examples(size=200, longest=3)
examples = examples._replace(direction=np.arange(200, dtype=np.int32) % 2)
where = small_model.places("single", examples)
objective = build(small_model.model(config), examples, where, network.zero_state(config, ()))

counts = np.cumsum(objective.sample(jax.random.key(0), 24).counts)
running = [int(n) for n, stratum in zip(counts, objective.strata) if stratum.steps]

eight = found(3, programs := Programs(), objective)
text = next(one.result().as_text() for (name, *_), one in programs._compiled.items()
            if " of " in name and name.endswith(".step"))
products = {int(n) for n in re.findall(r"f32\\[(\\d+),48\\]\\S* dot\\(", text)}
devices.mesh = lambda runs, objective: None
one = found(3, None, objective)
print(json.dumps({"found": [eight, one], "running": running, "products": sorted(products)}))
"""
    result = printed(started(code, XLA_FLAGS=EIGHT))
    assert_close(*result["found"])
    # Four groups of two devices.
    # One product is of all rows of the batch, the others of those whose sentences still run.
    assert result["products"] == sorted({-(-rows // 2) for rows in (24, *result["running"])})


@pytest.mark.slow
def test_runs_of_a_transformer_are_distributed():
    code = """
from support import small_model, small_transformer
from jaxmask.intervention import Kind
from jaxmask.models.transformer.packed import build, pack

config = small_transformer.CONFIGS["llama"]
examples = small_model.examples(size=60)
rows = pack(examples, small_model.places("single", examples))
objective = build(small_transformer.model(config), config, rows, Kind("mlp", "all"), (1,))
eight = found(3, None, objective)
devices.mesh = lambda runs, objective: None
print(json.dumps([eight, found(3, None, objective)]))
"""
    assert_close(*printed(started(code, XLA_FLAGS=EIGHT)))


@pytest.mark.slow
def test_two_processes_do_as_one_does():
    code = """
from experiments.shared import hosts
hosts.join()
print(json.dumps(found(5) | {"devices": jax.device_count(), "first": hosts.is_first()}))
"""
    at = address()
    both = [
        started(
            code,
            JAX_COORDINATOR_ADDRESS=at,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(number),
            JAX_CPU_COLLECTIVES_IMPLEMENTATION="gloo",
        )
        for number in range(2)
    ]
    first, second = map(printed, both)
    assert first["devices"] == second["devices"] == 2
    assert (first["first"], second["first"]) == (True, False)
    assert first["numbers"] == second["numbers"]
    assert_close(first, printed(started("print(json.dumps(found(5)))")))


@pytest.mark.parametrize(
    ("runs", "a_run", "shared", "expected"),
    [(10, 1, 0, 10), (10, 10, 0, 10), (10, 10, 1, 5), (7, 20, 0, 4), (7, 21, 0, 4), (7, 200, 0, 1),
     (9, 12, 50, 3), (1, 1000, 0, 1)],
)  # fmt: skip
def test_as_many_runs_together_as_fit(monkeypatch, runs, a_run, shared, expected):
    monkeypatch.setattr(devices, "_memory_of_device", lambda: 200.0)  # of which half is used
    asked = []

    def taken(count):
        asked.append(count)
        return shared + a_run * count

    assert devices.together(runs, taken) == expected
    assert shared + a_run * expected <= 100 or expected == 1
    assert len(asked) <= 2
