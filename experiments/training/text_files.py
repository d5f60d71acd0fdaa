"""The text that a language model is trained on: files, vocabulary and corpora."""

import contextlib
import hashlib
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.shared.option_types import OptionError
from experiments.shared.text import open_text, sentences
from jaxmask.text import corpus
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary


class Files(NamedTuple):
    """Text files for training and validation, and the vocabulary; None if it has to be built."""

    train: tuple[Path, ...]
    valid: Path
    vocabulary: Path | None


def find_files(
    data: Path | None, train: tuple[Path, ...], valid: Path | None, vocabulary: Path | None
) -> Files:
    """The given files, and those in the folder ``data`` for files that aren't given.

    Raises:
        OptionError: a file is missing.
    """

    def inside(name: str, option: str) -> Path:
        if data is None:
            raise OptionError(f"--{option}: expected text files, or their folder as --data")
        return next(
            (file for file in (data / name, data / f"{name}.xz") if file.is_file()), data / name
        )

    if vocabulary is None and data is not None and inside("vocab.txt", "data").is_file():
        vocabulary = inside("vocab.txt", "data")
    train = train or (inside("train.txt", "train"),)
    files = Files(train, valid or inside("valid.txt", "valid"), vocabulary)
    for file in (*files.train, files.valid, *([vocabulary] if vocabulary else [])):
        if not file.is_file():
            raise OptionError(f"{file}: expected a file, plain or .xz, found none")
    return files


def digest(file: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()[:16]


def load_vocabulary(file: Path) -> Vocabulary:
    """Reads a file, plain or .xz, with one word in each line.

    Raises:
        OptionError: the file can't be read.
        VocabularyError: the file isn't a vocabulary.
    """
    with _readable(file), open_text(file) as lines:
        text = lines.read()
    return Vocabulary(text.removesuffix("\n").split("\n"), str(file))


def load_words(file: Path) -> list[str]:
    """All words of a file.

    Raises:
        OptionError: the file can't be read.
    """
    with _readable(file), open_text(file) as lines:
        return lines.read().split()


def build_vocabulary(files: Iterable[Path], size: int, keep: Iterable[str] = ()) -> Vocabulary:
    """Builds a vocabulary of `<unk>`, the words to keep and the most frequent words.

    Args:
        files: of text.
        size: number of words of the vocabulary.
        keep: words that the vocabulary has to contain.

    Returns:
        The vocabulary, with `<unk>` first and the other words by decreasing frequency.

    Raises:
        OptionError: a file can't be read.
    """
    counts = Counter(word for words in _sentences(files) for word in words)
    del counts[UNKNOWN]
    chosen = {END_OF_SENTENCE, *keep}
    frequent = (word for word, _ in counts.most_common())
    while len(chosen) < size - 1 and (word := next(frequent, None)):
        chosen.add(word)
    return Vocabulary([UNKNOWN, *sorted(chosen, key=lambda word: (-counts[word], word))])


def encode(files: Iterable[Path], vocabulary: Vocabulary, out: Path) -> Path:
    """Writes the words of all files as one corpus, unless it exists, and returns its file.

    Raises:
        OptionError: a file can't be read, or there are no words.
    """
    if not out.exists():
        corpus.write(out, _sentences(files), vocabulary)
    if not corpus.size(out):
        raise OptionError(f"{', '.join(map(str, files))}: expected sentences, found none")
    return out


def _sentences(files: Iterable[Path]) -> Iterator[list[str]]:
    for file in files:
        with _readable(file):
            yield from sentences([file])


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turns errors of reading a file into an `OptionError`."""
    try:
        yield
    except (OSError, EOFError, UnicodeError, lzma.LZMAError) as fault:
        raise OptionError(f"{file}: can't be read as UTF-8 text ({fault})") from fault
