"""Several models side by side: what is computed from their results, and how it is shown."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.robustness_models import entry

from experiments.shared.console import print_table
from experiments.studies import robustness_tables

MODELS = [
    entry("a", [(90.0, [1, 2]), (88.0, [2, 3]), (92.0, [1, 2])], perplexity=80.0),
    entry("b", [(86.0, [1, 2, 3]), (86.0, [1, 2, 3]), (86.0, [1, 2, 3])], greedy=5),
]
SNAPSHOTS = [
    entry("a-500", [(90.0, [1]), (90.0, [1])], right=70.0, perplexity=150.0),
    entry("a-50", [(80.0, [1, 2]), (80.0, [1, 3])], None, 52.0, 400.0, reached=False),
]


def summary(models=MODELS, snapshots=SNAPSHOTS, **changes):
    found = {
        "task": "number_agreement", "intervention": "single", "context": "eos", "kl_weight": 0.0,
        "wanted": 88.7, "alpha": None, **robustness_tables.summarise(models, snapshots),
    }  # fmt: skip
    return found | changes


def test_means_and_deviations_are_those_worked_out_by_hand():
    found = summary()
    # (90 + 88 + 92 + 3 * 86) / 6 = 88; squares of differences 4 + 0 + 16 + 3 * 4 = 32, by 5.
    assert found["accuracy"] == pytest.approx({"mean": 88.0, "std": np.sqrt(32 / 5)})
    assert found["n_units"] == pytest.approx({"mean": 2.5, "std": np.sqrt(6 * 0.25 / 5)})
    over = found["over_models"]
    assert over["accuracy"] == pytest.approx({"mean": 88.0, "std": np.sqrt(8)})  # of 90 and 86
    assert over["n_units"] == pytest.approx({"mean": 2.5, "std": np.sqrt(0.5)})
    assert over["greedy_units"] == pytest.approx({"mean": 4.0, "std": np.sqrt(2)})
    assert over["perplexity"]["mean"] == 90.0
    assert [one["name"] for one in found["snapshots"]] == ["a-50", "a-500"]  # as trained


def test_a_mean_that_lacks_a_model_is_not_given():
    missing = entry("c", [(90.0, [1]), (90.0, [1])], None, perplexity=None)
    over = summary([*MODELS, missing])["over_models"]
    assert over["greedy_units"]["mean"] is over["perplexity"]["mean"] is None
    assert over["greedy_accuracy"]["mean"] == 91.0


def test_overlap_is_that_worked_out_by_hand():
    within, across = (summary()["overlap"][part] for part in ("within", "across"))
    # {1,2} {2,3}: 1 of 3; {1,2} {1,2}: 2 of 2; {2,3} {1,2}: 1 of 3. By chance 2 * 2 / 10.
    assert within[0] == pytest.approx({"shared": 4 / 3, "jaccard": 5 / 9, "expected": 0.4})
    assert within[1] == pytest.approx({"shared": 3.0, "jaccard": 1.0, "expected": 0.9})
    # Each of a's sets has two of the three units of b's.
    assert across == pytest.approx({"shared": 2.0, "jaccard": 2 / 3, "expected": 0.6})
    other_size = [MODELS[0], MODELS[1] | {"hidden": 6}]
    assert summary(other_size)["overlap"]["across"]["jaccard"] is None
    alone = entry("a", [(90.0, [1, 2])] * 2)
    assert robustness_tables.overlap(iter([(set(), set(), 10)]))["jaccard"] is None
    assert summary([alone])["overlap"]["across"]["shared"] is None


def test_overlap_by_chance_is_what_random_sets_share():
    random = np.random.default_rng(0)
    draws = [[set(random.permutation(30)[:k].tolist()) for k in (6, 10)] for _ in range(4000)]
    found = robustness_tables.overlap((a, b, 30) for a, b in draws)
    assert found["shared"] == pytest.approx(found["expected"], rel=0.03)
    assert found["expected"] == pytest.approx(2.0)


def test_tables_fit_the_terminal_and_have_the_paper_s_row(capsys):
    wide = [
        entry(f"seed_{number}-10000", [(100.0, [1, 2]), (87.6, [2, 3])], 80, 99.9, 1234.5)
        for number in range(10)
    ]
    given = summary(wide[:5], wide[5:])
    tables = robustness_tables.tables(given)
    for table in tables:
        print_table(table)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        for row in table.rows:  # none was wrapped
            assert sum(line.startswith(row[0] + "  ") for line in lines) == 1, row
    by_name = {row[0]: row for row in tables[0].rows}
    assert by_name["paper"][3:5] == ("88.7 ± 2.6", "4.7 ± 0.5")
    assert tables[1].rows[-1][0] == "across models"
    assert "aren't aligned" in tables[1].note
    every = robustness_tables.model_table(given | {"intervention": "every"})
    assert "paper" not in [row[0] for row in every.rows]


def test_what_is_missed_is_said():
    found = summary()
    table = robustness_tables.snapshot_table(found)
    assert table.rows[0][:3] == ("a-50", "400.0", "52.0")
    assert table.rows[0][5] == "> 8"
    assert "miss that on a-50." in table.note
    assert "miss" not in robustness_tables.model_table(found).note
    text = robustness_tables.markdown(found)
    assert "## Units of a-500" in text
    assert "Greedy selection's: 1 2." in text


def test_without_right_forms_there_is_no_table_of_them():
    unknown = [one | {"model_accuracy": None, "agreement": {}} for one in (*MODELS, *SNAPSHOTS)]
    found = summary(unknown[:2], unknown[2:], task="gender_bias")
    assert len(robustness_tables.tables(found)) == 3
    assert "prefers" not in robustness_tables.snapshot_table(found).note
    assert len(robustness_tables.figure(found).axes) == 1


def test_the_figure_has_each_snapshot_and_hollow_marks_for_what_is_missed():
    figure = robustness_tables.figure(summary())
    assert isinstance(figure, Figure)
    upper, lower = figure.axes
    lines = {line.get_label(): line for line in upper.get_lines()}
    np.testing.assert_array_equal(lines["search"].get_xydata(), [[400, 2], [150, 1]])
    np.testing.assert_array_equal(lines["greedy selection"].get_xydata(), [[400, 8], [150, 3]])
    hollow = [line for line in upper.get_lines() if line.get_markerfacecolor() == "white"]
    drawn = [line.get_xydata().tolist() for line in hollow if len(line.get_xdata())]
    assert drawn == [[[400, 2]], [[400, 8]]]
    assert upper.get_xlim()[0] > upper.get_xlim()[1]  # perplexity falls to the right
    np.testing.assert_array_equal(lower.get_lines()[0].get_ydata(), [52, 70])
    assert [text.get_text() for text in lower.texts] == ["50", "500"]
