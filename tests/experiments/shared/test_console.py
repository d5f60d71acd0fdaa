import pytest
from support.summaries import run, summary

from jaxmask import report

console = pytest.importorskip("experiments.shared.console", reason="needs rich")


def test_progress_without_terminal_is_a_few_plain_lines(capsys):
    with console.progress(1000, "single-step [10 seeds]") as advance_to:
        for step in range(1001):
            advance_to(step, accuracy=f"{step / 10:.1f}%", units="5.7")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == console.LINES
    expected = "single-step [10 seeds]: 100/1000  accuracy 10.0%  units 5.7  "
    assert lines[0].startswith(expected)
    assert lines[-1].endswith("0 s left")


def test_progress_of_few_steps(capsys):
    with console.progress(3, "search") as advance_to:
        for step in range(1, 4):
            advance_to(step)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_time_left_is_that_of_steps_and_not_of_compilation(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "perf_counter", lambda: now[0])
    with console.progress(4, "search") as advance_to:
        for step, at in ((1, 100.0), (2, 102.0), (3, 104.0), (4, 106.0)):
            now[0] = at  # the first step was compiled for 98 seconds
            advance_to(step)
    assert capsys.readouterr().out.splitlines() == [
        "search: 1/4", "search: 2/4  4 s left", "search: 3/4  2 s left", "search: 4/4  0 s left",
    ]  # fmt: skip
    with console.progress(2, "measuring", even=False) as advance_to:
        advance_to(1, last="harm")
        advance_to(2)
    assert capsys.readouterr().out.splitlines() == ["measuring: 1/2  last harm", "measuring: 2/2"]


def test_progress_on_a_terminal_shows_the_values(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with console.progress(10, "search") as advance_to:
        advance_to(10, accuracy="91.5%")
    out = capsys.readouterr().out
    assert "10/10" in out
    assert "accuracy 91.5%" in out


@pytest.mark.parametrize("plural", [89.0, None])
def test_tables_fit_80_columns_in_plain_text(plural, capsys):
    accuracies = {"singular": 91.0, "plural": plural}
    runs = [run(seed, list(range(55, 101)), accuracy_by_direction=accuracies) for seed in range(10)]
    for table in (report.unit_table(summary(runs)), report.summary_row(summary(runs))):
        console.print_table(report.shorten(table))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert out.count("\n55 ") + out.count("\n  55 ") == 1
    assert "... and 31 more: see table.md." in out
    assert "94.5 ± 3.0" in out
    assert "no examples" in out if plural is None else "89.0" in out


def test_an_empty_table(capsys):
    console.print_table(report.unit_table(summary([run(0, [])])))
    assert "No run found a unit." in capsys.readouterr().out
