"""Reads vocabularies as other programs write them.

One word a line, with its count or its index beside it or without; a list in JSON; or an object in
JSON with the index of each word. The words come in the order of their indices. The marks for
unknown words and for the end of a sentence may have other names than ours, `UNKNOWN` and
`END_OF_SENTENCE`: they are renamed, so that data files need not know how a model calls them.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxmask.text.text_files import what_else
from jaxmask.text.vocabulary import (
    BYTE_ORDER_MARK,
    END_OF_SENTENCE,
    UNKNOWN,
    Vocabulary,
    VocabularyError,
    shown,
)

Duplicates = Literal["refuse", "first", "last"]

# What marks look like: <UNK>, [unk], *UNK*; </s>, <EOS>, [SEP], <|endoftext|>.
_UNKNOWN = re.compile(r"(?i)[<\[*@_{(|]+/?(unk|unknown|oov)[>\]*@_})|]+|UNK|OOV")
_END = re.compile(r"(?i)[<\[*@_{(|]+(/s|/sent|eos|end|eol|sep|endoftext)[>\]*@_})|]+|EOS")
# Where tools keep the index of each word in a larger object, or the words in a list.
_FIELDS = ("word2idx", "stoi", "token_to_id", "word_to_id", "vocab", "idx2word", "itos", "model")
MOST_REPAIRED = 0.5  # a larger share of words in a wrong encoding is the file's, not the text's


class Marks(NamedTuple):
    """How a foreign vocabulary is read.

    Attributes:
        unknown: the word that stands for all unknown ones; `UNKNOWN` may be missing.
        end: the word at the end of each sentence.
        duplicates: which of several equal words counts; the index of the others is never used.
    """

    unknown: str = UNKNOWN
    end: str = END_OF_SENTENCE
    duplicates: Duplicates = "refuse"


def read_vocabulary(file: str | Path, marks: Marks = Marks()) -> tuple[Vocabulary, list[str]]:  # noqa: B008
    """Reads a vocabulary; also says in lines of text how it was understood, where that isn't plain.

    Raises:
        VocabularyError: the file can't be read, isn't a vocabulary, has a word twice, or doesn't
            have a mark; the message says how to read it, where that is known.
    """
    try:
        content = Path(file).read_bytes()
        text = content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except OSError as fault:
        raise VocabularyError(f"{file}: can't be read as UTF-8 text ({fault})") from fault
    except UnicodeDecodeError as fault:
        raise VocabularyError(
            f"{file}: can't be read as UTF-8 text ({fault}){what_else(content)}"
        ) from fault
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    words, notes = _words(text, str(file))
    _check_encoding(words, str(file))
    words = _distinct(words, marks.duplicates, str(file))
    words = _renamed(words, marks, str(file))
    if UNKNOWN not in words:
        notes.append("no word for unknown words: pairs with other words will be dropped")
    return Vocabulary(words, str(file)), notes


def _words(text: str, source: str) -> tuple[list[str], list[str]]:
    """The words in the order of their indices, in any notation."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None  # a word that begins with such a character
        if isinstance(value, dict | list):
            return _of_json(value, source), ["read as JSON"]
    lines = text.removesuffix("\n").split("\n")
    for separator, name in (("\t", "a tab"), (" ", "a space")):
        rows = [line.split(separator) for line in lines]
        if all(len(row) == 2 and row[0] and row[1].isdecimal() for row in rows):
            return _with_numbers([row[0] for row in rows], [int(row[1]) for row in rows], name)
        if len(rows) > 1 and all(
            len(row) == 2 and row[0] == str(number) for number, row in enumerate(rows)
        ):
            return [row[1] for row in rows], [f"read as an index, {name} and a word in each line"]
    return lines, []


def _with_numbers(
    words: list[str], numbers: list[int], separator: str
) -> tuple[list[str], list[str]]:
    """Words with a number beside each: indices if all of them occur, else counts."""
    if len(words) > 1 and sorted(numbers) == list(range(len(words))):
        note = f"read as a word, {separator} and its index in each line"
        return [word for _, word in sorted(zip(numbers, words, strict=True))], [note]
    return words, [f"read as a word, {separator} and its count in each line"]


def _of_json(value: dict[str, Any] | list[Any], source: str) -> list[str]:
    """The words of a list, or of an object with an index for each word or a word for each index."""
    if isinstance(value, dict):
        for field in _FIELDS:
            if isinstance(value.get(field), dict | list):
                return _of_json(value[field], source)
        if value and all(isinstance(word, str) for word in value.values()):
            value = {word: int(key) if key.isdecimal() else key for key, word in value.items()}
        wanted = set(range(len(value)))
        found = [index for index in value.values() if type(index) is int]
        if set(found) != wanted:
            missing = ", ".join(map(str, sorted(wanted - set(found))[:5]))
            raise VocabularyError(
                f"{source}: expected the indices 0 to {len(value) - 1} of {len(value)} words, "
                f"each once; missing: {missing}"
            )
        return sorted(value, key=lambda word: value[word])
    others = [number for number, word in enumerate(value) if not isinstance(word, str)]
    if others:
        raise VocabularyError(f"{source}: expected words, found another value at {others[0]}")
    return value


def _repaired(word: str) -> str:
    """The word whose UTF-8 was read as cp1252 or Latin-1; empty if this isn't such a word."""
    if word.isascii():
        return ""
    for encoding in ("cp1252", "latin-1"):
        try:
            return word.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return ""


def _check_encoding(words: Sequence[str], source: str) -> None:
    """Refuses a file whose UTF-8 was read in another encoding and written again."""
    repaired = {number: _repaired(word) for number, word in enumerate(words) if word}
    repaired = {number: word for number, word in repaired.items() if word}
    others = sum(not word.isascii() for word in words)
    broken = [number for number in repaired if [words[number]] != words[number].split()]
    if broken or (len(repaired) >= 3 and len(repaired) > MOST_REPAIRED * others):
        number = broken[0] if broken else next(iter(repaired))
        name = Path(source).name
        raise VocabularyError(
            f"{source}, line {number + 1}: expected UTF-8, found '{shown(words[number])}', which "
            f"is UTF-8 that was read as cp1252: it means '{shown(repaired[number])}'. Repair the "
            f"file by: iconv -f utf-8 -t cp1252 {name} > repaired-{name}"
        )


def _distinct(words: Sequence[str], duplicates: Duplicates, source: str) -> list[str]:
    """The words; of equal ones, all but one get a name that no text has."""
    places: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        places.setdefault(word, []).append(number)
    again = {word: numbers for word, numbers in places.items() if len(numbers) > 1 and word}
    if again and duplicates == "refuse":
        word, (first, second, *_) = next(iter(again.items()))
        raise VocabularyError(
            f"{source}, line {second + 1}: '{shown(word)}' again, first in line {first + 1} "
            f"({len(again)} such words); if the model was trained so, choose the line that counts: "
            "jaxmask convert ... --duplicates last (or first)"
        )
    found = list(words)
    for word, numbers in again.items():
        for number in numbers[:-1] if duplicates == "last" else numbers[1:]:
            found[number] = f"<line-{number + 1}-{word}>"
    return found


def _renamed(words: list[str], marks: Marks, source: str) -> list[str]:
    """The words with our names for the two marks."""
    missing = []
    for flag, given, ours, likely in (
        ("--unknown", marks.unknown, UNKNOWN, _UNKNOWN.fullmatch),
        ("--end", marks.end, END_OF_SENTENCE, _END.fullmatch),
    ):
        if given in words:
            continue
        guess = _first(words, likely)
        if guess or given != ours or ours == END_OF_SENTENCE:
            missing.append((given, f" {flag} '{shown(guess or 'WORD', 20)}'"))
    if missing:
        absent = " and ".join(shown(given) for given, _ in missing)
        raise VocabularyError(
            f"{source}: {absent} {'is' if len(missing) == 1 else 'are'} missing; name the words "
            f"that stand for unknown words and for the end of a sentence, probably: "
            f"jaxmask convert ...{''.join(option for _, option in missing)}"
        )
    names = {marks.unknown: UNKNOWN, marks.end: END_OF_SENTENCE}
    return [names.get(word, word) for word in words]


def _first(words: Sequence[str], likely: Callable[[str], Any]) -> str:
    return next((word for word in words if likely(word)), "")
