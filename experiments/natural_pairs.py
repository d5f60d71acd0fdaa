"""Makes minimal pairs of subject-verb agreement out of sentences that nobody made up.

python -m experiments.natural_pairs CORPUS/train.txt.xz natural.tsv

python -m experiments.evaluate RUN/interventions/seed_0.json --data natural.tsv

The first command looks for verbs whose subject has an attractor ("The keys to the cabinet are") by
a surface rule, with nouns that are found in the text itself. The second one tries a set of units
that was found before on these pairs.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro

from experiments.shared.console import console, print_table
from experiments.shared.option_types import NewFile, OptionError, TextFile
from experiments.shared.script import run_script
from experiments.shared.text import sentences
from jaxmask.files.importers import pairs
from jaxmask.files.run_folder import write_text
from jaxmask.report.cells import Table
from jaxmask.tasks import natural_agreement
from jaxmask.text.examples import Task


@dataclasses.dataclass(frozen=True)
class NaturalOptions:
    """Options of this script."""

    file: Annotated[TextFile, tyro.conf.Positional]
    """Text, a sentence a line, words and punctuation separated by spaces; plain or .xz."""
    pairs: Annotated[NewFile, tyro.conf.Positional]
    """File to write, with columns separated by tabs."""


def work(options: NaturalOptions) -> Task:
    """Reads the text twice, writes the pairs, and counts them.

    Raises:
        OptionError: the text has no such sentence.
    """
    found = natural_agreement.find_nouns(read(options.file))
    nouns = natural_agreement.both_forms([*found, *natural_agreement.IRREGULAR])
    task = natural_agreement.find_pairs(read(options.file), nouns, name=options.pairs.stem)
    if not task.stimuli:
        raise OptionError(
            f"{options.file}: expected sentences with a verb whose subject has an attractor, found "
            f"none ({len(found)} nouns of which both forms are frequent)"
        )
    write_text(options.pairs, pairs.write(task))
    print_table(table(task))
    for line in (
        f"{len(found)} nouns were found by the determiners before them",
        *(f"left out: {count} {what}" for what, count in task.left_out),
        f"written to {options.pairs}",
    ):
        console().print(line, markup=False, soft_wrap=True)
    return task


def read(file: Path) -> Iterator[list[str]]:
    """The words of each sentence, without its end."""
    return (words[:-1] for words in sentences([file]))


def table(task: Task) -> Table:
    """How many pairs there are of each verb."""
    groups = Counter(one.group for one in task.stimuli)
    rows = tuple((name, str(count)) for name, count in sorted(groups.items()))
    note = f"{len(task.stimuli)} pairs. Number: of the attractor, beside that of the subject."
    return Table("Pairs out of the text", ("Verb, attractor", "Pairs"), rows, note)


def main() -> None:
    """Reads the options and the text, writes, reports."""
    run_script(NaturalOptions, "natural_pairs", __doc__, work)


if __name__ == "__main__":
    main()
