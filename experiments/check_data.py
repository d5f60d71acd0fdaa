"""Checks data against a model: which pairs are dropped and why, and which forms the model prefers.

python -m experiments.check_data --data docs/examples/animacy.tsv

The script neither searches nor writes files. With --task it checks the original files of a task of
the paper.
"""

import dataclasses
import string
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

from experiments.shared.console import console, print_table
from experiments.shared.option_types import Data
from experiments.shared.options import ContextOptions, ModelOptions, TaskName, load_task, suited
from experiments.shared.script import run_script
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import Table
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.examples import Encoded, Task, Unknown
from jaxmask.text.vocabulary import UNKNOWN, Words, shown

MOST_WORDS = 12  # rows of the table of missing words
MOST_LINES = 4  # line numbers for each word
MOST_TOKENS = 12  # of an example
LONGEST_WORD = 24  # characters of a word in a table
FEW = 20  # fewer pairs to flip in a direction than this are reported
KNOWN = 0.6  # a model that prefers the right form in a smaller share hardly knows the phenomenon


# Title and note of the table of words that pairs are lost to, by what tokens are.
LOST = {
    "words": (
        "Words that aren't in the vocabulary",
        "A pair is dropped if one of its forms or the word at its position is missing; other words "
        f"are read as {UNKNOWN}.",
    ),
    "tokens": (
        "Forms that are the beginning of the other form",
        "A pair is decided at the first token in which its forms differ. It is dropped if the "
        "tokens of one are the beginning of the other's.",
    ),
}


@dataclasses.dataclass(frozen=True)
class CheckOptions(ContextOptions, ModelOptions):
    """Options of this script; an option has the same meaning in all scripts."""

    data: Data | None = None
    """File of minimal pairs; with --task the folder of the original files of the task."""
    task: TaskName = minimal_pairs.NAME
    """The task that the data belong to."""


class MissingWord(NamedTuple):
    """A word that isn't in the vocabulary, in one of its roles.

    Attributes:
        role: ``form``, ``position`` (in both roles its pairs are dropped) or ``other`` (it is read
            as `UNKNOWN`).
        word: that is missing.
        places: for each of its pairs, where it was read.
    """

    role: str
    word: str
    places: tuple[str, ...]


def work(options: CheckOptions) -> None:
    """Reads and encodes the data, runs the untouched model, and reports what was found."""
    task = load_task(options.task, options.data)
    model = options.load_model()
    options = suited(options, model)
    missing = [model.unknown_words(stimulus) for stimulus in task.stimuli]
    found = missing_words(task, missing)
    encoded = model.encode(task)
    lines = counts(task, missing, model)
    if model.vocabulary.unit == "tokens":
        lines.append(first_example(encoded, model, options.context_name()))
    for line in lines:
        console().print(line, soft_wrap=True, markup=False)
    console().print()
    if found:
        print_table(word_table(found, model.vocabulary))
    odds = model.log_odds(encoded.examples, model.read_context(options.context_name()))
    print_table(group_table(task, encoded, odds))
    for line in advice(task, encoded, odds):
        console().print(line, markup=False)


def counts(task: Task, missing: Sequence[Unknown], model: LanguageModel) -> list[str]:
    """The numbers of pairs that were read, kept and dropped, in a few lines.

    Args:
        task: with all pairs.
        missing: for each pair, its words that aren't in the vocabulary.
        model: that the pairs are checked for.
    """
    without_form = sum(bool(words.pair) for words in missing)
    without_position = sum(bool(words.position_word) and not words.pair for words in missing)
    kept = [words for words in missing if not words.pair and not words.position_word]
    others = sum(len(words.others) for words in kept)
    lines = [
        f"{task.name}: {_count(len(task.stimuli), 'pair')}, {' or '.join(task.directions)}",
        f"model: {model.name}, {len(model.vocabulary)} {model.vocabulary.unit}",
        f"kept: {_count(len(kept), 'pair')}"
        + (f"; {_count(others, 'other word')} read as {UNKNOWN}" if others else ""),
    ]
    if without_form:
        lines.append(f"dropped: {_count(without_form, 'pair')} with {model.vocabulary.lost_form}")
    if without_position:
        lines.append(
            f"dropped: {_count(without_position, 'pair')} whose word at the position isn't in the "
            "vocabulary"
        )
    return lines


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


def missing_words(task: Task, missing: Sequence[Unknown]) -> list[MissingWord]:
    """The words that aren't in the vocabulary.

    Words whose pairs are dropped come first; then words are sorted by decreasing frequency.

    Args:
        task: with all pairs.
        missing: for each pair, its words that aren't in the vocabulary.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for number, unknown in enumerate(missing):
        roles = {"form": unknown.pair, "position": unknown.position_word, "other": unknown.others}
        for role, words in roles.items():
            for word in dict.fromkeys(words):
                places.setdefault((role, word), []).append(_place(task, number))
    found = [MissingWord(*key, tuple(where)) for key, where in places.items()]
    return sorted(found, key=lambda x: (x.role == "other", -len(x.places), x.word))


def _place(task: Task, number: int) -> str:
    """The line that a stimulus was read from; for number agreement also the name of its file."""
    if not task.lines:
        return ""
    file = f"{task.stimuli[number].group} " if task.name == number_agreement.NAME else ""
    return f"{file}{task.lines[number]}"


def word_table(found: Sequence[MissingWord], vocabulary: Words) -> Table:
    """The words that aren't in the vocabulary, with suggestions."""
    rows = []
    for role, word, places in found[:MOST_WORDS]:
        lines = list(dict.fromkeys(place for place in places if place))
        more = [f"and {len(lines) - MOST_LINES} more"] if lines[MOST_LINES:] else []
        rows.append(
            (
                shown(word, LONGEST_WORD),
                role,
                str(len(places)),
                ", ".join(lines[:MOST_LINES] + more),
                suggestion(word, vocabulary) if vocabulary.unit == "words" else "",
            )
        )
    left_out = len(found) - MOST_WORDS
    title, note = LOST[vocabulary.unit]
    return Table(
        title,
        ("Word", "Role", "Pairs", "Lines", "Suggestion"),
        tuple(rows),
        note + (f" {left_out} more words aren't shown." if left_out > 0 else ""),
    )


def suggestion(word: str, vocabulary: Words) -> str:
    """A suggestion in place of a word that isn't in the vocabulary; may be empty."""
    if word == UNKNOWN:
        return "this stands for any unknown word: write a word"
    for variant in (word.lower(), word.capitalize(), word.upper()):
        if variant in vocabulary.index:
            return f"the vocabulary has '{variant}'"
    bare = word.strip(string.punctuation)
    if bare and bare in vocabulary.index:
        return f"the vocabulary has '{bare}': separate punctuation by spaces"
    near = get_close_matches(word, vocabulary.words, 1, 0.75) if len(word) <= LONGEST_WORD else []
    return f"did you mean '{near[0]}'?" if near else ""


def group_table(task: Task, encoded: Encoded, odds: np.ndarray) -> Table:
    """For each group and right form: pairs, preferences of the untouched model, and their strength.

    Args:
        task: with the names of the directions.
        encoded: its pairs.
        odds: log-odds of the first form of each pair under the untouched model.
    """
    correct = encoded.examples.correct
    known = bool((correct >= 0).any())
    parts = list(_groups(task, encoded))
    if len(parts) > 1:
        parts.append(("all", "", np.ones(len(correct), bool)))
    rows = [
        (name, *((form,) if known else ()), *_group_cells(correct[rows], odds[rows], known))
        for name, form, rows in parts
    ]
    first, second = task.directions
    return Table(
        "Preferences of the untouched model",
        (
            "Group",
            *(("Right form", "Pairs", "Right") if known else ("Pairs",)),
            "Log-odds",
            *(f"To {name}" for name in task.directions),
        ),
        tuple(rows),
        (
            "Right: share of the pairs whose right form the model prefers. Log-odds: mean of "
            "log p(right) - log p(other), in nats. "
            if known
            else f"Log-odds: mean of log p({first}) - log p({second}), in nats. "
        )
        + f"To {first}, to {second}: pairs that can be flipped in this direction, because the "
        "model prefers the other form.",
    )


def _groups(task: Task, encoded: Encoded) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each group and right form, with the rows of its examples as truth values."""
    examples = encoded.examples
    for number, name in enumerate(encoded.groups):
        for correct, form in ((0, task.directions[0]), (1, task.directions[1]), (-1, "")):
            rows = (examples.group == number) & (examples.correct == correct)
            if rows.any():
                yield name, form, rows


def _group_cells(correct: np.ndarray, odds: np.ndarray, known: bool) -> tuple[str, ...]:
    """The numbers in the row of a group; ``known``: whether the task has right forms."""
    pairs = str(len(correct))
    flips = (str(int((odds <= 0).sum())), str(int((odds > 0).sum())))
    if not known:
        return (pairs, f"{odds.mean():.2f}", *flips)
    margin = np.where(correct == 0, odds, -odds)[correct >= 0]
    if not len(margin):
        return (pairs, "", "", *flips)
    return (pairs, f"{100 * (margin > 0).mean():.1f}%", f"{margin.mean():.2f}", *flips)


def advice(task: Task, encoded: Encoded, odds: np.ndarray) -> list[str]:
    """Problems of the data that make a search difficult, each with advice.

    Args:
        task: with all pairs.
        encoded: the pairs that were kept.
        odds: see `group_table`.
    """
    lines = []
    for number, name in enumerate(task.directions):
        count, other = int(((odds > 0) == number).sum()), task.directions[1 - number]
        if count < FEW:
            start = f"only {_count(count, 'pair')}" if count else "no pair"
            where = "in all others" if count else "everywhere"
            lines.append(
                f"{start} can be flipped to {name}, because the model already prefers the {name} "
                f"form {where}. Add sentences after which it prefers the {other} form."
            )
    for name, form, rows in _groups(task, encoded):
        correct = encoded.examples.correct[rows][0]
        right = float(((odds[rows] < 0) == correct).mean())
        if form and right < KNOWN:
            lines.append(
                f"{name}, {form}: the model is right on {100 * right:.0f}% of the pairs, so it "
                "hardly knows the phenomenon there. Leave these lines out, or use another model."
            )
    ending = [number for number, s in enumerate(task.stimuli) if s.words[-1] in s.pair]
    if ending:
        place = _place(task, ending[0])
        lines.append(
            f"sentences that end with one of their own two forms: {len(ending)}"
            + (f", the first in line {place}" if place else "")
            + ". A sentence has to end before the target word."
        )
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def main() -> None:
    """Reads the options and checks the data."""
    run_script(CheckOptions, "check_data", __doc__, work)


if __name__ == "__main__":
    main()
