"""The folder of a run: ``config.json``, ``metrics.jsonl``, ``table.md`` and ``summary.json``.

``summary.json`` is an interface for other programs. It is written last, and either completely or
not at all: a folder with a ``summary.json`` holds a finished run. ``config.json`` is written before
the run begins, so that a run with other settings can't use the same folder by mistake. Of several
processes (`jax.distributed`), only the first one writes.
"""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmask.report import markdown_report

_PROBE = 1 << 16  # bytes; tables, figures and interventions take about as much, or more


class RunFolderError(ValueError):
    """A run can't be written or read; the message names the file and the reason.

    Example:
        >>> try:
        ...     plain({"kl": float("nan")}, "summary")
        ... except RunFolderError as fault:
        ...     print(fault)
        summary.kl: expected a finite number, found nan
    """


def check_run_folder(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Checks that a folder can hold a run with the given configuration.

    Args:
        folder: may be missing, empty, or hold an earlier run with the same configuration.
        config: all settings that determine the results, and no others, such as the name of the
            folder.

    Raises:
        RunFolderError: the folder holds a run with another configuration (the message names the
            settings that differ) or a summary without a configuration, or it can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     open_run(folder, {"alpha": 0.02})
        ...     try:
        ...         check_run_folder(folder, {"alpha": 0.05})
        ...     except RunFolderError as fault:
        ...         print(str(fault).partition("; ")[2])
        alpha: 0.02 there, 0.05 now; these settings need another folder
    """
    folder = Path(folder)
    check_writable(folder)
    file = folder / "config.json"
    if not file.exists():
        if (folder / "summary.json").exists():
            raise RunFolderError(f"{folder}: expected config.json beside summary.json, found none")
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise RunFolderError(f"{file}: expected a run's configuration ({fault})") from fault
    wanted = plain(config, "config")
    if not isinstance(found, dict):
        raise RunFolderError(f"{file}: expected a run's configuration, found {found!r}")
    differing = "; ".join(differences(found, wanted))
    if differing:
        raise RunFolderError(
            f"{folder} holds a run with another configuration; {differing}; these settings need "
            "another folder"
        )


def check_writable(folder: str | Path) -> None:
    """Checks that files can be written to a folder.

    The folder may be missing; it isn't made. The check leaves no file behind.

    Raises:
        RunFolderError: the folder, or the folder that it will be in, is a file or can't be written,
            or the disk is full.

    Example:
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     try:
        ...         check_writable(Path(file.name) / "run")
        ...     except RunFolderError as fault:
        ...         print(str(fault).partition(": ")[2])
        expected a folder to write to (Not a directory)
    """
    folder = Path(folder)
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(bytes(_PROBE))
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise RunFolderError(f"{folder}: expected a folder to write to ({reason})") from fault


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """The summary of a finished run; None if the folder has no summary.

    Raises:
        RunFolderError: the summary can't be read.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_summary(folder) is None
        True
    """
    file = Path(folder) / "summary.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise RunFolderError(f"{file}: expected a run's summary ({fault})") from fault


def open_run(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Makes the folder of a run, if it is missing, and writes its ``config.json``.

    Call it before a long run.

    Args:
        folder: see `check_run_folder`.
        config: see `check_run_folder`.

    Raises:
        RunFolderError: see `check_run_folder` and `write_text`.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     open_run(Path(folder) / "run", {"alpha": 0.02})
        ...     json.loads((Path(folder) / "run" / "config.json").read_text())
        {'alpha': 0.02}
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
    """Writes a finished run; it replaces an earlier run with the same configuration.

    Args:
        folder: made if it is missing.
        config: see `check_run_folder`.
        summary: see `jaxmask.report`.
        metrics: observations in the course of the run, one for each line of ``metrics.jsonl``;
            without observations there is no such file.
        table: makes the content of ``table.md`` from the summary.
        more: writes further files, before ``summary.json``.

    Raises:
        RunFolderError: see `check_run_folder`; or a value is NaN, infinite or has no form in JSON
            (the message names it). Nothing is written then. Or a file can't be written; then there
            is no ``summary.json``.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_run(folder, {"alpha": 0.02}, {"kl": 0.1}, [{"step": 1}], table=str)
        ...     sorted(os.listdir(folder)), read_summary(folder)
        (['config.json', 'metrics.jsonl', 'summary.json', 'table.md'], {'kl': 0.1})
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
        for name in ("summary.json", "metrics.jsonl"):
            (folder / name).unlink(missing_ok=True)
        more()
    except OSError as fault:
        raise RunFolderError(f"{folder}: can't be written ({fault})") from fault
    for name, text in texts.items():
        write_text(folder / name, text)


def plain(value: Any, place: str) -> Any:
    """A value in the types of JSON; arrays and their numbers, tuples and paths are converted.

    Args:
        value: to convert.
        place: name of the value in error messages.

    Raises:
        RunFolderError: the value is or contains NaN, infinity or an object without a type in JSON.

    Example:
        >>> plain({"units": np.array([4, 6]), "file": Path("a") / "b"}, "summary")
        {'units': [4, 6], 'file': 'a/b'}
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


def differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], parent: str = ""
) -> Iterator[str]:
    """The settings that differ; of groups of settings that both have, the settings inside.

    Args:
        found: settings that are there.
        wanted: settings of now.
        parent: before the names, as of a group.

    Example:
        >>> list(differences({"alpha": 0.1, "search": {"steps": 9}}, {"search": {"steps": 8}}))
        ['alpha: 0.1 there, not set now', 'search.steps: 9 there, 8 now']
    """
    for key in sorted(found.keys() | wanted.keys()):
        one, other = found.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from differences(one, other, f"{parent}{key}.")
        elif _shown(found, key) != _shown(wanted, key):
            yield f"{parent}{key}: {_shown(found, key)} there, {_shown(wanted, key)} now"


def _shown(config: Mapping[str, Any], key: str) -> str:
    """A setting as error messages show it."""
    return json.dumps(config[key], sort_keys=True) if key in config else "not set"


def write_text(file: Path, text: str) -> None:
    """Writes a file completely or not at all, and makes its folder if it is missing.

    Of several processes, only the first one writes.

    Raises:
        RunFolderError: the file can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(Path(folder) / "run" / "table.md", "# Results")
        ...     os.listdir(Path(folder) / "run")
        ['table.md']
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
