"""What was measured of a found set, as tables and text: the "trust" of a summary.

Each measure has a line: value, interval, control, verdict. What it means, and the rule of its
verdict, stand below. There is no single score.
"""

from collections.abc import Mapping
from typing import Any

from jaxmask.report.cells import Table, to_markdown

DIGITS = {"%": 1, "points": 1, "nats": 3, "times": 2, "units": 1, "": 2}


def value_text(measure: Mapping[str, Any]) -> str:
    """The value of a measure with its unit; empty if it wasn't measured.

    Example:
        >>> value_text({"value": 12.345, "unit": "%"}), value_text({"value": 2.0, "unit": "units"})
        ('12.3%', '2.0 units')
    """
    value, unit = measure["value"], measure["unit"]
    if value is None:
        return ""
    return f"{value:.{DIGITS[unit]}f}{unit if unit == '%' else f' {unit}'.rstrip()}"


def interval_text(measure: Mapping[str, Any]) -> str:
    """The interval of a measure; empty if it has none.

    Example:
        >>> interval_text({"interval": [1.0, 2.345], "unit": "%"})
        '1.0 to 2.3'
    """
    if measure["interval"] is None:
        return ""
    return " to ".join(f"{end:.{DIGITS[measure['unit']]}f}" for end in measure["interval"])


def trust_table(trust: Mapping[str, Any], short: bool = False) -> Table:
    """A row for each measure.

    Args:
        trust: the "trust" of a summary.
        short: leaves out the controls, to fit onto a terminal.

    Example:
        >>> one = {"name": "dose", "value": 45.8, "unit": "%", "interval": None}
        >>> one |= {"control": "whole: 90%", "verdict": "pass"}
        >>> trust = {"level": "fast", "seed": 0, "n_units": 10, "seconds": 1.0, "measures": [one]}
        >>> trust_table(trust).rows
        (('dose', '45.8%', '', 'whole: 90%', 'pass'),)
    """
    rows = tuple(
        (
            one["name"],
            value_text(one),
            interval_text(one),
            *([] if short else [one["control"]]),
            one["verdict"],
        )
        for one in trust["measures"]
    )
    cautions = sum(one["verdict"] == "caution" for one in trust["measures"])
    missing = [one["name"] for one in trust["measures"] if one["verdict"] == "not measured"]
    return Table(
        f"What can be trusted: the set of seed {trust['seed']}",
        ("Measure", "Value", "95% interval", *([] if short else ["Control"]), "Verdict"),
        rows,
        _sampled(trust)
        + f"{cautions} of {len(rows)} ask for caution"
        + (f"; not measured: {', '.join(missing)}" if missing else "")
        + f" ({trust['level']}, {trust['seconds']:.0f} s)."
        + (" What each means, and its rule: trust.md." if short else ""),
    )


def _sampled(trust: Mapping[str, Any]) -> str:
    """Says that not all held-out examples are read, if that is so."""
    details = (measure_of(trust, "accuracy") or {"details": {}})["details"]
    read, held_out = details.get("examples"), details.get("held_out")
    if held_out in (read, None):  # earlier versions don't say it
        return ""
    return f"{read} of {held_out} held-out examples are read, evenly spread. "


def meanings(trust: Mapping[str, Any]) -> list[str]:
    """A paragraph for each measure: its value, what it says, and the rule of its verdict.

    Example:
        >>> one = {"name": "dose", "value": 45.8, "unit": "%", "interval": None}
        >>> one |= {"meaning": "So many flip.", "verdict": "pass", "rule": "Passes if ..."}
        >>> meanings({"measures": [one]})
        ['Dose: 45.8%, pass. So many flip. Rule: Passes if ...']
    """
    return [
        f"{one['name'].capitalize()}: {_found(one)}. {one['meaning']} Rule: {one['rule']}"
        for one in trust["measures"]
    ]


def _found(measure: Mapping[str, Any]) -> str:
    """Value, interval and verdict of a measure, as far as there are any."""
    interval = interval_text(measure)
    parts = value_text(measure) + (f" ({interval})" if interval else ""), measure["verdict"]
    return ", ".join(filter(None, parts))


def construction_table(trust: Mapping[str, Any]) -> Table | None:
    """Accuracy by construction, direction and what the untouched model prefers, with intervals.

    Example:
        >>> share = {"examples": 9, "accuracy": 50.0, "interval": [20.0, 80.0]}
        >>> one = {"name": "accuracy", "details": {"by": {"construction": {"simple": share}}}}
        >>> construction_table({"measures": [one]}).rows
        (('construction', 'simple', '50.0', '20.0 to 80.0', '9'),)
    """
    accuracy = measure_of(trust, "accuracy")
    if accuracy is None:
        return None
    rows = tuple(
        (
            by,
            name,
            f"{share['accuracy']:.1f}",
            " to ".join(f"{end:.1f}" for end in share["interval"]),
            str(share["examples"]),
        )
        for by, groups in accuracy["details"]["by"].items()
        for name, share in groups.items()
    )
    header = ("By", "Examples of", "Accuracy", "95% interval", "Examples")
    return Table("Accuracy by what the examples are", header, rows, "Intervals are Wilson's.")


def distance_table(trust: Mapping[str, Any]) -> Table | None:
    """The KL by distance from the first word at which the intervention acts.

    Example:
        >>> entry = {"distance": 0, "part": 0.2, "kl": 0.6, "paired": None, "examples": 3}
        >>> one = {"name": "harm", "details": {"by_distance": [entry], "kl": 0.4}}
        >>> distance_table({"measures": [one]}).rows
        (('0', '0.600', '50%', '', '3'),)
    """
    harm = measure_of(trust, "harm")
    if harm is None:
        return None
    whole = max(harm["details"]["kl"], 1e-12)
    rows = tuple(
        (
            str(one["distance"]),
            f"{one['kl']:.3f}",
            f"{100 * one['part'] / whole:.0f}%",
            "" if one["paired"] is None else f"{one['paired']:.3f}",
            str(one["examples"]),
        )
        for one in harm["details"]["by_distance"]
    )
    note = "Words after the first one at which the intervention acts; mean KL there, in nats."
    return Table(
        "KL by distance",
        ("Distance", "KL", "Of the sum", "Paired sentence", "Examples"),
        rows,
        note,
    )


def measure_of(trust: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The measure of a name; None if it wasn't measured.

    Example:
        >>> measure_of({"measures": []}, "dose") is None
        True
    """
    found = [one for one in trust["measures"] if one["name"] == name and one["details"]]
    return found[0] if found else None


def trust_tables(trust: Mapping[str, Any]) -> tuple[Table, ...]:
    """The table of all measures, and those of single measures.

    Example:
        >>> trust = {"level": "fast", "seed": 0, "n_units": 1, "seconds": 0.0, "measures": []}
        >>> [table.title for table in trust_tables(trust)]
        ['What can be trusted: the set of seed 0']
    """
    found = (trust_table(trust), construction_table(trust), distance_table(trust))
    return tuple(table for table in found if table is not None)


def trust_report(trust: Mapping[str, Any]) -> str:
    """The content of ``trust.md``.

    Example:
        >>> trust = {"level": "fast", "seed": 0, "n_units": 1, "seconds": 0.0, "measures": []}
        >>> trust_report(trust).splitlines()[0]
        '# What can be trusted'
    """
    lines = (
        "# What can be trusted",
        f"The set of seed {trust['seed']}, which flips most training decisions: units "
        f"{', '.join(map(str, trust['units']))}."
        if trust.get("units")
        else "The set has no units.",
        "Thirteen measures, each with its control and a rule; there is no single score. What they "
        "are is described in docs/trust.md.",
    )
    whole, *others = trust_tables(trust)
    paragraphs = "\n\n".join(meanings(trust))
    tables = "\n".join(map(to_markdown, others))
    return "\n\n".join(lines) + f"\n\n{to_markdown(whole)}\n{paragraphs}\n\n{tables}"
