"""Tables, text and figures of what was measured of a found set."""

import itertools

import pytest
from support import summaries

from experiments.shared.console import print_table
from experiments.shared.experiment import TRUST_FIGURES
from jaxmask.report import to_markdown, trust
from jaxmask.report.figures import save
from jaxmask.report.figures.trust import (
    DRAWN,
    constructions_figure,
    kl_figure,
    place_figure,
    trust_figure,
)
from jaxmask.trust.assess import MEASURES
from jaxmask.trust.measure import Measure


def test_every_measure_has_a_line_and_a_paragraph():
    text = trust.trust_report(summaries.trust())
    for name in MEASURES:
        assert f"\n| {name}" in text
        assert f"\n{name.capitalize()}: " in text
    assert "Unseen: not measured. It is asked for by --trust all. Rule: Passes if few." in text
    assert "12 of 13 ask for caution; not measured: unseen (fast, 31 s)." in text
    assert "units 5, 12." in text
    assert "Dose: 98.8 points (-12.3 to 100.0), caution. So many flip." in text
    assert "| construction | nounpp" in text
    assert "| 0        | 0.600 | 75%        | 0.700           | 250      |" in text


def test_the_short_table_fits_the_terminal(capsys):
    print_table(trust.trust_table(summaries.trust(), short=True))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("accuracy") for line in lines) == 1


@pytest.mark.parametrize(("held_out", "says"), [(2400, True), (1000, False), (None, False)])
def test_the_short_table_says_how_many_examples_are_read(held_out, says):
    found = summaries.trust()
    details = {"examples": 1000} | ({} if held_out is None else {"held_out": held_out})
    found["measures"][0]["details"] = found["measures"][0]["details"] | details
    note = trust.trust_table(found, short=True).note
    assert ("1000 of 2400 held-out examples are read, evenly spread." in note) == says
    assert ("held-out" in note) == says


def test_numbers_that_do_not_exist_are_none():
    nan = Measure("dose", float("nan"), "%", None, "", "", "", "caution",
                  {"a": [float("inf"), 1.0], "b": {"c": float("nan")}}).content()  # fmt: skip
    assert nan["value"] is None
    assert nan["details"] == {"a": [None, 1.0], "b": {"c": None}}
    assert trust.value_text(nan) == ""


def test_a_set_without_units_has_a_report():
    empty = summaries.trust() | {"units": [], "n_units": 0}
    assert "The set has no units." in trust.trust_report(empty)


@pytest.mark.parametrize("reference", [0.5, None])
def test_figures_are_drawn_of_what_there_is(tmp_path, reference):
    found = summaries.trust()
    for one in found["measures"]:
        if one["name"] == "harm":
            one["details"] = one["details"] | {"reference": reference}
    assert set(TRUST_FIGURES) == set(DRAWN)
    drawn = {name: trust_figure(found, name) for name in TRUST_FIGURES}
    for name, figure in drawn.items():
        save(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    labels = [text.get_text() for text in drawn["harm"].legends[0].get_texts()]
    assert any("paired" in label for label in labels) == (reference is not None)
    accuracy = drawn["accuracy"].axes[0]
    assert [t.get_text() for t in accuracy.get_yticklabels()] == ["simple (50)", "nounpp (200)"]
    place = [t.get_text() for t in drawn["place"].axes[0].get_yticklabels()]
    assert place == ["where it was found", "at the last word only", "layer 1 alone",
                     "layer 2 alone"]  # fmt: skip
    assert trust_figure({"measures": []}, "dose") is None
    assert "KL by distance" in to_markdown(trust.distance_table(found))


def boxes(axis, figure):
    """Where the labels of an axis are, in pixels."""
    figure.draw_without_rendering()
    return [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]


def test_labels_of_many_distances_do_not_overlap():
    entry = {"part": 0.1, "kl": 0.0, "paired": None, "examples": 12000}
    details = {"kl": 0.0, "reference": None, "tie": 0.0, "swap": 0.0}
    for many in (1, 3, 60):
        entries = [entry | {"distance": distance} for distance in range(many)]
        drawn = kl_figure(details | {"by_distance": entries})
        found = boxes(drawn.axes[0].xaxis, drawn)
        assert 1 <= len(found) <= 10
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(found))
        assert drawn.axes[0].get_ylim() == (0, 1)  # where there is no KL at all


def test_long_names_leave_room_for_the_accuracies():
    share = {"examples": 10000, "accuracy": 100.0, "interval": [90.0, 100.0]}
    names = [f"a construction whose name costs $5 and goes on for long, number {n}"
             for n in range(40)]  # fmt: skip
    drawn = constructions_figure({"by": {"construction": dict.fromkeys(names, share)}})
    drawn.draw_without_rendering()
    axes = drawn.axes[0]
    assert axes.get_window_extent().width > 0.45 * drawn.bbox.width
    label = axes.xaxis.label.get_window_extent()
    assert label.x0 >= 0
    assert label.x1 <= drawn.bbox.width


def test_a_bar_that_is_not_all_is_not_rounded_to_it():
    details = {"where_found": 90.0, "last_word_only": 0.4, "all_but_last_word": 99.9, "layers": {}}
    assert [text.get_text() for text in place_figure(details).axes[0].texts] == [
        "90.0", "0.4", "99.9"
    ]  # fmt: skip
