"""Turns minimal pairs in a format of other people into a file that `jaxmask search` reads.

jaxmask import regular_plural_subject_verb_agreement_1.jsonl pairs.tsv

The content of the file says which format it has: BLiMP, Marvin and Linzen and other tables with a
right and a wrong sentence; CLAMS, Lakretz et al., Zorro, SyntaxGym, Winogender; feature circuits,
indirect objects, greater-than; or a file of this project as pandas or Excel write it. What isn't in
the file (which form belongs to which direction, which word carries the feature) is guessed, and the
guess is shown. What is left out is counted. Next: jaxmask check.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.shared.console import console
from experiments.shared.option_types import NewFile, OptionError, TextFile
from experiments.shared.script import run_script
from jaxmask.files.importers import pairs
from jaxmask.files.importers.contrasts import Spelling
from jaxmask.files.importers.pairs import Imported, NoPairsError
from jaxmask.files.run_folder import write_text
from jaxmask.report import count
from jaxmask.tasks.minimal_pairs import Note

FormatName = Literal[
    "pairs",
    "feature_circuits",
    "sentence_pairs",
    "greater_than",
    "ioi",
    "winogender",
    "syntaxgym",
    "clams",
    "lakretz",
    "zorro",
]


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """Options of this script."""

    file: Annotated[TextFile, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of minimal pairs."""
    pairs: Annotated[NewFile, tyro.conf.Positional, tyro.conf.arg(metavar="PAIRS")]
    """File to write, with columns separated by tabs."""
    format: FormatName | None = None
    """Format of the file; if not given, its content decides."""
    punctuation: Literal["apart", "attached"] = "apart"
    """Commas, full stops and 's as words, as models of words read them, or attached to words, as
    models of subwords read them."""
    case: Literal["keep", "capital", "lower"] = "keep"
    """Keep capitals and small letters, begin each sentence with a capital, or write all in lower
    case."""
    left_out: NewFile | None = None
    """File to write: each line that gives no pair, with the reason, separated by tabs."""


def work(options: ImportOptions) -> Imported:
    """Reads, writes, and says what was guessed and left out."""
    if options.left_out is not None and options.left_out.absolute() == options.pairs.absolute():
        raise OptionError("--left-out: expected another file than that of the pairs")
    spelling = Spelling(options.punctuation, options.case)
    try:
        imported = pairs.read(options.file, options.format, spelling)
    except NoPairsError as fault:
        write_left_out(options.left_out, fault.left_out)
        raise
    write_text(options.pairs, pairs.write(imported.task))
    write_left_out(options.left_out, imported.left_out)
    for line in account(imported):
        console().print(line, markup=False, soft_wrap=True)
    console().print(
        f"written to {options.pairs}; next: jaxmask check --data {options.pairs}",
        markup=False,
        soft_wrap=True,
    )
    return imported


def write_left_out(file: Path | None, left_out: Sequence[Note]) -> None:
    """Writes each line that gives no pair, with the reason, if a file was asked for."""
    if file is not None:
        rows = [("line", "reason"), *((str(note.line), note.text) for note in left_out)]
        write_text(file, "".join("\t".join(row) + "\n" for row in rows))


def account(imported: Imported) -> list[str]:
    """What was read, left out and guessed."""
    task = imported.task
    right = [sum(s.correct == number for s in task.stimuli) for number in (0, 1)]
    known = [f"{name} is right in {n}" for name, n in zip(task.directions, right, strict=True)]
    return [
        f"{task.name}: {count(len(task.stimuli), 'pair')} in the format {imported.format}; "
        + (", ".join(known) if any(right) else "neither form is right"),
        *(f"left out: {what}: {number}" for what, number in task.left_out),
        *imported.guesses,
    ]


def main() -> None:
    """Reads the options and the file, writes, reports."""
    run_script(ImportOptions, "import_pairs", __doc__, work)


if __name__ == "__main__":
    main()
