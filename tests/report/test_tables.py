import json
import math

import numpy as np
import pytest
from support.summaries import DIRECTIONS, run, summary, three_runs

from jaxmask import report
from jaxmask.intervention import Site

SITE = Site("hidden", layers=2, width=100)


def test_mean_std_is_the_sample_deviation():
    values = [90.0, 91.0, 95.5]
    result = report.mean_std(values)
    assert result == pytest.approx({"mean": np.mean(values), "std": np.std(values, ddof=1)})


def test_std_of_one_run_is_zero_and_of_none_is_none():
    assert report.mean_std([3.0]) == {"mean": 3.0, "std": 0.0}
    assert report.mean_std([]) == {"mean": None, "std": None}


def test_percent_turns_nan_into_null():
    assert report.percent(0.25) == 25.0
    assert json.dumps(report.percent(np.float32(math.nan))) == "null"


def test_prevalence_by_hand():
    rows = report.prevalence(three_runs(), SITE, DIRECTIONS)
    assert [row["unit"] for row in rows] == [101, 7, 150]
    assert rows[0] == {
        "unit": 101,
        "layer": 2,
        "column": 1,
        "state": "hidden",
        "prevalence": 100.0,
        "singular": pytest.approx({"mean": -0.8, "std": 0.1}),
        "plural": pytest.approx({"mean": 0.601, "std": 0.0}),
    }
    assert rows[1]["prevalence"] == pytest.approx(200 / 3)
    assert (rows[2]["layer"], rows[2]["column"]) == (2, 50)


def test_prevalences_add_up_to_the_mean_unit_count():
    runs = three_runs()
    total = sum(row["prevalence"] for row in report.prevalence(runs, SITE, DIRECTIONS)) / 100
    assert total == pytest.approx(np.mean([r["n_units"] for r in runs]))


def test_units_of_equal_prevalence_are_sorted_by_number():
    rows = report.prevalence([run(0, [9, 100, 20, 3])], SITE, DIRECTIONS)
    assert [row["unit"] for row in rows] == [3, 9, 20, 100]


def test_separate_masks_leave_the_other_direction_out():
    values = {"singular": {"7": -0.5}, "plural": {"9": 0.5}}
    rows = report.prevalence([run(0, [7, 9], values=values)], SITE, DIRECTIONS)
    assert rows[0]["plural"] == {"mean": None, "std": None}
    assert rows[1]["singular"] == {"mean": None, "std": None}
    assert report.unit_table(summary([run(0, [7, 9], values=values)])).rows == (
        ("7", "1, 7", "-0.50 ± 0.00", "", "100%"),
        ("9", "1, 9", "", "0.50 ± 0.00", "100%"),
    )


@pytest.mark.parametrize("unit", [0, 201])
def test_prevalence_refuses_units_that_the_model_has_not(unit):
    with pytest.raises(ValueError, match="expected 1 to 200"):
        report.prevalence([run(0, [unit])], SITE, DIRECTIONS)


def test_unit_table():
    table = report.unit_table(summary(three_runs()))
    assert table.header == ("Unit", "Layer, column", "To singular", "To plural", "Prevalence")
    assert table.rows[0] == ("101", "2, 1", "-0.80 ± 0.10", "0.60 ± 0.00", "100%")
    assert "3 runs" in table.title
    assert "single-step, KL-regularised" in table.title


def test_directions_are_named_by_the_data():
    one = run(
        0,
        [7],
        values={"he": {"7": 0.5}, "she": {"7": -0.5}},
        accuracy_by_direction={"he": 1.0, "she": 2.0},
    )
    table = report.unit_table(summary([one], task="gender_bias"))
    assert table.header[2:4] == ("To he", "To she")


def test_a_direction_without_examples_is_said_to_have_none():
    runs = [run(0, [7], accuracy_by_direction={"singular": 91.0, "plural": None})]
    table = report.unit_table(summary(runs))
    assert table.rows[0][2:4] == ("-0.90 ± 0.00", "no examples")
    ours = report.summary_row(summary(runs)).rows[0]
    assert ours[2:4] == ("91.0", "no examples")


def test_summary_row_beside_the_papers():
    table = report.summary_row(summary(three_runs()))
    assert table.header == (
        "", "Accuracy", "To singular", "To plural", "Units", "Expected", "KL",
    )  # fmt: skip
    ours, paper = table.rows
    assert ours == ("ours", "91.0 ± 1.0", "91.0", "89.0", "2.0 ± 1.0", "6.5", "0.030 ± 0.000")
    assert paper == ("paper", "91.5 ± 0.7", "", "", "5.7 ± 0.9", "", "0.035 ± 0.006")


def test_the_note_of_the_summary_gives_the_kl_elsewhere():
    table = report.summary_row(summary(three_runs(), kl_elsewhere=report.mean_std([0.01, 0.03])))
    assert table.note.endswith("Of the KL, 0.020 ± 0.014 isn't at the target.")
    unknown = report.summary_row(summary(three_runs(), kl_elsewhere=report.mean_std([])))
    assert unknown == report.summary_row(summary(three_runs()))


def test_the_papers_row_follows_the_setting():
    table = report.summary_row(summary(three_runs(), intervention="every", kl_weight=0.0))
    assert table.rows[1][1] == "96.8 ± 0.6"


@pytest.mark.parametrize("changes", [{"method": "greedy"}, {"task": "other"}])
def test_no_row_of_the_paper_where_it_has_none(changes):
    assert len(report.summary_row(summary(three_runs(), **changes)).rows) == 1


def test_a_method_without_expected_units():
    runs = [run(0, [7], expected_l0=None)]
    assert report.summary_row(summary(runs)).rows[0][5] == ""
    assert report.run_table(summary(runs)).rows[0][3] == ""
    for table in (report.summary_row(summary(runs)), report.run_table(summary(runs))):
        assert "Expected: " not in table.note


def test_columns_are_explained_where_they_stand():
    for table in (
        report.summary_row(summary(three_runs())),
        report.run_table(summary(three_runs())),
    ):
        assert "Expected: the number of units that the relaxed mask expects" in table.note
    assert "Converged: the hard mask has no more units than alpha allows" in table.note


def test_a_run_says_whether_it_has_converged_and_why_not():
    def cell(**changes):
        return report.run_table(summary([run(0, [7], **changes)])).rows[0][6]

    assert cell(converged=True) == "yes"
    assert cell(converged=False) == "no"  # of an earlier version
    assert cell(converged=False, not_converged=["units"]) == "no: more units than alpha allows"
    both = cell(converged=False, not_converged=["finite", "settled"])
    assert both == "no: a step wasn't finite, the accuracy still rose"


def test_counted_nouns():
    assert report.count(1, "seed") == "1 seed"
    assert report.count(0, "seed") == "0 seeds"


def test_empty_columns_are_left_out():
    table = report.Table("T", ("a", "b", "b"), (("1", "", "x"), ("", "", "y")), "n")
    assert report.without_empty(table) == table._replace(
        header=("a", "b"), rows=(("1", "x"), ("", "y"))
    )
    assert report.without_empty(table._replace(rows=())).header == table.header


def test_runs_that_found_nothing():
    table = report.unit_table(summary([run(0, [])]))
    assert table.rows == ()
    assert table.note == "No run found a unit."


def test_shorten_says_how_many_are_left():
    table = report.unit_table(summary([run(0, list(range(1, 46)))]))
    short = report.shorten(table)
    assert short.rows == table.rows[:15]
    assert "30 more" in short.note
    assert "table.md" in short.note
    assert report.shorten(table, most=45) == table


def test_markdown():
    table = report.Table("Title", ("a", "long name"), (("1|2", "x"),), "A note.")
    assert report.to_markdown(table) == (
        "## Title\n\n| a    | long name |\n|------|-----------|\n| 1\\|2 | x         |\n\nA note.\n"
    )


def test_markdown_report_has_every_unit_and_run():
    units = list(range(1, 46))
    text = report.markdown_report(summary([run(0, units), run(1, units)]))
    assert all(f"\n| {unit} " in text for unit in units)
    assert "right on 94.2% of the examples" in text
    assert "alpha 0.02" in text
    assert "3 dropped" in text
