"""The formats of minimal pairs that can be read: how each is recognised, and what a row means.

A new format is a function from records to contrasts, and a row in `FORMATS`. Of several formats
that recognise a file, the first one is taken.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from jaxmask.files.importers.contrasts import (
    Contrast,
    Spelling,
    changed_word,
    of_forms,
    of_sentences,
)
from jaxmask.files.importers.records import Records
from jaxmask.files.importers.suites import of_suite
from jaxmask.tasks.minimal_pairs import Note

Read = Callable[[Records, Spelling], Iterable[Contrast | Note]]

# Why a row of a format gives no contrast.
DECIDED_LATER = "pairs whose sentences differ before the word that decides"
OTHER_BEGINNING = "pairs whose sentences don't begin with the words and forms that the file names"
NO_PAIR = "lines whose other sentence is missing"
NO_NAMES = "sentences without two names, one of which occurs twice"
NO_YEARS = "sentences without a century and a year of that century"
NOT_BINARY = "sentences with a pronoun of neither gender"

# Names of the columns with the right sentence, the other sentence, and the construction.
GOOD = ("sentence_good", "good", "good_sentence", "grammatical", "correct", "acceptable", "right")
BAD = ("sentence_bad", "bad", "bad_sentence", "ungrammatical", "incorrect", "unacceptable", "wrong")
GROUPS = (
    "uid", "test case", "group", "construction", "phenomenon", "paradigm", "case", "condition",
    "category",
)  # fmt: skip

_TWO_NAMES = re.compile(r"\b([A-Z]\w+),? and ([A-Z]\w+)\b")
_YEARS = re.compile(r"^(.*\b(\d\d)(\d\d)\b.*) \2$")
_LONGEST = 1000  # characters of a sentence that is searched for years


class Format(NamedTuple):
    """A format of minimal pairs.

    Attributes:
        name: of the format.
        about: where files of this format are from, and what they look like.
        matches: whether a file looks like that.
        read: the contrasts of a file, and a note on each row that gives none.
        kinds: of records that can be read so.
        assumed: what every file of the format is taken to have, and no file shows.
        directions: names of the directions, where the format says them.

    Example:
        >>> next(one for one in FORMATS if one.name == "ioi").directions
        ('first', 'second')
    """

    name: str
    about: str
    matches: Callable[[Records], bool]
    read: Read
    directions: tuple[str, str] | None = None
    kinds: tuple[str, ...] = ("objects", "cells")
    assumed: str = ""


def _named(columns: Iterable[str], names: Iterable[str]) -> str:
    """The first of some names that is a column; empty if none is."""
    return next((name for name in names if name in columns), "")


def _sentence_pairs(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """A right and a wrong sentence in each row; BLiMP also says where they decide."""
    for line, row in records.objects():
        # A column may have no name, which isn't that of a sentence.
        good, bad = ((row | {"": None}).get(_named(row, names)) for names in (GOOD, BAD))
        group = str(row.get(_named(row, GROUPS)) or records.source)
        if row.get("one_prefix_method") is False:
            yield Note(line, DECIDED_LATER)
        elif "one_prefix_prefix" in row:
            forms = row.get("one_prefix_word_good"), row.get("one_prefix_word_bad")
            found = of_forms(line, row["one_prefix_prefix"], forms, group, spelling)
            if isinstance(found, Contrast) and not _begin_so((good, bad), found, spelling):
                found = Note(line, OTHER_BEGINNING)
            yield found
        else:
            yield of_sentences(line, good, bad, group, spelling)


def _begin_so(sentences: tuple[Any, Any], found: Contrast, spelling: Spelling) -> bool:
    """Whether two sentences begin with the words of a contrast, each followed by its form."""
    before = len(found.words)
    for sentence, form in zip(sentences, found.pair, strict=True):
        words = spelling.words(sentence) if isinstance(sentence, str) else ()
        if words[:before] != found.words or spelling.form(" ".join(words[before:][:1])) != (form,):
            return False
    return True


def _feature_circuits(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """A sentence and the same with another number; the word that differs carries it."""
    for line, row in records.objects():
        forms = row.get("clean_answer"), row.get("patch_answer")
        group = str(row.get("case") or records.source)
        found = of_forms(line, row.get("clean_prefix"), forms, group, spelling)
        patch = row.get("patch_prefix")
        if isinstance(found, Contrast) and isinstance(patch, str):
            paired = spelling.words(patch)
            place = changed_word(found.words, paired)
            found = found._replace(position=place, paired=() if place is None else paired)
        yield found


def _verdicts(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """True and a right sentence, then False and a wrong one for each other form."""
    good = None
    for line, (verdict, *sentence) in records.rows:
        if verdict.casefold() == "true":
            good = " ".join(sentence)
        elif good is None:
            yield Note(line, NO_PAIR)
        else:
            yield of_sentences(line, good, " ".join(sentence), records.source, spelling)


def _numbered_pairs(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """Sentence, number of the subject, correct or wrong, and the pair's id."""
    waiting: dict[str, tuple[str, str, int]] = {}
    for line, row in records.rows:
        sentence, label, verdict, pair = [*row, "", "", "", ""][:4]
        if pair not in waiting:
            waiting[pair] = (sentence, verdict, line)
            continue
        other, other_verdict, _ = waiting.pop(pair)
        if {verdict, other_verdict} != {"correct", "wrong"}:
            yield Note(line, NO_PAIR)
            continue
        good, bad = (sentence, other) if verdict == "correct" else (other, sentence)
        found = of_sentences(line, good, bad, records.source, spelling)
        if isinstance(found, Contrast):
            found = found._replace(first=found.pair[label.partition("_")[0] != "singular"])
        yield found
    yield from (Note(line, NO_PAIR) for _, _, line in waiting.values())


def _ioi(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """Two names; the one that doesn't occur a second time is right."""
    for line, row in records.objects():
        text = str(row.get("clean") or row.get("text") or row.get("sentence"))
        names = _TWO_NAMES.search(text)
        if names is None:
            yield Note(line, NO_NAMES)
            continue
        if isinstance(row.get("io"), str) and text.rstrip(".").endswith(row["io"]):
            text = text.rstrip(".").removesuffix(row["io"])
        words, first, second = spelling.words(text), *spelling.form(f"{names[1]} {names[2]}")
        counts = [sum(word.strip(",.") == name for word in words) for name in (first, second)]
        if sorted(counts) != [1, 2]:
            yield Note(line, NO_NAMES)
            continue
        right, subject = (first, second) if counts[0] == 1 else (second, first)
        last = max(place for place, word in enumerate(words) if word.strip(",.") == subject)
        yield Contrast(line, words, (right, subject), records.source, True, first, last)


def _greater_than(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """A year, and the century of a later year, which the two forms end.

    The forms are years halfway from the first year to the end and to the beginning of its century.
    """
    for line, row in records.objects():
        found = _years(row.get("clean"))
        if found is None or not 2 <= int(found[3]) <= 97:
            yield Note(line, NO_YEARS)
            continue
        before, century, year = found[1], found[2], int(found[3])
        later, earlier = f"{century}{(year + 100) // 2:02}", f"{century}{year // 2:02}"
        contrast = of_forms(line, before, (later, earlier), records.source, spelling)
        if isinstance(contrast, Contrast):
            place = next(n for n, word in enumerate(contrast.words) if found[3] in word)
            contrast = contrast._replace(first=earlier, position=place)
        yield contrast


def _years(text: Any) -> re.Match | None:
    """The words before a century, the century, and the year in an earlier year of it."""
    short = isinstance(text, str) and len(text) <= _LONGEST
    return _YEARS.match(text.strip()) if short else None


def _winogender(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """Sentences with he and with she; the occupation is what may decide, and neither is right.

    The group says whom the pronoun refers to.
    """
    male: dict[str, str] = {}
    for line, row in records.objects():
        identity, sentence = str(row.get("sentid")), row.get("sentence")
        base, _, gender = identity.removesuffix(".txt").rpartition(".")
        if gender == "male" and isinstance(sentence, str):
            male[base] = sentence
        elif gender != "female" or base not in male:
            yield Note(line, NOT_BINARY if gender == "neutral" else NO_PAIR)
        else:
            refers_to = "occupation" if base.endswith(".0") else "participant"
            found = of_sentences(line, male[base], sentence, refers_to, spelling)
            if isinstance(found, Contrast):
                words = [word.lower() for word in found.words]
                noun = identity.partition(".")[0]
                place = words.index(noun) if noun in words else len(words) - 1
                found = found._replace(right=False, first=found.pair[0], position=place)
            yield found


def _bad_then_good(records: Records, spelling: Spelling) -> Iterator[Contrast | Note]:
    """A wrong sentence in each line with an odd number, and the right one in the next line."""
    for (_, bad), (line, good) in zip(records.rows[::2], records.rows[1::2], strict=False):
        yield of_sentences(line, good[0], bad[0], records.source, spelling)


def _has(*fields: str) -> Callable[[Records], bool]:
    """Recognises files with these columns or fields."""
    return lambda records: set(fields) <= {*records.names}


def _is_sentence_pairs(records: Records) -> bool:
    return bool(_named(records.names, GOOD) and _named(records.names, BAD))


def _is_ioi(records: Records) -> bool:
    if {"io", "s"} <= {*records.names}:
        return True
    texts = [str(row.get("clean", "")) for _, row in islice(records.objects(), 20)]
    return any(texts) and all(_TWO_NAMES.search(text) for text in texts)


def _is_greater_than(records: Records) -> bool:
    texts = [row.get("clean") for _, row in islice(records.objects(), 20)]
    return any(texts) and all(map(_years, texts))


def _is_verdicts(records: Records) -> bool:
    rows = records.rows[:20]
    return all(len(row) == 2 and row[0].casefold() in ("true", "false") for _, row in rows)


def _is_numbered_pairs(records: Records) -> bool:
    rows = records.rows[:20]
    return all(len(row) >= 4 and row[2] in ("correct", "wrong") for _, row in rows)


def _is_bad_then_good(records: Records) -> bool:
    """Whether each two lines are alike."""
    rows = records.rows[:200]
    if len(records.rows) % 2 or any(len(row) != 1 for _, row in rows):
        return False
    words = [set(row[0].split()) for _, row in rows]
    return all(len(a & b) >= len(a | b) / 3 for a, b in zip(words[::2], words[1::2], strict=True))


def _is_suite(records: Records) -> bool:
    return {"items", "predictions"} <= {*records.rows[0][1]}


FORMATS: tuple[Format, ...] = (
    Format(
        "feature_circuits",
        "Marks et al.: clean_prefix, patch_prefix, clean_answer, patch_answer in JSON lines",
        _has("clean_prefix", "clean_answer", "patch_answer"),
        _feature_circuits,
    ),
    Format(
        "sentence_pairs",
        "BLiMP, Marvin and Linzen, and others: a right and a wrong sentence in each row",
        _is_sentence_pairs,
        _sentence_pairs,
    ),
    Format(
        "greater_than",
        "Hanna et al.: 'from the year 1352 to the year 13' in a column clean",
        _is_greater_than,
        _greater_than,
        ("earlier", "later"),
    ),
    Format(
        "ioi",
        "Wang et al., indirect objects: 'Ann and Bob ... Ann gave a drink to' in a column clean",
        _is_ioi,
        _ioi,
        ("first", "second"),
    ),
    Format(
        "winogender",
        "Rudinger et al.: columns sentid (occupation.other.answer.gender.txt) and sentence",
        _has("sentid", "sentence"),
        _winogender,
        ("male", "female"),
    ),
    Format(
        "syntaxgym",
        "SyntaxGym: a test suite in JSON, with items, conditions, regions and predictions",
        _is_suite,
        of_suite,
        kinds=("document",),
    ),
    Format(
        "clams",
        "CLAMS: True or False, a tab, a sentence; wrong sentences follow the right one",
        _is_verdicts,
        _verdicts,
        kinds=("cells",),
    ),
    Format(
        "lakretz",
        "Lakretz et al.: sentence, number of the subject, correct or wrong, and the pair's id",
        _is_numbered_pairs,
        _numbered_pairs,
        ("singular", "plural"),
        ("cells",),
    ),
    Format(
        "zorro",
        "Zorro: plain sentences, a wrong one and then the right one",
        _is_bad_then_good,
        _bad_then_good,
        kinds=("cells",),
        assumed="right: the second sentence of each two, as in Zorro",
    ),
)
