"""What each part of the search is worth: the same search with one thing changed at a time.

python -m experiments.variants --task number_agreement --model demo --alpha 0.05
"""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.shared import report_search
from experiments.shared.console import console, print_table
from experiments.shared.setup import Options, TaskName, load_task, read_model, run_script
from jaxmask.files.run_folder import write_text
from jaxmask.report import paper_tables, to_markdown

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
class VariantOptions(Options):
    """Options that all experiments understand, and the task."""

    task: TaskName = "number_agreement"
    """What to search for; minimal_pairs stands for a file of your own (--data)."""


def work(options: VariantOptions) -> None:
    """Runs what isn't there yet, and compares."""
    name, model = load_task(options.task, options.data).name, read_model(options)
    out = options.out or (Path("results") / f"variants-{name}-{model.name}-{options.intervention}")
    fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(Options)}
    summaries = {}
    for name, changes in VARIANTS.items():
        console().rule(name, align="left", style="default")
        folder = out / "".join(c if c.isalnum() else "_" for c in name)
        chosen = Options(**{**fields, **changes, "out": folder})
        summaries[name] = report_search.run(options.task, chosen, model=model, reuse=True)
    table = paper_tables.dynamics_table(summaries)
    print_table(table)
    write_text(out / "variants.md", to_markdown(table))
    console().print(f"written to {out}", soft_wrap=True)


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(VariantOptions, "variants", __doc__, work)


if __name__ == "__main__":
    main()
