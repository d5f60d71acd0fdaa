"""Draws what the units of a finished run do (Figures 1 to 4 of the paper), into its folder.

python -m experiments.figures --run results/number_agreement-demo-single
"""

import dataclasses
from pathlib import Path

import tyro

from experiments.shared.console import console
from experiments.shared.loading import data_name, load_task
from experiments.shared.option_types import DataFolder, OptionError
from experiments.shared.options import DataOptions, ModelOptions
from experiments.shared.script import run_script
from experiments.studies.run_figures import draw, read_run


@dataclasses.dataclass(frozen=True)
class FigureOptions(DataOptions, ModelOptions):
    """Options of this script; all else is read from the run's config.json."""

    run: DataFolder = tyro.MISSING
    """Folder of a finished run; the figures go to its folder figures."""


def work(options: FigureOptions) -> list[Path]:
    """Draws, and says where; returns the files."""
    run = read_run(options.run)
    check_data(run.design.data, options.data)
    files = draw(run, options.load_model(), load_task(run.task, options.data))
    console().print(f"{len(files)} figures written to {run.folder / 'figures'}", soft_wrap=True)
    return files


def check_data(expected: str, data: Path | None) -> None:
    """Makes sure that the data are those of the run; folders may have been moved.

    Raises:
        OptionError: the data are missing, or others.
    """
    other = data is not None and data.is_file() and data_name(data)
    if (expected == "generated") != (data is None) or other not in (False, expected):
        given = "not given" if data is None else f"found {other or data}"
        raise OptionError(f"--data: the run's is {expected}, {given}")


def main() -> None:
    """Reads the options, draws, says where."""
    run_script(FigureOptions, "figures", __doc__, work)


if __name__ == "__main__":
    main()
