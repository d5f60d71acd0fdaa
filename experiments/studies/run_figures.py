"""Figures of a finished run, from its folder: for each group a heat map and an example."""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from experiments.shared.console import progress
from experiments.shared.drawing import file_names, save_figure
from jaxmask.files.intervention_file import load_intervention
from jaxmask.files.run_folder import RunFolderError, read_summary
from jaxmask.intervention import Kind
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.plan import Design, Split
from jaxmask.pipeline.prepare import prepare
from jaxmask.report.figures import found_units
from jaxmask.report.figures.found_units import SentencesRead
from jaxmask.tasks.registry import PHENOMENA
from jaxmask.text.examples import Task

INTERVENTION = Path("interventions") / "seed_0.json"
# What a run's config.json says of its examples.
DESIGN = ("intervention", "context", "evaluation", "split", "split_seed")


class FinishedRun(NamedTuple):
    """What is drawn of a run folder.

    Attributes:
        folder: of the run.
        task: name of its task.
        design: how its examples are read, intervened on and split.
        summary: of the run.
    """

    folder: Path
    task: str
    design: Design
    summary: dict[str, Any]


def read_run(folder: Path) -> FinishedRun:
    """Reads a run folder.

    Raises:
        RunFolderError: the folder holds no finished run.
    """
    config = _config(folder / "config.json")
    summary = read_summary(folder)
    if summary is None:
        raise RunFolderError(f"{folder}: expected a finished run, found no summary.json")
    further = config.get("development", 0)
    split = Split(config["evaluation"], config["split"], config["split_seed"], further)
    try:
        kind = Kind.of_settings(config)
    except ValueError as fault:
        raise RunFolderError(f"{folder / 'config.json'}: {fault}") from fault
    design = Design(kind, config["context"], split, config["data"])
    return FinishedRun(folder, config["task"], design, summary)


def draw(run: FinishedRun, model: LanguageModel, task: Task) -> list[Path]:
    """Draws a heat map and an example for each construction or template; returns the files.

    Args:
        run: to draw.
        model: that was searched.
        task: that was searched for.

    Raises:
        RunFolderError: the run found no unit.
        InterventionFileError: the run is of another model or task.
    """
    file = run.folder / INTERVENTION
    saved = load_intervention(file, model, task)
    prepared = prepare(model, task, run.design)
    reading = found_units.read(prepared, saved.intervention)
    shown = found_units.shown_units(reading, saved.intervention, run.summary["prevalence"])
    if not shown:
        raise RunFolderError(f"{file}: expected units to draw, found none")
    names, files = file_names(prepared.encoded.groups), []
    groups = sorted(set(reading.group))
    with progress(len(groups), "drawing") as advance_to:
        for number, group in enumerate(groups):
            for name, figure in {"heat_map": _heat_map, "example": _example}.items():
                file = run.folder / "figures" / f"{name}_{names[group]}.png"
                if save_figure(file, partial(figure, reading, group, number, shown)):
                    files.append(file)
            advance_to(number + 1)
    return files


def _heat_map(reading: SentencesRead, group: str, number: int, shown: list[int]) -> Figure:
    """The activations over all sentences of a group; ``number`` changes nothing."""
    return found_units.heat_map_figure(reading, group, shown)


def _example(reading: SentencesRead, group: str, number: int, shown: list[int]) -> Figure | None:
    """An example of a group; the direction of the examples alternates with the group's number."""
    directions = sorted(set(reading.toward))
    row = found_units.example(
        reading, lambda name: name == group, directions[number % len(directions)]
    )
    return None if row is None else found_units.example_figure(reading, row, shown, group)


def _config(file: Path) -> dict[str, Any]:
    """The settings of the run."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise RunFolderError(f"{file}: expected a run's configuration ({fault})") from fault
    names = ("task", "data", *DESIGN)
    missing = [name for name in names if not isinstance(config, dict) or name not in config]
    if missing:
        raise RunFolderError(f"{file}: expected {', '.join(names)}, found no {', '.join(missing)}")
    if config["data"] == "generated" and config["task"] not in PHENOMENA:
        raise RunFolderError(
            f"{file}: task: expected one of {', '.join(PHENOMENA)}, found {config['task']!r}"
        )
    return config
