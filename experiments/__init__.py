"""One script per table or figure of the paper."""

import sys
from importlib.util import find_spec

missing = [name for name in ("matplotlib", "orbax", "rich", "tyro") if find_spec(name) is None]
if missing:
    sys.exit(f"error: the scripts need {', '.join(missing)}: pip install 'jaxmask[experiments]'")
