"""Ordinary text, which isn't made of stimuli, as arrays, and random places in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from jaxmask.text.vocabulary import UNKNOWN, VocabularyError, Words


class Text(NamedTuple):
    """Sentences as tokens, padded with 0 at the end.

    Attributes:
        tokens: their indices: of words, or of parts of words.
        length: number of tokens of each sentence.

    Example:
        >>> Text(np.array([[2, 3], [4, 0]]), np.array([2, 1])).length.tolist()
        [2, 1]
    """

    tokens: Int[np.ndarray, "sentences time"]
    length: Int[np.ndarray, " sentences"]


def encode(sentences: Sequence[Sequence[str]], vocabulary: Words) -> Text:
    """Turns sentences into tokens; words that aren't in a vocabulary of words become ``<unk>``.

    A vocabulary without ``<unk>`` leaves out the sentences with such words.

    Args:
        sentences: the words of each sentence.
        vocabulary: of the model.

    Raises:
        ValueError: there are no sentences, or a sentence has no words.
        VocabularyError: all sentences were left out.

    Example:
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "Boys", "run"])
        >>> encode([["Boys", "run"], ["Run"]], vocabulary).tokens.tolist()
        [[2, 3], [0, 0]]
    """
    if vocabulary.unit == "words" and UNKNOWN not in vocabulary.index:
        known = [words for words in sentences if all(word in vocabulary.index for word in words)]
        if sentences and not known:
            raise VocabularyError(
                f"vocabulary: expected sentences of known words, as it has no {UNKNOWN}, found none"
            )
        sentences = known
    encoded = [vocabulary.encode(words) for words in sentences]
    length = np.array([len(tokens) for tokens in encoded], np.int32)
    if not length.all() or not len(length):
        raise ValueError("expected sentences of one word or more")
    tokens = np.zeros((len(length), length.max()), np.int32)
    for row, sentence in zip(tokens, encoded, strict=True):
        row[: len(sentence)] = sentence
    return Text(tokens, length)


def random_step(
    rng: np.random.Generator, length: Int[np.ndarray, " sentences"]
) -> Bool[np.ndarray, "sentences time"]:
    """Chooses one token of each sentence; all tokens of a sentence are equally likely.

    Args:
        rng: of the random choice.
        length: number of tokens of each sentence.

    Example:
        >>> random_step(np.random.default_rng(0), np.array([1, 1])).tolist()
        [[True], [True]]
    """
    return np.arange(length.max()) == rng.integers(0, length)[:, None]
