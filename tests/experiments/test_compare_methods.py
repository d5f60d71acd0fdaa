"""The rule of convergence, the methods under it, and the comparison from end to end."""

import dataclasses
import json
import re
import subprocess
import sys
from typing import get_args

import jax
import numpy as np
import pytest
from experiments.shared.setup import OptionError
from support import toy

from experiments import compare_methods
from experiments.shared import records
from experiments.shared.console import print_table
from experiments.studies import comparison_runs, comparison_tables, convergence, methods
from experiments.studies.comparison_runs import CompareOptions, Job, MethodName
from experiments.studies.convergence import Rule, Watch
from experiments.studies.methods import METHODS, Bench, key_of
from jaxmask import search
from jaxmask.baselines import ablation, greedy, integrated_gradients, random_masks
from jaxmask.baselines.greedy import GreedyConfig
from jaxmask.baselines.reinforce import ReinforceConfig
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.evaluate import evaluate
from jaxmask.files.run_folder import RunFolderError
from jaxmask.report import figures
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

RULE = Rule(patience=2)


@pytest.mark.parametrize(
    ("accuracies", "holds", "expected"),
    [
        ([], "", False),
        ([0.5], "1", False),
        ([0.5, 0.5], "11", False),
        ([0.5, 0.5, 0.5], "111", True),
        ([0.5, 0.5015, 0.501], "111", True),
        ([0.5, 0.51, 0.51], "111", False),  # a rise starts the count again
        ([0.5, 0.51, 0.51, 0.51], "1111", True),
        ([0.5, 0.5015, 0.503], "111", False),  # small rises add up
        ([0.5, 0.4, 0.3], "111", True),  # a fall is no rise
        ([0.5, 0.4, 0.5], "111", True),  # nor is coming back from one
        ([0.9, 0.5, 0.5, 0.5], "0111", True),  # masks that are too large don't count,
        ([0.1, 0.9, 0.1, 0.1], "1011", True),  # neither as a rise,
        ([0.5, 0.5, 0.5], "101", False),  # nor as an evaluation without one,
        ([0.5, 0.5, 0.5, 0.5], "1110", False),  # and nothing ends with one
    ],
)
def test_converged_when_the_accuracy_no_longer_rises(accuracies, holds, expected):
    assert convergence.converged(accuracies, [held == "1" for held in holds], RULE) == expected


@pytest.mark.parametrize(
    ("units", "expected_l0", "expected"),
    [
        (20, 19.0, True),
        (20, 20.9, True),  # within the slack
        (20, 21.1, False),
        (21, 19.0, False),  # more units than allowed
        (20, None, True),  # nothing relaxed
        (0, 1.0, False),  # no mask at all
    ],
)
def test_the_constraint_is_on_both_masks(units, expected_l0, expected):
    assert convergence.holds(units, expected_l0, 0.02, 1000, Rule(slack=0.05)) == expected


@pytest.fixture(scope="module")
def bench():
    return Bench(toy.toy(seed=4, units=10), None, None, 5, {})


def fresh(bench, **rule):
    watch = Watch(Rule(**rule), bench.objective.everything(), Programs())
    return bench._replace(watch=watch, programs=Programs(), kept={})


def test_a_search_ends_at_the_first_round_after_which_the_rule_holds(bench):
    config = SearchConfig(
        alpha=0.3, beta=0.3, steps=40, batch_size=24, exchange_rounds=4, exchange_rows=24
    )
    bench = fresh(bench, every=20, patience=2)
    found = METHODS["hard_concrete"].run(bench, 0, config)
    relaxed, rounds = found.seen[:2], found.seen[2:]
    assert [seen.steps for seen in found.seen] == [
        20, 40, *(40 + config.refit_steps * n for n in range(1, len(rounds) + 1))
    ]  # fmt: skip
    assert found.steps == found.seen[-1].steps
    assert all(seen.expected_l0 > 0 for seen in relaxed)
    assert all(seen.expected_l0 is None for seen in rounds)
    for number in range(1, len(rounds) + 1):
        seen = found.seen[: 2 + number]
        ended = convergence.converged(
            [s.accuracy for s in seen], [s.holds for s in seen], bench.watch.rule
        )
        assert ended == (number == len(rounds))
    assert found.converged
    seconds = [seen.seconds for seen in found.seen]
    assert seconds == sorted(seconds)
    assert found.seconds == pytest.approx(bench.programs.running)
    assert found.seen[-1].accuracy == pytest.approx(
        float(evaluate(found.intervention, bench.objective).accuracy)
    )
    # Without an end of its own, it is the search of the library.
    same = config.replace(exchange_rounds=len(rounds))
    expected, _ = jax.jit(search.run)(key_of(0), bench.objective, same)
    np.testing.assert_array_equal(found.intervention.mask, expected.mask)
    np.testing.assert_allclose(found.intervention.baseline, expected.baseline, atol=1e-3)


def test_what_does_not_converge_ends_after_a_multiple_of_its_steps(bench):
    config = ReinforceConfig(alpha=0.3, steps=20, batch_size=24)
    found = METHODS["reinforce"].run(fresh(bench, every=25, patience=50), 0, config)
    assert found.steps == methods.PATIENT * 20 == found.seen[-1].steps
    assert not found.converged
    assert [seen.steps for seen in found.seen] == [25, 50, 60]


def test_an_alpha_compiles_nothing_new(bench):
    bench = fresh(bench, every=20, patience=1)
    config = SearchConfig(steps=20, batch_size=24, exchange_rounds=1, exchange_rows=24)
    METHODS["hard_concrete"].run(bench, 0, config)
    compiled = dict(bench.programs._compiled), dict(bench.watch.programs._compiled)
    METHODS["hard_concrete"].run(bench, 1, config.replace(alpha=0.4, beta=0.4))
    assert (bench.programs._compiled, bench.watch.programs._compiled) == compiled


def test_one_greedy_run_gives_all_sizes(bench):
    bench = fresh(bench)
    config = GreedyConfig(rows=24)
    small, large = (
        METHODS["greedy"].run(bench, 0, config.replace(alpha=alpha)) for alpha in (0.2, 0.5)
    )
    assert small.seconds == pytest.approx(large.seconds * 2 / 5)
    assert large.seconds == pytest.approx(bench.programs.running)
    for run, most in ((small, 2), (large, 5)):
        expected, _ = greedy.run(
            key_of(0), bench.objective, config.replace(alpha=most / 10, most=most)
        )
        np.testing.assert_array_equal(run.intervention.mask, expected.mask)
    curve = methods.greedy_curve(bench, 0, config, bench.objective)
    assert len(curve) == 5
    for size, run in ((2, small), (5, large)):
        accuracy = evaluate(run.intervention, bench.objective).accuracy
        assert curve[size - 1] == pytest.approx(float(accuracy))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("ig_zeroed", integrated_gradients.run),
        ("ig_learned", integrated_gradients.run_learned),
        ("ablation_zeroed", ablation.run),
        ("ablation_learned", ablation.run_learned),
        ("random", random_masks.run),
    ],
)
def test_scores_are_computed_once_and_runs_are_the_library_s(bench, name, run):
    bench = fresh(bench)
    config = SelectionConfig(rows=24, batch_size=24, refit_steps=5)
    seconds = 0.0
    for alpha in (0.2, 0.5):
        found = METHODS[name].run(bench, 3, config.replace(alpha=alpha))
        expected, _ = jax.jit(run)(key_of(3), bench.objective, config.replace(alpha=alpha))
        np.testing.assert_array_equal(found.intervention.mask, expected.mask)
        np.testing.assert_allclose(found.intervention.baseline, expected.baseline, atol=1e-4)
        seconds += found.seconds
    of_score = bench.kept[3][1]
    assert seconds == pytest.approx(bench.programs.running + of_score)  # each has all of its own


def test_every_method_can_be_asked_for_and_drawn():
    assert get_args(MethodName) == tuple(METHODS)
    assert len(METHODS) <= len(figures.STYLES)


def test_exhaustive_search_runs_at_few_units_only():
    options = CompareOptions(alpha=(0.2, 0.5), units=(1, 2), seeds=2, methods=("exhaustive",))
    assert comparison_runs.jobs_of(options, 10) == [
        Job("exhaustive", alpha, seed) for seed in (0, 1) for alpha in (0.1, 0.2)
    ]
    with pytest.raises(OptionError, match="--units"):
        comparison_runs.jobs_of(dataclasses.replace(options, units=(11,)), 10)
    with pytest.raises(OptionError, match="--methods"):
        comparison_runs.jobs_of(dataclasses.replace(options, alpha=(0.5,), units=()), 10)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"alpha": (0.1, 2.0)}, "--alpha"),
        ({"alpha": ()}, "--alpha"),
        ({"units": (0,)}, "--units"),
        ({"methods": ()}, "--methods"),
        ({"every": 0}, "--every"),
        ({"patience": 0}, "--patience"),
        ({"seeds": 0}, "--seeds"),
    ],
)
def test_options_out_of_range_are_refused(fault, named):
    with pytest.raises(OptionError, match=named):
        comparison_runs.check_options(CompareOptions(**fault))


def test_kept_results_are_of_the_same_settings(tmp_path):
    file = tmp_path / "a" / "kept.json"
    settings = {"alpha": 0.5, "seed": 0}
    assert records.read(file, settings) is None
    records.write(file, settings, {"units": [1, 2]})
    assert records.read(file, settings) == {"units": [1, 2]}
    with pytest.raises(RunFolderError, match=r"\(alpha\)"):
        records.read(file, {**settings, "alpha": 0.4})
    file.write_text("[]")
    with pytest.raises(RunFolderError, match="expected results"):
        records.read(file, settings)


def summary(task="number_agreement"):
    """Of all methods at the paper's alphas, with the widest figures there are."""
    wide = {"mean": 100.0, "std": 12.34}
    run = {"accuracy": 100.0, "n_units": 65}
    seconds = {"hard_concrete": 500.0, "greedy": 3.0}
    entries = [
        {
            "method": name, "alpha": alpha, "allowed": 65, "accuracy": wide, "n_units": wide,
            "kl": {"mean": 12.345, "std": 0.0}, "compile_seconds": wide, "converged": 2,
            "steps": {"mean": None, "std": None} if "zeroed" in name else {"mean": 6e3, "std": 0.0},
            "seconds": {"mean": seconds.get(name, 2500.0), "std": 345.6}, "runs": [run, run],
        }
        for name in METHODS
        for alpha in (0.005, 0.01, 0.02, 0.05)
    ]  # fmt: skip
    return {
        "task": task, "intervention": "single", "context": "eos", "kl_weight": 1.0,
        "rule": Rule()._asdict(), "methods": entries, "greedy_curve": [[10.0, 20.0], [20.0, 30.0]],
        "model": {"name": "m", "fingerprint": "f", "layers": 2, "hidden": 650, "vocabulary": 9},
        "examples": {"train": 1, "evaluation": 1, "dropped": 0, "split": "example", "watched": 1},
        "device": "cpu",
    }  # fmt: skip


def test_tables_fit_the_terminal(capsys):
    for table in (
        comparison_tables.quality_table(summary()), comparison_tables.speed_table(summary())
    ):  # fmt: skip
        print_table(table)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert len(table.rows) == 4 * len(METHODS)
        for label in {row[0] for row in table.rows}:  # no row was wrapped
            assert sum(line.startswith(label) for line in lines) == 4, label


def test_tables_set_the_paper_s_figures_beside():
    quality = {row[:2]: row for row in comparison_tables.quality_table(summary()).rows}
    assert quality["REINFORCE", "0.05"][-2:] == ("100.0", "20.0")
    assert quality["IG, zeroed", "0.005"][-2:] == ("22.5", "7.0")
    assert quality["Hard Concrete", "0.02"][-2:] == ("91.5", "5.7")
    assert quality["Hard Concrete", "0.05"][-2:] == quality["greedy", "0.02"][-2:] == ("", "")
    speed = {row[:2]: row for row in comparison_tables.speed_table(summary()).rows}
    assert speed["Hard Concrete", "0.02"][-2:] == ("5.0", "0.5 h")
    assert speed["REINFORCE", "0.02"][-3:] == ("2/2", "1.0", "3.6 h")
    other = comparison_tables.quality_table(summary("gender_bias")).rows
    assert all(row[-2:] == ("", "") for row in other)


def test_the_accuracy_table_has_a_row_a_method_and_a_column_a_size(capsys):
    given = summary()
    for number, entry in enumerate(given["methods"]):
        entry["allowed"] = (3, 6, 13, 18, 26, 36, 48, 60, 64, 65)[number % 10]
    table = comparison_tables.accuracy_table(given)
    assert table.header == ("Method", "3", "6", "13", "18", "26", "36", "48", "60", "64", "65")
    assert [row[0] for row in table.rows] == [method.label for method in METHODS.values()]
    assert table.rows[0][1:5] == ("100.0", "100.0", "100.0", "100.0")
    assert table.rows[0][5] == ""
    print_table(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_figure_has_greedy_at_every_size():
    axes = comparison_tables.figure(summary()).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == [method.label for method in METHODS.values()]
    np.testing.assert_array_equal(lines["greedy"].get_xdata(), [1, 2])
    np.testing.assert_array_equal(lines["greedy"].get_ydata(), [15.0, 25.0])


@pytest.mark.slow
def test_a_comparison_can_be_stopped_and_extended(model, tmp_path, capsys, monkeypatch):
    options = CompareOptions(
        model=str(model), out=tmp_path, alpha=(0.25,), units=(1,), seeds=1, steps=40, rounds=1,
        every=20, evaluation=300,
    )  # fmt: skip
    ran = []
    for name, method in METHODS.items():

        def run(bench, seed, config, name=name, method=method):
            if len(ran) == 12:
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
    assert "12 of them there already" in shown

    ran.clear()
    more = dataclasses.replace(options, seeds=2, methods=("random", "greedy"), alpha=(0.25, 0.5))
    extended = compare_methods.work(more)
    assert sorted(ran) == sorted(
        [("random", 0), ("greedy", 0)] + [(name, 1) for name in ("random", "greedy")] * 3
    )
    assert {len(entry["runs"]) for entry in extended["methods"]} == {2}
    assert np.shape(extended["greedy_curve"]) == (2, 6)
    ran.clear()
    with pytest.raises(RunFolderError, match="kl_weight"):
        compare_methods.work(dataclasses.replace(options, kl_weight=2.0))
    assert not ran


def _check_folder(folder, summary):
    """The files say the same, and nothing that can't be."""
    there = json.loads((folder / "summary.json").read_text())
    by_name = {(entry["method"], entry["allowed"]): entry for entry in there["methods"]}
    assert set(by_name) == {(name, allowed) for name in METHODS for allowed in (1, 3)}
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
    assert json.loads((folder / "config.json").read_text())["alpha"] == [0.25]
    assert (folder / "figures" / "accuracy_against_units.png").stat().st_size > 10_000
    text = (folder / "table.md").read_text()
    assert re.search(r"SFE / REINFORCE +\| 0\.05", text)
    assert text.count("| REINFORCE ") == 4  # two tables, two sizes
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
    assert "IG, zeroed" in done.stdout
    done = subprocess.run([*command, "--alpha", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --alpha: expected above 0, at most 1")
