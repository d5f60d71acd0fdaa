"""Options of training a language model, and what an optimiser takes where they aren't given."""

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

# What an optimiser takes where options aren't given.
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {  # Gulordava et al.'s
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
    """Model folder to write; with several seeds, a folder of model folders, seed_0 and so on."""
    data: DataFolder | None = None
    """Folder of train.txt, valid.txt and vocab.txt, each of them plain or .xz."""
    train: tuple[TextFile, ...] = ()
    """Text files in place of the folder's, plain or .xz; naming one twice counts."""
    valid: TextFile | None = None
    """Text whose perplexity is reported, in place of the folder's."""
    vocabulary: TextFile | None = None
    """Vocabulary in place of the folder's; built from the text if there is none at all."""
    words: Words = 10_000
    """Size of a built vocabulary: the most frequent words and those to keep."""
    keep: TextFile | None = None
    """Words, one a line, that a built vocabulary must hold."""
    start_from: DataFolder | None = None
    """Model folder whose vocabulary, sizes and weights to start from."""
    average_with: DataFolder | None = None
    """Model folder to average the trained weights with."""
    average_weight: Share = 0.5
    """Its share of that average."""
    embedding: Count = 300
    """Columns of the embedding."""
    hidden: Count = 300
    """Hidden units a layer."""
    layers: Layers = 2
    """Layers."""
    tied: bool = True
    """The decoder's weight is the embedding."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, better for small budgets, or SGD as in Gulordava et al.."""
    steps: Count | None = None
    """Updates, by which AdamW's learning rate is 0; 10000, or 40 epochs with SGD, if not given."""
    epochs: Count | None = None
    """The same, in epochs."""
    stop: Count | None = None
    """Number of the last update to make, if it isn't the last of these."""
    columns: Count | None = None
    """Parts of the text read side by side; 64, or 128 with SGD, if not given."""
    window: Count = 35
    """Words read between updates."""
    learning_rate: Rate | None = None
    """Its highest value; 0.002, or 20 with SGD, if not given."""
    warmup: CountOrZero = 200
    """Updates of AdamW's warm-up."""
    weight_decay: Weight = 0.01
    """AdamW's."""
    clip: Rate | None = None
    """Largest norm of the gradient; 1, or 0.25 with SGD, if not given."""
    dropout: Dropout | None = None
    """After the embedding, between layers, before the decoder; 0, or 0.2 with SGD, if not given."""
    shuffle: bool | None = None
    """Another order of the sentences in each epoch; AdamW shuffles if not given, SGD doesn't."""
    head: Count = 1024
    """The first words of the vocabulary are always in the softmax, when others are sampled."""
    sampled: CountOrZero | None = None
    """Further words drawn for the softmax, 0 for all; 512, or 0 with SGD, if not given."""
    validate_every: Count | None = None
    """Updates between validations; 500, or an epoch with SGD, if not given."""
    snapshots: tuple[Count, ...] = ()
    """Updates after which the model is written too, to snapshots/UPDATE in its folder."""
    checkpoint_minutes: Weight = 5.0
    """Minutes between checkpoints."""
    seed: Seed = 0
    """Of the first weights, the dropout and the order of the sentences."""
    seeds: Runs = 1
    """How many models to train, of that seed and those after it."""
    together: Count | None = None
    """How many of them in one program; if not given, as many as fit into half of the memory."""
    half: bool = False
    """Store the weights as float16."""


def with_recipe(options: TrainingOptions) -> TrainingOptions:
    """With the optimiser's own values of what isn't given."""
    recipe = dict(RECIPES[options.optimizer])
    if options.steps is not None or options.epochs is not None:
        recipe = {name: value for name, value in recipe.items() if name not in ("steps", "epochs")}
    missing = {name: value for name, value in recipe.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)


def check(options: TrainingOptions) -> None:
    """Raises an `OptionError` for what can't be trained, before any work is done."""
    option_types.check(options)
    if options.steps is not None and options.epochs is not None:
        raise OptionError(f"--epochs: expected it or --steps, found {options.epochs}")
    if options.start_from is None:  # which decides the sizes
        check_tied(options)
    last = options.steps
    for name in ("stop", "snapshots"):
        value = getattr(options, name)
        most = max(value, default=0) if isinstance(value, tuple) else value
        if last is not None and most is not None and most > last:
            raise OptionError(f"--{name}: expected at most --steps, {last}, found {most}")


def check_tied(options: Any) -> None:
    """Raises an `OptionError` where an embedding that isn't as wide as a layer is to be tied."""
    if options.tied and options.embedding != options.hidden:
        raise OptionError(
            f"--embedding: expected {options.hidden}, as --hidden, or --no-tied, "
            f"found {options.embedding}"
        )


def settings(options: TrainingOptions, files: Files, origin: LSTMModel | None) -> dict[str, Any]:
    """Everything that decides the weights, and nothing else."""
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
