"""Saves results in files, so that finished work isn't done again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmask.files.run_folder import RunFolderError, differences, plain, write_text


def read(file: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The results that were saved with the same settings; None if there are none.

    Raises:
        RunFolderError: the file can't be read, or was written with other settings, which the
            message names.
    """
    if not file.exists():
        return None
    results = _content(file)
    earlier, now = results.pop("settings"), plain(settings, "settings")
    if differing := "; ".join(differences(earlier, now)):
        raise RunFolderError(
            f"{file} was made with other settings; {differing}; choose another --out"
        )
    return results


def settings(file: Path) -> dict[str, Any]:
    """The settings of saved results.

    Raises:
        RunFolderError: the file can't be read.
    """
    return _content(file)["settings"]


def write(file: Path, settings: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Saves results with their settings; the file is written completely or not at all.

    Raises:
        RunFolderError: see `jaxmask.files.run_folder.plain` and
            `jaxmask.files.run_folder.write_text`.
    """
    text = json.dumps(plain({"settings": settings, **content}, "content"), indent=2)
    write_text(file, text + "\n")


def _content(file: Path) -> dict[str, Any]:
    """The results of a file, with their settings."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content["settings"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise RunFolderError(f"{file}: expected results and their settings ({fault})") from fault
    return content
