"""The words a language model knows; a word's index is its line number, from 0, in vocab.txt."""

from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "<unk>"
END_OF_SENTENCE = "<eos>"
BYTE_ORDER_MARK = "\ufeff"


class VocabularyError(ValueError):
    """A vocabulary file that can't be used; says which line, and why."""


def shown(text: str, most: int = 80) -> str:
    """Text from a file, for an error: cut, and without characters that steer a terminal."""
    return repr(text[:most])[1:-1] + ("..." if text[most:] else "")


class Vocabulary:
    """A fixed list of distinct words with an index for each.

    Args:
        words: in index order; `UNKNOWN` and `END_OF_SENTENCE` are among them.
        source: named in errors.

    Raises:
        VocabularyError: a word is empty, holds white space, or occurs twice, the first one begins
            with a byte order mark, or one of the two special words is missing.
    """

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
        for word in (UNKNOWN, END_OF_SENTENCE):
            if word not in self.index:
                raise VocabularyError(f"{source}: {word} is missing")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def encode(self, words: Iterable[str]) -> list[int]:
        """Indices of words; `UNKNOWN` for those not in the vocabulary."""
        unknown = self.index[UNKNOWN]
        return [self.index.get(word, unknown) for word in words]

    @classmethod
    def load(cls, file: str | Path) -> "Vocabulary":
        """Reads one word a line, UTF-8.

        Raises:
            VocabularyError: the file is missing, isn't UTF-8, or isn't a vocabulary.
        """
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise VocabularyError(f"{file}: can't be read as UTF-8 text ({fault})") from fault
        return cls(text.removesuffix("\n").split("\n"), str(file))

    def save(self, file: str | Path) -> None:
        """Writes one word a line."""
        Path(file).write_text("\n".join(self.words) + "\n", encoding="utf-8")
