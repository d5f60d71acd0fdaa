"""The benchmark from end to end at tiny sizes, and what its figures are made of."""

import dataclasses
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from experiments.shared.setup import OptionError
from support.small_model import CONFIG, examples, model, places

from experiments import benchmark
from experiments.benchmarks import gradient, memory, scaling, start, subject, tables, whole_search
from experiments.benchmarks.gradient import Case
from experiments.benchmarks.subject import SECTIONS, BenchmarkOptions
from experiments.shared.console import print_table
from jaxmask.evaluate import evaluate
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import Intervention
from jaxmask.models.lstm import naive
from jaxmask.models.lstm.reading import read_context
from jaxmask.objective import Objective
from jaxmask.report import figures
from jaxmask.search import SearchConfig

QUICK = BenchmarkOptions(quick=True, seeds=1, naive_steps=1)


def test_the_naive_objective_can_be_searched_like_the_fast_one():
    params, some = model(), examples()._replace(direction=np.arange(40, dtype=np.int32) % 2)
    context, where = read_context(params, [1]), places("single", some)
    slow = naive.build(params, some, where, context)
    assert isinstance(slow, Objective)
    keys = jax.random.split(jax.random.key(0))
    chosen = Intervention(
        (jax.random.uniform(keys[0], (2, CONFIG.units)) < 0.5).astype(np.float32),
        jax.random.uniform(keys[1], (2, CONFIG.units), minval=-1.0),
    )
    found = jax.jit(evaluate)(chosen, slow)
    response = naive.respond(params, some, where, context, chosen.toward(slow.examples.direction))
    flipped = np.asarray(response.log_ratio) < 0
    assert 0.1 < flipped.mean() < 0.9
    np.testing.assert_allclose(found.accuracy, flipped.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.kl, response.kl.mean(), rtol=1e-5)

    def identity(examples, row):
        return tuple(np.concatenate([np.ravel(field[row]) for field in examples]))

    batch = slow.sample(jax.random.key(1), 500)
    drawn = {identity(batch.examples, row) for row in range(500)}
    assert drawn == {identity(some, row) for row in range(some.size)}
    np.testing.assert_array_equal(batch.where.sum(axis=1), 1)


def test_necessary_operations_are_the_products_of_the_rows():
    """One product after another: of a state with a matrix, 2 operations an entry of it."""
    hidden, words, layers = 5, 70, 3
    length, position = np.array([4, 2, 6]), np.array([1, 1, 2])
    setting = SimpleNamespace(
        model=SimpleNamespace(config=CONFIG._replace(hidden=hidden, vocabulary=words, layers=3)),
        train=SimpleNamespace(length=length, position=position),
    )
    recurrent = kl = 0
    for count, place in zip(length, position, strict=True):
        for word in range(place, count):
            for _ in ("forward", "backward"):
                kl += 2 * hidden * words
                if word > place:  # what the intervened word itself is read with comes before it
                    for layer in range(layers):
                        recurrent += 2 * hidden * 4 * hidden
                        recurrent += 2 * hidden * 4 * hidden if layer else 0
    rows = gradient.BATCH / len(length)
    count = gradient.necessary_operations
    np.testing.assert_allclose(count(setting, "no KL"), recurrent * rows)
    np.testing.assert_allclose(count(setting, "exact KL"), (recurrent + kl) * rows)
    sampled = SearchConfig().kl.rows * 4 * hidden * words
    np.testing.assert_allclose(count(setting, "sampled KL"), recurrent * rows + sampled)


def test_medians_leave_out_the_first_run_and_take_turns(monkeypatch):
    clock, runs = [0.0], []
    monkeypatch.setattr(subject.time, "perf_counter", lambda: clock[0])
    takes = {"a": iter([100.0, 1.0, 9.0, 2.0]), "b": iter([0.0, 5.0, 4.0, 6.0])}

    def work(name):
        runs.append(name)
        clock[0] += next(takes[name])

    found = subject.medians({name: lambda n=name: work(n) for name in takes}, 3)
    assert found == {"a": 2.0, "b": 5.0}
    assert runs == ["a", "b"] * 4


def test_programs_compiled_are_counted_by_name():
    def triple(x):
        return 3 * x

    with whole_search.compilations() as found:
        function = jax.jit(triple)
        for size in (2, 3, 3):
            function(np.ones(size))
    jax.jit(lambda x: 5 * x)(np.ones(2))  # not counted any more
    (entry,) = (entry for entry in found if entry["program"] == "triple")
    assert entry["times"] == 2
    assert entry["seconds"] > 0
    assert not [entry for entry in found if "lambda" in entry["program"]]


def test_memory_is_what_comes_after_the_weights(monkeypatch):
    """A known block of memory, held for a while."""
    megabytes = 150

    def ready(case, everything):
        return lambda: np.ones(megabytes * 1_000_000 // 8).sum()

    monkeypatch.setattr(memory, "ready", ready)
    monkeypatch.setattr(memory, "material", lambda options: None)
    taken = memory.beyond_weights(QUICK, Case("exact KL", "ours"))
    if not memory._PROCESS.is_dir():
        assert taken is None
    else:
        assert megabytes - 5 < taken < megabytes + 50


def test_ratios_are_those_of_the_times_of_one_seed(monkeypatch):
    operations = {"no KL": 1e9, "sampled KL": 2e9, "exact KL": 8e9}
    taken = {
        Case("no KL", "ours"): 0.1, Case("sampled KL", "ours"): 0.2, Case("exact KL", "ours"): 0.4,
        Case("no KL", "ours", 4): 0.2, Case("sampled KL", "ours", 4): 0.5,
        Case("exact KL", "ours", 4): 1.0,
        Case("no KL", "naive JAX"): 0.5, Case("exact KL", "naive JAX"): 3.0,
        gradient.MATMUL: 2.0 * subject.QUICK.square**3 / 50e9,
    }  # fmt: skip

    def medians(work, repeats):
        assert set(work) == set(taken)
        return dict(taken)

    for name, stand_in in {
        "material": lambda options: None,
        "ready": lambda case, everything: None,
        "necessary_operations": lambda everything, kl: operations[kl],
        "torch_there": lambda: False,
        "medians": medians,
    }.items():
        monkeypatch.setattr(gradient, name, stand_in)
    measured = gradient.measure(BenchmarkOptions(quick=True, seeds=4))
    assert measured["matmul_gflops"] == pytest.approx(50.0)
    found = {(c["objective"], c["version"], c["seeds"]): c for c in measured["cases"]}
    assert found["sampled KL", "ours", 4]["ms"] == pytest.approx(125.0)
    assert found["sampled KL", "ours", 4]["times_naive_jax"] == pytest.approx(3.0 / 0.125)
    assert found["sampled KL", "ours", 1]["times_naive_jax"] == pytest.approx(3.0 / 0.2)
    assert found["no KL", "ours", 1]["times_naive_jax"] == pytest.approx(5.0)
    assert found["exact KL", "ours", 4]["matmul_share"] == pytest.approx(100 * 32 / 50)
    assert found["exact KL", "naive JAX", 1]["matmul_share"] == pytest.approx(100 * 8 / 3 / 50)
    assert found["no KL", "ours", 1]["times_pytorch"] is None


@pytest.mark.slow
def test_a_folder_of_what_was_measured(tmp_path, capsys):
    chosen = dataclasses.replace(QUICK, only=("evaluation",), out=tmp_path / "run")
    summary = benchmark.work(chosen)
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert {file.name for file in (tmp_path / "run").iterdir()} == {
        "config.json", "summary.json", "table.md",
    }  # fmt: skip
    assert summary["evaluation"]["pairs"] == 12_000
    assert summary["evaluation"]["exact_kl"]["seconds"] > 0
    printed = capsys.readouterr().out
    assert "GFLOP/s on" in printed
    assert "with exact KL" in printed

    with pytest.raises(RunFolderError, match="alpha"):  # before any work is done
        benchmark.work(dataclasses.replace(chosen, alpha=0.3))


LARGE = {"layers": 2, "hidden": 1024, "vocabulary": 50_001}
CASE = {"objective": "no KL, last word", "version": "naive JAX", "seeds": 10}
SUMMARY = {
    "model": LARGE,
    "gradient": {
        "matmul_gflops": 212.3, "square": 2048, "repeats": 5, "batch": 64,
        "cases": [CASE | {"ms": 2345.6, "necessary_gflop": 31.23, "matmul_share": 77.7,
                          "times_naive_jax": 123.4, "times_pytorch": None}],
    },
    "memory": {"cases": [CASE | {"megabytes": None}]},
    "search": {
        "alpha": 0.0485, "seeds": 10, "steps": 480, "batch": 64,
        "versions": [
            {"version": "ours", "timed_steps": 480, "seconds": 321.1, "converged": 10,
             "accuracy": {"mean": 92.35, "std": 0.41}, "n_units": {"mean": 29.5, "std": 11.6},
             "kl": {"mean": 0.403, "std": 0.0}},
            {"version": "PyTorch, one whole", "timed_steps": 480, "seconds": 123_456.0},
        ],
        "details": {"search": 321.1, "compile": 21.2, "evaluate": 2.0, "evaluate_compile": 3.0},
        "compilations": [{"program": "steps", "times": 2, "seconds": 17.0},
                         {"program": "convert_element_type", "times": 3, "seconds": 0.1}],
    },
    "evaluation": {"masks": 10, "pairs": 12_000, "accuracy": {"seconds": 1.25, "compile": 3.0},
                   "exact_kl": {"seconds": 4.5, "compile": 3.0}},
    "start": {"model": "demo", "starts": 2 * [
        {"import": 1.2, "prepare": 2.3, "compile": 12.0, "total": 15.5, "programs": 123,
         "from_cache": 12}]},
    "scaling": {
        "at": {"seeds": 1, "batch": 64, "suffix": 2, "words": 50_001, "hidden": 650},
        "points": {
            name: [{"value": value, "ms": 0.5 * value} for value in values]
            for name, values in subject.PAPER.scaling.items()
        },
    },
}  # fmt: skip


def test_tables_fit_the_terminal_with_the_widest_figures(capsys):
    for table in tables.tables(SUMMARY):
        print_table(table)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for text in ("no KL, last word", "123,456", "384.5", "PyTorch, one whole", "50,001", "29.5 ± "):
        assert text in printed, text
    assert set(SUMMARY) == {"model", *SECTIONS}


def test_figure_of_growth(tmp_path):
    drawing = scaling.figure(SUMMARY["scaling"])
    shown = [panel for panel in drawing.axes if panel.lines]
    names = [panel.get_xlabel() for panel in shown]
    assert names == list(scaling.NAMES.values())
    seeds = shown[0].lines[0].get_xydata()
    np.testing.assert_allclose(seeds[:, 0], subject.PAPER.scaling["seeds"])
    np.testing.assert_allclose(seeds[:, 1], 0.5 * seeds[:, 0])
    assert shown[3].lines[2].get_xydata().tolist() == [[50_001, 25_000.5]]  # the default point
    figures.save(drawing, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("fault", "name"),
    [({"naive_steps": -1}, "naive-steps"), ({"seeds": 0}, "seeds"), ({"alpha": 2.0}, "alpha")],
)
def test_options_out_of_range_are_refused(fault, name):
    with pytest.raises(OptionError, match=name):
        benchmark.work(BenchmarkOptions(**fault))


def test_a_search_in_pytorch_needs_it(monkeypatch):
    monkeypatch.setattr(benchmark, "torch_there", lambda: False)
    with pytest.raises(OptionError, match="torch-search"):
        benchmark.work(BenchmarkOptions(torch_search=True))


@pytest.mark.slow
def test_the_second_start_compiles_less(model):
    first, second = start.measure(str(model), None)["starts"]
    for one in (first, second):
        parts = one["import"] + one["prepare"] + one["compile"]
        assert one["total"] == pytest.approx(parts)
    assert first["from_cache"] == 0 < second["from_cache"] <= second["programs"]
    assert second["compile"] < first["compile"]


@pytest.mark.slow
def test_memory_in_a_process_of_its_own(monkeypatch):
    case = Case("no KL", "naive JAX")
    monkeypatch.setattr(memory, "cases", lambda options: [case])
    (measured,) = memory.measure(QUICK)["cases"]
    assert measured == {**case._asdict(), "megabytes": measured["megabytes"]}
    assert measured["megabytes"] is None or 1 < measured["megabytes"] < 2000


@pytest.mark.slow
def test_command_line(tmp_path):
    only = ["gradient", "search", "scaling"]
    command = [sys.executable, "-m", "experiments.benchmark", "--quick", "--seeds", "1"]
    done = subprocess.run(
        [*command, "--naive-steps", "1", "--only", *only, "--out", str(tmp_path / "run")],
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {*only, "seconds"} == set(summary) - {"model", "device", "cores", "matmul", "versions"}
    assert (tmp_path / "run" / "figures" / "scaling.png").stat().st_size > 20_000
    compiled = {entry["program"]: entry["times"] for entry in summary["search"]["compilations"]}
    assert compiled["steps"] == 2  # of the relaxation, and rounds of exchange
    assert [one["version"] for one in summary["search"]["versions"]][:2] == ["ours", "naive JAX"]
    assert all(case["ms"] > 0 for case in summary["gradient"]["cases"])
    assert len(summary["scaling"]["points"]["seeds"]) == 2
