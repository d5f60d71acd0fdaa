"""Pickles of sentences, such as the templates of Marvin and Linzen, read as plain data.

A pickle is a program that can import and call. Here only one is read that does neither: all of its
instructions make numbers, text, lists, tuples and dictionaries.
"""

import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxmask.tasks.minimal_pairs import Note
from jaxmask.text.examples import TaskDataError
from jaxmask.text.vocabulary import shown

NOT_SENTENCES = "entries that aren't a right sentence and wrong ones"
_CONTAINERS = (list, tuple)
_HARMLESS = frozenset(
    [
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"),
        *("GET", "BINGET", "LONG_BINGET", "DICT", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("LIST", "EMPTY_LIST", "APPEND", "APPENDS", "NONE", "NEWTRUE", "NEWFALSE"),
        *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "STRING", "BINSTRING"),
        *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("INT", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    ]
)


def read_pickle(content: bytes, file: Path) -> tuple[list[tuple[int, Any]], list[Note]]:
    """The rows of a pickle: a right and a wrong sentence each, and the name of their list.

    The pickle holds lists of tuples, each a right sentence followed by wrong ones; the lists are
    the values of a dictionary, whose keys name the constructions, or there is one list only.

    Args:
        content: of the file.
        file: named in messages.

    Returns:
        Rows, numbered from 1, as `jaxmask.files.importers.records.Records` holds objects, and the
        entries that are left out.

    Raises:
        TaskDataError: the pickle imports or calls something, is ill-formed, or holds something
            else.

    Example:
        >>> content = pickle.dumps({"simple": [("the boy runs", "the boy run")]}, 0)
        >>> read_pickle(content, Path("simple.pickle"))[0]
        [(1, {'good': 'the boy runs', 'bad': 'the boy run', 'case': 'simple'})]
    """
    _check_harmless(content, file)
    try:
        value = pickle.loads(content, encoding="utf-8")
    except Exception as fault:
        raise TaskDataError(f"{file}: expected a pickle, found one that is broken") from fault
    lists = value if isinstance(value, dict) else {file.stem: value}
    for name, entries in lists.items():
        if not isinstance(name, str) or not isinstance(entries, _CONTAINERS):
            raise TaskDataError(
                f"{file}: expected a dictionary of lists of sentences, found other types in it"
            )
    rows: list[tuple[int, Any]] = []
    left_out = []
    read = 0
    for number, (name, entry) in enumerate(_entries(lists), 1):
        read += len(entry) if isinstance(entry, _CONTAINERS) else 1
        if read > len(content):  # the same list again and again
            raise TaskDataError(f"{file}: expected as many sentences as fit into it, found more")
        if _is_sentences(entry):
            good, *bad = entry
            rows += [(number, {"good": good, "bad": one, "case": name}) for one in bad]
        else:
            left_out.append(Note(number, NOT_SENTENCES))
    return rows, left_out


def _check_harmless(content: bytes, file: Path) -> None:
    """Checks that each instruction of a pickle makes plain data."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _HARMLESS:
                raise TaskDataError(
                    f"{file}: expected a pickle of dictionaries, lists and text only, found the "
                    f"instruction {opcode.name} {shown(str(argument))!r}, which could run code: "
                    "write the sentences to a table with the columns good and bad"
                )
            if "PUT" in opcode.name and int(argument or 0) > len(content):  # would fill the memory
                raise TaskDataError(f"{file}: expected a pickle, found one that is broken")
    except TaskDataError:
        raise
    except UnicodeDecodeError as fault:
        raise TaskDataError(
            f"{file}: expected text without accents in a pickle of this kind, found others: write "
            "the sentences to a table with the columns good and bad"
        ) from fault
    except (ValueError, IndexError, OverflowError) as fault:
        raise TaskDataError(f"{file}: expected a pickle, found one that is broken") from fault


def _entries(lists: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, entries in lists.items():
        for entry in entries:
            yield name, entry


def _is_sentences(entry: Any) -> bool:
    return (
        isinstance(entry, _CONTAINERS)
        and len(entry) > 1
        and all(isinstance(sentence, str) for sentence in entry)
    )
