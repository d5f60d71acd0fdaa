"""Where compiled programs are kept from one start of a script to the next."""

import os
from pathlib import Path

VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def folder() -> Path | None:
    """The folder that the environment names, or else one in the home folder.

    None if there is no home folder, or nothing can be written there: programs aren't kept then.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    try:
        found = Path.home() / ".cache" / "jaxmask"
        found.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a user without a home folder, or one that is read-only
        return None
    return found if os.access(found, os.W_OK | os.X_OK) else None
