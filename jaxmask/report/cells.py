"""Tables as text: their cells, the way that numbers are written in them, and Markdown.

A mean is followed by the sample standard deviation over runs (divided by n - 1; 0 for a single
run).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np

from jaxmask.report import paper

NO_EXAMPLES = "no examples"


class Table(NamedTuple):
    """A table whose cells are text, so that it can be shown in any medium.

    Attributes:
        title: what the table shows.
        header: the name of each column.
        rows: a tuple of cells for each row, as many as there are columns.
        note: a sentence under the table; may be empty.

    Example:
        >>> table = Table("Units found", ("Unit", "Prevalence"), (("315", "100%"),))
        >>> table.rows[0][1]
        '100%'
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def mean_std(values: Sequence[float | int]) -> dict[str, float | None]:
    """The mean and the sample standard deviation over runs.

    The standard deviation of a single run is 0. Both are None if there are no values.

    Example:
        >>> mean_std([90.0, 92.0, 94.0])
        {'mean': 92.0, 'std': 2.0}
        >>> mean_std([])
        {'mean': None, 'std': None}
    """
    if not values:
        return {"mean": None, "std": None}
    std = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "std": float(std)}


def percent(fraction: SupportsFloat) -> float | None:
    """A fraction in percent.

    NaN, which means that there are no examples, becomes None, which JSON writes as ``null``.

    Example:
        >>> percent(0.25), percent(float("nan"))
        (25.0, None)
    """
    fraction = float(fraction)
    return None if fraction != fraction else 100.0 * fraction


def count(number: int, noun: str) -> str:
    """A number and a noun, in the plural where that is right.

    Args:
        number: of things.
        noun: that takes an -s in the plural.

    Example:
        >>> count(1, "seed"), count(2, "seed"), count(0, "pair")
        ('1 seed', '2 seeds', '0 pairs')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def plus_minus(statistics: Mapping[str, float | None], digits: int) -> str:
    """A mean and its standard deviation as text; empty if there is no mean.

    Args:
        statistics: see `mean_std`.
        digits: after the decimal point.

    Example:
        >>> plus_minus(mean_std([90.0, 92.0, 94.0]), 1)
        '92.0 ± 2.0'
    """
    mean, std = statistics["mean"], statistics["std"]
    return "" if mean is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def paper_pair(pair: paper.Pair, digits: int) -> str:
    """A mean and a standard deviation of the paper as text.

    Args:
        pair: (mean, standard deviation).
        digits: after the decimal point.

    Example:
        >>> paper_pair((5.7, 0.5), 1)
        '5.7 ± 0.5'
    """
    mean, std = pair
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


def mean_only(statistics: Mapping[str, float | None], missing: str = "") -> str:
    """A mean as text, with one digit; ``missing`` if there is no mean.

    Args:
        statistics: see `mean_std`.
        missing: text in place of a mean.

    Example:
        >>> mean_only(mean_std([90.0, 91.0])), mean_only(mean_std([]), missing=NO_EXAMPLES)
        ('90.5', 'no examples')
    """
    return missing if statistics["mean"] is None else f"{statistics['mean']:.1f}"


def shorten(table: Table, most: int = 15, rest: str = "table.md") -> Table:
    """The first ``most`` rows of a table.

    If rows are left out, the note gives their number and names the file with the whole table.

    Args:
        table: to shorten.
        most: number of rows to keep.
        rest: name of the file that has all rows.

    Example:
        >>> table = Table("Units", ("Unit",), (("1",), ("2",), ("3",)))
        >>> shorten(table, most=1)
        Table(title='Units', header=('Unit',), rows=(('1',),), note='... and 2 more: see table.md.')
    """
    left = len(table.rows) - most
    if left <= 0:
        return table
    note = f"... and {left} more: see {rest}."
    return table._replace(rows=table.rows[:most], note=note)


def without_empty(table: Table) -> Table:
    """A table without the columns in which no row has anything.

    Args:
        table: with or without rows; without rows it stays as it is.

    Example:
        >>> without_empty(Table("Time", ("Method", "Paper"), (("greedy", ""),))).header
        ('Method',)
    """
    kept = [n for n in range(len(table.header)) if any(row[n] for row in table.rows)]
    if not table.rows:
        return table
    header, *rows = (tuple(cells[n] for n in kept) for cells in (table.header, *table.rows))
    return table._replace(header=header, rows=tuple(rows))


def to_markdown(table: Table) -> str:
    """The table in Markdown, with columns that are aligned in plain text too.

    Example:
        >>> print(to_markdown(Table("Units", ("Unit", "Prevalence"), (("315", "100%"),))).strip())
        ## Units
        <BLANKLINE>
        | Unit | Prevalence |
        |------|------------|
        | 315  | 100%       |
    """
    grid = [[cell.replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*grid, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in grid
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    note = f"\n{table.note}\n" if table.note else ""
    return f"## {table.title}\n\n" + "\n".join(lines) + "\n" + note
