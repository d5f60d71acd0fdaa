"""Says what a model makes of a task's data: what is dropped and why, and what the model prefers.

python -m experiments.check_data --data docs/examples/animacy.tsv

Nothing is searched or written. With --task it looks at the original files of a task of the paper.
"""

import dataclasses
import string
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

from experiments.shared.console import console, print_table
from experiments.shared.option_types import Data
from experiments.shared.options import ContextOptions, ModelOptions, TaskName, load_task
from experiments.shared.script import run_script
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import Table
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.examples import (
    Encoded,
    Task,
    Unknown,
    unknown_words,
)
from jaxmask.text.vocabulary import UNKNOWN, Vocabulary, shown

MOST_WORDS = 12  # rows of the table of words
MOST_LINES = 4  # named for each word
LONGEST_WORD = 24  # characters of a word in a table
FEW = 20  # examples toward a direction
KNOWN = 0.6  # of a group's pairs the model has to get right: half is what guessing gives


@dataclasses.dataclass(frozen=True)
class CheckOptions(ContextOptions, ModelOptions):
    """Options of this script; where names are those of other scripts, so are meanings."""

    data: Data | None = None
    """File of minimal pairs; with --task the folder of the task's original files."""
    task: TaskName = minimal_pairs.NAME
    """What the data are of."""


class Culprit(NamedTuple):
    """A word that isn't in the vocabulary, in one of its roles.

    Attributes:
        role: ``form``, ``position`` (both cost the pair) or ``other`` (read as `UNKNOWN`).
        word: out of vocabulary.
        places: of the pairs that have it.
    """

    role: str
    word: str
    places: tuple[str, ...]


def work(options: CheckOptions) -> None:
    """Reads, encodes, runs the untouched model, and says what was found."""
    task = load_task(options.task, options.data)
    model = options.load_model()
    lacking = [unknown_words(stimulus, model.vocabulary) for stimulus in task.stimuli]
    found = culprits(task, lacking)
    for line in counts(task, lacking, model):
        console().print(line, soft_wrap=True, markup=False)
    console().print()
    if found:
        print_table(word_table(found, model.vocabulary))
    encoded = model.encode(task)
    odds = model.log_odds(encoded.examples, model.read_context(options.context))
    print_table(group_table(task, encoded, odds))
    for line in advice(task, encoded, odds):
        console().print(line, markup=False)


def counts(task: Task, lacking: Sequence[Unknown], model: LanguageModel) -> list[str]:
    """What was read, kept and dropped, in a few lines."""
    of_pair = sum(bool(x.pair) for x in lacking)
    of_position = sum(bool(x.position_word) and not x.pair for x in lacking)
    kept = [x for x in lacking if not x.pair and not x.position_word]
    others = sum(len(x.others) for x in kept)
    lines = [
        f"{task.name}: {_count(len(task.stimuli), 'pair')}, {' or '.join(task.directions)}",
        f"model: {model.name}, {len(model.vocabulary)} words",
        f"kept: {_count(len(kept), 'pair')}"
        + (f"; of their other words, {others} become {UNKNOWN}" if others else ""),
    ]
    if of_pair:
        lines.append(f"dropped: {_count(of_pair, 'pair')}, of which a form is out of vocabulary")
    if of_position:
        lines.append(
            f"dropped: {_count(of_position, 'pair')}, of which the word at the position is out of "
            "vocabulary"
        )
    return lines


def culprits(task: Task, lacking: Sequence[Unknown]) -> list[Culprit]:
    """The words out of vocabulary: those that cost pairs first, then the most frequent."""
    places: dict[tuple[str, str], list[str]] = {}
    for number, unknown in enumerate(lacking):
        roles = {"form": unknown.pair, "position": unknown.position_word, "other": unknown.others}
        for role, words in roles.items():
            for word in dict.fromkeys(words):
                places.setdefault((role, word), []).append(_place(task, number))
    found = [Culprit(*key, tuple(where)) for key, where in places.items()]
    return sorted(found, key=lambda x: (x.role == "other", -len(x.places), x.word))


def _place(task: Task, number: int) -> str:
    """Where a stimulus was read; a construction of number agreement has a file of its own."""
    if not task.lines:
        return ""
    file = f"{task.stimuli[number].group} " if task.name == number_agreement.NAME else ""
    return f"{file}{task.lines[number]}"


def word_table(found: Sequence[Culprit], vocabulary: Vocabulary) -> Table:
    """The words out of vocabulary, and what was meant perhaps."""
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
                suggestion(word, vocabulary),
            )
        )
    left = len(found) - MOST_WORDS
    return Table(
        "Words out of vocabulary",
        ("Word", "As", "Pairs", "Lines", "Try"),
        tuple(rows),
        "A form or a word at the position costs the pair; other words are read as "
        f"{UNKNOWN}." + (f" There are {left} words more." if left > 0 else ""),
    )


def suggestion(word: str, vocabulary: Vocabulary) -> str:
    """What the vocabulary has instead of a word, or nothing."""
    if word == UNKNOWN:
        return "it stands for any unknown word: name one"
    for variant in (word.lower(), word.capitalize(), word.upper()):
        if variant in vocabulary:
            return f"the vocabulary has '{variant}'"
    bare = word.strip(string.punctuation)
    if bare and bare in vocabulary:
        return f"the vocabulary has '{bare}': set punctuation apart by spaces"
    near = get_close_matches(word, vocabulary.words, 1, 0.75) if len(word) <= LONGEST_WORD else []
    return f"did you mean '{near[0]}'?" if near else ""


def group_table(task: Task, encoded: Encoded, odds: np.ndarray) -> Table:
    """Of each group and right form: pairs, what the untouched model prefers, and how clearly."""
    examples = encoded.examples
    known = bool((examples.correct >= 0).any())
    rows = [
        _group_row((name, form), task, encoded, odds, here, known)
        for name, form, here in _groups(task, encoded)
    ]
    if len(rows) > 1:
        everything = np.ones(examples.size, bool)
        rows.append(_group_row(("all", ""), task, encoded, odds, everything, known))
    first, second = task.directions
    return Table(
        "What the untouched model makes of the pairs",
        (
            "Group",
            *(("Right form", "Pairs", "Right") if known else ("Pairs",)),
            "Log-odds",
            *(f"To {name}" for name in task.directions),
        ),
        tuple(rows),
        (
            "Right: pairs whose right form the model prefers. Log-odds: mean of log p(right) - "
            "log p(other), in nats. "
            if known
            else f"Log-odds: mean of log p({first}) - log p({second}), in nats. "
        )
        + "To ...: pairs that the search is to turn that way, as the model prefers the other form.",
    )


def _groups(task: Task, encoded: Encoded) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each group and right form, with which examples are of them."""
    examples = encoded.examples
    for number, name in enumerate(encoded.groups):
        for correct, form in ((0, task.directions[0]), (1, task.directions[1]), (-1, "")):
            here = (examples.group == number) & (examples.correct == correct)
            if here.any():
                yield name, form, here


def _group_row(
    names: tuple[str, str],
    task: Task,
    encoded: Encoded,
    odds: np.ndarray,
    here: np.ndarray,
    known: bool,
) -> tuple[str, ...]:
    correct, toward = encoded.examples.correct[here], (odds[here] > 0).astype(int)
    pairs = str(len(correct))
    turned = [str(int((toward == number).sum())) for number in range(len(task.directions))]
    if not known:
        return (names[0], pairs, f"{odds[here].mean():.2f}", *turned)
    has = correct >= 0
    if not has.any():
        return (*names, pairs, "", "", *turned)
    margin = np.where(correct == 0, odds[here], -odds[here])[has]
    return (*names, pairs, f"{100 * (margin > 0).mean():.1f}%", f"{margin.mean():.2f}", *turned)


def advice(task: Task, encoded: Encoded, odds: np.ndarray) -> list[str]:
    """What stands in the way of a search, and what may help."""
    lines = []
    for number, name in enumerate(task.directions):
        count, other = int(((odds > 0) == number).sum()), task.directions[1 - number]
        if count < FEW:
            start = f"only {_count(count, 'pair')}" if count else "no pair"
            lines.append(
                f"{start} can be turned to {name}: the model prefers its form in the others. "
                f"Add sentences after which it prefers that of {other}."
            )
    for name, form, here in _groups(task, encoded):
        correct = encoded.examples.correct[here][0]
        right = float(((odds[here] < 0) == correct).mean())
        if form and right < KNOWN:
            lines.append(
                f"{name}, {form}: the model is right on {100 * right:.0f}%, so it hardly knows the "
                "phenomenon there. Leave these lines out, or take another model."
            )
    ending = [number for number, s in enumerate(task.stimuli) if s.words[-1] in s.pair]
    if ending:
        place = _place(task, ending[0])
        lines.append(
            f"sentences that end in a form of their own pair: {len(ending)}"
            + (f", the first in line {place}" if place else "")
            + ". A sentence goes up to, not including, the word that is looked at."
        )
    return lines


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'s' * (number != 1)}"


def main() -> None:
    """Reads the options, checks, reports."""
    run_script(CheckOptions, "check_data", __doc__, work)


if __name__ == "__main__":
    main()
