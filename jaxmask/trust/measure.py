"""One measure: a number with its interval, its control, what it means, and a rule."""

import math
from typing import Any, Literal, NamedTuple

from jaxmask.trust.statistics import Interval

Verdict = Literal["pass", "caution", "not measured"]


class Measure(NamedTuple):
    """What was measured of a found set, and how to read it.

    Attributes:
        name: of the measure, one or two words.
        value: the number; None if it wasn't measured.
        unit: of the number: ``%``, ``nats``, ``times``, ``units`` or nothing.
        interval: of the number, 95%; None if there is none.
        control: what the number is to be compared with, in words.
        meaning: what the number says, in a sentence.
        rule: when the measure passes, in words.
        verdict: of this rule.
        details: further numbers, in JSON's types.

    Example:
        >>> absent = not_measured("selectivity", "there is no text.", "Passes if ...")
        >>> absent.verdict, absent.content()["value"] is None
        ('not measured', True)
    """

    name: str
    value: float | None
    unit: str
    interval: Interval | None
    control: str
    meaning: str
    rule: str
    verdict: Verdict
    details: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """The measure in JSON's types, as ``summary.json`` has it; NaN and infinity are None."""
        interval = None if self.interval is None else list(self.interval)
        return _finite({**self._asdict(), "interval": interval})


def _finite(value: Any) -> Any:
    """The same, with None for numbers that JSON doesn't have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judged(passes: bool) -> Verdict:
    """The verdict of a rule.

    Example:
        >>> judged(False)
        'caution'
    """
    return "pass" if passes else "caution"


def not_measured(name: str, why: str, rule: str) -> Measure:
    """A measure that couldn't be made.

    Args:
        name: of the measure.
        why: in a sentence.
        rule: of the measure.

    Example:
        >>> not_measured("unseen", "It is asked for by --trust all.", "").meaning
        'It is asked for by --trust all.'
    """
    return Measure(name, None, "", None, "", why, rule, "not measured", {})
