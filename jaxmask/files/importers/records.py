"""The rows of a data file in any notation: JSON, JSON lines, a table, plain lines, a pickle."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxmask.files.importers.pickles import read_pickle
from jaxmask.tasks.minimal_pairs import Note
from jaxmask.text.examples import TaskDataError
from jaxmask.text.spreadsheet import CellError, cells, column_name, separator_of
from jaxmask.text.text_files import as_text, is_pickle, read_content

NO_OBJECT = "lines that aren't an object in JSON"
NO_CELLS = "lines that can't be divided into cells"


class Records(NamedTuple):
    """What a file holds.

    Attributes:
        source: name of the file, without its extension.
        kind: ``objects`` of JSON, ``cells`` of a table or plain lines, or one JSON ``document``.
        rows: each with its line, or its number in a list, from 1: dictionaries, lists of cells, or
            the document.
        left_out: lines that can't be read, with the reason.

    Example:
        See `read_records`.
    """

    source: str
    kind: Literal["objects", "cells", "document"]
    rows: list[tuple[int, Any]]
    left_out: list[Note]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields of the first object, or the cells of the first line."""
        if self.kind == "document" or not self.rows:
            return ()
        return tuple(_name(name) for name in self.rows[0][1])

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each row as a dictionary; the first line of a table names its columns.

        Names are in lower case.
        """
        if self.kind == "objects":
            for line, fields in self.rows:
                yield line, {_name(name): value for name, value in fields.items()}
        elif self.kind == "cells":
            names = self.names
            for line, row in self.rows[1:]:
                yield line, dict(zip(names, row, strict=False))


def read_records(file: Path) -> Records:
    r"""Reads a file of rows.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, is empty, begins like JSON and isn't, or
            is a pickle of anything but lists of sentences.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "pairs.jsonl"
        ...     written = file.write_text('{"good": "a b"}\n{"good": "c d"}\n')
        ...     records = read_records(file)
        >>> records.kind, records.names, records.rows[1]
        ('objects', ('good',), (2, {'good': 'c d'}))
    """
    content = read_content(file)
    if is_pickle(content):
        return Records(file.stem, "objects", *read_pickle(content, file))
    text = as_text(content, file)
    if not text.strip():
        raise TaskDataError(f"{file}: expected minimal pairs, found an empty file")
    if text.lstrip()[0] in "{[":
        return _json(text, file)
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    while lines[0][1].startswith("#") and lines[1:]:
        lines = lines[1:]
    separator = separator_of(lines[0][1])
    if any("\t" in line for _, line in lines[:2]):
        separator = "\t"
    rows, left_out = [], []
    for number, line in lines:
        try:
            rows.append((number, cells(line, separator)))
        except CellError:
            left_out.append(Note(number, NO_CELLS))
    return Records(file.stem, "cells", rows, left_out)


def _name(name: object) -> str:
    """The name of a field, or a cell, as formats know it."""
    return column_name(str(name)).casefold()


def _json(text: str, file: Path) -> Records:
    """Objects, one in each line or in a list, or one document."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    first = _parsed(lines[0][1])
    if isinstance(first, dict) and len(lines) > 1:
        rows: list[tuple[int, Any]] = []
        left_out = []
        for number, line in lines:
            value = _parsed(line)
            if isinstance(value, dict):
                rows.append((number, value))
            else:
                left_out.append(Note(number, NO_OBJECT))
        return Records(file.stem, "objects", rows, left_out)
    document = _parsed(text)
    if isinstance(document, list):
        rows = [(n, value) for n, value in enumerate(document, 1) if isinstance(value, dict)]
        others = [n for n, value in enumerate(document, 1) if not isinstance(value, dict)]
        return Records(file.stem, "objects", rows, [Note(n, NO_OBJECT) for n in others])
    if not isinstance(document, dict):
        raise TaskDataError(f"{file}: expected objects in JSON, found text that isn't JSON")
    if any(isinstance(value, dict | list) for value in document.values()):
        return Records(file.stem, "document", [(1, document)], [])
    return Records(file.stem, "objects", [(1, document)], [])


def _parsed(text: str) -> Any:
    """A value in JSON; None if the text isn't JSON, or is nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
