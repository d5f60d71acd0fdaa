"""Options of training a language model, and their defaults for each optimiser."""

import dataclasses
from typing import Any, Literal

from experiments.shared import option_types
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    DataFolder,
    Dropout,
    Layers,
    OptionError,
    Rate,
    ResultFolder,
    Runs,
    Seed,
    Share,
    TextFile,
    Weight,
    Words,
)
from experiments.training.text_files import Files, digest
from jaxmask.models.lstm.model import LSTMModel

# The defaults of options for each optimiser.
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {  # as Gulordava et al. train
        "epochs": 40, "columns": 128, "learning_rate": 20.0, "clip": 0.25, "dropout": 0.2,
        "shuffle": False, "sampled": 0,
    },
    "adamw": {
        "steps": 10_000, "columns": 64, "learning_rate": 2e-3, "clip": 1.0, "dropout": 0.0,
        "shuffle": True, "sampled": 512, "validate_every": 500,
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Options of the script."""

    out: ResultFolder
    """Model folder to write; with several seeds, a folder with model folders seed_0, seed_1, ..."""
    data: DataFolder | None = None
    """Folder with train.txt, valid.txt and vocab.txt, each of them plain or .xz."""
    train: tuple[TextFile, ...] = ()
    """Text files instead of train.txt, plain or .xz; a file that is named twice is read twice."""
    valid: TextFile | None = None
    """Text file instead of valid.txt; its perplexity is reported."""
    vocabulary: TextFile | None = None
    """Vocabulary instead of vocab.txt; without either, one is built from the text."""
    words: Words = 10_000
    """Size of a vocabulary that is built: the words of --keep, and the most frequent words."""
    keep: TextFile | None = None
    """File of words, one in each line, that a vocabulary has to contain if it is built."""
    start_from: DataFolder | None = None
    """Model folder that gives the vocabulary, the sizes and the first weights."""
    average_with: DataFolder | None = None
    """Model folder to average the trained weights with."""
    average_weight: Share = 0.5
    """Share of that model in the average."""
    embedding: Count = 300
    """Size of the embedding of a word."""
    hidden: Count = 300
    """Number of hidden units in each layer."""
    layers: Layers = 2
    """Number of layers."""
    tied: bool = True
    """Use the embedding as the weight of the decoder."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, which is better for small budgets, or SGD, as Gulordava et al. use it."""
    steps: Count | None = None
    """Number of updates, at the end of which the learning rate of AdamW is 0; the default is 10000,
    or 40 epochs with SGD."""
    epochs: Count | None = None
    """Number of epochs, instead of --steps."""
    stop: Count | None = None
    """Stop after this update, before all updates are made."""
    columns: Count | None = None
    """Number of parts of the text read side by side; the default is 64, or 128 with SGD."""
    window: Count = 35
    """Number of words that are read between updates."""
    learning_rate: Rate | None = None
    """Highest learning rate; the default is 0.002, or 20 with SGD."""
    warmup: CountOrZero = 200
    """Number of updates in which the learning rate of AdamW rises to its highest value."""
    weight_decay: Weight = 0.01
    """Weight decay of AdamW."""
    clip: Rate | None = None
    """Largest norm of the gradient; the default is 1, or 0.25 with SGD."""
    dropout: Dropout | None = None
    """Dropout after the embedding, between layers and before the decoder; the default is 0, or 0.2
    with SGD."""
    shuffle: bool | None = None
    """Put the sentences into a new order in each epoch; the default is yes, or no with SGD."""
    head: Count = 1024
    """Number of words, the first of the vocabulary, that are in every sampled softmax."""
    sampled: CountOrZero | None = None
    """Number of further words that are drawn for the softmax, or 0 to use all words; the default is
    512, or 0 with SGD."""
    validate_every: Count | None = None
    """Number of updates between validations; the default is 500, or one epoch with SGD."""
    snapshots: tuple[Count, ...] = ()
    """Updates after which the model is also written to snapshots/UPDATE in its folder."""
    checkpoint_minutes: Weight = 5.0
    """Minutes between checkpoints."""
    seed: Seed = 0
    """Seed of the first weights, the dropout and the order of the sentences."""
    seeds: Runs = 1
    """Number of models to train, with this seed and the following ones."""
    together: Count | None = None
    """Number of models in one program; the default is as many as fit into half of the memory."""
    half: bool = False
    """Store the weights as float16."""


def with_recipe(options: TrainingOptions) -> TrainingOptions:
    """The options with the defaults of the optimiser for those that aren't given."""
    recipe = dict(RECIPES[options.optimizer])
    if options.steps is not None or options.epochs is not None:
        recipe = {name: value for name, value in recipe.items() if name not in ("steps", "epochs")}
    missing = {name: value for name, value in recipe.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)


def check(options: TrainingOptions) -> None:
    """Raises an `OptionError` for options that contradict each other, before any work is done."""
    option_types.check(options)
    if options.steps is not None and options.epochs is not None:
        raise OptionError(
            f"--epochs: expected only one of --epochs and --steps, found {options.epochs}"
        )
    if options.start_from is None:  # otherwise the sizes are those of that model
        check_tied(options)
    last = options.steps
    for name in ("stop", "snapshots"):
        value = getattr(options, name)
        most = max(value, default=0) if isinstance(value, tuple) else value
        if last is not None and most is not None and most > last:
            raise OptionError(f"--{name}: expected at most --steps, {last}, found {most}")


def check_tied(options: Any) -> None:
    """Raises an `OptionError` for a tied embedding whose size isn't the size of a layer."""
    if options.tied and options.embedding != options.hidden:
        raise OptionError(
            f"--embedding: expected {options.hidden}, the same as --hidden, or --no-tied, "
            f"found {options.embedding}"
        )


def settings(options: TrainingOptions, files: Files, origin: LSTMModel | None) -> dict[str, Any]:
    """All settings that determine the weights, and no others."""
    given = dataclasses.asdict(options)
    for name in ("out", "data", "stop", "checkpoint_minutes", "half", "average_with"):
        del given[name]
    del given["average_weight"]
    return given | {
        "train": [digest(file) for file in files.train],
        "valid": digest(files.valid),
        "vocabulary": digest(files.vocabulary) if files.vocabulary else None,
        "keep": digest(options.keep) if options.keep else None,
        "start_from": origin.fingerprint if origin else None,
    }
