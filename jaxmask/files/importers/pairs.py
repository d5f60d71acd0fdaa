"""From a file in any known format to a task, with an account of what was guessed and left out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmask.files.importers import directions, positions
from jaxmask.files.importers.contrasts import Contrast, Spelling
from jaxmask.files.importers.directions import Directions
from jaxmask.files.importers.formats import FORMATS, Format
from jaxmask.files.importers.positions import Position
from jaxmask.files.importers.records import Records, read_records
from jaxmask.tasks import minimal_pairs
from jaxmask.tasks.minimal_pairs import LONG, LONGEST_GROUP, REPEATED, REQUIRED, Note
from jaxmask.text.examples import LONGEST, Stimulus, Task, TaskDataError
from jaxmask.text.spreadsheet import as_cell
from jaxmask.text.vocabulary import shown

OWN = "pairs"  # the format of `jaxmask.tasks.minimal_pairs`
NAMES = (OWN, *(one.name for one in FORMATS))

PLAIN = Spelling()

CONTRADICTORY = "pairs whose right form isn't always the same after the same words"
UNDIVIDED = "pairs whose two forms don't belong to different directions"


class NoPairsError(TaskDataError):
    """No row of a file gives a pair.

    Attributes:
        left_out: all rows, each with the reason.

    Example:
        >>> NoPairsError("a.tsv: expected pairs, found none", [Note(1, LONG)]).left_out[0].line
        1
    """

    def __init__(self, message: str, left_out: Sequence[Note]) -> None:
        super().__init__(message)
        self.left_out = tuple(left_out)


class Imported(NamedTuple):
    """What was made of a file.

    Attributes:
        format: the name of its format.
        task: the pairs.
        left_out: the rows that give no pair, with the reason.
        guesses: what was assumed or guessed, and how, in lines of text.

    Example:
        See `read`.
    """

    format: str
    task: Task
    left_out: tuple[Note, ...]
    guesses: tuple[str, ...]


def read(file: str | Path, name: str | None = None, spelling: Spelling = PLAIN) -> Imported:
    """Reads a file of minimal pairs in a format of other people.

    Args:
        file: to read.
        name: of the format, one of `NAMES`; if not given, the content of the file decides.
        spelling: how text becomes words.

    Raises:
        TaskDataError: the file can't be read, or its format isn't known.
        NoPairsError: no row of the file gives a pair.

    Example:
        >>> import tempfile
        >>> sentences = "True the author laughs", "False the author laugh"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "simple.txt"
        ...     lines = [line.replace(" ", chr(9), 1) for line in sentences]
        ...     written = file.write_text(chr(10).join(lines))
        ...     imported = read(file)
        >>> imported.format, imported.task.directions, imported.task.stimuli[0].pair
        ('clams', ('singular', 'plural'), ('laughs', 'laugh'))
    """
    file = Path(file)
    records = read_records(file)
    if name == OWN or (name is None and {*REQUIRED} <= {*records.names}):
        return _own(file, spelling)
    chosen = _format(records, name, file)
    notes = list(records.left_out)
    contrasts: list[Contrast] = []
    for found in chosen.read(records, spelling):
        if isinstance(found, Note):
            notes.append(found)
        elif len(found.words) > LONGEST:
            notes.append(Note(found.line, LONG))
        else:
            contrasts.append(found)
    contrasts = _distinct(contrasts, notes)
    if not contrasts:
        raise NoPairsError(f"{file}: {_no_pairs(chosen, notes)}", sorted(notes))
    if chosen.directions is None:
        sides = directions.guess(contrasts)
    else:
        sides = directions.given(contrasts, chosen.directions)
    contrasts = _divided(contrasts, sides, notes)
    classes = [_class_of(one, sides) for one in contrasts]
    parts = [sides.part.get(one.pair[0], 0) for one in contrasts]
    places = positions.guess(contrasts, classes, parts)
    task = Task(
        file.stem,
        sides.names,
        [_stimulus(*of) for of in zip(contrasts, classes, places, strict=True)],
        [one.line for one in contrasts],
        tuple(Counter(note.text for note in sorted(notes)).items()),
    )
    assumed = (chosen.assumed,) if chosen.assumed else ()
    guesses = assumed + _untied(parts) + _guesses(task, sides, contrasts, places)
    return Imported(chosen.name, task, tuple(sorted(notes)), guesses)


def write(task: Task) -> str:
    r"""A task as the text of a file that `jaxmask.tasks.minimal_pairs` reads.

    Example:
        >>> stimulus = Stimulus(("The", "boys"), 1, ("greets", "greet"), 1, "simple")
        >>> write(Task("t", ("singular", "plural"), [stimulus])).splitlines()[1].split("\t")
        ['The boys', '2', 'greets', 'greet', 'simple', 'plural']
    """
    optional = ["group", "right"]
    if any(one.counterfactual for one in task.stimuli):
        optional.append("counterfactual")
    rows: list[tuple[str, ...]] = [(*REQUIRED, *task.directions, *optional)]
    for one in task.stimuli:
        right = "" if one.correct < 0 else task.directions[one.correct]
        sentence, place = " ".join(one.words), str(one.position + 1)
        paired = next((words for words in one.counterfactual if words != one.words), ())
        cells = sentence, place, *one.pair, one.group, right, " ".join(paired)
        rows.append(cells[: len(rows[0])])
    return "".join("\t".join(map(as_cell, row)) + "\n" for row in rows)


def _format(records: Records, name: str | None, file: Path) -> Format:
    """The format of a file: the one that is named, or else the first that recognises it."""
    for one in FORMATS:
        if records.kind in one.kinds and records.rows:
            if one.name == name or (name is None and one.matches(records)):
                return one
        elif one.name == name:
            raise TaskDataError(f"{file}: expected the format {name} ({one.about}), found another")
    first = records.rows[0][1] if records.rows else ()
    what = "a first line" if records.kind == "cells" else "the fields"
    raise TaskDataError(
        f"{file}: expected one of the formats {', '.join(NAMES)}; found {what} "
        f"'{shown(', '.join(map(str, first)))}' (a table with a right and a wrong sentence in each "
        "row is read if these columns are called good and bad)"
    )


def _no_pairs(chosen: Format, notes: Sequence[Note]) -> str:
    """The message for a file without pairs."""
    counts = Counter(note.text for note in notes).most_common(3)
    left_out = "; ".join(f"{what}: {count}" for what, count in counts)
    return f"expected pairs in the format {chosen.name}, found none" + (
        f" (left out: {left_out})" if left_out else ""
    )


def _own(file: Path, spelling: Spelling) -> Imported:
    """A file of this project, in another spelling."""
    minimal_pairs.read(file)  # its errors are those of a search
    found = minimal_pairs.examine(file)
    stimuli = []
    for one in found.task.stimuli:
        before = spelling.words(" ".join(one.words[: one.position + 1]))
        pair = tuple(
            " ".join(spelling.form(form) or (form,)) if spelling.case == "lower" else form
            for form in one.pair
        )
        words = spelling.words(" ".join(one.words))
        paired = [spelling.words(" ".join(paired)) for paired in one.counterfactual]
        stimuli.append(
            one._replace(
                words=words,
                position=len(before) - 1,
                pair=(pair[0], pair[1]),
                counterfactual=tuple(p for p in paired if len(p) == len(words)),
            )
        )
    return Imported(OWN, found.task._replace(stimuli=stimuli), found.left_out, ())


def _distinct(contrasts: Iterable[Contrast], notes: list[Note]) -> list[Contrast]:
    """The first of each pair after the same words, and none of pairs that contradict themselves."""
    alike: dict[tuple, list[Contrast]] = defaultdict(list)
    for one in contrasts:
        alike[one.words, frozenset(one.pair)].append(one)
    kept = []
    for same in alike.values():
        first, *others = same
        if len({one.pair[0] for one in same if one.right}) > 1:
            notes += [Note(one.line, CONTRADICTORY) for one in same]
        else:
            kept.append(first)
            notes += [Note(one.line, REPEATED) for one in others]
    return kept


def _class_of(one: Contrast, sides: Directions) -> int:
    """The direction of the first form of a contrast."""
    return int(one.pair[0] != one.first) if one.first else sides.side[one.pair[0]]


def _divided(contrasts: Sequence[Contrast], sides: Directions, notes: list[Note]) -> list[Contrast]:
    """The contrasts whose forms belong to different directions."""
    kept = []
    for one in contrasts:
        if one.first or {sides.side.get(form) for form in one.pair} == {0, 1}:
            kept.append(one)
        else:
            notes.append(Note(one.line, UNDIVIDED))
    return kept


def _stimulus(one: Contrast, c: int, place: Position) -> Stimulus:
    """A contrast as a stimulus, its forms in the order of the directions."""
    pair = one.pair if c == 0 else (one.pair[1], one.pair[0])
    group = "".join(c for c in " ".join(one.group.split()) if c.isprintable())
    correct = c if one.right else -1
    paired = (place.paired, place.paired) if place.paired else ()
    return Stimulus(one.words, place.at, pair, correct, group[:LONGEST_GROUP] or "all", paired)


def _untied(parts: Sequence[int]) -> tuple[str, ...]:
    """Says of how many pairs nothing ties the direction to that of most others."""
    (_, most), *_ = Counter(parts).most_common(1)
    others = len(parts) - most
    if not others:
        return ()
    return (
        f"{others} of {len(parts)} pairs have forms that no pair ties to those of the others: "
        "which of them belongs to which direction is a guess",
    )


def _guesses(
    task: Task, sides: Directions, contrasts: Sequence[Contrast], places: Sequence[Position]
) -> tuple[str, ...]:
    """What was guessed, with examples."""
    lines = [f"directions: {sides.guess}"]
    for number, name in enumerate(sides.names):
        common = Counter(s.pair[number] for s in task.stimuli).most_common(4)
        lines.append(f"  {name}: {', '.join(shown(form, 20) for form, _ in common)}")
    for how, count in Counter(place.how for place in places).most_common():
        row = next(row for row, place in enumerate(places) if place.how == how)
        one, index = contrasts[row], places[row].at
        sentence = " ".join((*one.words[:index], f"[{one.words[index]}]", *one.words[index + 1 :]))
        lines.append(f"position: {how}: {count} of {len(places)}, as in: {shown(sentence)}")
    return tuple(lines)
