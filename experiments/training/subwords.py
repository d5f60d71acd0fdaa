"""Text as subword tokens: a byte-level tokenizer that is made for it, and batches of sentences.

Each sentence is a row of its own behind `END`, which also ends it. Rows of similar length form a
batch, filled up with `END`, so that few shapes of batches are compiled.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tokenizers
from jaxtyping import Float, Int

END = "<|endoftext|>"  # token 0: begins and ends each sentence
LENGTHS = (8, 12, 16, 20, 24, 32, 40, 48)  # predicted tokens of a row; the rest of it is cut off
NO_SENTENCE = -1  # of a row that is empty
_MANY = 10_000  # sentences that are encoded at a time
_NO_SPACE_BEFORE = re.compile(r" (?=[,.;:!?)]|'s\b)")
_NO_SPACE_AFTER = re.compile(r"(?<=\() ")


class Rows(NamedTuple):
    """Sentences of tokens, one behind the other, without `END`.

    Attributes:
        tokens: of all sentences.
        starts: index of the first token of each sentence, and the number of all tokens.
    """

    tokens: Int[np.ndarray, " tokens"]
    starts: Int[np.ndarray, " sentences_and_one"]

    @property
    def lengths(self) -> Int[np.ndarray, " sentences"]:
        """Tokens of each sentence."""
        return np.diff(self.starts)


class Batch(NamedTuple):
    """Rows of tokens and which of them count.

    Attributes:
        tokens: each row has `END`, its sentence and `END`, as far as they fit.
        weights: 1 for each token that is predicted, all but the first of a row; 0 behind its end.
    """

    tokens: Int[np.ndarray, "rows time_and_one"]
    weights: Float[np.ndarray, "rows time"]


def written(sentences: Iterable[Sequence[str]]) -> Iterator[str]:
    """The text of sentences: every second one as people write it, the others with all spaces.

    Example:
        >>> list(written([["Yes", ",", "now", "."], ["Yes", ",", "now", "."]]))
        ['Yes , now .', 'Yes, now.']
    """
    for number, words in enumerate(sentences):
        text = " ".join(words)
        if number % 2:
            text = _NO_SPACE_AFTER.sub("", _NO_SPACE_BEFORE.sub("", text))
        yield text


def make_tokenizer(text: Iterable[str], size: int, whole: Sequence[str]) -> tokenizers.Tokenizer:
    """A byte-level BPE whose tokens include some words, each as one token behind a space.

    It puts `END` before a text.

    Args:
        text: what the merges are learned from.
        size: number of tokens.
        whole: words that become one token.
    """
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(_with_words(text, whole), trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, 0)]
    )
    return made


def encode(tokenizer: tokenizers.Tokenizer, text: Iterable[str]) -> Rows:
    """The tokens of sentences, without `END`."""
    parts, starts, total = [], [0], 0
    text = iter(text)
    while some := list(itertools.islice(text, _MANY)):
        for encoding in tokenizer.encode_batch_fast(some, add_special_tokens=False):
            parts.append(np.array(encoding.ids, np.uint16))
            total += len(parts[-1])
            starts.append(total)
    tokens = np.concatenate(parts) if parts else np.zeros(0, np.uint16)
    return Rows(tokens, np.array(starts))


def batches(rng: np.random.Generator, rows: Rows, size: int) -> Iterator[Batch]:
    """Batches of an epoch, which have every sentence once; the last of a length has empty rows.

    Args:
        rng: puts sentences and batches in order.
        rows: sentences.
        size: tokens of a batch, about.
    """
    fits = np.searchsorted(LENGTHS, np.minimum(rows.lengths + 1, LENGTHS[-1]))
    chosen = []
    for index, length in enumerate(LENGTHS):
        alike = rng.permutation(np.flatnonzero(fits == index))
        count = max(size // length, 1)
        alike = np.pad(alike, (0, -len(alike) % count), constant_values=NO_SENTENCE)
        chosen += [(length, some) for some in alike.reshape(-1, count)]
    for place in rng.permutation(len(chosen)):
        length, some = chosen[place]
        yield batch(rows, some, length)


def batch(rows: Rows, some: Int[np.ndarray, " rows"], length: int) -> Batch:
    """Some sentences, or `NO_SENTENCE`, as rows in which ``length`` tokens are predicted.

    Example:
        >>> rows = Rows(np.array([5, 6, 7, 8, 9]), np.array([0, 2, 5]))
        >>> made = batch(rows, np.array([0, 1]), 3)
        >>> made.tokens.tolist(), made.weights.tolist()
        ([[0, 5, 6, 0], [0, 7, 8, 9]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    """
    place = np.arange(length)
    given = some[:, None] != NO_SENTENCE
    inside = given & (place < rows.lengths[some][:, None])
    at = np.minimum(rows.starts[some][:, None] + place, len(rows.tokens) - 1)
    tokens = np.zeros((len(some), length + 1), np.int32)
    tokens[:, 1:] = np.where(inside, rows.tokens[at], 0)
    weights = given & (place <= rows.lengths[some][:, None])
    return Batch(tokens, weights.astype(np.float32))


def _with_words(text: Iterable[str], whole: Sequence[str]) -> Iterator[str]:
    """The text, and the words so often that merges make each of them one token."""
    yield from text
    for word in whole:
        yield f" {word}" * 20_000
