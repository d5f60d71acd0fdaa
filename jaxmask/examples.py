"""Minimal pairs as text (`Stimulus`) and as arrays (`Examples`), and how to split them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxmask.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary

CONTEXTS = {"eos": (END_OF_SENTENCE,), "none": ()}


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
    """A phenomenon: its name, what its two directions are called, and its stimuli."""

    name: str
    directions: tuple[str, str]
    stimuli: Sequence[Stimulus]


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
