"""Watches what Python does while a file is read: what is opened, run or imported, time and memory.

Python tells an audit hook of every such act (PEP 578), whatever module it happens in. `watch` notes
all that reading a file has no use for; `attempt` also measures, and `checked` sees that what is
promised of reading (SECURITY.md) was kept.
"""

import contextlib
import gc
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jaxtyping

SECONDS = 1.0  # of processor time, for any file
LONGEST = 1500  # characters of an error
HARMLESS = {"builtins.id", "object.__getattr__"}  # JAX asks for these when it sees a new shape

_noted: list[str] | None = None
_readable: set[str] = set()


def _hook(event: str, args: tuple) -> None:
    if _noted is None or event in HARMLESS:
        return
    # Programs that JAX compiles on the way are shared by all tests, see conftest.
    programs = jax.config.jax_compilation_cache_dir
    if programs and any(str(path).startswith(programs) for path in args):
        return
    if event == "open":
        path, _, flags = args
        read_only = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if read_only and isinstance(path, str | os.PathLike) and os.fspath(path) in _readable:
            return
    _noted.append(f"{event} {args!r}"[:200])


sys.addaudithook(_hook)


@contextlib.contextmanager
def watch(*readable: Path) -> Iterator[list[str]]:
    """Gives the list of what was done beyond opening the files given, for reading."""
    global _noted, _readable
    noted: list[str] = []
    # What checks of shapes do is no act of the function's.
    jaxtyping.config.update("jaxtyping_disable", True)
    _noted, _readable = noted, {str(file) for file in readable}
    try:
        yield noted
    finally:
        _noted = None
        jaxtyping.config.update("jaxtyping_disable", False)


def unwatched(function: Callable) -> Callable:
    """The same function, of which nothing is noted."""

    def quiet(*args: Any) -> Any:
        global _noted
        noted, _noted = _noted, None
        try:
            return function(*args)
        finally:
            _noted = noted

    return quiet


class Outcome(NamedTuple):
    """What came of an attempt.

    Attributes:
        value: what the function gave; None if it raised.
        fault: what it raised; None if it didn't.
        acts: what it did beyond reading the files it may read.
        seconds: of this process, without tracing memory.
        peak: bytes that Python and numpy held more than before, at the most.
    """

    value: Any
    fault: Exception | None
    acts: list[str]
    seconds: float
    peak: int


def attempt(function: Callable[[], Any], *readable: Path) -> Outcome:
    """Calls a function twice, for its time and for its memory."""
    gc.freeze()  # what the other tests have left is no part of the time
    with watch(*readable) as acts:
        start = time.process_time()
        fault = _run(function)[1]
        seconds = time.process_time() - start
        del fault
        tracemalloc.start()
        value, fault = _run(function)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    gc.unfreeze()
    return Outcome(value, fault, acts, seconds, peak)


def checked(outcome: Outcome, case: str, most: float, faults: tuple[type, ...], place: Path) -> Any:
    """What was read, or the message of the error that refused it, once all promises are checked.

    Args:
        outcome: of reading.
        case: for failures of the test.
        most: bytes that reading may take.
        faults: types of error that may refuse it.
        place: that errors name.
    """
    assert outcome.acts == [], case
    assert outcome.seconds < SECONDS, case
    assert outcome.peak < most, case
    if outcome.fault is None:
        return outcome.value
    message = str(outcome.fault)
    assert type(outcome.fault) in faults, f"{case}: {message}"
    assert str(place) in message, case
    assert message.isprintable(), f"{case}: {message!r}"
    assert len(message) < LONGEST, case
    return message


def _run(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except Exception as fault:
        return None, fault
