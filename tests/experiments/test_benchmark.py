"""The benchmark from end to end at tiny sizes."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from experiments import benchmark
from experiments.benchmarks import subject
from experiments.benchmarks.subject import BenchmarkOptions
from experiments.shared.option_types import OptionError
from jaxmask.files.run_folder import RunFolderError

QUICK = BenchmarkOptions(quick=True, seeds=1, naive_steps=1)


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


@pytest.mark.parametrize(
    ("fault", "name"),
    [({"naive_steps": -1}, "naive-steps"), ({"seeds": 0}, "seeds"), ({"alpha": 2.0}, "alpha")],
)
def test_options_out_of_range_are_refused(fault, name):
    with pytest.raises(OptionError, match=name):
        benchmark.work(BenchmarkOptions(**fault))


def test_a_search_in_pytorch_needs_it(monkeypatch):
    monkeypatch.setattr(subject, "torch_there", lambda: False)
    with pytest.raises(OptionError, match="torch-search"):
        benchmark.work(BenchmarkOptions(torch_search=True))


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
    where = {"model", "device", "precision", "cores", "matmul", "versions"}
    assert {*only, "seconds"} == set(summary) - where
    assert (tmp_path / "run" / "figures" / "scaling.png").stat().st_size > 20_000
    compiled = {entry["program"]: entry["times"] for entry in summary["search"]["compilations"]}
    assert compiled["scan"] == 2  # of the relaxation, and rounds of exchange
    assert [one["version"] for one in summary["search"]["versions"]][:2] == ["ours", "naive JAX"]
    assert all(case["ms"] > 0 for case in summary["gradient"]["cases"])
    assert len(summary["scaling"]["points"]["seeds"]) == 2
