"""Subject-verb agreement: "The boys behind the car" is followed by "greet", not by "greets".

The seven constructions are those of Lakretz et al., "The emergence of number and syntax units in
LSTM language models" (2019). `read` reads the files of the authors; `generate` draws sentences from
the same words.
"""

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmask.tasks.phenomenon import Phenomenon
from jaxmask.text.examples import LONGEST, Stimulus, Task, TaskDataError, word_list
from jaxmask.text.text_files import read_text
from jaxmask.text.vocabulary import shown

NAME = "number_agreement"
DIRECTIONS = ("singular", "plural")
SUBJECT_POSITION = 1

# A name in capitals stands for a list of words. The verb comes last.
PATTERNS = {
    "simple": "The SUBJECT VERB",
    "adv": "The SUBJECT ADVERB VERB",
    "adv_adv": "The SUBJECT INTENSIFIER ADVERB VERB",
    "adv_conjunction": "The SUBJECT MANNER and INTENTION VERB",
    "namepp": "The SUBJECT PREPOSITION NAME VERB",
    "nounpp": "The SUBJECT NEARNESS the ATTRACTOR VERB",
    "nounpp_adv": "The SUBJECT NEARNESS the ATTRACTOR ADVERB VERB",
}
CONSTRUCTIONS = tuple(PATTERNS)

# The number of pairs of each construction, with equally many for each combination of the numbers of
# its nouns. For simple and adv these are all possible sentences.
PAIRS = {
    "simple": 600,
    "adv": 1800,
    "adv_adv": 1800,
    "adv_conjunction": 1200,
    "namepp": 1800,
    "nounpp": 2400,
    "nounpp_adv": 2400,
}

NOUNS = {
    "SUBJECT": {
        "singular": word_list(
            "athlete aunt boy carpenter doctor farmer father friend girl guy kid lawyer man mother "
            "poet singer teacher uncle victim woman"
        ),
        "plural": word_list(
            "athletes aunts boys carpenters doctors farmers fathers friends girls guys kids "
            "lawyers men mothers poets singers teachers uncles victims women"
        ),
    },
    "ATTRACTOR": {
        "singular": word_list("bike car cat chair desk dog table tree truck window"),
        "plural": word_list("bikes cars cats chairs desks dogs tables trees trucks windows"),
    },
}

_NUMBER_OF_SUBJECT = {
    noun: number for nouns in NOUNS["SUBJECT"].values() for number, noun in enumerate(nouns)
}

OTHERS = {
    "ADVERB": ("certainly", "definitely", "probably"),
    "INTENSIFIER": ("indeed", "most", "now", "quite"),
    "MANNER": ("gently", "openly", "overtly"),
    "INTENTION": ("carefully", "deliberately", "knowingly"),
    "PREPOSITION": ("above", "behind", "beside", "near", "under"),
    "NEARNESS": ("behind", "beside", "near"),
    "NAME": word_list("Barbara Bill Bob Jim John Linda Mary Mike Pat Sue"),
    "VERB": word_list(
        "admire approve avoid confuse criticize discourage encourage engage greet inspire know "
        "observe remember stimulate understand"
    ),
}


def labels(construction: str) -> list[tuple[str, ...]]:
    """The numbers that the nouns of a construction can have.

    Returns:
        All combinations: the number of the subject, then of the attractor if there is one.

    Example:
        >>> labels("simple")
        [('singular',), ('plural',)]
        >>> len(labels("nounpp"))
        4
    """
    nouns = [slot for slot in PATTERNS[construction].split() if slot in NOUNS]
    return list(product(DIRECTIONS, repeat=len(nouns)))


def pools(construction: str, label: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The words that are possible at each place of a construction.

    Args:
        construction: a key of `PATTERNS`.
        label: the numbers of its nouns, one of `labels`.

    Returns:
        A tuple of words for each place. Verbs are given in the plural; the singular adds an s.

    Example:
        >>> the, subjects, verbs = pools("simple", ("plural",))
        >>> the, subjects[0], verbs[0]
        (('The',), 'athletes', 'admire')
    """
    numbers = iter(label)
    return [
        NOUNS[slot][next(numbers)] if slot in NOUNS else OTHERS.get(slot, (slot,))
        for slot in PATTERNS[construction].split()
    ]


WORDS = tuple(
    sorted(
        {
            word
            for construction in CONSTRUCTIONS
            for label in labels(construction)
            for pool in pools(construction, label)
            for word in pool
        }
        | {verb + "s" for verb in OTHERS["VERB"]}
    )
)


def generate(seed: int) -> Task:
    """Draws 12,000 distinct pairs, as many of each construction as the original files have.

    The sentences of each construction and combination of numbers are a uniform sample, without
    replacement, of all sentences that its words allow.

    Args:
        seed: of the random choice.

    Example:
        >>> pair = generate(seed=0).stimuli[0]
        >>> " ".join(pair.words), pair.pair, pair.correct
        ('The athlete', ('admires', 'admire'), 0)
    """
    rng = np.random.default_rng(seed)
    return Task(
        NAME,
        DIRECTIONS,
        [
            stimulus
            for construction in CONSTRUCTIONS
            for label in labels(construction)
            for stimulus in _draw(rng, construction, label)
        ],
    )


def _draw(
    rng: np.random.Generator, construction: str, label: tuple[str, ...]
) -> Iterator[Stimulus]:
    """Random pairs of a construction whose nouns have the given numbers."""
    choices = pools(construction, label)
    sizes = [len(pool) for pool in choices]
    count = PAIRS[construction] // len(labels(construction))
    rows = np.sort(rng.choice(math.prod(sizes), size=count, replace=False))
    for indices in zip(*np.unravel_index(rows, sizes), strict=True):
        *words, verb = (pool[index] for pool, index in zip(choices, indices, strict=True))
        yield Stimulus(
            tuple(words),
            SUBJECT_POSITION,
            (verb + "s", verb),
            DIRECTIONS.index(label[0]),
            construction,
            with_other_subjects(tuple(words)),
        )


def with_other_subjects(words: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The sentence with its subject in the singular, and with its subject in the plural.

    Empty if the subject isn't one of `NOUNS`.

    Example:
        >>> with_other_subjects(("The", "boys", "behind", "cars"))
        (('The', 'boy', 'behind', 'cars'), ('The', 'boys', 'behind', 'cars'))
    """
    number = _NUMBER_OF_SUBJECT.get(words[SUBJECT_POSITION])
    if number is None:
        return ()
    start, rest = words[:SUBJECT_POSITION], words[SUBJECT_POSITION + 1 :]
    return tuple((*start, nouns[number], *rest) for nouns in NOUNS["SUBJECT"].values())


def read(folder: str | Path) -> Task:
    """Reads the original files, ``simple.txt`` to ``nounpp_adv.txt``, with two lines for each pair.

    Each line has four columns, separated by tabs: the sentence; the number of the subject (followed
    by ``_`` and the number of the attractor if there is one); ``correct`` or ``wrong``; and an id,
    which the two lines of a pair share.

    Args:
        folder: that holds the files.

    Raises:
        TaskDataError: a file is missing or isn't UTF-8, a line is ill-formed, or two lines with
            the same id don't form a pair.

    Example:
        >>> import tempfile
        >>> def lines(construction):
        ...     label = labels(construction)[0]
        ...     sentence = " ".join(pool[0] for pool in pools(construction, label))
        ...     for ending, verdict in ("s", "correct"), ("", "wrong"):
        ...         yield chr(9).join((sentence + ending, "_".join(label), verdict, "1"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in CONSTRUCTIONS:
        ...         written = Path(folder, f"{name}.txt").write_text(chr(10).join(lines(name)))
        ...     task = read(folder)
        >>> len(task.stimuli), task.stimuli[0].words
        (7, ('The', 'athlete'))
    """
    read = [
        pair
        for construction in CONSTRUCTIONS
        for pair in _read_file(Path(folder) / f"{construction}.txt", construction)
    ]
    return Task(NAME, DIRECTIONS, [stimulus for stimulus, _ in read], [line for _, line in read])


class _Line(NamedTuple):
    """One line of a file: a sentence with one of its two verb forms."""

    place: str
    number: int
    words: tuple[str, ...]
    label: str
    verdict: str
    pair: str


def _read_file(file: Path, construction: str) -> Iterator[tuple[Stimulus, int]]:
    """Each pair with the number of its second line."""
    pairs: dict[str, list[_Line]] = {}
    text = read_text(file).removesuffix("\n")
    if not text:
        raise TaskDataError(f"{file}: expected lines of four columns, found none")
    for number, row in enumerate(text.split("\n"), start=1):
        line = _parse(row, construction, f"{file}, line {number}", number)
        pairs.setdefault(line.pair, []).append(line)
    for lines in pairs.values():
        yield _join(lines, construction), lines[-1].number


def _parse(row: str, construction: str, place: str, number: int) -> _Line:
    """One line of a file; ``place`` names it in error messages."""
    columns = row.split("\t")
    if len(columns) != 4:
        raise TaskDataError(
            f"{place}: expected sentence, number, correct or wrong, and id, separated by tabs, "
            f"found {len(columns)} columns in '{shown(row)}'"
        )
    line = _Line(place, number, tuple(columns[0].split()), *columns[1:])
    if not SUBJECT_POSITION + 2 <= len(line.words) <= LONGEST:
        raise TaskDataError(
            f"{place}: expected 3 to {LONGEST} words, found {len(line.words)} in "
            f"'{shown(columns[0])}'"
        )
    known = ["_".join(label) for label in labels(construction)]
    if line.label not in known:
        raise TaskDataError(
            f"{place}: expected one of {', '.join(known)}, found '{shown(line.label)}'"
        )
    if line.verdict not in ("correct", "wrong"):
        raise TaskDataError(f"{place}: expected correct or wrong, found '{shown(line.verdict)}'")
    return line


def _join(lines: list[_Line], construction: str) -> Stimulus:
    """The stimulus of the two lines of a pair, which may come in either order."""
    if len(lines) != 2:
        raise TaskDataError(
            f"{lines[-1].place}: expected 2 lines with id '{shown(lines[-1].pair)}', "
            f"found {len(lines)}"
        )
    right, wrong = sorted(lines, key=lambda line: line.verdict)
    both = f"{lines[1].place} (id '{shown(right.pair)}')"
    if (right.verdict, wrong.verdict) != ("correct", "wrong"):
        raise TaskDataError(f"{both}: expected correct and wrong, found {right.verdict} twice")
    if right.label != wrong.label:
        raise TaskDataError(
            f"{both}: expected one number for both lines, found {right.label} and {wrong.label}"
        )
    if right.words[:-1] != wrong.words[:-1] or right.words[-1] == wrong.words[-1]:
        raise TaskDataError(
            f"{both}: expected sentences that differ in the last word only, "
            f"found '{shown(' '.join(right.words))}' and '{shown(' '.join(wrong.words))}'"
        )
    correct = DIRECTIONS.index(right.label.split("_")[0])
    forms = (right.words[-1], wrong.words[-1])
    return Stimulus(
        right.words[:-1],
        SUBJECT_POSITION,
        forms if correct == 0 else forms[::-1],
        correct,
        construction,
        with_other_subjects(right.words[:-1]),
    )


GENERATOR_SEED = 0  # of the sentences that are drawn where no files are given

PHENOMENON = Phenomenon(
    read=read,
    generate=lambda: generate(GENERATOR_SEED),
    evaluation=1000,
    shown="nounpp",
    patterns=PATTERNS,
)
