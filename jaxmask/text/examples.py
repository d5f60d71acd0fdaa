"""Minimal pairs as text and as arrays, and how to split them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary, shown


def word_list(text: str) -> tuple[str, ...]:
    """The words of a text, split at white space."""
    return tuple(text.split())


# Five sentences of the released model's training text that Lakretz et al. ("The emergence of number
# and syntax units in LSTM language models", 2019) feed once before every item.
PRIMER = word_list(
    """
In service , the aircraft was operated by a crew of five and could accommodate either
30 paratroopers , 32 <unk> and 28 sitting casualties , or 50 fully equipped troops . <eos>
He even speculated that technical classes might some day be held " for the better training of
workmen in their several crafts and industries . <eos>
After the War of the Holy League in 1537 against the Ottoman Empire , a truce between Venice and
the Ottomans was created in 1539 . <eos>
Moore says : " Tony and I had a good <unk> and off-screen relationship , we are two very different
people , but we did share a sense of humour " . <eos>
<unk> is also the basis for online games sold through licensed lotteries . <eos>
"""
)

# What a model reads, from a zero state, before each sentence.
CONTEXTS = {"eos": (END_OF_SENTENCE,), "none": (), "primer": PRIMER}

LONGEST = 100  # words of a sentence: all are padded to the longest
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TaskDataError(ValueError):
    """Task data that can't be used; says where, what was expected and what was found."""


class Stimulus(NamedTuple):
    """A sentence up to its target word, and the two forms that compete for that place.

    Attributes:
        words: the sentence up to, not including, the target word.
        position: index, from 0, of the word at which a single-step intervention acts.
        pair: the two word forms, in the order of the task's directions (singular, plural).
        correct: index in ``pair`` of the form that grammar asks for, or -1 where none is right.
        group: the construction or template.
    """

    words: tuple[str, ...]
    position: int
    pair: tuple[str, str]
    correct: int
    group: str


class Task(NamedTuple):
    """A phenomenon.

    Attributes:
        name: of the task.
        directions: what its two directions are called.
        stimuli: its minimal pairs.
        lines: number, from 1, of the line that each was read from (of the last one, if it is of
            several) or of a list's entry; nothing where they were made.
        left_out: what else the data held and doesn't suit the task: (what it is, how many).
    """

    name: str
    directions: tuple[str, str]
    stimuli: Sequence[Stimulus]
    lines: Sequence[int] = ()
    left_out: tuple[tuple[str, int], ...] = ()


class Examples(NamedTuple):
    """Stimuli encoded for one model, one row a pair; sentences are padded at the end with 0.

    Attributes:
        tokens: word indices of the sentence up to the target word.
        length: number of words of the sentence up to the target word.
        position: index of the word at which a single-step intervention acts.
        pair: word indices of the two forms.
        direction: index in ``pair`` of the form to turn to (``t`` in Eq. 2), which is the one the
            untouched model finds less probable; -1 where it isn't known yet.
        correct: index in ``pair`` of the grammatical form, or -1.
        group: index of the construction in the sorted list of their names.
    """

    tokens: Int[np.ndarray, "examples time"]
    length: Int[np.ndarray, " examples"]
    position: Int[np.ndarray, " examples"]
    pair: Int[np.ndarray, "examples 2"]
    direction: Int[np.ndarray, " examples"]
    correct: Int[np.ndarray, " examples"]
    group: Int[np.ndarray, " examples"]

    @property
    def size(self) -> int:
        """The number of pairs."""
        return len(self.length)

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Examples":
        """The given rows, in that order."""
        return Examples(*(field[rows] for field in self))


class Dropped(NamedTuple):
    """What a vocabulary cost a task; each lost example is counted once, under the first reason.

    Attributes:
        pair: examples lost because a form of their pair is out of vocabulary.
        position_word: examples lost because the word at ``position`` is out of vocabulary.
        words: the words that cost those examples, sorted.
    """

    pair: int
    position_word: int
    words: tuple[str, ...]

    @property
    def total(self) -> int:
        """The number of examples lost."""
        return self.pair + self.position_word


class Unknown(NamedTuple):
    """The words of a stimulus that a vocabulary lacks.

    Attributes:
        pair: of the two forms.
        position_word: the word at ``position``, or nothing.
        others: the rest of the sentence's.
    """

    pair: tuple[str, ...]
    position_word: tuple[str, ...]
    others: tuple[str, ...]


class Encoded(NamedTuple):
    """A task as arrays for one vocabulary, and what was lost on the way.

    Attributes:
        examples: the examples that the vocabulary can express.
        groups: the sorted names that ``examples.group`` indexes.
        dropped: the examples that it can't.
        unknown: number of words replaced by `UNKNOWN` in ``examples``.
    """

    examples: Examples
    groups: tuple[str, ...]
    dropped: Dropped
    unknown: int


def encode(task: Task, vocabulary: Vocabulary) -> Encoded:
    """Turns text into word indices; ``direction`` is -1 (not known yet) throughout.

    An example is dropped, and counted, when a form of its pair or its word at ``position`` is out
    of vocabulary; any other such word becomes `UNKNOWN`, and is counted too. Groups are numbered
    before anything is dropped, so a group keeps its number whatever the vocabulary.

    Raises:
        TaskDataError: a stimulus is ill-formed or longer than `LONGEST`, or none is left.
    """
    for number, stimulus in enumerate(task.stimuli):
        _check(stimulus, f"{task.name}, stimulus {number}")
    missing = [unknown_words(stimulus, vocabulary) for stimulus in task.stimuli]
    lost_pair = [lost.pair for lost in missing if lost.pair]
    lost_word = [lost.position_word for lost in missing if lost.position_word and not lost.pair]
    kept = [
        stimulus
        for stimulus, lost in zip(task.stimuli, missing, strict=True)
        if not lost.pair and not lost.position_word
    ]
    words = {word for lost in (*lost_pair, *lost_word) for word in lost}
    dropped = Dropped(len(lost_pair), len(lost_word), tuple(sorted(words)))
    if not kept:
        raise TaskDataError(
            f"{task.name}: expected examples with pair and subject in the vocabulary, found none "
            f"among {len(task.stimuli)}; not in the vocabulary: {_shorten(dropped.words)}"
        )
    groups = tuple(sorted({s.group for s in task.stimuli}))
    unknown = sum(len(x.others) for x in missing if not x.pair and not x.position_word)
    return Encoded(_to_arrays(kept, groups, vocabulary), groups, dropped, unknown)


def unknown_words(stimulus: Stimulus, vocabulary: Vocabulary) -> Unknown:
    """The words that a vocabulary lacks; `UNKNOWN` itself is none that could be measured."""
    words, at = stimulus.words, stimulus.position
    parts = stimulus.pair, words[at : at + 1], words[:at] + words[at + 1 :]
    # No function within: in the tests each would be checked anew, thousands of times.
    return Unknown(
        *(tuple(w for w in part if w not in vocabulary or w == UNKNOWN) for part in parts)
    )


def directed(examples: Examples, log_odds: Float[np.ndarray, " examples"]) -> Examples:
    """The examples with their directions: toward the form that a model finds less probable (Eq. 2).

    Args:
        examples: in any directions.
        log_odds: log p(pair[0]) - log p(pair[1]) of the untouched model, finite; see
            `jaxmask.models.language_model.LanguageModel.log_odds`.
    """
    return examples._replace(direction=(log_odds > 0).astype(np.int32))


def split(
    examples: Examples,
    evaluation: int,
    seed: int,
    together: Int[np.ndarray, " examples"] | None = None,
) -> tuple[Examples, Examples]:
    """Splits at random into (training, evaluation), see `split_rows`."""
    train, held_out = split_rows(examples, evaluation, seed, together)
    return examples.take(train), examples.take(held_out)


def split_rows(
    examples: Examples,
    evaluation: int,
    seed: int,
    together: Int[np.ndarray, " examples"] | None = None,
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " evaluation"]]:
    """Rows of a random split into (training, evaluation), in their order within each part.

    Args:
        examples: what to split.
        evaluation: number of examples held out.
        seed: of the random choice.
        together: examples with the same number stay in the same part, such as all of a profession
            (`position_words`); whole groups are then held out until there are ``evaluation``
            examples or a few more.

    Raises:
        ValueError: ``evaluation`` leaves one of the parts empty.
    """
    if not 1 <= evaluation < examples.size:
        raise ValueError(
            f"evaluation: expected 1 to {examples.size - 1} of {examples.size} examples, "
            f"found {evaluation}"
        )
    together = np.arange(examples.size) if together is None else together
    _, group, sizes = np.unique(together, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    held_out = np.isin(group, order[before < evaluation])
    if held_out.all():
        raise ValueError(
            f"evaluation: {evaluation} of {examples.size} examples in {len(sizes)} groups that "
            "stay together leave none to train on"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def position_words(examples: Examples) -> Int[np.ndarray, " examples"]:
    """The word at each example's position: its subject or profession."""
    return np.take_along_axis(examples.tokens, examples.position[:, None], axis=1)[:, 0]


def read_text(file: Path) -> str:
    """The text of a task's file, with line ends of any system turned into newlines.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, or holds control characters.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise TaskDataError(
            f"{file}: expected a file to read, found none ({fault.strerror})"
        ) from fault
    except UnicodeDecodeError as fault:
        raise TaskDataError(
            f"{file}: expected UTF-8, found byte 0x{fault.object[fault.start]:02x} at {fault.start}"
        ) from fault
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise TaskDataError(
            f"{file}, line {line}: expected text, found the control character {found[0]!r}"
        )
    return text


def _check(stimulus: Stimulus, place: str) -> None:
    if not stimulus.words:
        raise TaskDataError(f"{place}: expected a sentence, found no words")
    if len(stimulus.words) > LONGEST:
        raise TaskDataError(
            f"{place}: expected at most {LONGEST} words, found {len(stimulus.words)}"
        )
    if not 0 <= stimulus.position < len(stimulus.words):
        raise TaskDataError(
            f"{place}: expected a position from 0 to {len(stimulus.words) - 1}, "
            f"found {stimulus.position}"
        )
    if stimulus.pair[0] == stimulus.pair[1]:
        raise TaskDataError(f"{place}: expected two different forms, found {stimulus.pair}")
    if stimulus.correct not in (-1, 0, 1):
        raise TaskDataError(f"{place}: expected correct to be -1, 0 or 1, found {stimulus.correct}")


def _shorten(words: tuple[str, ...], most: int = 10) -> str:
    return ", ".join(map(shown, words[:most])) + (
        f" and {len(words) - most} more" if words[most:] else ""
    )


def _to_arrays(
    stimuli: Sequence[Stimulus], groups: tuple[str, ...], vocabulary: Vocabulary
) -> Examples:
    length = np.array([len(s.words) for s in stimuli], np.int32)
    number = {group: number for number, group in enumerate(groups)}
    tokens = np.zeros((len(stimuli), length.max()), np.int32)
    for row, stimulus in zip(tokens, stimuli, strict=True):
        row[: len(stimulus.words)] = vocabulary.encode(stimulus.words)
    return Examples(
        tokens=tokens,
        length=length,
        position=np.array([s.position for s in stimuli], np.int32),
        pair=np.array([vocabulary.encode(s.pair) for s in stimuli], np.int32),
        direction=np.full(len(stimuli), -1, np.int32),
        correct=np.array([s.correct for s in stimuli], np.int32),
        group=np.array([number[s.group] for s in stimuli], np.int32),
    )
