"""Finds the units that carry a phenomenon of your own, given as a file of minimal pairs.

jaxmask search --data docs/examples/animacy.tsv --alpha 0.02

What the file looks like: docs/your_phenomenon.md. Whether a model knows its words, and the
phenomenon: jaxmask check.
"""

import dataclasses
from typing import Any

import tyro

from experiments.shared.experiment import experiment, open_output, settings_of
from experiments.shared.loading import load_task
from experiments.shared.option_types import TextFile
from experiments.shared.options import Options, suited
from experiments.shared.script import run_script
from jaxmask.pipeline.prepare import prepare
from jaxmask.tasks import minimal_pairs


@dataclasses.dataclass(frozen=True)
class SearchScriptOptions(Options):
    """Options of the scripts that search; the data have to be given."""

    data: TextFile = tyro.MISSING
    """File of minimal pairs."""


def work(options: SearchScriptOptions) -> dict[str, Any]:
    """The whole experiment, see `experiments.number_agreement`; returns its summary."""
    model = options.load_model()
    options = suited(options, model)
    plan = options.plan()
    task = load_task(minimal_pairs.NAME, options.data)
    settings = settings_of(plan, task, model)
    to = open_output(options.folder(task, model), settings, options.checkpoint_minutes)
    to = to._replace(trust=options.trust)
    return experiment(prepare(model, task, plan.design), plan, to)


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(SearchScriptOptions, "search", __doc__, work)


if __name__ == "__main__":
    main()
