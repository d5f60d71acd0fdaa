"""Figures are drawn once all results are written: one that fails costs a warning, no result."""

import logging
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.shared import hosts
from experiments.shared.console import console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_NAME = 120  # bytes of a group's name in the name of a file


def save_figure(file: Path, make: Callable[[], "Figure | None"]) -> bool:
    """Makes a figure and writes it; a fault becomes a line with the name of the figure.

    Of several processes, only the first one draws.

    Args:
        file: to write.
        make: returns the figure, or None if there is nothing to draw.

    Returns:
        Whether the file was written.
    """
    if not hosts.is_first():
        return False
    try:
        # Without a home folder matplotlib takes another place, and there is nothing to do about it.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        # Imported here: a search starts without waiting for matplotlib.
        from jaxmask.report import figures

        figure = make()
        if figure is not None:
            figures.save(figure, file)
    except Exception as fault:
        reason = " ".join(str(fault).split())[:300] or "no reason given"
        console().print(
            f"warning: the figure {file.name} couldn't be drawn ({type(fault).__name__}: "
            f"{reason}); no result is lost",
            markup=False,
            soft_wrap=True,
        )
        return False
    return figure is not None


def file_names(groups: Sequence[str]) -> dict[str, str]:
    """For each group a part of a file's name, different from those of the other groups.

    Two groups whose names differ only in characters that a file's name can't have, or only in
    capitals, get numbers: some systems don't distinguish them.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for group in sorted(set(groups)):
        plain = re.sub(r"\W+", "_", unicodedata.normalize("NFC", group))
        name = stem = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        names[group] = name
    return names
