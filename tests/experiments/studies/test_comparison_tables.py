"""Tables and figure of the comparison, beside the paper's figures."""

import numpy as np

from experiments.shared.console import print_table
from experiments.studies import comparison_tables
from experiments.studies.convergence import Rule
from experiments.studies.methods import METHODS


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
    for name in {row[0] for row in table.rows}:  # no row of the table on the screen was wrapped
        assert sum(line.startswith(f"{name} ") for line in lines) == 4, name


def test_tables_set_the_paper_s_figures_beside():
    quality = {row[:2]: row for row in comparison_tables.quality_table(summary()).rows}
    assert quality["reinforce", "0.05"][-2:] == ("100.0", "20.0")
    assert quality["ig_zeroed", "0.005"][-2:] == ("22.5", "7.0")
    assert quality["hard_concrete", "0.02"][-2:] == ("91.5", "5.7")
    assert quality["hard_concrete", "0.05"][-2:] == quality["greedy", "0.02"][-2:] == ("", "")
    speed = {row[:2]: row for row in comparison_tables.speed_table(summary()).rows}
    assert speed["hard_concrete", "0.02"][-2:] == ("5.0", "0.5 h")
    assert speed["reinforce", "0.02"][-3:] == ("2/2", "1.0", "3.6 h")


def test_columns_without_a_number_are_left_out():
    other = comparison_tables.quality_table(summary("gender_bias"))
    assert other.header == ("Method", "alpha", "Most", "Accuracy", "Units", "KL")
    assert {len(row) for row in other.rows} == {len(other.header)}
    assert "Paper" not in other.note
    given = summary("gender_bias")
    given["methods"] = [one for one in given["methods"] if one["method"] == "greedy"]
    speed = comparison_tables.speed_table(given)
    assert speed.header == ("Method", "alpha", "Steps", "Seconds", "Compile", "Conv.")
    assert "Faster" not in speed.note
    assert "Faster: how many times" in comparison_tables.speed_table(summary()).note


def test_the_accuracy_table_has_a_row_a_method_and_a_column_a_size(capsys):
    given = summary()
    for number, entry in enumerate(given["methods"]):
        entry["allowed"] = (3, 6, 13, 18, 26, 36, 48, 60, 64, 65)[number % 10]
    table = comparison_tables.accuracy_table(given)
    assert table.header == ("Method", "3", "6", "13", "18", "26", "36", "48", "60", "64", "65")
    assert [row[0] for row in table.rows] == list(METHODS)
    assert table.rows[0][1:5] == ("100.0", "100.0", "100.0", "100.0")
    assert table.rows[0][5] == ""
    print_table(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_figure_has_greedy_at_every_size():
    axes = comparison_tables.figure(summary()).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == list(METHODS)
    np.testing.assert_array_equal(lines["greedy"].get_xdata(), [1, 2])
    np.testing.assert_array_equal(lines["greedy"].get_ydata(), [15.0, 25.0])
