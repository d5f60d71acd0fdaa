"""Ordinary text as arrays, and random places in it: what is far from the stimuli of any task."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from jaxmask.text.vocabulary import Vocabulary


class Text(NamedTuple):
    """Sentences as word indices, padded at the end with 0."""

    tokens: Int[np.ndarray, "sentences time"]
    length: Int[np.ndarray, " sentences"]


def encode(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Text:
    """Word indices of sentences; words out of vocabulary become ``<unk>``.

    Raises:
        ValueError: there are no sentences, or one has no words.
    """
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
    """One word of each sentence, any with the same probability."""
    return np.arange(length.max()) == rng.integers(0, length)[:, None]
