"""One script per table or figure of the paper."""

import sys
from importlib.util import find_spec

from jaxmask.command import end_at_interrupt

NEEDED = ("docstring_parser", "matplotlib", "orbax", "rich", "tyro")

missing = [name for name in NEEDED if find_spec(name) is None]
if missing:
    sys.exit(f"error: the scripts need {', '.join(missing)}: pip install 'jaxmask[experiments]'")
if sys.argv[:1] == ["-m"]:  # as long as ``python -m`` imports a script
    end_at_interrupt()
