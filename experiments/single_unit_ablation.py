"""Finds the single units that number agreement hangs on, after Lakretz et al. (2019).

Each unit of the model is set to 0 alone, at every word, and the fall of the accuracy is measured on
each construction, apart for singular and plural subjects.

python -m experiments.single_unit_ablation --model demo
"""

import dataclasses
import json
from pathlib import Path

from experiments.shared.console import console, print_table
from experiments.shared.loading import load_task
from experiments.shared.option_types import Count, DataFolder, ResultFolder, Seed
from experiments.shared.options import ContextOptions, ModelOptions, suited
from experiments.shared.script import run_script
from experiments.studies.ablations import Sample, ablate, content, table
from jaxmask.files.run_folder import check_writable, write_text
from jaxmask.report import to_markdown
from jaxmask.tasks import number_agreement


@dataclasses.dataclass(frozen=True)
class AblationOptions(ContextOptions, ModelOptions):
    """Options of this script."""

    data: DataFolder | None = None
    """Folder of the task's original files; if not given, the task is generated."""
    examples: Count = 100
    """Pairs of each construction and number of its subject."""
    seed: Seed = 0
    """Seed of the choice of these."""
    out: ResultFolder | None = None
    """Folder for the results; results/single_unit_ablation-MODEL if not given."""


def work(options: AblationOptions) -> None:
    """Ablates, prints the table, writes it and all figures."""
    model = options.load_model()
    options = suited(options, model)
    task = load_task(number_agreement.NAME, options.data)
    folder = options.out or Path("results") / f"single_unit_ablation-{model.name}"
    check_writable(folder)
    ablations = ablate(model, task, Sample(options.examples, options.seed, options.context_name()))
    print_table(table(ablations, model))
    write_text(folder / "table.md", to_markdown(table(ablations, model, most=50)))
    write_text(folder / "ablation.json", json.dumps(content(ablations)) + "\n")
    console().print(f"written to {folder}", soft_wrap=True)


def main() -> None:
    """Reads the options, ablates, reports."""
    run_script(AblationOptions, "single_unit_ablation", __doc__, work)


if __name__ == "__main__":
    main()
