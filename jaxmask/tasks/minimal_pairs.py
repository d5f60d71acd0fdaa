"""A phenomenon of your own: minimal pairs from one file with columns separated by tabs.

    # Relative pronouns: people are "who", things are "which".
    sentence        position  person  thing  group    right
    The doctor      2         who     which  subject  person
    It was the box  4         who     which  cleft    thing

The file is UTF-8. Lines that begin with ``#`` and lines that contain only white space are skipped.
The first other line is the header. It names the columns: ``sentence``, ``position``, and the two
directions, whose names you choose; then, optionally, ``group``, ``right`` and ``counterfactual`` in
any order. Each of the following lines is one pair:

- the sentence before the target word, with words separated by spaces;
- the position, counted from 1, of the word at which a single-step intervention acts;
- the two word forms that compete for the place of the target word, in the order of the directions;
- ``group``: the name of the construction, for tables and figures; without this column all pairs
  belong to one group;
- ``right``: the direction whose form grammar requires; empty if neither form is right;
- ``counterfactual``: a sentence of as many words that asks for the other form, with the word at the
  position exchanged; states are taken from it for comparison. Empty if there is none.

A table as pandas and Excel write it is read too: cells separated by commas or semicolons, cells in
quotation marks, positions such as 2.0, capitals in the header, a first column of row numbers, and
empty cells at the end of a line.

Some lines give no pair and are counted: a pair that an earlier line has already, a sentence of more
than `LONGEST` words, and a line that begins with ``#`` but has as many cells as the header.
"""

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from sys import intern
from typing import NamedTuple

from jaxmask.tasks.phenomenon import Phenomenon
from jaxmask.text.examples import LONGEST, Stimulus, Task, TaskDataError
from jaxmask.text.spreadsheet import (
    INDEX_NAMES,
    SEPARATORS,
    CellError,
    cells,
    column_name,
    separator_of,
    without_extra_cells,
)
from jaxmask.text.text_files import read_text
from jaxmask.text.vocabulary import shown

NAME = "minimal_pairs"
REQUIRED = ("sentence", "position")
OPTIONAL = ("group", "right", "counterfactual")
# names that the summary of a run uses
RESERVED = ("unit", "layer", "column", "state", "prevalence")
LONGEST_NAME = 20  # characters of the name of a direction, because tables have a column for each
LONGEST_GROUP = 60  # characters of the name of a group, because figures are files with that name
MOST_FAULTS = 1000  # a file with more is read no further
SHOWN_FAULTS = 5  # faults in one error message

# Why a line gives no pair.
REPEATED = "pairs that repeat an earlier pair"
LONG = f"pairs with more than {LONGEST} words"
COMMENT = "pairs in lines that begin with #"

_NUMBERS = {str(number): number for number in range(1, LONGEST + 1)}
_EXAMPLE = "sentence, position, singular, plural"


class Note(NamedTuple):
    """What is said of one line of a file.

    Attributes:
        line: its number, from 1.
        text: what is said of it.
    """

    line: int
    text: str


class PairsFile(NamedTuple):
    """All that was found in a file of minimal pairs.

    Attributes:
        task: the pairs of the lines without a fault.
        left_out: the lines that give no pair although they have no fault, with the reason.
        faults: the lines that can't be read, with what was expected and what was found; at most
            `MOST_FAULTS`.

    Example:
        See `examine`.
    """

    task: Task
    left_out: tuple[Note, ...]
    faults: tuple[Note, ...]


class _Header(NamedTuple):
    """How the lines below a header are read.

    Attributes:
        separator: of the cells.
        skipped: number of cells before the sentence.
        columns: their names.
    """

    separator: str
    skipped: int
    columns: tuple[str, ...]

    @property
    def directions(self) -> tuple[str, str]:
        return self.columns[2], self.columns[3]


def read(file: str | Path) -> Task:
    """Reads a file of minimal pairs; the task gets the name of the file, without its extension.

    Args:
        file: in the format that is described above.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, or has no header or no pairs; or lines have
            faults (the message has the first ones, and the number of the others).

    Example:
        >>> import tempfile
        >>> rows = [("sentence", "position", "person", "thing"), ("The box", "2", "who", "which")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "animacy.tsv"
        ...     written = file.write_text("".join(chr(9).join(row) + chr(10) for row in rows))
        ...     task = read(file)
        >>> task.name, task.directions, task.stimuli[0].words, task.stimuli[0].position
        ('animacy', ('person', 'thing'), ('The', 'box'), 1)
    """
    found = examine(file)
    if found.faults:
        raise TaskDataError(f"{file}, {some_faults(found.faults)}")
    if not found.task.stimuli:
        left_out = "; ".join(f"left out: {count} {what}" for what, count in found.task.left_out)
        raise TaskDataError(
            f"{file}: expected one pair in each line below the header, found none"
            + (f" ({left_out})" if left_out else "")
        )
    return found.task


def examine(file: str | Path) -> PairsFile:
    """Reads a file of minimal pairs to its end, with all lines that have faults.

    Args:
        file: see `read`.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, or has no header.

    Example:
        >>> import tempfile
        >>> lines = "sentence,position,person,thing", "The box,2,who,which", "The box,9,who,which"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "animacy.csv"
        ...     written = file.write_text(chr(10).join(lines))
        ...     found = examine(file)
        >>> len(found.task.stimuli), found.faults[0].line
        (1, 3)
    """
    file = Path(file)
    lines = _lines(read_text(file))
    place, first = next(lines, (0, ""))
    while place and first.startswith("#"):
        place, first = next(lines, (0, ""))
    if not place:
        raise TaskDataError(
            f"{file}: expected a header and then one pair in each line, found neither; the header "
            f"names the columns, separated by tabs: {_EXAMPLE}"
        )
    header = _header(first, f"{file}, line {place}")
    earlier: dict[tuple, tuple[int, Stimulus]] = {}  # the line of each pair, and the pair
    left_out: list[Note] = []
    faults: list[Note] = []
    for number, line in lines:
        try:
            reason = _take(line, number, header, earlier)
        except (TaskDataError, CellError) as fault:
            faults.append(Note(number, str(fault)))
            if len(faults) == MOST_FAULTS:
                break
        else:
            if reason:
                left_out.append(Note(number, reason))
    counts = Counter(note.text for note in left_out)
    task = Task(
        file.stem,
        header.directions,
        [stimulus for _, stimulus in earlier.values()],
        [line for line, _ in earlier.values()],
        tuple((reason, counts[reason]) for reason in (REPEATED, LONG, COMMENT) if counts[reason]),
    )
    return PairsFile(task, tuple(left_out), tuple(faults))


def some_faults(faults: tuple[Note, ...]) -> str:
    """The first faults of a file as one text, with the number of the others.

    Example:
        >>> some_faults((Note(2, "expected a word, found none"),))
        'line 2: expected a word, found none'
    """
    listed = [f"line {note.line}: {note.text}" for note in faults[:SHOWN_FAULTS]]
    others = len(faults) - len(listed)
    if others:
        least = "at least " if len(faults) == MOST_FAULTS else ""
        listed.append(
            f"and {least}{others} more line{'s' * (others > 1)} with faults (python -m "
            "jaxmask check has --left-out, which lists all of them)"
        )
    return "; ".join(listed)


def _take(
    line: str, number: int, header: _Header, earlier: dict[tuple, tuple[int, Stimulus]]
) -> str:
    """Adds the pair of a line to the earlier ones; returns why not, if the line is left out."""
    if line.startswith("#") and line.count(header.separator) < len(header.columns) - 1:
        return ""
    row = without_extra_cells(cells(line, header.separator), header.skipped + len(header.columns))
    row = row[header.skipped :]
    if line.startswith("#"):
        return COMMENT
    if len(row) == len(header.columns) and len(row[0].split()) > LONGEST:
        return LONG
    stimulus = _stimulus(row, header, line)
    identity = (stimulus.words, stimulus.position, min(stimulus.pair), max(stimulus.pair))
    place, first = earlier.setdefault(identity, (number, stimulus))
    if first is stimulus:
        return ""
    if first.pair != stimulus.pair:
        raise TaskDataError(
            f"expected '{shown(first.pair[0])}' as the {header.columns[2]} form, as in line "
            f"{place}, which has the same pair, found '{shown(stimulus.pair[0])}'"
        )
    if -1 not in (first.correct, stimulus.correct) and first.correct != stimulus.correct:
        raise TaskDataError(
            f"expected {header.directions[first.correct]} as right, as in line {place}, which has "
            f"the same pair, found {header.directions[stimulus.correct]}"
        )
    return REPEATED


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that aren't empty, with their numbers, from 1."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _header(line: str, place: str) -> _Header:
    """The columns of a file, from its first line."""
    separator = separator_of(line)
    try:
        names = [column_name(cell) for cell in cells(line, separator)]
    except CellError as fault:
        raise TaskDataError(f"{place}: {fault}") from fault
    known = {*REQUIRED, *OPTIONAL}
    names = [name.casefold() if name.casefold() in known else name for name in names]
    skipped = int(names[0].casefold() in INDEX_NAMES)
    columns = tuple(without_extra_cells(names[skipped:], 4))
    if columns[:2] != REQUIRED or len(columns) < 4:
        hint = "jaxmask import reads other formats"
        if line.split()[:2] == list(REQUIRED):
            hint = "its names are separated by spaces, which separate the words of a sentence"
        raise TaskDataError(
            f"{place}: expected a header with sentence, position and the names of two directions, "
            f"in this order, separated by tabs, such as {_EXAMPLE}; found "
            f"{len(columns)} column{'s' * (len(columns) > 1)} in '{shown(line)}' ({hint})"
        )
    _check_columns(columns, place)
    return _Header(separator, skipped, columns)


def _check_columns(columns: tuple[str, ...], place: str) -> None:
    """Checks the names of the directions and of the optional columns."""
    for name in columns[2:4]:
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise TaskDataError(
                f"{place}: expected directions with names of 1 to {LONGEST_NAME} characters, "
                f"found '{shown(name)}'"
            )
        if name in (*REQUIRED, *OPTIONAL, *RESERVED):
            raise TaskDataError(
                f"{place}: expected the names of two directions after position, found '{name}', "
                "which has another meaning"
            )
    for name in columns[4:]:
        if name not in OPTIONAL:
            near = get_close_matches(name.lower()[:LONGEST_NAME], OPTIONAL, 1)
            raise TaskDataError(
                f"{place}: expected no columns beyond {', '.join(OPTIONAL)}, found "
                f"'{shown(name)}'" + (f": did you mean {near[0]}?" if near else "")
            )
    for name in columns:
        if columns.count(name) > 1:
            raise TaskDataError(f"{place}: expected each column once, found '{shown(name)}' twice")


def _stimulus(row: list[str], header: _Header, line: str) -> Stimulus:
    """The pair of one line, from its cells."""
    columns, directions = header.columns, header.directions
    if len(row) != len(columns):
        raise TaskDataError(
            f"expected {len(columns)} columns ({', '.join(columns)}), separated by "
            f"{SEPARATORS[header.separator]}, found {len(row)} in '{shown(line)}'"
        )
    sentence, position, first, second, *more = row
    words = tuple(map(intern, sentence.split()))  # equal words share one object, to save memory
    if not words:
        raise TaskDataError(f"expected 1 to {LONGEST} words, found 0 in '{shown(sentence)}'")
    pair = intern(first), intern(second)
    for name, form in zip(directions, pair, strict=True):
        if len(form.split()) != 1:
            raise TaskDataError(f"expected one word as the {name} form, found '{shown(form)}'")
    if pair[0] == pair[1]:
        raise TaskDataError(f"expected two different forms, found '{shown(pair[0])}' twice")
    rest = dict(zip(columns[4:], more, strict=True))
    group = intern(rest.get("group") or "all")
    if len(group) > LONGEST_GROUP or not group.isprintable():
        raise TaskDataError(
            f"expected the name of a group, of at most {LONGEST_GROUP} characters, found "
            f"'{shown(group)}'"
        )
    return Stimulus(
        words,
        _position(position, words) - 1,
        pair,
        _right(rest.get("right", ""), directions, pair),
        group,
        _counterfactual(rest.get("counterfactual", ""), words),
    )


def _counterfactual(cell: str, words: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The paired sentence, for both directions alike; empty if there is none."""
    paired = tuple(map(intern, cell.split()))
    if not paired:
        return ()
    if len(paired) != len(words):
        raise TaskDataError(
            f"expected {len(words)} words as counterfactual, as many as the sentence has, found "
            f"{len(paired)} in '{shown(cell)}'"
        )
    return paired, paired


def _position(cell: str, words: tuple[str, ...]) -> int:
    """The number, from 1, of the word at which a single-step intervention acts."""
    number, _, decimals = cell.replace(",", ".").partition(".")  # 2.0, and 2,0 of other countries
    position = 0 if decimals.strip("0") else _NUMBERS.get(number, 0)
    if not 1 <= position <= len(words):
        near = [str(number) for number, word in enumerate(words, start=1) if word == cell]
        raise TaskDataError(
            f"expected the number of a word, from 1 ('{shown(words[0])}') to "
            f"{len(words)} ('{shown(words[-1])}'), as the position, found '{shown(cell)}'"
            + (f": did you mean {' or '.join(near[:3])}?" if near else "")
        )
    return position


def _right(cell: str, directions: tuple[str, str], pair: tuple[str, str]) -> int:
    """The index of the right form; -1 if neither form is right."""
    if not cell:
        return -1
    name = column_name(cell)
    alike = [direction for direction in directions if direction.casefold() == name.casefold()]
    if name in directions or len(alike) == 1:
        return directions.index(name if name in directions else alike[0])
    likely = dict(zip(pair, directions, strict=True)).get(cell)
    raise TaskDataError(
        f"expected {directions[0]}, {directions[1]} or nothing as right, found "
        f"'{shown(cell)}'" + (f": did you mean {likely}?" if likely else "")
    )


PHENOMENON = Phenomenon(read=read)
