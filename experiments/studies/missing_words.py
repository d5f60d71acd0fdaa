"""The words of a task that aren't in a vocabulary: which, where, and what may be meant."""

import string
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from jaxmask.report import Table
from jaxmask.tasks import number_agreement
from jaxmask.text.examples import Task, Unknown, drops
from jaxmask.text.vocabulary import UNKNOWN, Words, shown

MOST_WORDS = 12  # rows of the table of missing words
MOST_LINES = 4  # line numbers for each word
LONGEST_WORD = 24  # characters of a word in a table
SHORT_WORD = 7  # characters of the shortest word that has a suggestion: short words are all alike
# Words that differ only in these are forms of one word.
ENDINGS = ("ing", "ed", "es", "en", "rs", "s", "d", "n", "e")

# Title of the table of words that pairs are lost to, and what it means, by what tokens are.
LOST = {
    "words": (
        "Words that aren't in the vocabulary",
        "A pair is dropped if one of its forms or the word at its position is missing; ",
    ),
    "tokens": (
        "Forms that are the beginning of the other form",
        "A pair is decided at the first token in which its forms differ. It is dropped if the "
        "tokens of one are the beginning of the other's.",
    ),
}


class MissingWord(NamedTuple):
    """A word that isn't in the vocabulary, in one of its roles.

    Attributes:
        role: ``form``, ``position`` (in both roles its pairs are dropped) or ``other`` (it is read
            as `UNKNOWN`).
        word: that is missing.
        places: for each of its pairs, where it was read.
        rivals: the forms that it competes with; they are no suggestions for it.
    """

    role: str
    word: str
    places: tuple[str, ...]
    rivals: frozenset[str] = frozenset()


def reasons_of(vocabulary: Words) -> dict[str, str]:
    """Why a pair is dropped, by the field of `Unknown` that has its missing words."""
    return {
        "pair": f"with {vocabulary.lost_form}",
        "position_word": "whose word at the position isn't in the vocabulary",
        "others": f"with another word that isn't in the vocabulary, which has no {UNKNOWN}",
    }


def missing_words(task: Task, missing: Sequence[Unknown]) -> list[MissingWord]:
    """The words that aren't in the vocabulary.

    Words whose pairs are dropped come first; then words are sorted by decreasing frequency.

    Args:
        task: with all pairs.
        missing: for each pair, its words that aren't in the vocabulary.
    """
    places: dict[tuple[str, str], list[str]] = {}
    rivals: dict[str, set[str]] = {}
    for number, unknown in enumerate(missing):
        roles = {"form": unknown.pair, "position": unknown.position_word, "other": unknown.others}
        for role, words in roles.items():
            for word in dict.fromkeys(words):
                places.setdefault((role, word), []).append(place(task, number))
        for word in unknown.pair:
            rivals.setdefault(word, set()).update({*task.stimuli[number].pair} - {word})
    found = [
        MissingWord(
            role,
            word,
            tuple(where),
            frozenset(rivals[word]) if role == "form" else frozenset(),
        )
        for (role, word), where in places.items()
    ]
    return sorted(found, key=lambda x: (x.role == "other", -len(x.places), x.word))


def place(task: Task, number: int) -> str:
    """The line that a stimulus was read from; for number agreement also the name of its file."""
    if not task.lines:
        return ""
    file = f"{task.stimuli[number].group} " if task.name == number_agreement.NAME else ""
    return f"{file}{task.lines[number]}"


def word_table(found: Sequence[MissingWord], vocabulary: Words) -> Table:
    """The words that aren't in the vocabulary, with suggestions."""
    rows = []
    for role, word, places, rivals in found[:MOST_WORDS]:
        lines = list(dict.fromkeys(place for place in places if place))
        more = [f"and {len(lines) - MOST_LINES} more"] if lines[MOST_LINES:] else []
        rows.append(
            (
                shown(word, LONGEST_WORD),
                role,
                str(len(places)),
                ", ".join(lines[:MOST_LINES] + more),
                suggestion(word, vocabulary, rivals) if vocabulary.unit == "words" else "",
            )
        )
    left_out = len(found) - MOST_WORDS
    title, note = LOST[vocabulary.unit]
    if vocabulary.unit == "words":
        note += (
            f"other words are read as {UNKNOWN}."
            if UNKNOWN in vocabulary.index
            else f"so it is if another word is missing, as the vocabulary has no {UNKNOWN}."
        )
    return Table(
        title,
        ("Word", "Role", "Pairs", "Lines", "Suggestion"),
        tuple(rows),
        note
        + (
            f" {left_out} more words aren't shown here; --left-out FILE lists all dropped pairs."
            if left_out > 0
            else ""
        ),
    )


def suggestion(word: str, vocabulary: Words, rivals: frozenset[str] = frozenset()) -> str:
    """A suggestion in place of a word that isn't in the vocabulary; may be empty.

    Args:
        word: that is missing.
        vocabulary: of the model.
        rivals: words that aren't suggested.
    """
    if word == UNKNOWN:
        return "this stands for any unknown word: write a word"
    composed = unicodedata.normalize("NFC", word)
    for variant in (composed, word.lower(), word.capitalize(), word.upper()):
        if variant in vocabulary.index and variant not in rivals:
            return f"the vocabulary has '{variant}'"
    bare = word.strip(string.punctuation)
    if bare and bare in vocabulary.index and bare not in rivals:
        return f"the vocabulary has '{bare}': separate punctuation by spaces"
    usual = SHORT_WORD <= len(word) <= LONGEST_WORD
    near = _near(word, vocabulary, rivals) if usual else ""
    return f"did you mean '{near}'?" if near else ""


def _near(word: str, vocabulary: Words, rivals: frozenset[str]) -> str:
    """A word of the vocabulary that differs by a slip of the pen; empty if there is none.

    It has the same first letter, small or capital, and isn't another form of the word: to change
    the number of a noun would change the phenomenon.
    """
    candidates = [
        other
        for other in vocabulary.words
        if other[:1] == word[:1]
        and abs(len(other) - len(word)) <= 1
        and other not in rivals
        and not _is_form_of(word, other)
    ]
    for other in get_close_matches(word, candidates, 5, 0.75):
        if _distance(word, other) == 1:
            return other
    return ""


def _is_form_of(one: str, other: str) -> bool:
    """Whether two words differ in their ending only, as forms of one word do."""
    return bool(_stems(one) & _stems(other))


def _stems(word: str) -> set[str]:
    """A word, and what is left of it without an ending."""
    return {word} | {word.removesuffix(ending) for ending in ENDINGS}


def _distance(one: str, other: str) -> int:
    """How many characters have to be changed, added, left out, or exchanged with the next one."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            costs = [before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)]
            if i > 1 and j > 1 and (a, b) == (other[j - 2], one[i - 2]):
                costs.append(last[j - 2] + 1)
            row.append(min(costs))
    return row[-1]


def dropped_pairs(
    task: Task, missing: Sequence[Unknown], vocabulary: Words
) -> list[tuple[str, str, str, str]]:
    """For each dropped pair its place, the reason, the missing words, and the pair itself.

    Args:
        task: with all pairs.
        missing: for each pair, its words that aren't in the vocabulary.
        vocabulary: of the model.
    """
    rows, reasons = [], reasons_of(vocabulary)
    for number, words in enumerate(missing):
        field = drops(words, vocabulary)
        if field is not None:
            stimulus = task.stimuli[number]
            pair = f"{' '.join(stimulus.words)} | {' | '.join(stimulus.pair)}"
            culprits = " ".join(dict.fromkeys(getattr(words, field)))
            rows.append((place(task, number), f"a pair {reasons[field]}", culprits, pair))
    return rows
