r"""Robustness: the same search on language models that differ in their seed only.

Each model is searched several times, at the smallest alpha that reaches the accuracy; the paper's
section on robustness has five models and three searches each. With the snapshots of a training run
it also says whether training longer makes the phenomenon sparser.

    python -m experiments.robustness --models MODELS/seed_0 MODELS/seed_1 ... \
        --snapshots MODELS/seed_0/snapshots/*
    python -m experiments.robustness --corpus CORPUS --out ROBUSTNESS    # trains five first

A run that was stopped goes on where it was, and a finished one can be extended by models.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from experiments import train_language_model
from experiments.shared import stopping
from experiments.shared.console import console, print_table
from experiments.shared.drawing import save_figure
from experiments.shared.loading import data_name, load_model_named, load_task
from experiments.shared.option_types import (
    Count,
    DataFolder,
    Fraction,
    Model,
    OptionError,
    Percentage,
    ResultFolder,
    Runs,
    TextFile,
    Weight,
    check,
)
from experiments.shared.options import (
    ContextOptions,
    DataOptions,
    KindOptions,
    SplitOptions,
    StepOptions,
    TaskOptions,
    weighted,
)
from experiments.shared.script import run_script
from experiments.studies import robustness_runs, robustness_tables
from experiments.studies.robustness_runs import Goal, Named, Study
from experiments.studies.searches import Resources
from experiments.training.options import TrainingOptions
from jaxmask.files.run_folder import check_run_folder, write_run
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.plan import Design, Plan
from jaxmask.pipeline.summarise import environment
from jaxmask.report import paper
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig


@dataclasses.dataclass(frozen=True)
class RobustnessOptions(
    SplitOptions, StepOptions, ContextOptions, KindOptions, DataOptions, TaskOptions
):
    """Options of the script; where names are those of other scripts, so are meanings."""

    models: tuple[Model, ...] = ()
    """Model folders (or PyTorch .pt files with --vocab, or `demo`) to compare."""
    snapshots: tuple[Model, ...] = ()
    """Model folders of one training run, snapshots/UPDATE of train_language_model: units needed
    over perplexity."""
    corpus: DataFolder | None = None
    """Folder of train.txt, valid.txt and vocab.txt, to train models on in place of --models."""
    train_seeds: Runs = 5
    """How many to train, with the settings of train_language_model for the bundled model's size."""
    train_steps: Count | None = None
    """Updates of each; its own number if not given."""
    train_snapshots: tuple[Count, ...] = ()
    """Updates at which to keep snapshots; those of the first model are then --snapshots."""
    vocab: TextFile | None = None
    """Vocabulary of .pt files: one word a line."""
    valid: TextFile | None = None
    """Text to measure perplexity on; if not given, it is what the training of a model folder has
    measured last (of weights that weren't averaged with others)."""
    accuracy: Percentage = paper.FIVE_MODELS.accuracy[0]
    """Percentage of decisions to flip, on training examples and in the mean over searches (half a
    point more, as held-out ones come out lower)."""
    alpha: Fraction | None = None
    """Largest fraction of the hidden units to intervene on; if not given, for each model the
    smallest that reaches the accuracy."""
    kl_weight: Weight = 0.0
    """Weight of the KL from the untouched model. Greedy selection can't weigh it, so that numbers
    of units are compared without."""
    searches: Runs = 3
    """Searches on each model."""
    out: ResultFolder = Path("results/robustness")
    """Folder for the results."""

    def check(self) -> None:
        """Checks the options before any work is done.

        Raises:
            OptionError: an option is out of its range, or options contradict each other.
        """
        check(self)
        if self.corpus is not None and self.models:
            raise OptionError("--models: expected them or --corpus, found both")
        if self.corpus is None and not self.models + self.snapshots:
            raise OptionError("--models: expected at least one model, or --corpus, found none")
        if self.corpus is None and (self.train_snapshots or self.train_steps is not None):
            raise OptionError("--corpus: expected a text to train on, none given")

    def load_model(self, source: str) -> LanguageModel:
        """One of the models that the options name."""
        return load_model_named(source, self.vocab)

    def goal(self) -> Goal:
        """What the searches on each model are to reach, as values."""
        config = weighted(SearchConfig(), self.kl_weight).replace(**self.lengths())
        if self.alpha is not None:
            config = config.replace(alpha=self.alpha)
        design = Design(self.kind(), self.context_name(), self.held_out(), data_name(self.data))
        plan = Plan(config, design, seeds=self.searches)
        return Goal(plan, self.accuracy, self.alpha is None, self.valid)

    def training(self) -> TrainingOptions:
        """How the models are trained."""
        return TrainingOptions(
            out=self.out / "language_models",
            data=self.corpus,
            seeds=self.train_seeds,
            steps=self.train_steps,
            snapshots=self.train_snapshots,
        )

    def with_trained(self, folders: list[Path]) -> "RobustnessOptions":
        """The options with trained models, and the snapshots of the first, in place of the corpus.

        Args:
            folders: of the trained models.
        """
        first = folders[0] / "snapshots"
        snapshots = tuple(str(first / str(update)) for update in self.train_snapshots)
        return dataclasses.replace(
            self,
            corpus=None,
            train_snapshots=(),
            train_steps=None,
            models=tuple(map(str, folders)),
            snapshots=(*self.snapshots, *snapshots),
        )


def work(options: RobustnessOptions) -> dict[str, Any]:
    """Runs what isn't finished yet, compares, and writes the folder; returns its summary."""
    started = time.perf_counter()
    options.check()
    if options.corpus is not None:
        trained = train_language_model.train(options.training())
        folders = [one.folder for one in train_language_model.all_written(trained)]
        options = options.with_trained(folders)
    models = robustness_runs.identify(options.models, options.load_model)
    snapshots = robustness_runs.identify(options.snapshots, options.load_model)
    check_perplexities(snapshots, options.valid)
    task, goal = load_task(options.task, options.data), options.goal()
    study = Study(task, goal, options.load_model, Resources(Programs()))
    check_run_folder(options.out, study.settings())
    stopping.keeps(options.out)
    found = [
        [robustness_runs.results(one, study, options.out / folder) for one in named]
        for named, folder in ((models, "models"), (snapshots, "snapshots"))
    ]
    seconds = {
        "total": time.perf_counter() - started,
        "compile": study.resources.programs.compiling,
    }
    summary = {
        "task": task.name,
        **goal.plan.design.kind.settings(),
        "context": goal.plan.design.context,
        "kl_weight": goal.plan.config.kl_weight,
        "wanted": goal.percent,
        "alpha": options.alpha,
        **robustness_tables.summarise(*found),
        "seconds": seconds,
        **environment(),
    }
    write_run(
        options.out,
        study.settings(),
        summary,
        table=robustness_tables.markdown,
    )
    for table in robustness_tables.tables(summary):
        print_table(table)
    draw(summary, options.out / "figures")
    console().print(f"{seconds['total']:.0f} s; written to {options.out}", soft_wrap=True)
    return summary


def draw(summary: dict[str, Any], folder: Path) -> None:
    """Draws the units needed over perplexity, if there are snapshots."""
    if summary["snapshots"]:
        file = folder / "units_and_perplexity.png"
        save_figure(file, lambda: robustness_tables.figure(summary))


def check_perplexities(snapshots: list[Named], valid: Path | None) -> None:
    """Makes sure that the perplexity of each snapshot is known: they are ordered by it.

    Raises:
        OptionError: one isn't known, and there is no text to measure it on.
    """
    for one in snapshots if valid is None else ():
        if robustness_runs.trained_perplexity(Path(one.source)) is None:
            raise OptionError(
                f"--valid: expected a text, as no training run has measured the perplexity of "
                f"{one.source}"
            )


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(RobustnessOptions, "robustness", __doc__, work)


if __name__ == "__main__":
    main()
