"""Text as word indices on disk, read in the order of training without holding it in memory.

A corpus is one long row of int32 in a file; a word such as ``<eos>`` ends each sentence. `write`
makes it from sentences, `shuffle` another one with the sentences in another order, and `windows`
reads it. The memory that they need doesn't grow with the corpus (beyond a billion words, that of
`shuffle` does, with a 256th of it).
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from jaxtyping import Int

from jaxmask.text.vocabulary import Vocabulary

_SENTENCES_AT_ONCE = 10_000
_WINDOWS_AT_ONCE = 64
_WORDS_AT_ONCE = 2**22
_MOST_PARTS = 256  # files open at once


def write(file: Path, sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> None:
    """Writes all of a corpus or nothing; words out of vocabulary become ``<unk>``."""
    draft, left = _draft(file), iter(sentences)
    with draft.open("wb") as out:
        while some := list(islice(left, _SENTENCES_AT_ONCE)):
            np.array(vocabulary.encode(chain.from_iterable(some)), np.int32).tofile(out)
    os.replace(draft, file)


def size(file: Path) -> int:
    """Words of a corpus."""
    return file.stat().st_size // np.dtype(np.int32).itemsize


def read(file: Path) -> Int[np.ndarray, " words"]:
    """The words of a corpus, mapped into memory: what isn't looked at isn't read."""
    return np.memmap(file, np.int32, "r")


def steps(words: int, columns: int, window: int) -> int:
    """How many `windows` so many words make."""
    return max(words // columns - 1, 0) // window


def windows(
    file: Path, columns: int, window: int, start: int = 0
) -> Iterator[Int[np.ndarray, "columns window_and_one"]]:
    """Cuts a corpus into columns and those into windows that share one word with the next.

    What doesn't fill the last window, fewer than ``columns * (window + 1)`` words, is left out.

    Args:
        file: of the corpus.
        columns: parts of the text read side by side.
        window: words from one window's first to the next one's.
        start: how many windows to leave out.
    """
    words = size(file)
    length, last = words // columns, steps(words, columns, window)
    for first in range(start, last, _WINDOWS_AT_ONCE):
        count = min(_WINDOWS_AT_ONCE, last - first)
        # Mapped anew each time: pages that were read would count as this program's memory.
        text = read(file)[: columns * length].reshape(columns, length)
        some = np.array(text[:, first * window : (first + count) * window + 1])
        for number in range(count):
            yield some[:, number * window : (number + 1) * window + 1]


def shuffle(rng: np.random.Generator, file: Path, end: int, out: Path) -> None:
    """Writes the same sentences in another order, all equally likely; all of a file or nothing.

    A large corpus is dealt to several files first, sentence by sentence and by chance, each of
    which is then shuffled in memory.

    Args:
        rng: where the order comes from.
        file: of the corpus.
        end: the word that ends a sentence, and the corpus.
        out: file to write.
    """
    count = min(-(-size(file) // _WORDS_AT_ONCE), _MOST_PARTS)
    draft, folder = _draft(out), out.with_name(out.name + ".parts")
    shutil.rmtree(folder, ignore_errors=True)  # a run that was killed may have left it
    folder.mkdir()
    parts = [file]
    if count > 1:
        parts = [folder / str(number) for number in range(count)]
        _deal(rng, file, end, parts)
    with draft.open("wb") as whole:
        for part in parts:
            shuffle_sentences(rng, np.fromfile(part, np.int32), end).tofile(whole)
    os.replace(draft, out)
    shutil.rmtree(folder)


def shuffle_sentences(
    rng: np.random.Generator, tokens: Int[np.ndarray, " words"], end: int
) -> Int[np.ndarray, " words"]:
    """The same sentences in another order; each ends in the word ``end``."""
    starts, lengths = _sentences(tokens, end)
    return _arrange(tokens, starts, lengths, rng.permutation(len(starts)))


def _deal(rng: np.random.Generator, file: Path, end: int, parts: Sequence[Path]) -> None:
    """Writes each sentence to one of some files."""
    files = [part.open("wb", buffering=0) for part in parts]
    rest = np.empty(0, np.int32)  # of a sentence that isn't whole yet
    with file.open("rb") as source:
        while len(words := np.fromfile(source, np.int32, _WORDS_AT_ONCE)):
            words = np.concatenate([rest, words])
            starts, lengths = _sentences(words, end)
            rest = words[lengths.sum() :]
            to = rng.integers(0, len(parts), len(starts))
            dealt = _arrange(words, starts, lengths, np.argsort(to, kind="stable"))
            sizes = np.bincount(to, lengths, len(parts)).astype(int)
            for out, some in zip(files, np.split(dealt, np.cumsum(sizes)[:-1]), strict=True):
                some.tofile(out)
    for out in files:
        out.close()


def _sentences(tokens: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each whole sentence starts, and its words."""
    ends = np.flatnonzero(tokens == end) + 1
    lengths = np.diff(ends, prepend=0)
    return ends - lengths, lengths


def _arrange(
    tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """Sentences in another order."""
    lengths = lengths[order]
    shift = np.repeat(starts[order] - (np.cumsum(lengths) - lengths), lengths)
    return tokens[np.arange(lengths.sum()) + shift]


def _draft(file: Path) -> Path:
    return file.with_name(file.name + ".tmp")
