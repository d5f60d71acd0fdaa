"""Shows progress and tables while a script runs; without a terminal, as plain lines."""

import contextlib
import time
from collections.abc import Callable, Iterator

import jax
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from jaxmask.report import Table

WIDTH = 80
LINES = 10  # largest number of lines of progress if there is no terminal


def console() -> Console:
    """Standard output, at most 80 columns wide, with colours only on a terminal.

    Of several processes, only the first one prints.
    """
    out = Console(highlight=False, quiet=jax.process_index() > 0)
    out.width = min(out.width, WIDTH) if out.is_terminal else WIDTH
    return out


@contextlib.contextmanager
def progress(total: int, description: str, even: bool = True) -> Iterator[Callable[..., None]]:
    """Shows the progress of a loop.

        with progress(steps, "single-step") as advance_to:
            for ...:
                advance_to(step, accuracy="91.5%", units="12.3")

    Args:
        total: number of steps.
        description: a name for the loop.
        even: whether all steps take about the same time, so that the time left can be known. It is
            estimated from the second call on: compilation, before the first one, isn't repeated.

    Yields:
        A function of the number of steps done so far and, as keyword arguments, a few short texts
        to show with it.
    """
    out = console()
    with (_bar if out.is_terminal else _lines)(out, total, description, even) as advance_to:
        yield advance_to


@contextlib.contextmanager
def _bar(out: Console, total: int, description: str, even: bool) -> Iterator[Callable[..., None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shown]}"),
        *([TimeRemainingColumn(compact=True)] if even else []),
    )
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(escape(description), total=total, shown="")
        yield lambda done, **values: bar.update(task, completed=done, shown=_shown(values))


@contextlib.contextmanager
def _lines(out: Console, total: int, description: str, even: bool) -> Iterator[Callable[..., None]]:
    first: tuple[int, float] | None = None
    printed = 0

    def advance_to(done: int, **values: str) -> None:
        nonlocal first, printed
        now = time.perf_counter()
        first = (done, now) if first is None else first
        if done * LINES // total > printed:
            printed = done * LINES // total
            parts = [f"{description}: {done}/{total}", _shown(values)]
            if even and done > first[0]:
                seconds = (now - first[1]) / (done - first[0])  # of a step
                parts.append(f"{seconds * (total - done):.0f} s left")
            out.print("  ".join(filter(None, parts)), markup=False, soft_wrap=True)

    yield advance_to


def _shown(values: dict[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in values.items())


def print_table(table: Table) -> None:
    """Prints a table; numbers are right-aligned, and cells are wrapped to fit into 80 columns."""
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
    for name, cells in zip(table.header, columns, strict=True):
        numeric = any(cell[:1].isdigit() or cell[:1] == "-" for cell in cells)
        side = "right" if numeric else "left"
        grid.add_column(escape(name), justify=side, overflow="fold")
    for row in table.rows:
        grid.add_row(*(escape(cell) for cell in row))
    out = console()
    out.print(table.title, style="bold", markup=False, end="\n\n")
    out.print(grid)
    if table.note:
        out.print("\n" + table.note, markup=False)
    out.print()
