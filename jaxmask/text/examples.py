"""Minimal pairs as text and as arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary, Words, shown


def word_list(text: str) -> tuple[str, ...]:
    """The words of a text, split at white space.

    Example:
        >>> word_list("The boy runs")
        ('The', 'boy', 'runs')
    """
    return tuple(text.split())


# Five sentences from the training text of the released model. Lakretz et al. ("The emergence of
# number and syntax units in LSTM language models", 2019) let the model read them before every item.
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

# The words that a model reads, from a state of zeros, before each sentence.
CONTEXTS = {"eos": (END_OF_SENTENCE,), "none": (), "primer": PRIMER}

LONGEST = 100  # words of a sentence; all sentences are padded to the longest one


class TaskDataError(ValueError):
    """Task data can't be used; the message says where, what was expected and what was found.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>"])
        >>> try:
        ...     encode(Task("t", ("a", "b"), [Stimulus((), 0, ("a", "b"), 0, "g")]), vocabulary)
        ... except TaskDataError as fault:
        ...     print(fault)
        t, stimulus 0: expected a sentence, found no words
    """


class Stimulus(NamedTuple):
    """A sentence up to its target word, and the two forms that compete for that place.

    Attributes:
        words: the words of the sentence before the target word.
        position: index, from 0, of the word at which a single-step intervention acts.
        pair: the two word forms, in the order of the directions of the task (singular, plural).
        correct: index in ``pair`` of the form that grammar requires; -1 if neither form is right.
        group: name of the construction or template.
        counterfactual: for each direction, the words of a sentence after which its form is to be
            expected, in all else like this one; one of them may be this sentence. Empty if no such
            sentences are known.

    Example:
        >>> stimulus = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> stimulus.pair[stimulus.correct]
        'greet'
    """

    words: tuple[str, ...]
    position: int
    pair: tuple[str, str]
    correct: int
    group: str
    counterfactual: tuple[tuple[str, ...], ...] = ()


class Task(NamedTuple):
    """A phenomenon and its minimal pairs.

    Attributes:
        name: of the task.
        directions: names of the two directions.
        stimuli: the minimal pairs.
        lines: for each pair, the number, from 1, of the line or list entry that it was read from
            (of the last line, if it was read from several); empty if the pairs were generated.
        left_out: parts of the data that don't suit the task, each with their number: (description,
            number).

    Example:
        >>> pair = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> Task("agreement", ("singular", "plural"), [pair]).lines
        ()
    """

    name: str
    directions: tuple[str, str]
    stimuli: Sequence[Stimulus]
    lines: Sequence[int] = ()
    left_out: tuple[tuple[str, int], ...] = ()


class Examples(NamedTuple):
    """Stimuli encoded for one model: a row for each pair, sentences padded with 0 at the end.

    Attributes:
        tokens: word indices of the sentence before the target word.
        length: number of words of the sentence before the target word.
        position: index of the word at which a single-step intervention acts.
        pair: word indices of the two forms.
        direction: index in ``pair`` of the form ``t`` (Eq. 2) that an intervention should make the
            more probable one, that is, the form that the untouched model finds less probable; -1 as
            long as it isn't known.
        correct: index in ``pair`` of the grammatical form; -1 if neither form is right.
        group: index of the group in the sorted list of group names.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boys", "greet", "greets"])
        >>> pair = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> examples = encode(Task("t", ("singular", "plural"), [pair]), vocabulary).examples
        >>> examples.size, examples.tokens.tolist(), examples.pair.tolist()
        (1, [[2, 3]], [[5, 4]])
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
        """The given rows, in the given order, padded to the longest of their sentences."""
        chosen = Examples(*(field[rows] for field in self))
        longest = chosen.length.max(initial=0)
        return chosen._replace(tokens=chosen.tokens[:, :longest])


class Dropped(NamedTuple):
    """The examples that were dropped because of the vocabulary.

    An example with several missing words is counted once, under the first reason that applies.

    Attributes:
        pair: number of examples dropped because a form of their pair isn't in the vocabulary.
        position_word: number of examples dropped because the word at ``position`` isn't in the
            vocabulary.
        words: the missing words of those examples, sorted.
        others: number of examples dropped because of another word, by a vocabulary without
            `UNKNOWN`.

    Example:
        >>> Dropped(pair=2, position_word=1, words=("barrista", "loathe")).total
        3
    """

    pair: int
    position_word: int
    words: tuple[str, ...]
    others: int = 0

    @property
    def total(self) -> int:
        """The number of dropped examples."""
        return self.pair + self.position_word + self.others


class Unknown(NamedTuple):
    """The words of a stimulus that aren't in a vocabulary.

    Attributes:
        pair: missing words among the two forms.
        position_word: the word at ``position`` if it is missing.
        others: missing words in the rest of the sentence.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "She", "the", "who"])
        >>> pair = Stimulus(("She", "loathed", "the", "poet"), 3, ("who", "which"), 0, "object")
        >>> unknown_words(pair, vocabulary)
        Unknown(pair=('which',), position_word=('poet',), others=('loathed',))
    """

    pair: tuple[str, ...]
    position_word: tuple[str, ...]
    others: tuple[str, ...]


class Encoded(NamedTuple):
    """A task as arrays for one vocabulary, with an account of what was dropped.

    Attributes:
        examples: the examples that the vocabulary can express.
        groups: the sorted group names, which ``examples.group`` indexes.
        dropped: an account of the examples that the vocabulary can't express.
        unknown: number of words in ``examples`` that were replaced by `UNKNOWN`.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boys", "greet", "greets"])
        >>> pair = Stimulus(("Those", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> encoded = encode(Task("t", ("singular", "plural"), [pair]), vocabulary)
        >>> encoded.groups, encoded.unknown, encoded.dropped.total
        (('simple',), 1, 0)
    """

    examples: Examples
    groups: tuple[str, ...]
    dropped: Dropped
    unknown: int


def encode(task: Task, vocabulary: Vocabulary) -> Encoded:
    """Turns text into word indices; every ``direction`` is -1, because it isn't known yet.

    An example is dropped, and counted, if a form of its pair or its word at ``position`` isn't in
    the vocabulary (`drops`). Any other missing word becomes `UNKNOWN`, and is counted too; by a
    vocabulary without `UNKNOWN` it drops the example. Groups are numbered before examples are
    dropped, so that the number of a group doesn't depend on the vocabulary.

    Args:
        task: to encode.
        vocabulary: of the model.

    Raises:
        TaskDataError: a stimulus is ill-formed or longer than `LONGEST`, or no example is left.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boys", "greet", "greets"])
        >>> known = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> unknown = Stimulus(("The", "girls"), 1, ("greets", "greet"), 1, "simple")
        >>> encoded = encode(Task("t", ("singular", "plural"), [known, unknown]), vocabulary)
        >>> encoded.examples.tokens.tolist(), encoded.dropped.words
        ([[2, 3]], ('girls',))
    """
    for number, stimulus in enumerate(task.stimuli):
        check(stimulus, f"{task.name}, stimulus {number}")
    missing = [unknown_words(stimulus, vocabulary) for stimulus in task.stimuli]
    reasons = [drops(words, vocabulary) for words in missing]
    kept = [s for s, reason in zip(task.stimuli, reasons, strict=True) if reason is None]
    culprits = {
        word
        for words, reason in zip(missing, reasons, strict=True)
        if reason is not None
        for word in getattr(words, reason)
    }
    dropped = Dropped(
        reasons.count("pair"),
        reasons.count("position_word"),
        tuple(sorted(culprits)),
        reasons.count("others"),
    )
    if not kept:
        raise TaskDataError(
            f"{task.name}: expected examples with pair and subject in the vocabulary, found none "
            f"among {len(task.stimuli)}; not in the vocabulary: {shorten(dropped.words)}"
        )
    groups = tuple(sorted({s.group for s in task.stimuli}))
    unknown = sum(
        len(x.others) for x, reason in zip(missing, reasons, strict=True) if reason is None
    )
    return Encoded(_to_arrays(kept, groups, vocabulary), groups, dropped, unknown)


def unknown_words(stimulus: Stimulus, vocabulary: Vocabulary) -> Unknown:
    """The words of a stimulus that aren't in a vocabulary.

    `UNKNOWN` itself counts as missing: it stands for many words, so no single word is measured.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "who", "which"])
        >>> unknown_words(Stimulus(("The", "box"), 1, ("who", "which"), 1, "subject"), vocabulary)
        Unknown(pair=(), position_word=('box',), others=())
    """
    words, at = stimulus.words, stimulus.position
    parts = stimulus.pair, words[at : at + 1], words[:at] + words[at + 1 :]
    # There is no inner function, because the tests would check its annotations at every call.
    return Unknown(
        *(tuple(w for w in part if w not in vocabulary or w == UNKNOWN) for part in parts)
    )


def drops(words: Unknown, vocabulary: Words) -> str | None:
    """The field of `Unknown` whose words drop an example; None if the example is kept.

    Example:
        >>> with_unknown, without = Vocabulary(["<unk>", "<eos>"]), Vocabulary(["<eos>"])
        >>> words = Unknown(pair=(), position_word=(), others=("loathed",))
        >>> drops(words, with_unknown), drops(words, without)
        (None, 'others')
    """
    for field in ("pair", "position_word"):
        if getattr(words, field):
            return field
    return "others" if words.others and UNKNOWN not in vocabulary.index else None


def directed(examples: Examples, log_odds: Float[np.ndarray, " examples"]) -> Examples:
    """The examples with their directions, toward the form that a model finds less probable (Eq. 2).

    Args:
        examples: whose directions are replaced.
        log_odds: finite ``log p(pair[0]) - log p(pair[1])`` under the untouched model; see
            `jaxmask.models.language_model.LanguageModel.log_odds`.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boys", "greet", "greets"])
        >>> pair = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> examples = encode(Task("t", ("singular", "plural"), [pair]), vocabulary).examples
        >>> directed(examples, np.array([-2.0])).direction.tolist()  # it prefers the plural
        [0]
    """
    return examples._replace(direction=(log_odds > 0).astype(np.int32))


def check(stimulus: Stimulus, place: str) -> None:
    """Checks that a stimulus is well-formed.

    Args:
        stimulus: to check.
        place: its name in the message.

    Raises:
        TaskDataError: names the place, and says what was expected.

    Example:
        >>> check(Stimulus((), 0, ("greets", "greet"), 1, "simple"), "pairs.tsv, line 2")
        Traceback (most recent call last):
        jaxmask.text.examples.TaskDataError: pairs.tsv, line 2: expected a sentence, found no words
    """
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


def shorten(words: Sequence[str], most: int = 10) -> str:
    """The first few of some words, as one text.

    Example:
        >>> shorten(("greets", "greet", "admires"), most=2)
        'greets, greet and 1 more'
    """
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
