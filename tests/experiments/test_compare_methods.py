"""The comparison of methods from end to end."""

import dataclasses
import json
import re
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from experiments import compare_methods
from experiments.compare_methods import CompareOptions, MethodName
from experiments.shared.option_types import OptionError
from experiments.studies.comparison_runs import Job
from experiments.studies.convergence import Rule
from experiments.studies.methods import METHODS
from jaxmask.files.run_folder import RunFolderError
from jaxmask.report import figures


def test_every_method_can_be_asked_for_and_drawn():
    assert get_args(MethodName) == tuple(METHODS)
    assert len(METHODS) <= len(figures.STYLES)


def test_exhaustive_search_runs_at_few_units_only():
    options = CompareOptions(alpha=(0.2, 0.5), units=(1, 2), seeds=2, methods=("exhaustive",))
    assert options.comparison(10).jobs(10) == [
        Job("exhaustive", alpha, seed) for seed in (0, 1) for alpha in (0.1, 0.2)
    ]
    with pytest.raises(OptionError, match="--units"):
        dataclasses.replace(options, units=(11,)).comparison(10)
    with pytest.raises(OptionError, match="--methods"):
        dataclasses.replace(options, alpha=(0.5,), units=()).comparison(10)


def test_units_take_the_place_of_the_default_alphas():
    def sizes(**given):
        return CompareOptions(**given).comparison(200).alphas

    assert sizes() == (0.005, 0.01, 0.02, 0.05)
    assert sizes(units=(3, 1)) == (0.005, 0.015)
    assert sizes(alpha=(0.1,)) == (0.1,)
    assert sizes(alpha=(0.1,), units=(1, 20)) == (0.005, 0.1)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"alpha": (0.1, 2.0)}, "--alpha"),
        ({"units": (0,)}, "--units"),
        ({"methods": ()}, "--methods"),
        ({"every": 0}, "--every"),
        ({"patience": 0}, "--patience"),
        ({"seeds": 0}, "--seeds"),
    ],
)
def test_options_out_of_range_are_refused(fault, named):
    with pytest.raises(OptionError, match=named):
        CompareOptions(**fault).check()


@pytest.mark.slow
def test_a_comparison_can_be_stopped_and_extended(model, tmp_path, capsys, monkeypatch):
    options = CompareOptions(
        model=str(model), out=tmp_path, alpha=(0.25,), units=(1,), seeds=1, steps=40, rounds=1,
        every=20, evaluation=300,
    )  # fmt: skip
    ran = []
    for name, method in METHODS.items():

        def run(bench, seed, config, name=name, method=method):
            if len(ran) == len(METHODS):  # half of the runs
                raise KeyboardInterrupt
            ran.append((name, seed))
            return method.run(bench, seed, config)

        monkeypatch.setitem(METHODS, name, method._replace(run=run))
    with pytest.raises(KeyboardInterrupt):
        compare_methods.work(options)
    assert not (tmp_path / "summary.json").exists()
    before, ran[:] = ran[:], []
    summary = compare_methods.work(options)
    assert [name for name, _ in before + ran] == [name for name in METHODS for _ in range(2)]
    _check_folder(tmp_path, summary)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= max(80, len(str(tmp_path)) + 40)
    assert f"{len(METHODS)} of them there already" in shown

    ran.clear()
    more = dataclasses.replace(options, seeds=2, methods=("random", "greedy"), alpha=(0.25, 0.5))
    extended = compare_methods.work(more)
    assert sorted(ran) == sorted(
        [("random", 0), ("greedy", 0)] + [(name, 1) for name in ("random", "greedy")] * 3
    )
    assert {len(entry["runs"]) for entry in extended["methods"]} == {2}
    assert np.shape(extended["greedy_curve"]) == (2, 6)
    assert not (tmp_path / "metrics.jsonl").exists()  # neither is evaluated on the way
    ran.clear()
    with pytest.raises(RunFolderError, match="kl_weight"):
        compare_methods.work(dataclasses.replace(options, kl_weight=2.0))
    assert not ran


def _check_folder(folder, summary):
    """The files say the same, and nothing that can't be."""
    there = json.loads((folder / "summary.json").read_text())
    by_name = {(entry["method"], entry["allowed"]): entry for entry in there["methods"]}
    assert set(by_name) == {(name, allowed) for name in METHODS for allowed in (1, 3)}
    assert summary["site_units"] == summary["model"]["layers"] * summary["model"]["hidden"]
    best = by_name["exhaustive", 1]["accuracy"]["mean"]
    for (name, allowed), entry in by_name.items():
        (run,) = entry["runs"]
        assert run["n_units"] == len(run["units"]) <= allowed
        assert entry["accuracy"]["mean"] == run["accuracy"]
        assert entry["seconds"]["mean"] == run["seconds"] > 0
        assert entry["compile_seconds"]["mean"] > 0
        if allowed == 1 and name.endswith("zeroed"):
            assert run["accuracy"] <= best + 2.0  # other rows than it was judged on
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    watched = {"hard_concrete", "hard_concrete_paper", "reinforce"}
    assert {line["method"] for line in lines} == watched
    config = json.loads((folder / "config.json").read_text())
    assert config == {
        "task": "number_agreement", "model": "tiny", "fingerprint": summary["model"]["fingerprint"],
        "data": "generated", "intervention": "single", "site": "hidden", "reach": "all",
        "values": "free", "context": "eos", "evaluation": 300, "split": "example", "split_seed": 0,
        "kl_weight": 0.0,
        "rule": Rule(every=20)._asdict(),
    }  # fmt: skip
    assert (folder / "figures" / "accuracy_against_units.png").stat().st_size > 10_000
    text = (folder / "table.md").read_text()
    assert re.search(r"SFE / REINFORCE +\| 0\.05", text)
    assert text.count("| reinforce ") == 7  # a row for both sizes, then three tables of two sizes
    assert len(there["paired"]) == 2 * (len(METHODS) - 1)
    assert not any("flipped" in run for entry in there["methods"] for run in entry["runs"])
    assert summary["model"]["name"] == "tiny"


@pytest.mark.slow
def test_command_line(model, tmp_path):
    command = [sys.executable, "-m", "experiments.compare_methods", "--model", str(model)]
    done = subprocess.run(
        [*command, "--methods", "ig_zeroed", "random", "--alpha", "0.25", "0.5", "--seeds", "1",
         "--steps", "10", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ig_zeroed" in done.stdout
    done = subprocess.run([*command, "--alpha", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --alpha: expected a number from 1e-06 to 1, found 2.0")
