"""Text files, plain or .xz, with one sentence in each line and words separated by spaces."""

import lzma
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from jaxmask.text.vocabulary import END_OF_SENTENCE

LONGEST = 60  # words of a sentence that `draw_sentences` may choose


def open_text(file: Path) -> IO[str]:
    """Opens a text file, plain or .xz."""
    return (lzma.open if file.suffix == ".xz" else open)(file, "rt", encoding="utf-8")


def sentences(files: Iterable[Path]) -> Iterator[list[str]]:
    """The words of each line that isn't empty, with `<eos>` at the end."""
    for file in files:
        with open_text(file) as lines:
            for line in lines:
                words = line.split()
                if words:
                    yield words if words[-1] == END_OF_SENTENCE else [*words, END_OF_SENTENCE]


def draw_sentences(file: Path, count: int, seed: int) -> list[list[str]]:
    """Chooses sentences of 2 to `LONGEST` words from a file at random, without their `<eos>`.

    There are fewer than ``count`` only if the file has fewer.

    Args:
        file: to read.
        count: number of sentences.
        seed: of the random choice.
    """
    suitable = [words[:-1] for words in sentences([file]) if 2 <= len(words) - 1 <= LONGEST]
    order = np.random.default_rng(seed).permutation(len(suitable))
    return [suitable[row] for row in islice(order, count)]
