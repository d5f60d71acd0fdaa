"""How a script is stopped (Ctrl-C), and what it leaves behind, in words."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from experiments.shared.console import console
from jaxmask.report.cells import count

FINISHED = ("summary.json", "methods/*/alpha_*.json")  # a file of these for each run
CHECKPOINT = "checkpoints/*/*"

_folders: list[Path] = []
_opened: list[Path] = []


INTERRUPTED = 128 + signal.SIGINT  # status of a process that Ctrl-C has ended


def begin() -> None:
    """A script begins; it has kept nothing yet. From now on, Ctrl-C is `leave`."""
    _folders.clear()
    _opened.clear()
    signal.signal(signal.SIGINT, leave)


def end() -> None:
    """A script has ended: Ctrl-C raises KeyboardInterrupt again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    """Ends the process at once, and says in a line what is kept.

    Threads that compile can't be stopped, and an exception can be lost in what other packages call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console().show_cursor()
    sys.stdout.flush()
    print(f"stopped; {stop()}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


def opened(file: Path) -> None:
    """A script wrote the settings of a run to a file, which says nothing once nothing is kept."""
    _opened.append(file)


def keeps(folder: Path) -> None:
    """A script keeps runs and checkpoints in a folder, or in the folders below it.

    Of several calls the first one counts: a study begins with its own folder, and then its searches
    name theirs.
    """
    _folders.append(folder)


def stop() -> str:
    """What the script keeps, in words; settings of runs of which nothing is kept are removed.

    Another command may then use the folder with other settings.
    """
    if not _folders:
        return "nothing was kept"
    folder = _folders[0]
    if (folder / "summary.json").exists():
        return f"{folder} keeps a finished run"
    finished = sum(1 for pattern in FINISHED for _ in folder.rglob(pattern))
    there = [count(finished, "finished run")] * (finished > 0)
    there += ["the last checkpoint"] * any(True for _ in folder.rglob(CHECKPOINT))
    if not there:
        for file in _opened:
            file.unlink(missing_ok=True)
        return "nothing was kept, as there was no checkpoint yet (--checkpoint-minutes)"
    return f"{folder} keeps {' and '.join(there)}; the same command goes on from there"
