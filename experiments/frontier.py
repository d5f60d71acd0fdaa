"""Compares kinds of intervention: accuracy against units and against KL, a line for each sweep.

    python -m experiments.pareto --site hidden --out SWEEPS/hidden
    python -m experiments.pareto --site cell --values natural --out SWEEPS/cell_natural
    python -m experiments.frontier --sweeps SWEEPS/hidden SWEEPS/cell_natural

The sweeps are those of one model and task. Writes frontier.png and frontier.md.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.shared.console import console, print_table
from experiments.shared.option_types import DataFolder, NotEmpty, OptionError, ResultFolder, check
from experiments.shared.script import run_script
from experiments.studies import frontiers
from jaxmask.files.run_folder import write_text
from jaxmask.report import figures, to_markdown


@dataclasses.dataclass(frozen=True)
class FrontierOptions:
    """Options of this script."""

    sweeps: Annotated[tuple[DataFolder, ...], NotEmpty] = tyro.MISSING
    """Folders of finished runs of `experiments.pareto`."""
    out: ResultFolder = Path("results/frontier")
    """Folder for the figure and the table."""


def work(options: FrontierOptions) -> None:
    """Reads the sweeps, prints and writes the table, draws the figure."""
    check(options)
    summaries = [read(folder) for folder in options.sweeps]
    if len({(one["task"], one["model"]["fingerprint"]) for one in summaries}) > 1:
        raise OptionError("--sweeps: expected sweeps of one task and one model, found several")
    table = frontiers.table(summaries)
    print_table(table)
    write_text(options.out / "frontier.md", to_markdown(table))
    figures.save(frontiers.figure(summaries), options.out / "frontier.png")
    console().print(f"written to {options.out}", soft_wrap=True)


def read(folder: Path) -> dict[str, Any]:
    """The summary of a sweep.

    Raises:
        OptionError: the folder has none.
    """
    file = folder / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "settings" not in summary:
        raise OptionError(f"--sweeps: {folder}: expected a finished run of experiments.pareto")
    return summary


def main() -> None:
    """Reads the options, compares, draws."""
    run_script(FrontierOptions, "frontier", __doc__, work)


if __name__ == "__main__":
    main()
