"""Tries an intervention that was found before on other pairs, such as sentences of a corpus.

    python -m experiments.evaluate RUN/interventions/seed_0.json --data pairs.tsv

All pairs of the file are read; nothing is searched. The names of the two directions have to be
those of the intervention. Intervals are the wider one of Wilson's and of a bootstrap that draws
words and pairs, as in docs/trust.md.
"""

import dataclasses
from typing import Annotated, Any

import tyro

from experiments.shared.console import console, print_table
from experiments.shared.loading import load_task
from experiments.shared.option_types import OptionError, TextFile
from experiments.shared.options import ModelOptions
from experiments.shared.script import run_script
from experiments.studies import tried
from jaxmask.files.intervention_file import load_intervention


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(ModelOptions):
    """Options of this script."""

    file: Annotated[TextFile, tyro.conf.Positional] = tyro.MISSING
    """The intervention: interventions/seed_N.json of a run."""
    data: TextFile = tyro.MISSING
    """Minimal pairs of one's own, see docs/your_phenomenon.md."""


def work(options: EvaluateOptions) -> dict[str, Any]:
    """Reads the pairs with and without the intervention, and prints what flips."""
    model, task = options.load_model(), load_task("minimal_pairs", options.data)
    saved = load_intervention(options.file, model)
    if set(saved.directions) != set(task.directions):
        raise OptionError(
            f"--data: expected the directions {' and '.join(saved.directions)}, found "
            f"{' and '.join(task.directions)}"
        )
    found = tried.on(saved, model, task)
    print_table(tried.table(found))
    for line in (
        f"{found['units']} units, found on {saved.task}; {found['dropped']} pairs dropped, as the "
        "vocabulary can't express them",
        f"right without the intervention: {found['model_accuracy']:.1f}%"
        if found["model_accuracy"] is not None
        else "neither form is right in these pairs",
    ):
        console().print(line, markup=False, soft_wrap=True)
    return found


def main() -> None:
    """Reads the options, evaluates, reports."""
    run_script(EvaluateOptions, "evaluate", __doc__, work)


if __name__ == "__main__":
    main()
