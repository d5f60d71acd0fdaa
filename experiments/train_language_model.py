r"""Trains LSTM language models on text and writes each as a model folder.

A text file has one sentence in each line, with words separated by spaces; a missing `<eos>` is
added at the end of a sentence. A run that was stopped or killed continues from its last checkpoint
when it is started again, and ends with the same weights. The recipe of Gulordava et al., and five
models of the size of the bundled one:

    python -m experiments.train_language_model --data CORPUS --out MODEL \
        --optimizer sgd --embedding 650 --hidden 650 --no-tied
    python -m experiments.train_language_model --data CORPUS --out MODELS --seeds 5
"""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.shared import records, stopping
from experiments.shared.console import console, print_table
from experiments.shared.option_types import OptionError
from experiments.shared.script import run_script
from experiments.training import seed_groups
from experiments.training.options import TrainingOptions, check, settings, with_recipe
from experiments.training.seed_groups import Events, Run, Stopped, TrainingText
from experiments.training.text_files import (
    Files,
    build_vocabulary,
    encode,
    find_files,
    load_vocabulary,
    load_words,
)
from jaxmask.files.run_folder import write_text
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, Params
from jaxmask.models.lstm.training import TrainingConfig
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.report import Table
from jaxmask.text import corpus
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary


class Written(NamedTuple):
    """A model folder, its perplexity on the validation text, and its fingerprint."""

    folder: Path
    perplexity: float
    fingerprint: str


def train(options: TrainingOptions) -> list[Written | Stopped]:
    """Trains the seeds that aren't finished yet, and writes the folders of those that don't stop.

    Raises:
        OptionError: an option or a text can't be used.
        RunFolderError: the folder holds a run with other settings, which the message names.
        ModelError: a model folder that an option names can't be used.
        VocabularyError: the vocabulary can't be used.
    """
    options = with_recipe(options)
    check(options)
    files = find_files(options.data, options.train, options.valid, options.vocabulary)
    origin = load_model(options.start_from) if options.start_from else None
    other = load_model(options.average_with) if options.average_with else None
    decisive = settings(options, files, origin)
    stopping.keeps(folder(options))
    if records.read(folder(options) / "run.json", decisive) is None:
        records.write(folder(options) / "run.json", decisive, {})
    vocabulary = origin.vocabulary if origin else read_vocabulary(options, files)
    sizes = origin.config if origin else new_sizes(options, vocabulary)
    if other:
        check_average(options, other, sizes, vocabulary)
    run = prepare(options, files, sizes, origin, vocabulary)
    console().print(
        f"{corpus.size(run.text.train):,} words to train on, {corpus.size(run.text.valid):,} to "
        f"validate on, {len(vocabulary):,} in the vocabulary; {run.config.steps:,} updates, "
        f"{run.text.epoch:,} in each epoch",
        soft_wrap=True,
    )

    def write(seed: int, params: Params, update: int | None = None) -> tuple[Path, str]:
        place = options.out if options.seeds == 1 else options.out / f"seed_{seed}"
        name = place.absolute().name
        if update is not None:
            place, name = place / "snapshots" / str(update), f"{name}-{update}"
        model = LSTMModel(name, run.model, params, vocabulary)
        save_model(place, model, np.float16 if options.half else np.float32)
        return place, model.fingerprint

    written = []
    for seeds in programs(options, run):
        for seed, one in zip(seeds, seed_groups.train(run, seeds, write), strict=True):
            if isinstance(one, Stopped):
                written.append(one)
                continue
            params, perplexity = one
            if other:
                params = average(params, other.params, options.average_weight)
                perplexity = run.perplexity(params)
            place, fingerprint = write(seed, params)
            written.append(Written(place, perplexity, fingerprint))
    return written


def folder(options: TrainingOptions) -> Path:
    """The folder of the files that a run needs to continue."""
    return options.out / "training"


def read_vocabulary(options: TrainingOptions, files: Files) -> Vocabulary:
    """The given vocabulary, or one that is built from the text when the run begins."""
    if files.vocabulary:
        return load_vocabulary(files.vocabulary)
    built = folder(options) / "vocab.txt"
    if not built.exists():
        keep = load_words(options.keep) if options.keep else ()
        if len({END_OF_SENTENCE, UNKNOWN, *keep}) > options.words:
            raise OptionError(
                f"--keep: expected words that fit into --words, {options.words}, found {len(keep)}"
            )
        vocabulary = build_vocabulary(files.train, options.words, keep)
        write_text(built, "\n".join(vocabulary.words) + "\n")
    return load_vocabulary(built)


def new_sizes(options: TrainingOptions, vocabulary: Vocabulary) -> LSTMConfig:
    """The sizes of a model that doesn't start from another one."""
    return LSTMConfig(
        len(vocabulary), options.embedding, options.hidden, options.layers, options.tied
    )


def prepare(
    options: TrainingOptions,
    files: Files,
    sizes: LSTMConfig,
    origin: LSTMModel | None,
    vocabulary: Vocabulary,
) -> Run:
    """Encodes the text, and sets the values that depend on it.

    Args:
        options: with the defaults of the optimiser.
        files: of text.
        sizes: of the models.
        origin: model to start from; None for random weights.
        vocabulary: of the models.
    """
    valid = encode([files.valid], vocabulary, folder(options) / "valid.tokens")
    train = encode(files.train, vocabulary, folder(options) / "train.tokens")
    text = TrainingText(
        train,
        valid,
        vocabulary.index[END_OF_SENTENCE],
        options.columns,
        options.window,
        options.shuffle,
    )
    epoch = text.epoch
    if not epoch:
        raise OptionError(
            f"--columns: expected fewer than {options.columns} for {corpus.size(train)} words"
        )
    steps = options.steps or options.epochs * epoch
    if not all(1 <= update <= steps for update in options.snapshots):
        raise OptionError(
            f"--snapshots: expected updates from 1 to {steps}, found {options.snapshots}"
        )
    values = {
        "steps": steps,
        "sampled": options.sampled if len(vocabulary) > options.head else 0,
    }
    values |= {
        name: getattr(options, name)
        for name in TrainingConfig._fields
        if hasattr(options, name) and name not in values
    }
    return Run(
        folder(options),
        sizes,
        origin.params if origin else None,
        TrainingConfig(**values),
        text,
        Events(
            options.validate_every or epoch,
            options.snapshots,
            min(steps, options.stop or steps),
            options.checkpoint_minutes,
        ),
    )


def programs(options: TrainingOptions, run: Run) -> list[list[int]]:
    """The seeds of each program; a run that continues keeps the programs it began with."""
    file = folder(options) / "programs.json"
    begun = records.read(file, {})
    if begun is None:
        seeds = list(range(options.seed, options.seed + options.seeds))
        begun = {"seeds": seed_groups.groups(run, seeds, options.together)}
        records.write(file, {}, begun)
    return begun["seeds"]


def check_average(
    options: TrainingOptions, other: LSTMModel, sizes: LSTMConfig, vocabulary: Vocabulary
) -> None:
    """Raises an `OptionError` if a model can't be averaged with those that are trained."""
    place = f"--average-with: {options.average_with}"
    if other.config != sizes:
        raise OptionError(f"{place}: expected sizes {tuple(sizes)}, found {tuple(other.config)}")
    if other.vocabulary.words != vocabulary.words:
        raise OptionError(f"{place}: expected the vocabulary of the trained models, found another")


def average(trained: Params, other: Params, weight: float) -> Params:
    """``(1 - weight) trained + weight other``, for all weights."""
    return jax.tree.map(lambda new, old: (1 - weight) * new + weight * old, trained, other)


def work(options: TrainingOptions) -> None:
    """Trains the models, and prints their perplexities.

    Raises:
        OptionError: a seed stopped, because its loss or gradient was no longer finite.
    """
    results = train(options)
    rows = tuple(
        (str(one.folder), f"{one.perplexity:.2f}", one.fingerprint)
        for one in results
        if isinstance(one, Written)
    )
    if rows:
        print_table(Table("Trained models", ("folder", "perplexity", "fingerprint"), rows))
    all_written(results)


def all_written(results: list[Written | Stopped]) -> list[Written]:
    """The models, if no seed stopped.

    Raises:
        OptionError: a seed stopped; the message names seed and update.
    """
    stopped = [one for one in results if isinstance(one, Stopped)]
    if stopped:
        stops = [f"seed {one.seed} at update {one.update}" for one in stopped]
        raise OptionError(
            "--learning-rate: expected a rate at which losses and gradients stay finite; training "
            f"stopped for {', '.join(stops)}"
        )
    return [one for one in results if isinstance(one, Written)]


def main() -> None:
    """Reads the options and trains."""
    run_script(TrainingOptions, "train_language_model", __doc__, work)


if __name__ == "__main__":
    main()
