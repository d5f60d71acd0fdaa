"""The folder a run writes: ``config.json``, ``metrics.jsonl``, ``table.md`` and ``summary.json``.

``summary.json`` is an interface for other programs. It is written last and in one go: a folder that
has one holds a finished run. ``config.json`` is written before the run begins, so that no other run
is taken for this one. Of several processes (`jax.distributed`), the first writes.
"""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmask.report import markdown_report

_PROBE = 1 << 16  # bytes; about what tables, figures and interventions take at least


class RunFolderError(ValueError):
    """A run that can't be written where it was asked to be, or as what it is; says why."""


def check_run_folder(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Makes sure that ``folder`` can take a run of ``config``; call it before a long run.

    Args:
        folder: may be missing, empty, or hold an earlier run of the same ``config``.
        config: everything that decides the results, and nothing else: leave out where they go.

    Raises:
        RunFolderError: the folder holds a run of another configuration (the settings that differ
            are named), or a summary that no configuration explains, or can't be written.
    """
    folder = Path(folder)
    check_writable(folder)
    file = folder / "config.json"
    if not file.exists():
        if (folder / "summary.json").exists():
            raise RunFolderError(f"{folder}: expected config.json beside summary.json, found none")
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise RunFolderError(f"{file}: expected a run's configuration ({fault})") from fault
    here = plain(config, "config")
    if not isinstance(there, dict):
        raise RunFolderError(f"{file}: expected a run's configuration, found {there!r}")
    differing = [
        f"{key}: {_shown(there, key)} there, {_shown(here, key)} now"
        for key in sorted(there.keys() | here.keys())
        if _shown(there, key) != _shown(here, key)
    ]
    if differing:
        raise RunFolderError(
            f"{folder} holds a run of another configuration; {'; '.join(differing)}"
        )


def check_writable(folder: str | Path) -> None:
    """Makes sure that files can be written to a folder; none stays behind, and it isn't made.

    Raises:
        RunFolderError: it, or what is to hold it, is a file or can't be written, or its disk is
            full.
    """
    folder = Path(folder)
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(_PROBE))
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise RunFolderError(f"{folder}: expected a folder to write to ({reason})") from fault


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """The summary of a finished run; None where there is none.

    Raises:
        RunFolderError: there is one that can't be read.
    """
    file = Path(folder) / "summary.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise RunFolderError(f"{file}: expected a run's summary ({fault})") from fault


def open_run(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Makes a folder, if need be, and its ``config.json``: call it before a long run.

    Raises:
        RunFolderError: see `check_run_folder` and `write_text`.
    """
    check_run_folder(folder, config)
    text = json.dumps(plain(config, "config"), indent=2) + "\n"
    write_text(Path(folder) / "config.json", text)


def write_run(
    folder: str | Path,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]] = (),
    table: Callable[[Mapping[str, Any]], str] = markdown_report,
    more: Callable[[], None] = lambda: None,
) -> None:
    """Writes a finished run, over an earlier one of the same configuration if there is one.

    Args:
        folder: made if missing.
        config: see `check_run_folder`.
        summary: see `jaxmask.report`.
        metrics: what was observed on the way, one line each; without any there is no
            ``metrics.jsonl``.
        table: makes ``table.md`` of the summary.
        more: writes what else the folder holds.

    Raises:
        RunFolderError: see `check_run_folder`; or a number is NaN or infinite (it is named), or
            something has no place in JSON: nothing is written then. Or a file can't be written:
            then there is no ``summary.json``.
    """
    if jax.process_index():
        return
    folder = Path(folder)
    check_run_folder(folder, config)
    config, summary, metrics = (
        plain(content, name)
        for content, name in ((config, "config"), (summary, "summary"), (metrics, "metrics"))
    )
    texts = {
        "config.json": json.dumps(config, indent=2) + "\n",
        **(
            {"metrics.jsonl": "".join(json.dumps(line) + "\n" for line in metrics)}
            if metrics
            else {}
        ),
        "table.md": table(summary),
        "summary.json": json.dumps(summary, indent=2) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").unlink(missing_ok=True)
        more()
    except OSError as fault:
        raise RunFolderError(f"{folder}: can't be written ({fault})") from fault
    for name, text in texts.items():
        write_text(folder / name, text)


def plain(value: Any, place: str) -> Any:
    """``value`` in JSON's own types; array scalars, arrays, tuples and paths are converted.

    Args:
        value: to convert.
        place: what it is called in an error.

    Raises:
        RunFolderError: it is, or holds, NaN, infinity or something JSON has no type for.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if not isinstance(value, float):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise RunFolderError(f"{place}: expected a number or text, found {value!r}")
        return plain(array.tolist(), place)
    if not math.isfinite(value):
        raise RunFolderError(f"{place}: expected a finite number, found {value}")
    return float(value)


def _shown(config: dict[str, Any], key: str) -> str:
    return json.dumps(config[key], sort_keys=True) if key in config else "not set"


def write_text(file: Path, text: str) -> None:
    """Writes all of a file or nothing, and makes its folder; of several processes, the first does.

    Raises:
        RunFolderError: it can't be written.
    """
    if jax.process_index():
        return
    draft = file.with_name(file.name + ".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, file)
    except OSError as fault:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise RunFolderError(f"{file}: can't be written ({fault.strerror or fault})") from fault
