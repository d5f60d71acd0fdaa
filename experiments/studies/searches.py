"""Searches of a study: those that are finished are read, the others are run."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.shared import checkpoints
from experiments.shared.experiment import Trust, experiment, open_output
from jaxmask.files.run_folder import read_summary
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs.programs import Programs


class Resources(NamedTuple):
    """What the searches of a study share.

    Attributes:
        programs: compiled ones, of models of one size.
        checkpoint_minutes: minutes between checkpoints.
        trust: what is measured of what was found, see `experiments.shared.experiment.Output`.
    """

    programs: Programs
    checkpoint_minutes: float = 1.0
    trust: Trust = "none"


def run_or_read(
    prepared: Prepared, plan: Plan, folder: Path, resources: Resources
) -> dict[str, Any]:
    """The summary of a run folder, whose searches are run if they aren't finished.

    Args:
        prepared: model and examples.
        plan: of the searches.
        folder: of the run.
        resources: what the searches share.

    Raises:
        RunFolderError: the folder holds a run with other settings, or can't be written.
    """
    settings = plan.settings(prepared.task, prepared.model)
    to = open_output(folder, settings, resources.checkpoint_minutes)
    if (finished := read_summary(folder)) is not None:
        checkpoints.remove(folder)
        return finished
    return experiment(prepared, plan, to._replace(trust=resources.trust), resources.programs)


def train_accuracy(summary: dict[str, Any]) -> float:
    """Percentage of training decisions flipped, mean over the runs of a summary."""
    return float(np.mean([run["train_accuracy"] for run in summary["runs"]]))
