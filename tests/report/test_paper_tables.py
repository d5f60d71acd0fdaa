"""Tables over several runs: ours, the paper's, the difference."""

import pytest
from support.summaries import run, summary

from jaxmask import report
from jaxmask.report import paper, paper_tables


def runs(accuracy=92.0, kl=0.05):
    relaxed = {"sampled_accuracy": 80.0, "hard_accuracy": 70.0, "hard_units": 3.0}
    text = {"every": {"singular": 0.2, "plural": 0.4}, "random": {"singular": 0.01, "plural": 0.03}}
    return [
        run(seed, [7, 101], accuracy=accuracy, kl=kl, relaxed=relaxed, text_kl=text)
        for seed in range(2)
    ]


def test_results_stand_beside_the_papers_with_the_difference():
    ours = summary(runs(), kl_weight=0.0)
    table = paper_tables.results_table([ours], {("number_agreement", "single", False): 9})
    assert table.header == ("Setting", "", "Accuracy", "Units", "KL", "Greedy")
    assert table.rows == (
        ("number, single", "ours", "92.0 ± 0.0", "2.0 ± 0.0", "0.050 ± 0.000", "9"),
        ("", "paper", "90.9 ± 1.2", "5.7 ± 0.5", "0.034 ± 0.034", ""),
        ("", "difference", "+1.1", "-3.7", "+0.016", ""),
    )


def test_a_given_alpha_is_said():
    ours = [summary(runs(), kl_weight=0.0)]
    table = paper_tables.results_table(ours, {}, 0.02)
    assert "All settings were searched with the given alpha, 0.02" in table.note
    assert "Greedy" not in table.note
    assert table.header == ("Setting", "", "Accuracy", "Units", "KL")
    chosen = paper_tables.results_table(ours, {})
    assert "Greedy: units that" in chosen.note
    assert "alpha" not in chosen.note
    assert chosen.header[-1] == "Greedy"


def test_a_result_that_the_paper_has_not_stands_alone():
    table = paper_tables.results_table([summary(runs(), method="hard_concrete_paper")], {})
    assert [row[1] for row in table.rows] == ["ours"]
    assert table.rows[0][-1] == ""


def test_dynamics_tell_sampled_from_hard_masks():
    (row,) = paper_tables.dynamics_table({"number": summary(runs(), alpha=0.02)}).rows
    assert row == ("number", "4.0", "6.5 ± 0.0", "80.0", "70.0", "3.0", "92.0", "2.0")


def test_text_kl_is_a_mean_over_runs_and_directions():
    (row,) = paper_tables.text_kl_table([summary(runs())]).rows
    assert row == ("number, single, KL", "0.050 ± 0.000", "0.300 ± 0.115", "0.020 ± 0.012")
    without = [one | {"text_kl": {}} for one in runs()]
    assert paper_tables.text_kl_table([summary(without)]).rows == ()


@pytest.mark.parametrize("task", ["number_agreement", "gender_bias"])
@pytest.mark.parametrize("intervention", ["single", "every"])
def test_the_papers_units(task, intervention):
    table = paper_tables.paper_unit_table(task, intervention, ("one", "other"))
    assert {len(row) for row in table.rows} == {len(table.header)}
    # One mask, two baselines: prevalences add up to the mean number of units of Table 4.
    found = sum(unit.prevalence for unit in paper.UNITS[task, intervention]) / 100
    mean, _ = paper.RESULTS[task, intervention, True].units
    assert found == pytest.approx(mean, abs=0.45)


def test_lakretz_column_of_table_3():
    table = paper_tables.paper_unit_table("number_agreement", "every", ("a", "b"))
    assert [(row[0], row[-1]) for row in table.rows] == [("79", "no"), ("776", "yes")]


def test_another_method_s_units_are_ticked():
    table = report.unit_table(summary(runs()), ("Found by ablation", [101]))
    assert table.header[-1] == "Found by ablation"
    assert {row[0]: row[-1] for row in table.rows} == {"7": "no", "101": "yes"}
