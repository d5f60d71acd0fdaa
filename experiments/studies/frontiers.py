"""Several sweeps of one task and model, which differ in the kind of intervention, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmask import report
from jaxmask.intervention import Kind
from jaxmask.report import Table, figures, paper
from jaxmask.report.figures import Curve

Summary = Mapping[str, Any]


def table(summaries: Sequence[Summary]) -> Table:
    """A row for each setting of each sweep."""
    rows = tuple(
        (
            label,
            report.plus_minus(one["n_units"], 1),
            report.plus_minus(one["accuracy"], 1),
            report.plus_minus(one["kl"], 3),
            report.plus_minus(one["kl_elsewhere"], 3),
        )
        for label, settings in _lines(summaries)
        for one in settings
    )
    return Table(
        f"Accuracy, units and KL ({_title(summaries)})",
        ("Site, values", "Units", "Accuracy", "KL", "elsewhere"),
        rows,
        "Held-out accuracy in percent; KL in nats, and the part of it that the target's position "
        "doesn't give; mean ± standard deviation over seeds.",
    )


def figure(summaries: Sequence[Summary]) -> Figure:
    """Accuracy against units, and against KL, with the result of the paper as a cross."""
    by_units, by_kl = {}, {}
    for label, settings in _lines(summaries):
        accuracy = np.array([[run["accuracy"] for run in one["runs"]] for one in settings]).T
        for curves, name in ((by_units, "n_units"), (by_kl, "kl")):
            curves[label] = Curve(np.array([one[name]["mean"] for one in settings]), accuracy)
    first = summaries[0]
    theirs = paper.RESULTS.get((first["task"], first["intervention"], True))
    crosses = None if theirs is None else (theirs.units[0], theirs.kl[0], theirs.accuracy[0])
    return figures.frontier(by_units, by_kl, crosses, _title(summaries))


def _lines(summaries: Sequence[Summary]) -> Iterator[tuple[str, list[Summary]]]:
    """What is drawn as a line: the settings of one kind and KL weight, by a label."""
    for summary in summaries:
        weights = list(dict.fromkeys(one["kl_weight"] for one in summary["settings"]))
        for weight in weights:
            kind = Kind.of_settings(summary)
            label = f"{kind.site}, {kind.values}"
            label += ", reach time" * (kind.reach == "time")
            label += f", KL weight {weight:g}" * (len(weights) > 1)
            yield label, [one for one in summary["settings"] if one["kl_weight"] == weight]


def _title(summaries: Sequence[Summary]) -> str:
    first = summaries[0]
    plain = {**first, **Kind(place=first["intervention"]).settings()}
    return report.subject(plain, model=True)
