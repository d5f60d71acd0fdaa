"""Results kept in files of their own, so that what is finished isn't run again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmask.files.run_folder import RunFolderError, plain, write_text


def read(file: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier start left for the same settings; None if nothing.

    Raises:
        RunFolderError: the file can't be read, or was made with other settings, which are named.
    """
    if not file.exists():
        return None
    there = _content(file)
    made_with = there.pop("settings")
    here = plain(settings, "settings")
    differing = sorted(
        name for name in made_with.keys() | here.keys() if made_with.get(name) != here.get(name)
    )
    if differing:
        raise RunFolderError(
            f"{file} was made with other settings ({', '.join(differing)}); choose another --out"
        )
    return there


def settings(file: Path) -> dict[str, Any]:
    """What a file was made with.

    Raises:
        RunFolderError: it can't be read.
    """
    return _content(file)["settings"]


def write(file: Path, settings: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Writes all of a file or nothing.

    Raises:
        RunFolderError: see `jaxmask.files.run_folder.plain` and
            `jaxmask.files.run_folder.write_text`.
    """
    text = json.dumps(plain({"settings": settings, **content}, "content"), indent=2)
    write_text(file, text + "\n")


def _content(file: Path) -> dict[str, Any]:
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
        there["settings"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise RunFolderError(f"{file}: expected results and their settings ({fault})") from fault
    return there
