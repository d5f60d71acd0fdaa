"""Rejects invalid settings as soon as they are given, before a program is compiled.

Numbers that are being traced, under ``jit`` or ``vmap``, have no value yet and can't be checked.
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
    """Checks that a number, or each number of an array, is finite and between two limits.

    Args:
        name: of the setting, for the error message.
        value: to check; a number that is being traced passes unchecked.
        low: smallest valid value.
        high: largest valid value.
        above: whether ``low`` itself is invalid.

    Raises:
        ValueError: a number is NaN, infinite or out of range.

    Example:
        >>> try:
        ...     check_range("alpha", 1.5, 0.0, 1.0, above=True)
        ... except ValueError as fault:
        ...     print(fault)
        alpha: expected above 0, at most 1, found 1.5
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
