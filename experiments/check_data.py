"""Checks data against a model: which pairs are dropped and why, and which forms the model prefers.

jaxmask check --data docs/examples/animacy.tsv

The script doesn't search. It writes a file only with --left-out FILE: all lines with faults, all
that were left out and all pairs that were dropped, with the reason. With --task it checks the
original files of a task of the paper.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.shared.console import console, print_table
from experiments.shared.loading import load_task
from experiments.shared.option_types import Data, NewFile
from experiments.shared.options import (
    ContextOptions,
    ModelOptions,
    SplitOptions,
    TaskName,
    suited,
)
from experiments.shared.script import run_script
from experiments.studies.missing_words import (
    LONGEST_WORD,
    dropped_pairs,
    missing_words,
    reasons_of,
    word_table,
)
from experiments.studies.preferences import advice, group_table
from jaxmask.files.run_folder import write_text
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.plan import Split
from jaxmask.pipeline.prepare import SplitError, split_rows
from jaxmask.report import count
from jaxmask.tasks import minimal_pairs
from jaxmask.text.examples import Encoded, Examples, Task, Unknown, drops
from jaxmask.text.text_files import read_text
from jaxmask.text.vocabulary import UNKNOWN, shown
from jaxmask.trust.statistics import wilson

MOST_TOKENS = 12  # of an example
VAGUE = 30  # points of the interval of an accuracy that tells little


@dataclasses.dataclass(frozen=True)
class CheckOptions(SplitOptions, ContextOptions, ModelOptions):
    """Options of this script; an option has the same meaning in all scripts."""

    data: Data | None = None
    """File of minimal pairs; with --task the folder of the original files of the task."""
    task: TaskName = minimal_pairs.NAME
    """The task that the data belong to."""
    left_out: NewFile | None = None
    """File to write: each line that gives no pair and each pair that is dropped, with the reason,
    separated by tabs."""


def work(options: CheckOptions) -> None:
    """Reads and encodes the data, runs the untouched model, and reports what was found."""
    rows = []
    if options.task == minimal_pairs.NAME and options.data is not None and options.data.is_file():
        rows = lines_without_pair(options.data)
    write_left_out(options.left_out, rows)  # now, as a line with a fault ends the script
    task = load_task(options.task, options.data)
    model = options.load_model()
    options = suited(options, model)
    missing = [model.unknown_words(stimulus) for stimulus in task.stimuli]
    write_left_out(options.left_out, rows + dropped_pairs(task, missing, model.vocabulary))
    for line in counts(task, missing, model):
        console().print(line, soft_wrap=True, markup=False)
    console().print()
    if found := missing_words(task, missing):
        print_table(word_table(found, model.vocabulary))
    encoded = model.encode(task)
    if model.vocabulary.unit == "tokens":
        console().print(first_example(encoded, model, options.context_name()), markup=False)
        console().print()
    odds = model.log_odds(encoded.examples, model.read_context(options.context_name()))
    print_table(group_table(task, encoded, odds))
    for line in (
        *split_lines(encoded.examples, odds, options.held_out(), task),
        *advice(task, encoded, odds, model.vocabulary),
    ):
        console().print(line, markup=False)
    if options.left_out is not None:
        console().print(f"written to {options.left_out}", markup=False, soft_wrap=True)


def lines_without_pair(file: Path) -> list[tuple[str, str, str, str]]:
    """The lines of a file of minimal pairs that give no pair, as `dropped_pairs` has them.

    Raises:
        TaskDataError: see `minimal_pairs.examine`.
    """
    found = minimal_pairs.examine(file)
    text = read_text(file).split("\n")
    return [
        (str(note.line), note.text, "", text[note.line - 1].replace("\t", " | "))
        for note in sorted((*found.faults, *found.left_out))
    ]


def write_left_out(file: Path | None, rows: Sequence[tuple[str, ...]]) -> None:
    """Writes what gives no example, one row a line, if a file was asked for."""
    if file is not None:
        header = ("line", "reason", "words", "pair")
        write_text(file, "".join("\t".join(row) + "\n" for row in (header, *rows)))


def counts(task: Task, missing: Sequence[Unknown], model: LanguageModel) -> list[str]:
    """The numbers of pairs that were read, kept, left out and dropped, in a few lines.

    Args:
        task: with all pairs.
        missing: for each pair, its words that aren't in the vocabulary.
        model: that the pairs are checked for.
    """
    reasons = [drops(words, model.vocabulary) for words in missing]
    others = sum(
        len(words.others) for words, reason in zip(missing, reasons, strict=True) if reason is None
    )
    return [
        f"{task.name}: {count(len(task.stimuli), 'pair')}, {' or '.join(task.directions)}",
        *(f"left out: {what}: {number}" for what, number in task.left_out if number),
        f"model: {model.name}, {len(model.vocabulary)} {model.vocabulary.unit}",
        f"kept: {count(reasons.count(None), 'pair')}"
        + (f"; {count(others, 'other word')} read as {UNKNOWN}" if others else ""),
        *(
            f"dropped: {count(reasons.count(reason), 'pair')} {words}"
            for reason, words in reasons_of(model.vocabulary).items()
            if reason in reasons
        ),
    ]


def first_example(encoded: Encoded, model: LanguageModel, context: str) -> str:
    """What the model reads of the first example, token by token, with what it reads before."""
    examples, texts = encoded.examples, model.vocabulary.words
    sentence = [texts[token] for token in examples.tokens[0, : examples.length[0]]]
    more = [f"... {len(sentence) - MOST_TOKENS} more"] if sentence[MOST_TOKENS:] else []
    shown_tokens = [repr(shown(text, LONGEST_WORD)) for text in sentence[:MOST_TOKENS]] + more
    before = " ".join(map(repr, model.beginning(context))) or "nothing"
    first, second = (repr(texts[token]) for token in examples.pair[0])
    return (
        f"first example: after {before}, {' '.join(shown_tokens)}, then {first} or {second}; "
        f"position: {sentence[examples.position[0]]!r}"
    )


def split_lines(examples: Examples, odds: np.ndarray, split: Split, task: Task) -> list[str]:
    """What a search will search on, what it holds out, and which directions that leaves out."""
    try:
        train, held_out = split_rows(examples, split, task.name)
    except SplitError as fault:
        return [f"a search can't split the pairs: --{fault}"]
    line = (
        f"split: a search uses {count(len(train), 'pair')} and holds out {len(held_out)} "
        "(--evaluation)"
    )
    low, high = wilson(len(held_out) / 2, len(held_out)).scaled(100.0)
    if high - low > VAGUE:
        line += (
            ". So few tell little: if half of them flip, the accuracy of all such pairs is "
            f"anything from {low:.0f} to {high:.0f}% (95% interval)"
        )
    to = (odds > 0).astype(int)
    missing = [
        f"no pair that is held out can be flipped to {name}: nothing will be known of "
        "this direction"
        for number, name in enumerate(task.directions)
        if (to == number).any() and not (to[held_out] == number).any()
    ]
    return [line, *missing]


def main() -> None:
    """Reads the options and checks the data."""
    run_script(CheckOptions, "check_data", __doc__, work)


if __name__ == "__main__":
    main()
