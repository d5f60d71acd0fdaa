"""Settings that can't be: refused as soon as they are seen, which is before anything is compiled.

Numbers that are being traced, under ``jit`` or ``vmap``, have no value yet: they can't be checked.
"""

import reprlib
from typing import Any

import jax
import numpy as np


def check_range(
    name: str,
    value: Any,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    above: bool = False,
) -> None:
    """Checks that numbers, one or an array of them, are finite and from ``low`` to ``high``.

    Args:
        name: of the setting.
        value: to check, unless it is being traced.
        low: least value.
        high: largest value.
        above: ``low`` itself is too low.

    Raises:
        ValueError: a number is NaN, infinite or out of range.
    """
    if isinstance(value, jax.core.Tracer):
        return
    numbers = np.asarray(value, np.float64)
    good = np.isfinite(numbers) & (numbers <= high) & (numbers > low if above else numbers >= low)
    if not good.all():
        start = f"above {low:g}" if above else f"{low:g} or more" if low > -np.inf else ""
        end = f"at most {high:g}" if high < np.inf else ""
        expected = ", ".join(part for part in (start, end) if part) or "a finite number"
        raise ValueError(f"{name}: expected {expected}, found {reprlib.repr(value)}")
