"""Draws what the units of a finished run do (Figures 1 to 4 of the paper), into its folder.

python -m experiments.figures --run results/number_agreement-demo-single
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.shared import activations
from experiments.shared.activations import Reading
from experiments.shared.console import console, progress
from experiments.shared.option_types import Data, DataFolder, Model, TextFile
from experiments.shared.setup import (
    PHENOMENA,
    OptionError,
    Options,
    data_name,
    load_task,
    prepare,
    read_model,
    run_script,
)
from jaxmask.files.intervention_file import load_intervention
from jaxmask.files.run_folder import RunFolderError, read_summary
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import figures

INTERVENTION = "interventions/seed_0.json"  # the one of the run's that is drawn

# What of a run's settings decides which sentences are held out, and how they are read.
READING = ("intervention", "context", "evaluation", "split", "split_seed")


@dataclasses.dataclass(frozen=True)
class FigureOptions:
    """Options of this script; all else is read from the run's config.json."""

    run: DataFolder
    """Folder of a finished run; the figures go to its folder figures."""
    model: Model = "demo"
    """The model of the run: a model folder, a PyTorch .pt file (with --vocab), or `demo`."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: Data | None = None
    """Folder of the task's original files, or file of minimal pairs, if the run read them."""


def main() -> None:
    """Reads the options, draws, says where."""
    run_script(FigureOptions, "figures", __doc__, draw)


def draw(chosen: FigureOptions, model: LanguageModel | None = None) -> list[Path]:
    """Draws a heat map and an example for each construction or template; returns the files.

    Args:
        chosen: options.
        model: that of the run; read as the options say if not given.

    Raises:
        RunFolderError: the folder holds no finished run, or one that found no unit.
        InterventionFileError: the run is of another model or task.
        OptionError: it is of other data.
    """
    config, file = _config(chosen.run / "config.json"), chosen.run / INTERVENTION
    summary = read_summary(chosen.run)
    if summary is None:
        raise RunFolderError(f"{chosen.run}: expected a finished run, found no summary.json")
    options = _options(chosen, config)
    model = read_model(options) if model is None else model
    task = load_task(config["task"], chosen.data)
    saved = load_intervention(file, model, task)
    material = prepare(options, task, model)
    reading = activations.read(material, options, saved.directions, saved.intervention)
    shown = activations.shown_units(reading, saved.intervention, summary["prevalence"])
    if not shown:
        raise RunFolderError(f"{file}: expected units to draw, found none")

    groups, files = sorted(set(reading.group)), []
    with progress(len(groups), "drawing") as advance_to:
        for number, group in enumerate(groups):
            place = file_name(group)
            for name, figure in _drawings(reading, group, number, shown).items():
                files.append(chosen.run / "figures" / f"{name}_{place}.png")
                figures.save(figure, files[-1])
            advance_to(number + 1)
    console().print(f"{len(files)} figures written to {chosen.run / 'figures'}", soft_wrap=True)
    return files


def file_name(group: str) -> str:
    """A group's name as a part of a file's name."""
    return re.sub(r"\W+", "_", group)


def _drawings(reading: Reading, group: str, number: int, shown: list[int]) -> dict[str, Figure]:
    """The figures of a group by name; examples turn to one direction and the other in turn."""
    directions = sorted(set(reading.toward))
    row = activations.example(
        reading, lambda name: name == group, directions[number % len(directions)]
    )
    drawings = {"heat_map": activations.heat_map_figure(reading, group, shown)}
    if row is not None:
        drawings["example"] = activations.example_figure(reading, row, shown)
    return drawings


def _options(chosen: FigureOptions, config: dict[str, Any]) -> Options:
    """The options of the run as far as they matter here, with model and data as given now."""
    other = chosen.data is not None and chosen.data.is_file() and data_name(chosen.data)
    if (config["data"] == "generated") != (chosen.data is None) or other not in (
        False,
        config["data"],
    ):
        given = "not given" if chosen.data is None else f"found {other or chosen.data}"
        raise OptionError(f"--data: the run's is {config['data']}, {given}")
    return Options(
        model=chosen.model,
        vocab=chosen.vocab,
        data=chosen.data,
        **{name: config[name] for name in READING},
    )


def _config(file: Path) -> dict[str, Any]:
    """The settings of the run."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise RunFolderError(f"{file}: expected a run's configuration ({fault})") from fault
    names = ("task", "data", *READING)
    missing = [name for name in names if not isinstance(config, dict) or name not in config]
    if missing:
        raise RunFolderError(f"{file}: expected {', '.join(names)}, found no {', '.join(missing)}")
    if config["data"] == "generated" and config["task"] not in PHENOMENA:
        raise RunFolderError(
            f"{file}: task: expected one of {', '.join(PHENOMENA)}, found {config['task']!r}"
        )
    return config


if __name__ == "__main__":
    main()
