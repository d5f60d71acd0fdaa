"""Accuracy against the number of units: the search at every alpha, from several seeds, as one.

python -m experiments.pareto --model demo --alpha 0.005 0.01 0.02 0.05 --seeds 5

All seeds and settings are runs of one compiled program, which takes them in as few parts as fit
into memory. With several KL weights, there is a line for each.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from experiments.shared import checkpoints, hosts
from experiments.shared.console import console, print_table
from experiments.shared.drawing import save_figure
from experiments.shared.experiment import open_folder, open_output, save_interventions, watched
from experiments.shared.loading import load_task
from experiments.shared.option_types import Fraction, NotEmpty, OptionError, Runs, Weight
from experiments.shared.options import PlanOptions, TaskOptions, suited
from experiments.shared.script import run_script
from experiments.studies import sweep, sweep_tables
from experiments.studies.sweep import Sweep
from jaxmask.files.run_folder import write_run
from jaxmask.pipeline.measure import measure
from jaxmask.pipeline.prepare import encode_and_split, prepare
from jaxmask.runs import ensemble


@dataclasses.dataclass(frozen=True)
class ParetoOptions(PlanOptions, TaskOptions):
    """Options of the scripts that search; of alpha and the KL weight, several values."""

    alpha: Annotated[tuple[Fraction, ...], NotEmpty] = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
    """Largest fractions of the hidden units to intervene on."""
    kl_weight: Annotated[tuple[Weight, ...], NotEmpty] = (1.0,)
    """Weights of the KL from the untouched model."""
    seeds: Runs = 5
    """Searches of each setting."""

    def sweep(self) -> Sweep:
        """All combinations of KL weight and alpha, as values.

        Raises:
            OptionError: a value is out of range, there twice, or there is none.
        """
        self.check()
        for name, values in (("alpha", self.alpha), ("kl-weight", self.kl_weight)):
            if not values or len(set(values)) < len(values):
                raise OptionError(f"--{name}: expected values that differ, found {values}")
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(PlanOptions)
        }
        one = PlanOptions(**{**shared, "alpha": max(self.alpha), "kl_weight": max(self.kl_weight)})
        return Sweep(one.plan(), tuple(sorted(self.alpha)), self.kl_weight)


def work(options: ParetoOptions) -> dict[str, Any]:
    """Searches, reports on the screen, and writes the run folder; returns its summary."""
    model, task = options.load_model(), load_task(options.task, options.data)
    options = suited(options, model)
    chosen = options.sweep()
    name = f"pareto-{task.name}-{model.name}-{options.kind().label}"
    folder = options.out or Path("results") / name
    encode_and_split(model, task, chosen.plan.design)
    to = open_output(folder, chosen.settings(task, model), options.checkpoint_minutes)

    prepared = prepare(model, task, chosen.plan.design)
    open_folder(to)
    console().print(f"{sweep.introduction(chosen, prepared)}\n", soft_wrap=True)
    keys, config = chosen.grid()
    with watched(config, to) as session:
        found = ensemble.run(keys, prepared.train_objective, config, session)
    results = measure(found, prepared, chosen.plan._replace(config=config))
    parts = sweep.parts(results, chosen)
    summaries = sweep.summaries(parts, prepared, to, found.compile_seconds)
    summary = sweep.summarise(summaries, prepared)

    def write_others() -> None:
        for part, one in zip(parts, summaries, strict=True):
            made_with = part.plan.settings(task, model)
            there = to.folder / "interventions" / part.label
            save_interventions(there, part.results, one, prepared, made_with)

    metrics = sweep.observations(parts)
    content = sweep_tables.markdown
    hosts.by_first(
        lambda: write_run(to.folder, to.settings, summary, metrics, content, write_others)
    )
    checkpoints.remove(to.folder)
    print_table(sweep_tables.table(summary))
    file = to.folder / "figures" / "accuracy_against_units.png"
    save_figure(file, lambda: sweep_tables.figure(summary))
    console().print(
        f"{summary['seconds']['total']:.0f} s in all; written to {to.folder}", soft_wrap=True
    )
    return summary


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(ParetoOptions, "pareto", __doc__, work)


if __name__ == "__main__":
    main()
