"""Checks that no table or figure of README and guide is older than the code that made it.

    python -m experiments.check_docs

docs/measured.toml says of each how it was made, with which commit, and which code decides its
numbers. Without the history of the project, only this file and the pages are compared.
"""

import dataclasses
import sys
from pathlib import Path

from experiments.shared.console import console
from experiments.shared.option_types import DataFolder, OptionError
from experiments.shared.script import run_script
from experiments.studies import measured
from experiments.studies.measured import Entry, ManifestError

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 3  # files of an entry


@dataclasses.dataclass(frozen=True)
class CheckDocsOptions:
    """Options of this script."""

    folder: DataFolder = ROOT
    """The project: a folder with README.md and docs."""


def work(options: CheckDocsOptions) -> None:
    """Prints what is out of date, and ends with status 1 if anything is."""
    root = options.folder
    try:
        entries = measured.read_manifest(root)
        faults = measured.misplaced(root, entries) + measured.unlisted(root, entries)
        known = measured.has_history(root)
        since = {entry: measured.changed(root, entry) for entry in entries} if known else {}
    except ManifestError as fault:
        raise OptionError(f"--folder: {fault}") from fault
    old = [entry for entry in since if since[entry] and not entry.admitted]
    lines = [*faults, *(line for entry in old for line in out_of_date(entry, since[entry]))]
    for line in (*lines, *counts(entries, old, known)):
        console().print(line, soft_wrap=True, markup=False)
    if lines:
        sys.exit(1)


def out_of_date(entry: Entry, files: list[str]) -> list[str]:
    """What is said of an entry whose code has changed."""
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return [
        f"out of date: {entry.name}",
        f"    measured with {entry.commit}, {entry.date}; since then changed: "
        + ", ".join(files[:SHOWN])
        + more,
        f"    again: {entry.command}",
    ]


def counts(entries: list[Entry], old: list[Entry], known: bool) -> list[str]:
    """How many tables and figures there are of each kind."""
    if not known:
        return [
            f"{len(entries)} tables and figures; as there is no history here, only their entries "
            "were checked"
        ]
    admitted = sum(entry.admitted is not None for entry in entries)
    return [
        f"{len(entries)} tables and figures: {len(entries) - admitted - len(old)} up to date, "
        f"{len(old)} out of date, {admitted} of which the page says that they are of earlier code"
    ]


def main() -> None:
    """Reads the options and checks."""
    run_script(CheckDocsOptions, "check_docs", __doc__, work)


if __name__ == "__main__":
    main()
