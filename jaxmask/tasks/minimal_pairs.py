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
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from sys import intern

from jaxmask.tasks.phenomenon import Phenomenon
from jaxmask.text.examples import LONGEST, Stimulus, Task, TaskDataError, read_text
from jaxmask.text.vocabulary import shown

NAME = "minimal_pairs"
REQUIRED = ("sentence", "position")
OPTIONAL = ("group", "right", "counterfactual")
# names that the summary of a run uses
RESERVED = ("unit", "layer", "column", "state", "prevalence")
LONGEST_NAME = 20  # characters of the name of a direction, because tables have a column for each
LONGEST_GROUP = 40  # characters of the name of a group, because figures are files with that name

_NUMBERS = {str(number): number for number in range(1, LONGEST + 1)}
_EXAMPLE = "sentence, position, singular, plural"


def read(file: str | Path) -> Task:
    """Reads a file of minimal pairs; the task gets the name of the file, without its extension.

    Args:
        file: in the format that is described above.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, or has no header or no pairs; a line is
            ill-formed; or a pair occurs twice.

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
    file = Path(file)
    lines = _lines(read_text(file))
    place, header = next(lines, (0, ""))
    if not place:
        raise TaskDataError(
            f"{file}: expected a header and then one pair in each line, found neither; the header "
            f"names the columns, separated by tabs: {_EXAMPLE}"
        )
    columns = _columns(header, f"{file}, line {place}")
    stimuli: list[Stimulus] = []
    first: dict[tuple, int] = {}  # the line of each pair
    numbers: list[int] = []
    start = f"{file}, line "
    for number, line in lines:
        stimulus = _stimulus(line, columns, f"{start}{number}")
        identity = (stimulus.words, stimulus.position, min(stimulus.pair), max(stimulus.pair))
        if identity in first:
            raise TaskDataError(
                f"{start}{number}: expected each pair once, found the pair of line "
                f"{first[identity]} again"
            )
        first[identity] = number
        stimuli.append(stimulus)
        numbers.append(number)
    if not stimuli:
        raise TaskDataError(f"{file}: expected one pair in each line below the header, found none")
    return Task(file.stem, (columns[2], columns[3]), stimuli, numbers)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that aren't skipped, with their numbers, from 1."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _columns(header: str, place: str) -> tuple[str, ...]:
    """The names of the columns."""
    columns = tuple(name.strip() for name in header.split("\t"))
    if columns[:2] != REQUIRED or len(columns) < 4:
        raise TaskDataError(
            f"{place}: expected a header with sentence, position and the names of two directions, "
            f"separated by tabs, such as {_EXAMPLE}; found {len(columns)} columns in "
            f"'{shown(header)}'"
        )
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
    return columns


def _stimulus(line: str, columns: tuple[str, ...], place: str) -> Stimulus:
    """The pair of one line."""
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) != len(columns):
        raise TaskDataError(
            f"{place}: expected {len(columns)} columns ({', '.join(columns)}), separated by tabs, "
            f"found {len(cells)} in '{shown(line)}'"
        )
    sentence, position, first, second, *more = cells
    words = tuple(map(intern, sentence.split()))  # equal words share one object, to save memory
    if not 1 <= len(words) <= LONGEST:
        raise TaskDataError(
            f"{place}: expected 1 to {LONGEST} words, found {len(words)} in '{shown(sentence)}'"
        )
    pair = intern(first), intern(second)
    for name, form in zip(columns[2:4], pair, strict=True):
        if len(form.split()) != 1:
            raise TaskDataError(
                f"{place}: expected one word as the {name} form, found '{shown(form)}'"
            )
    if pair[0] == pair[1]:
        raise TaskDataError(
            f"{place}: expected two different forms, found '{shown(pair[0])}' twice"
        )
    rest = dict(zip(columns[4:], more, strict=True))
    group = intern(rest.get("group") or "all")
    if len(group) > LONGEST_GROUP or not group.isprintable():
        raise TaskDataError(
            f"{place}: expected the name of a group, of at most {LONGEST_GROUP} characters, found "
            f"'{shown(group)}'"
        )
    return Stimulus(
        words,
        _position(position, words, place) - 1,
        pair,
        _right(rest.get("right", ""), columns[2:4], pair, place),
        group,
        _counterfactual(rest.get("counterfactual", ""), words, place),
    )


def _counterfactual(cell: str, words: tuple[str, ...], place: str) -> tuple[tuple[str, ...], ...]:
    """The paired sentence, for both directions alike; empty if there is none."""
    paired = tuple(map(intern, cell.split()))
    if not paired:
        return ()
    if len(paired) != len(words):
        raise TaskDataError(
            f"{place}: expected {len(words)} words as counterfactual, as many as the sentence has, "
            f"found {len(paired)} in '{shown(cell)}'"
        )
    return paired, paired


def _position(cell: str, words: tuple[str, ...], place: str) -> int:
    """The number, from 1, of the word at which a single-step intervention acts."""
    position = _NUMBERS.get(cell, 0)
    if not 1 <= position <= len(words):
        near = [number for number, word in enumerate(words, start=1) if word == cell]
        raise TaskDataError(
            f"{place}: expected the number of a word, from 1 ('{shown(words[0])}') to "
            f"{len(words)} ('{shown(words[-1])}'), as the position, found '{shown(cell)}'"
            + (f": did you mean {near[0]}?" if near else "")
        )
    return position


def _right(cell: str, directions: tuple[str, ...], pair: tuple[str, ...], place: str) -> int:
    """The index of the right form; -1 if neither form is right."""
    if not cell:
        return -1
    if cell not in directions:
        likely = dict(zip(pair, directions, strict=True)).get(cell)
        raise TaskDataError(
            f"{place}: expected {directions[0]}, {directions[1]} or nothing as right, found "
            f"'{shown(cell)}'" + (f": did you mean {likely}?" if likely else "")
        )
    return directions.index(cell)


PHENOMENON = Phenomenon(read=read)
