"""What each part of the search is worth: the same search with one thing changed at a time.

The variants are compared on a development part, which is held out besides --evaluation.

python -m experiments.variants --task number_agreement --model demo --alpha 0.05
"""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.shared import stopping
from experiments.shared.console import console, print_table
from experiments.shared.loading import load_task
from experiments.shared.option_types import CountOrZero
from experiments.shared.options import PlanOptions, TaskOptions, suited
from experiments.shared.script import run_script
from experiments.studies.searches import Resources, run_or_read
from jaxmask.files.run_folder import write_text
from jaxmask.pipeline.prepare import prepare
from jaxmask.report import paper_tables, to_markdown
from jaxmask.runs.programs import Programs

# What is changed; `beta` of 1 switches constraint (7) off.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no constraint (7)": {"beta": 1.0},
    "ratio": {"surrogate": "ratio"},
    "log ratio": {"surrogate": "log_ratio"},
    "separate masks": {"shared_mask": False},
    "no KL": {"kl_weight": 0.0},
    "no exchange": {"rounds": 0},
    "the paper's": {"method": "hard_concrete_paper", "rounds": None},
}


@dataclasses.dataclass(frozen=True)
class VariantOptions(PlanOptions, TaskOptions):
    """Options of the scripts that search, and the task."""

    development: CountOrZero | None = None
    """Examples to compare on, apart from those of --evaluation, which stay unread; as many as these
    if not given. With 0, the variants are compared on those of --evaluation."""


def work(options: VariantOptions) -> None:
    """Runs the variants that aren't finished yet, and compares all of them."""
    model, task = options.load_model(), load_task(options.task, options.data)
    options = suited(options, model)
    plans = {
        name: dataclasses.replace(options, **changes).plan() for name, changes in VARIANTS.items()
    }
    name = f"variants-{task.name}-{model.name}-{options.kind().label}"
    folder = options.out or Path("results") / name
    stopping.keeps(folder)
    resources = Resources(Programs(), options.checkpoint_minutes)
    prepared, summaries = prepare(model, task, options.plan().design), {}
    for name, plan in plans.items():
        console().rule(name, align="left", style="default")
        place = folder / "".join(c if c.isalnum() else "_" for c in name)
        summaries[name] = run_or_read(prepared, plan, place, resources)
    table = paper_tables.dynamics_table(summaries)
    print_table(table)
    write_text(folder / "variants.md", to_markdown(table))
    console().print(f"written to {folder}", soft_wrap=True)


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(VariantOptions, "variants", __doc__, work)


if __name__ == "__main__":
    main()
