"""Reads published outputs of the released Gulordava model from the files of their authors.

    nounpp.abl       FAIRNS/Number_and_syntax_units_in_LSTM_LMs, Output
    best_model.tab   facebookresearch/colorlessgreenRNNs, data/results/English
    generated.text, generated.eval      the same repository, data/agreement/English

The first file has 4,000 sentences like "The athlete behind the bike observes". The others have 41
sentences of real text and 369 nonsense sentences made from them. All files give the
log-probabilities of a right and a wrong form of one word in each sentence.
"""

import csv
import io
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmask.files.inert_pickle import Record, read_pickle
from jaxmask.tasks import number_agreement
from jaxmask.text.examples import TaskDataError
from jaxmask.text.text_files import read_text

VERB = 5  # index of the verb in a nounpp sentence, from 0
KINDS = {"original": "original", "generated": "nonce"}  # from the names in the table to the paper's


class Item(NamedTuple):
    """A place in a text with two forms, and their scores under the released model.

    Attributes:
        kind: ``nounpp``, ``original`` or ``nonce``.
        forms: the right form and the wrong form.
        log_probs: log-probabilities of the two forms under the released model, in nats.
    """

    kind: str
    forms: tuple[str, str]
    log_probs: tuple[float, float]


class Nounpp(NamedTuple):
    """The content of ``nounpp.abl``.

    Attributes:
        items: places with two forms.
        prefixes: for each item, the words between the primer and its forms.
    """

    items: list[Item]
    prefixes: list[list[str]]


class Generated(NamedTuple):
    """The content of the other files.

    Attributes:
        items: places with two forms.
        stream: all words of the text, one after another.
        before: for each item, the index in ``stream`` of the word before its forms.
    """

    items: list[Item]
    stream: list[str]
    before: list[int]


def read_nounpp(folder: Path) -> Nounpp:
    """Reads ``nounpp.abl``, a pickle, as plain data.

    The file has each sentence with its right verb; the wrong verb has the other number.

    Raises:
        TaskDataError: the file is missing or ill-formed.
    """
    file = folder / "nounpp.abl"
    try:
        # Most of the pickle stores words in case they are used again, which they aren't; `optimize`
        # removes these instructions.
        content = read_pickle(io.BytesIO(pickletools.optimize(file.read_bytes())))
    except OSError as fault:
        raise TaskDataError(
            f"{file}: expected a file to read, found none ({fault.strerror})"
        ) from fault
    except Exception as fault:  # a broken pickle may raise any exception inside pickletools
        raise TaskDataError(f"{file}: expected a pickle, found a broken one ({fault})") from fault
    match content:
        case {"sentences": [_, *_] as sentences, "verb_pos": list(places)} if all(
            place == VERB for place in places
        ):
            pass
        case _:
            raise TaskDataError(
                f"{file}: expected sentences, with verb_pos {VERB} for each, found none"
            )
    columns = [
        _column(content.get(f"log_p_targets_{verdict}"), f"{file}, log_p_targets_{verdict}")
        for verdict in ("correct", "wrong")
    ]
    if len({len(part) for part in (sentences, places, *columns)}) != 1:
        raise TaskDataError(f"{file}: expected a place and log-probabilities for each sentence")
    items = [
        Item("nounpp", _verbs(words, f"{file}, sentence {number}"), tuple(pair))
        for number, (words, *pair) in enumerate(zip(sentences, *columns, strict=True))
    ]
    return Nounpp(items, [words[:VERB] for words in sentences])


def _column(array: object, place: str) -> list[float]:
    """The numbers of a pickled float64 array with one column."""
    match array:
        case Record(
            state=(_, (rows, 1), Record(args=("f8", *_), state=(_, "<", *_)), False, bytes(raw))
        ) if 8 * rows == len(raw):
            return _finite(np.frombuffer(raw, "<f8").tolist(), place)
    raise TaskDataError(f"{place}: expected an array of float64 with one column")


def _finite(numbers: list[float], place: str) -> list[float]:
    if not np.all(np.isfinite(numbers)):
        raise TaskDataError(f"{place}: expected log-probabilities, found NaN or infinity")
    return numbers


def _verbs(words: object, place: str) -> tuple[str, str]:
    """The verb at the end of a sentence, and its other form."""
    match words:
        case [*prefix, str(verb)] if len(prefix) == VERB and all(type(w) is str for w in prefix):
            plurals = number_agreement.OTHERS["VERB"]
            if verb in plurals:
                return verb, verb + "s"
            if verb.removesuffix("s") in plurals:
                return verb, verb.removesuffix("s")
            raise TaskDataError(f"{place}: expected one of the task's verbs, found {verb!r}")
    raise TaskDataError(f"{place}: expected {VERB} words and a verb")


def read_generated(folder: Path) -> Generated:
    """Reads ``generated.text``, ``generated.eval`` and ``best_model.tab``.

    Rows 2i and 2i+1 of the table, counted from 0, belong to line i of the text. The first of them
    has the right form, the second the wrong form. The last column is the log-probability under the
    released model.

    Raises:
        TaskDataError: a file is missing, is ill-formed or doesn't match the others.
    """
    text, places = (
        read_text(folder / name).removesuffix("\n").split("\n")
        for name in ("generated.text", "generated.eval")
    )
    file = folder / "best_model.tab"
    pairs = list(_rows(file))
    if not len(text) == len(places) == len(pairs):
        raise TaskDataError(
            f"{folder}: expected as many lines in generated.text as in generated.eval and half as "
            f"many rows in best_model.tab, found {len(text)}, {len(places)} and {2 * len(pairs)}"
        )
    items, stream, before = [], [], []
    for number, (line, place, pair) in enumerate(zip(text, places, pairs, strict=True), start=1):
        right, wrong = pair
        if not line == right["sent"] == wrong["sent"]:
            raise TaskDataError(
                f"{file}, rows {2 * number - 1} and {2 * number}: expected the sentence in line "
                f"{number} of generated.text, found another"
            )
        words = line.split()
        if not (place.isdecimal() and 1 <= int(place) < len(words)):
            raise TaskDataError(
                f"{folder / 'generated.eval'}, line {number}: expected a number from 1 to "
                f"{len(words) - 1}, found {place!r}"
            )
        before.append(len(stream) + int(place) - 1)
        stream += words
        forms = (right["form"], wrong["form"])
        items.append(Item(KINDS[right["type"]], forms, (right["log_prob"], wrong["log_prob"])))
    return Generated(items, stream, before)


def _rows(file: Path) -> Iterator[tuple[dict, dict]]:
    """The rows of ``best_model.tab`` in pairs, with their last column as ``log_prob``."""
    rows = csv.DictReader(io.StringIO(read_text(file)), delimiter="\t")
    names = rows.fieldnames or [""]
    if missing := {"form", "class", "type", "sent"} - set(names[:-1]):
        raise TaskDataError(f"{file}: expected columns {', '.join(sorted(missing))}, found none")
    right = None
    for number, row in enumerate(rows, start=1):
        place, verdict = f"{file}, row {number}", "wrong" if right else "correct"
        if None in row or None in row.values():
            raise TaskDataError(f"{place}: expected {len(names)} columns, found more or fewer")
        if row["class"] != verdict or row["type"] not in KINDS:
            raise TaskDataError(
                f"{place}: expected class {verdict} and type {' or '.join(KINDS)}, "
                f"found {row['class']!r} and {row['type']!r}"
            )
        try:
            row["log_prob"] = float(row[names[-1]])
        except ValueError as fault:
            raise TaskDataError(f"{place}: expected a number at its end ({fault})") from fault
        _finite([row["log_prob"]], place)
        if right:
            yield right, row
        right = None if right else row
    if right:
        raise TaskDataError(f"{place}: expected a row for the wrong form after it, found none")
