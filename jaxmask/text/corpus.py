"""Text as word indices on disk, read in the order of training without holding it in memory.

A corpus is a file that holds one long row of int32 numbers, the indices of its words. A special
word, such as ``<eos>``, ends each sentence. `write` makes a corpus from sentences, `shuffle` writes
the same sentences in another order, and `windows` reads a corpus. The memory that they need doesn't
grow with the corpus, with one exception: for a corpus of more than a billion words, `shuffle` holds
a 256th of it in memory.
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
    """Writes sentences as a corpus; if writing fails, an earlier file stays as it was.

    Args:
        file: to write.
        sentences: the words of each sentence, including the word that ends it.
        vocabulary: gives the index of each word; words that it doesn't have become ``<unk>``.

    Example:
        >>> import tempfile
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "Boys", "run"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "corpus"
        ...     write(file, [["Boys", "run", "<eos>"], ["Girls", "run", "<eos>"]], vocabulary)
        ...     read(file).tolist()
        [2, 3, 1, 0, 3, 1]
    """
    draft, remaining = _draft(file), iter(sentences)
    with draft.open("wb") as out:
        while batch := list(islice(remaining, _SENTENCES_AT_ONCE)):
            np.array(vocabulary.encode(chain.from_iterable(batch)), np.int32).tofile(out)
    os.replace(draft, file)


def size(file: Path) -> int:
    """The number of words of a corpus.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "corpus"
        ...     np.arange(6, dtype=np.int32).tofile(file)
        ...     size(file)
        6
    """
    return file.stat().st_size // np.dtype(np.int32).itemsize


def read(file: Path) -> Int[np.ndarray, " words"]:
    """The words of a corpus, as an array that reads a part of the file once it is used.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "corpus"
        ...     np.arange(6, dtype=np.int32).tofile(file)
        ...     read(file)[2:4].tolist()
        [2, 3]
    """
    return np.memmap(file, np.int32, "r")


def steps(words: int, columns: int, window: int) -> int:
    """The number of `windows` that a corpus makes, which are the updates of one epoch.

    Args:
        words: size of the corpus.
        columns: see `windows`.
        window: see `windows`.

    Example:
        >>> steps(words=100, columns=4, window=6)
        4
    """
    return max(words // columns - 1, 0) // window


def windows(
    file: Path, columns: int, window: int, start: int = 0
) -> Iterator[Int[np.ndarray, "columns window_and_one"]]:
    """Cuts a corpus into columns, and the columns into windows.

    The last word of a window is the first word of the next one. Words at the end that don't fill a
    window, fewer than ``columns * (window + 1)``, are left out.

    Args:
        file: of the corpus.
        columns: number of parts of the text, which are read side by side.
        window: number of words from the first word of a window to the first word of the next one.
        start: number of windows to skip.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "corpus"
        ...     np.arange(10, dtype=np.int32).tofile(file)
        ...     [window.tolist() for window in windows(file, columns=2, window=2)]
        [[[0, 1, 2], [5, 6, 7]], [[2, 3, 4], [7, 8, 9]]]
    """
    words = size(file)
    length, last = words // columns, steps(words, columns, window)
    for first in range(start, last, _WINDOWS_AT_ONCE):
        count = min(_WINDOWS_AT_ONCE, last - first)
        # The file is mapped anew each time, because pages that were read count as memory of this
        # program.
        text = read(file)[: columns * length].reshape(columns, length)
        block = np.array(text[:, first * window : (first + count) * window + 1])
        for number in range(count):
            yield block[:, number * window : (number + 1) * window + 1]


def shuffle(rng: np.random.Generator, file: Path, end: int, out: Path) -> None:
    """Writes the same sentences in a random order; every order is equally likely.

    If writing fails, an earlier file stays as it was. The sentences of a large corpus are first
    distributed at random over several files, each of which is then shuffled in memory.

    Args:
        rng: decides the order.
        file: of the corpus.
        end: index of the word that ends each sentence, and therefore the corpus.
        out: file to write.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "corpus"
        ...     np.array([7, 1, 8, 8, 1, 9, 1], np.int32).tofile(file)
        ...     shuffle(np.random.default_rng(0), file, end=1, out=Path(folder) / "shuffled")
        ...     shuffled = read(Path(folder) / "shuffled").tolist()
        >>> sorted(shuffled) == [1, 1, 1, 7, 8, 8, 9] and shuffled[-1] == 1
        True
    """
    count = min(-(-size(file) // _WORDS_AT_ONCE), _MOST_PARTS)
    draft, folder = _draft(out), out.with_name(out.name + ".parts")
    shutil.rmtree(folder, ignore_errors=True)  # a process that was killed may have left it
    folder.mkdir()
    parts = [file]
    if count > 1:
        parts = [folder / str(number) for number in range(count)]
        _distribute(rng, file, end, parts)
    with draft.open("wb") as whole:
        for part in parts:
            shuffle_sentences(rng, np.fromfile(part, np.int32), end).tofile(whole)
    os.replace(draft, out)
    shutil.rmtree(folder)


def shuffle_sentences(
    rng: np.random.Generator, tokens: Int[np.ndarray, " words"], end: int
) -> Int[np.ndarray, " words"]:
    """The same sentences in a random order.

    Args:
        rng: decides the order.
        tokens: word indices of the sentences, one after another.
        end: index of the word that ends each sentence.

    Example:
        >>> tokens = np.array([7, 1, 8, 8, 1], np.int32)
        >>> shuffle_sentences(np.random.default_rng(1), tokens, end=1).tolist()
        [7, 1, 8, 8, 1]
    """
    starts, lengths = _sentences(tokens, end)
    return _arrange(tokens, starts, lengths, rng.permutation(len(starts)))


def _distribute(rng: np.random.Generator, file: Path, end: int, parts: Sequence[Path]) -> None:
    """Writes each sentence of a corpus to one of several files, chosen at random."""
    files = [part.open("wb", buffering=0) for part in parts]
    rest = np.empty(0, np.int32)  # the beginning of a sentence whose end isn't read yet
    with file.open("rb") as source:
        while len(words := np.fromfile(source, np.int32, _WORDS_AT_ONCE)):
            words = np.concatenate([rest, words])
            starts, lengths = _sentences(words, end)
            rest = words[lengths.sum() :]
            chosen = rng.integers(0, len(parts), len(starts))  # the file of each sentence
            by_file = _arrange(words, starts, lengths, np.argsort(chosen, kind="stable"))
            sizes = np.bincount(chosen, lengths, len(parts)).astype(int)
            for out, share in zip(files, np.split(by_file, np.cumsum(sizes)[:-1]), strict=True):
                share.tofile(out)
    for out in files:
        out.close()


def _sentences(tokens: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The start and the length of each sentence that is complete."""
    ends = np.flatnonzero(tokens == end) + 1
    lengths = np.diff(ends, prepend=0)
    return ends - lengths, lengths


def _arrange(
    tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """The sentences in the given order."""
    lengths = lengths[order]
    shift = np.repeat(starts[order] - (np.cumsum(lengths) - lengths), lengths)
    return tokens[np.arange(lengths.sum()) + shift]


def _draft(file: Path) -> Path:
    """The file that is written first and then takes the place of ``file``."""
    return file.with_name(file.name + ".tmp")
