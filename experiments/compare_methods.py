"""The search against its alternatives: Table 6 and more, on one model and one split.

python -m experiments.compare_methods --model demo --alpha 0.01 0.02 0.05 --units 1 2 3

All methods are run from several seeds at each size, under one rule of convergence. What is
finished is kept and not run again: a stopped comparison goes on where it was, and a finished one
can be extended by methods, sizes and seeds.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from experiments.shared import stopping
from experiments.shared.console import console, print_table
from experiments.shared.drawing import save_figure
from experiments.shared.experiment import below_one_unit
from experiments.shared.loading import data_name, load_task
from experiments.shared.option_types import (
    Count,
    Fraction,
    NotEmpty,
    OptionError,
    ResultFolder,
    Runs,
    Weight,
    check,
)
from experiments.shared.options import (
    ContextOptions,
    DataOptions,
    KindOptions,
    ModelOptions,
    SplitOptions,
    StepOptions,
    TaskOptions,
    suited,
)
from experiments.shared.script import run_script
from experiments.studies import comparison_tables
from experiments.studies.comparison_runs import Comparison, allowed, run_all, summarise
from experiments.studies.convergence import Rule
from experiments.studies.methods import METHODS, Size
from jaxmask.files.run_folder import check_run_folder, write_run
from jaxmask.models.language_model import site_of
from jaxmask.pipeline.plan import Design
from jaxmask.pipeline.prepare import encode_and_split, prepare

ALPHAS = (0.005, 0.01, 0.02, 0.05)  # where no size is asked for

MethodName = Literal[
    "hard_concrete", "hard_concrete_paper", "reinforce", "ig_zeroed", "ig_learned",
    "ablation_zeroed", "ablation_learned", "attribution_edges", "attribution_learned",
    "attribution_middle", "unembedding", "greedy", "random", "exhaustive",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class CompareOptions(
    SplitOptions,
    StepOptions,
    ContextOptions,
    KindOptions,
    DataOptions,
    ModelOptions,
    TaskOptions,
):
    """Options of the comparison; an option has the same meaning in all scripts."""

    methods: Annotated[tuple[MethodName, ...], NotEmpty] = tuple(METHODS)  # type: ignore[assignment]
    """Which methods to compare."""
    alpha: tuple[Fraction, ...] = ()
    """Largest fractions of the units to intervene on, a comparison each; 0.005, 0.01, 0.02 and 0.05
    if neither --alpha nor --units is given."""
    units: tuple[Count, ...] = ()
    """The same as numbers of units, beside those of --alpha; exhaustive search runs at 1, 2 and 3
    only."""
    kl_weight: Weight = 0.0
    """Weight of the KL from the untouched model, where values are learned."""
    seeds: Runs = 3
    """Runs of each method at each alpha."""
    every: Count = 50
    """Steps from one evaluation of the hard mask to the next."""
    patience: Count = 3
    """Evaluations without a rise after which a run has converged."""
    out: ResultFolder | None = None
    """Folder for the results; results/compare-TASK-MODEL-INTERVENTION if not given."""

    def check(self) -> None:
        """Checks the options before any work is done.

        Raises:
            OptionError: an option is out of its range.
        """
        check(self)

    def comparison(self, n_units: int) -> Comparison:
        """What is compared on a model of so many units.

        Raises:
            OptionError: more units are asked for than there are, or no method can be run.
        """
        if max(self.units, default=0) > n_units:
            raise OptionError(
                f"--units: expected at most {n_units}, the model's, found {max(self.units)}"
            )
        chosen = self.alpha if self.alpha or self.units else ALPHAS
        sizes = {allowed(n_units, alpha) for alpha in chosen}
        alphas = {*chosen, *(n / n_units for n in self.units if n not in sizes)}
        size = Size(1.0, self.kl_weight, self.steps, self.rounds)
        rule = Rule(self.every, self.patience)
        comparison = Comparison(self.methods, tuple(sorted(alphas)), self.seeds, size, rule)
        if not comparison.jobs(n_units):
            raise OptionError("--methods: expected one that can be run at these sizes, found none")
        return comparison


def work(options: CompareOptions) -> dict[str, Any]:
    """Runs what isn't finished yet, compares, and writes the folder; returns its summary."""
    options.check()
    started = time.perf_counter()
    task, model = load_task(options.task, options.data), options.load_model()
    options = suited(options, model)
    kind = options.kind()
    name = f"compare-{task.name}-{model.name}-{kind.place}"
    folder = options.out or Path("results") / name
    comparison = options.comparison(site_of(model, kind).units)
    design = Design(kind, options.context_name(), options.held_out(), data_name(options.data))
    encode_and_split(model, task, design)
    settings = comparison.settings(design, task, model)
    check_run_folder(folder, settings)
    stopping.keeps(folder)
    prepared = prepare(model, task, design)
    for alpha in comparison.alphas:
        for line in below_one_unit(alpha, prepared.site.units):
            console().print(line, soft_wrap=True)
    results = run_all(comparison.jobs(prepared.site.units), comparison, prepared, folder)
    summary = summarise(comparison, prepared, results, time.perf_counter() - started)
    evaluations = comparison_tables.take_evaluations(summary)
    write_run(folder, settings, summary, evaluations, comparison_tables.markdown)
    print_table(comparison_tables.accuracy_table(summary))
    for table in comparison_tables.paired_tables(summary):
        print_table(table)
    print_table(comparison_tables.speed_table(summary))
    file = folder / "figures" / "accuracy_against_units.png"
    save_figure(file, lambda: comparison_tables.figure(summary))
    console().print(f"{summary['seconds']['total']:.0f} s; written to {folder}", soft_wrap=True)
    return summary


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(CompareOptions, "compare_methods", __doc__, work)


if __name__ == "__main__":
    main()
