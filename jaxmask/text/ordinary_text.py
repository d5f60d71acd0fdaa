"""Ordinary text, which isn't made of stimuli, as arrays, and random places in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from jaxmask.text.vocabulary import UNKNOWN, Vocabulary, VocabularyError


class Text(NamedTuple):
    """Sentences as word indices, padded with 0 at the end.

    Attributes:
        tokens: word indices.
        length: number of words of each sentence.

    Example:
        >>> Text(np.array([[2, 3], [4, 0]]), np.array([2, 1])).length.tolist()
        [2, 1]
    """

    tokens: Int[np.ndarray, "sentences time"]
    length: Int[np.ndarray, " sentences"]


def encode(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Text:
    """Turns sentences into word indices; words that aren't in the vocabulary become ``<unk>``.

    A vocabulary without ``<unk>`` leaves out the sentences with such words.

    Args:
        sentences: the words of each sentence.
        vocabulary: of the model.

    Raises:
        ValueError: there are no sentences, or a sentence has no words.
        VocabularyError: all sentences were left out.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "Boys", "run"])
        >>> encode([["Boys", "run"], ["Run"]], vocabulary).tokens.tolist()
        [[2, 3], [0, 0]]
    """
    if UNKNOWN not in vocabulary:
        known = [words for words in sentences if all(word in vocabulary for word in words)]
        if sentences and not known:
            raise VocabularyError(
                f"vocabulary: expected sentences of known words, as it has no {UNKNOWN}, found none"
            )
        sentences = known
    length = np.array([len(words) for words in sentences], np.int32)
    if not length.all() or not len(length):
        raise ValueError("expected sentences of one word or more")
    tokens = np.zeros((len(length), length.max()), np.int32)
    for row, words in zip(tokens, sentences, strict=True):
        row[: len(words)] = vocabulary.encode(words)
    return Text(tokens, length)


def random_step(
    rng: np.random.Generator, length: Int[np.ndarray, " sentences"]
) -> Bool[np.ndarray, "sentences time"]:
    """Chooses one word of each sentence; all words of a sentence are equally likely.

    Args:
        rng: of the random choice.
        length: number of words of each sentence.

    Example:
        >>> random_step(np.random.default_rng(0), np.array([1, 1])).tolist()
        [[True], [True]]
    """
    return np.arange(length.max()) == rng.integers(0, length)[:, None]
