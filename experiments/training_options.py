"""Options of training a language model, and what an optimiser takes where they aren't given."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from experiments.setup import OptionError
from experiments.training_text import Files, digest
from jaxmask.store import LanguageModel

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

    out: Path
    """Model folder to write; with several seeds, a folder of model folders, seed_0 and so on."""
    data: Path | None = None
    """Folder of train.txt, valid.txt and vocab.txt, each of them plain or .xz."""
    train: tuple[Path, ...] = ()
    """Text files in place of the folder's, plain or .xz; naming one twice counts."""
    valid: Path | None = None
    """Text whose perplexity is reported, in place of the folder's."""
    vocabulary: Path | None = None
    """Vocabulary in place of the folder's; built from the text if there is none at all."""
    words: int = 10_000
    """Size of a built vocabulary: the most frequent words and those to keep."""
    keep: Path | None = None
    """Words, one a line, that a built vocabulary must hold."""
    start_from: Path | None = None
    """Model folder whose vocabulary, sizes and weights to start from."""
    average_with: Path | None = None
    """Model folder to average the trained weights with."""
    average_weight: float = 0.5
    """Its share of that average."""
    embedding: int = 300
    """Columns of the embedding."""
    hidden: int = 300
    """Hidden units a layer."""
    layers: int = 2
    """Layers."""
    tied: bool = True
    """The decoder's weight is the embedding."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, better for small budgets, or SGD as in Gulordava et al.."""
    steps: int | None = None
    """Updates, by which AdamW's learning rate is 0; 10000, or 40 epochs with SGD, if not given."""
    epochs: int | None = None
    """The same, in epochs."""
    stop: int | None = None
    """Number of the last update to make, if it isn't the last of these."""
    columns: int | None = None
    """Parts of the text read side by side; 64, or 128 with SGD, if not given."""
    window: int = 35
    """Words read between updates."""
    learning_rate: float | None = None
    """Its highest value; 0.002, or 20 with SGD, if not given."""
    warmup: int = 200
    """Updates of AdamW's warm-up."""
    weight_decay: float = 0.01
    """AdamW's."""
    clip: float | None = None
    """Largest norm of the gradient; 1, or 0.25 with SGD, if not given."""
    dropout: float | None = None
    """After the embedding, between layers, before the decoder; 0, or 0.2 with SGD, if not given."""
    shuffle: bool | None = None
    """Another order of the sentences in each epoch; AdamW shuffles if not given, SGD doesn't."""
    head: int = 1024
    """The first words of the vocabulary are always in the softmax, when others are sampled."""
    sampled: int | None = None
    """Further words drawn for the softmax, 0 for all; 512, or 0 with SGD, if not given."""
    validate_every: int | None = None
    """Updates between validations; 500, or an epoch with SGD, if not given."""
    snapshots: tuple[int, ...] = ()
    """Updates after which the model is written too, to snapshots/UPDATE in its folder."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""
    seed: int = 0
    """Of the first weights, the dropout and the order of the sentences."""
    seeds: int = 1
    """How many models to train, of that seed and those after it."""
    together: int | None = None
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
    """Raises an `OptionError` for options out of their range, before any work is done."""
    whole = ("words", "embedding", "hidden", "layers", "columns", "window", "head", "seeds")
    optional = ("steps", "epochs", "stop", "validate_every", "together")
    faults = [
        (name, "1 or more", getattr(options, name))
        for name in (*whole, *optional)
        if getattr(options, name) is not None and getattr(options, name) < 1
    ]
    faults += [
        (name, "0 or more", getattr(options, name))
        for name in ("warmup", "sampled", "seed", "weight_decay", "checkpoint_minutes")
        if not getattr(options, name) >= 0
    ]
    faults += [
        (name, "above 0", getattr(options, name))
        for name in ("learning_rate", "clip")
        if not getattr(options, name) > 0
    ]
    if not 0 <= options.dropout < 1:
        faults.append(("dropout", "0 or more, below 1", options.dropout))
    if not 0 <= options.average_weight <= 1:
        faults.append(("average_weight", "0 to 1", options.average_weight))
    if options.steps is not None and options.epochs is not None:
        faults.append(("epochs", "it or --steps", options.epochs))
    if options.tied and options.embedding != options.hidden:
        faults.append(
            ("embedding", f"{options.hidden}, as --hidden, or --no-tied", options.embedding)
        )
    if options.keep is not None and not options.keep.is_file():
        faults.append(("keep", "a file", options.keep))
    for name, expected, found in faults:
        raise OptionError(f"--{name.replace('_', '-')}: expected {expected}, found {found}")


def settings(
    options: TrainingOptions, files: Files, origin: LanguageModel | None
) -> dict[str, Any]:
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
