"""The words that a language model knows.

The index of a word is the number of its line in ``vocab.txt``, counted from 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

UNKNOWN = "<unk>"
END_OF_SENTENCE = "<eos>"
BYTE_ORDER_MARK = "\ufeff"


class VocabularyError(ValueError):
    """A vocabulary file can't be used; the message names the line and the reason.

    Example:
        >>> try:
        ...     Vocabulary(["<unk>", "the boy"])
        ... except VocabularyError as fault:
        ...     print(fault)
        vocabulary, line 2: expected one word, found 'the boy'
    """


def shown(text: str, most: int = 80) -> str:
    """The text of a file as an error message shows it.

    It is cut after ``most`` characters, and characters that control a terminal are escaped.

    Example:
        >>> shown("a long line", most=6), shown("a" + chr(7)).isprintable()
        ('a long...', True)
    """
    return repr(text[:most])[1:-1] + ("..." if text[most:] else "")


class Words(Protocol):
    """What a model reads and predicts: its tokens, and how words become tokens.

    A token is a word in a `Vocabulary`, and part of a word in a `jaxmask.text.tokenizer.Tokenizer`.

    Attributes:
        unit: what tokens are, in the plural.
        lost_form: what is wrong with a form if its pair can't be measured, in a few words.

    Example:
        >>> vocabulary: Words = Vocabulary(["<unk>", "<eos>", "boys", "run"])
        >>> [vocabulary.words[token] for token in vocabulary.encode(["boys", "run"])]
        ['boys', 'run']
    """

    unit: str
    lost_form: str

    @property
    def words(self) -> Sequence[str]:
        """The text of each token."""

    @property
    def index(self) -> Mapping[str, int]:
        """The token of each word that is one token."""

    def __len__(self) -> int:
        """The number of tokens."""

    def encode(self, words: Iterable[str]) -> list[int]:
        """The tokens of a text."""


class Vocabulary:
    """A fixed list of distinct words with an index for each.

    Args:
        words: in the order of their indices; they include `END_OF_SENTENCE`, and `UNKNOWN` if the
            model has an index for all other words.
        source: the name of the vocabulary in error messages.

    Raises:
        VocabularyError: a word is empty, contains white space, or occurs twice; the first word
            begins with a byte order mark; or `END_OF_SENTENCE` is missing.

    Example:
        >>> vocabulary = Vocabulary(["<unk>", "<eos>", "boys", "run"])
        >>> len(vocabulary), "boys" in vocabulary, vocabulary.index["run"]
        (4, True, 3)
        >>> vocabulary.encode(["boys", "swim"])
        [2, 0]
    """

    unit = "words"
    lost_form = "a form that isn't in the vocabulary"

    def __init__(self, words: Iterable[str], source: str = "vocabulary") -> None:
        self.words = tuple(words)
        self.index: dict[str, int] = {}
        if self.words and self.words[0].startswith(BYTE_ORDER_MARK):
            raise VocabularyError(
                f"{source}, line 1: expected a word, found a byte order mark before it"
            )
        for number, word in enumerate(self.words):
            if not word or len(word.split()) != 1 or word != word.strip():
                raise VocabularyError(
                    f"{source}, line {number + 1}: expected one word, found '{shown(word)}'"
                )
            if word in self.index:
                raise VocabularyError(
                    f"{source}, line {number + 1}: '{shown(word)}' again, first in line "
                    f"{self.index[word] + 1}"
                )
            self.index[word] = number
        if END_OF_SENTENCE not in self.index:
            raise VocabularyError(f"{source}: {END_OF_SENTENCE} is missing")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def encode(self, words: Iterable[str]) -> list[int]:
        """The index of each word; words that aren't in the vocabulary get that of `UNKNOWN`.

        Raises:
            VocabularyError: a word isn't in the vocabulary, and neither is `UNKNOWN`.
        """
        unknown = self.index.get(UNKNOWN)
        if unknown is not None:
            return [self.index.get(word, unknown) for word in words]
        try:
            return [self.index[word] for word in words]
        except KeyError as fault:
            raise VocabularyError(
                f"vocabulary: expected known words, as it has no {UNKNOWN}, found "
                f"'{shown(fault.args[0])}'"
            ) from fault

    @classmethod
    def load(cls, file: str | Path) -> "Vocabulary":
        """Reads a UTF-8 file with one word in each line.

        Raises:
            VocabularyError: the file is missing, isn't UTF-8, or isn't a vocabulary.
        """
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise VocabularyError(f"{file}: can't be read as UTF-8 text ({fault})") from fault
        return cls(text.removesuffix("\n").split("\n"), str(file))

    def save(self, file: str | Path) -> None:
        """Writes a UTF-8 file with one word in each line."""
        Path(file).write_text("\n".join(self.words) + "\n", encoding="utf-8")
