"""The text that a language model is trained on: its files, vocabulary and corpora."""

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
    """Text to train on and to validate on, and a vocabulary if it isn't to be built."""

    train: tuple[Path, ...]
    valid: Path
    vocabulary: Path | None


def find_files(
    data: Path | None, train: tuple[Path, ...], valid: Path | None, vocabulary: Path | None
) -> Files:
    """The files given, and in place of those that aren't those of the folder ``data``.

    Raises:
        OptionError: a file isn't there.
    """

    def inside(name: str, option: str) -> Path:
        if data is None:
            raise OptionError(f"--{option}: expected text files, or a folder of them as --data")
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
    """16 hexadecimal digits of a SHA-256 over a file."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()[:16]


def load_vocabulary(file: Path) -> Vocabulary:
    """Reads one word a line, plain or .xz.

    Raises:
        OptionError: the file can't be read.
        VocabularyError: it isn't a vocabulary.
    """
    with _readable(file), open_text(file) as lines:
        text = lines.read()
    return Vocabulary(text.removesuffix("\n").split("\n"), str(file))


def load_words(file: Path) -> list[str]:
    """All words of a file.

    Raises:
        OptionError: it can't be read.
    """
    with _readable(file), open_text(file) as lines:
        return lines.read().split()


def build_vocabulary(files: Iterable[Path], size: int, keep: Iterable[str] = ()) -> Vocabulary:
    """The most frequent words and those to keep, in order of frequency; `<unk>` comes first.

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
    """Writes the words of all files as one corpus, unless it is there; gives its file.

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
    try:
        yield
    except (OSError, EOFError, UnicodeError, lzma.LZMAError) as fault:
        raise OptionError(f"{file}: can't be read as UTF-8 text ({fault})") from fault
