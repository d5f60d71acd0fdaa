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
import json
import time
from pathlib import Path
from typing import Any, Literal

import jax

import jaxmask
from experiments import train_language_model
from experiments.shared import option_types
from experiments.shared.console import console, print_table
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    Data,
    DataFolder,
    Fraction,
    Model,
    Percentage,
    ResultFolder,
    Runs,
    Seed,
    TextFile,
    Weight,
)
from experiments.shared.setup import OptionError, Options, TaskName, check, load_task, run_script
from experiments.studies import robustness_runs, robustness_tables
from experiments.studies.robustness_runs import Goal, Named
from experiments.training.options import TrainingOptions
from jaxmask.files.run_folder import plain, write_text
from jaxmask.report import figures, paper
from jaxmask.runs.programs import Programs


@dataclasses.dataclass(frozen=True)
class RobustnessOptions:
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
    task: TaskName = "number_agreement"
    """What to search for; minimal_pairs stands for a file of your own (--data)."""
    vocab: TextFile | None = None
    """Vocabulary of .pt files: one word a line."""
    data: Data | None = None
    """Folder of the task's original files; if not given, the task is generated. For minimal pairs:
    their file."""
    valid: TextFile | None = None
    """Text to measure perplexity on; if not given, it is what the training of a model folder has
    measured last (of weights that weren't averaged with others)."""
    intervention: Literal["single", "every"] = "single"
    """Intervene at one word, or at every word of the sentence."""
    context: Literal["eos", "none", "primer"] = "eos"
    """What the model reads before each sentence."""
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
    steps: Count | None = None
    """Gradient steps of a search; the method's own number if not given."""
    rounds: CountOrZero | None = None
    """Rounds of exchange; the method's own number if not given."""
    evaluation: Count | None = None
    """Examples held out; as many as in the paper if not given, or a fifth of minimal pairs."""
    split: Literal["example", "word"] = "example"
    """Hold out examples, or words: no subject (profession) is in both parts."""
    split_seed: Seed = 0
    """Seed of the choice of these."""
    out: ResultFolder = Path("results/robustness")
    """Folder for the results."""


def work(options: RobustnessOptions) -> dict[str, Any]:
    """Runs what isn't there yet, compares, and writes the folder; returns its summary."""
    started = time.perf_counter()
    check_options(options)
    options = trained(options)
    common = search_options(options)
    models = robustness_runs.identify(options.models, common)
    snapshots = robustness_runs.identify(options.snapshots, common)
    _check_perplexities(options, snapshots)
    task = load_task(options.task, options.data)
    goal = Goal(options.accuracy, options.alpha, options.valid)
    programs = Programs()

    def results(named: list[Named], folder: Path) -> list[dict[str, Any]]:
        return [
            robustness_runs.of_model(one, task, common, goal, folder, programs) for one in named
        ]

    found = results(models, options.out / "models"), results(snapshots, options.out / "snapshots")
    summary = {
        "task": task.name,
        **{name: getattr(options, name) for name in ("intervention", "context")},
        "kl_weight": options.kl_weight,
        "wanted": options.accuracy,
        "alpha": options.alpha,
        **robustness_tables.summarise(*found),
        "seconds": {"total": time.perf_counter() - started, "compile": programs.compiling},
        "versions": {"jaxmask": jaxmask.__version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
    }
    _write(options, summary)
    for table in robustness_tables.tables(summary):
        print_table(table)
    seconds = summary["seconds"]["total"]
    console().print(f"{seconds:.0f} s; written to {options.out}", soft_wrap=True)
    return summary


def check_options(options: RobustnessOptions) -> None:
    """Raises an `OptionError` for what can't be compared, before any work is done."""
    option_types.check(options)
    if options.corpus is not None and options.models:
        raise OptionError("--models: expected them or --corpus, found both")
    if options.corpus is None and not options.models + options.snapshots:
        raise OptionError("--models: expected at least one model, or --corpus, found none")
    if options.corpus is None and (options.train_snapshots or options.train_steps is not None):
        raise OptionError("--corpus: expected a text to train on, none given")
    check(dataclasses.replace(search_options(options), vocab=None))  # models have their own


def search_options(options: RobustnessOptions) -> Options:
    """The options of all searches."""
    names = {field.name for field in dataclasses.fields(Options)} - {"out", "alpha"}
    shared = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    chosen = {name: value for name, value in shared.items() if name in names}
    if options.alpha is not None:
        chosen["alpha"] = options.alpha
    return Options(**chosen, seeds=options.searches)


def trained(options: RobustnessOptions) -> RobustnessOptions:
    """With the models in place of the corpus that they are trained on, unless they are there."""
    if options.corpus is None:
        return options
    results = train_language_model.train(
        TrainingOptions(
            out=options.out / "language_models",
            data=options.corpus,
            seeds=options.train_seeds,
            steps=options.train_steps,
            snapshots=options.train_snapshots,
        )
    )
    models = train_language_model.all_written(results)
    first = models[0].folder / "snapshots"
    return dataclasses.replace(
        options,
        models=tuple(str(one.folder) for one in models),
        snapshots=(*options.snapshots, *(str(first / str(n)) for n in options.train_snapshots)),
    )


def _check_perplexities(options: RobustnessOptions, snapshots: list[Named]) -> None:
    """Snapshots are ordered by it."""
    if options.valid is None:
        for one in snapshots:
            if robustness_runs.trained_perplexity(Path(one.source)) is None:
                raise OptionError(
                    f"--valid: expected a text, as no training run tells {one.source}'s perplexity"
                )


def _write(options: RobustnessOptions, summary: dict[str, Any]) -> None:
    """The run folder: configuration, summary, tables and, with snapshots, the figure."""
    config = dataclasses.asdict(options)
    texts = {
        "config.json": json.dumps(plain(config, "config"), indent=2) + "\n",
        "table.md": robustness_tables.markdown(summary),
        "summary.json": json.dumps(plain(summary, "summary"), indent=2) + "\n",
    }
    options.out.mkdir(parents=True, exist_ok=True)
    if summary["snapshots"]:
        figures.save(
            robustness_tables.figure(summary), options.out / "figures" / "units_and_perplexity.png"
        )
    for name, text in texts.items():
        write_text(options.out / name, text)


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(RobustnessOptions, "robustness", __doc__, work)


if __name__ == "__main__":
    main()
