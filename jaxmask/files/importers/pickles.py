"""Pickles of sentences, such as the templates of Marvin and Linzen, read as plain data.

Nothing in them is run, see `jaxmask.files.inert_pickle`.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxmask.files import inert_pickle
from jaxmask.files.inert_pickle import CheckpointError
from jaxmask.tasks.minimal_pairs import Note
from jaxmask.text.examples import TaskDataError

NOT_SENTENCES = "entries that aren't a right sentence and wrong ones"
_CONTAINERS = (list, tuple)
_TABLE = "write the sentences to a table with the columns good and bad"


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
        TaskDataError: the pickle is ill-formed, or holds something else.

    Example:
        >>> import pickle
        >>> content = pickle.dumps({"simple": [("the boy runs", "the boy run")]}, 0)
        >>> read_pickle(content, Path("simple.pickle"))[0]
        [(1, {'good': 'the boy runs', 'bad': 'the boy run', 'case': 'simple'})]
    """
    try:
        value = inert_pickle.read_pickle(io.BytesIO(content), most=len(content))
    except CheckpointError as fault:
        raise TaskDataError(f"{file}: {fault}") from fault
    lists = value if isinstance(value, dict) else {file.stem: value}
    for name, entries in lists.items():
        if not isinstance(name, str) or not isinstance(entries, _CONTAINERS):
            raise TaskDataError(
                f"{file}: expected a dictionary of lists of sentences, found "
                f"{inert_pickle.brief(name)} with {inert_pickle.brief(entries)}: {_TABLE}"
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
    if not rows:
        raise TaskDataError(
            f"{file}: expected tuples of a right sentence and wrong ones, found none: {_TABLE}"
        )
    return rows, left_out


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
