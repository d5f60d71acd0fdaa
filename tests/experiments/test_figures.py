"""The script that draws the figures of a run, and the data that it takes."""

from pathlib import Path

import pytest

from experiments import figures
from experiments.figures import FigureOptions
from experiments.shared.loading import data_name
from experiments.shared.option_types import OptionError
from experiments.studies.run_figures import FinishedRun
from jaxmask.pipeline.plan import Design


def test_figures_are_drawn_and_counted(model, tmp_path, monkeypatch, capsys):
    run = FinishedRun(tmp_path, "number_agreement", Design(), {})
    drawn = [tmp_path / "figures" / name for name in "abc"]
    asked = []
    monkeypatch.setattr(figures, "read_run", lambda folder: run)
    monkeypatch.setattr(figures, "draw", lambda *given: asked.append(given) or drawn)
    assert figures.work(FigureOptions(run=tmp_path, model=str(model))) == drawn
    ((given, found, task),) = asked
    assert (given, found.name, task.name) == (run, "tiny", "number_agreement")
    assert f"3 figures written to {tmp_path / 'figures'}" in capsys.readouterr().out


def test_figures_refuse_other_data(tmp_path):
    with pytest.raises(OptionError, match="--data: the run's is generated, found "):
        figures.check_data("generated", tmp_path)
    with pytest.raises(OptionError, match="--data: the run's is NA_tasks, not given"):
        figures.check_data("NA_tasks", None)
    file = tmp_path / "mine.tsv"
    file.write_text("1")
    name = data_name(file)
    figures.check_data("generated", None)
    figures.check_data("NA_tasks", tmp_path)  # folders may have been moved, and renamed
    figures.check_data(name, file)
    file.write_text("2")
    with pytest.raises(OptionError, match=r"--data: the run's is mine\.tsv, sha256 .*, found mine"):
        figures.check_data(name, file)


def test_data_are_checked_before_the_model_is_read(tmp_path, monkeypatch):
    run = FinishedRun(tmp_path, "number_agreement", Design(), {})
    monkeypatch.setattr(figures, "read_run", lambda folder: run)
    monkeypatch.setattr(FigureOptions, "load_model", None)
    with pytest.raises(OptionError, match="--data: the run's is generated"):
        figures.work(FigureOptions(run=tmp_path, data=Path(tmp_path)))
