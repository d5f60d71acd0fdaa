"""Tables and figure of a sweep of alpha and KL weight, from its summary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmask import report
from jaxmask.report import Table, figures
from jaxmask.report.figures import Curve


def table(summary: Mapping[str, Any]) -> Table:
    """How well each setting does."""
    rows = tuple(
        (
            f"{one['kl_weight']:g}",
            f"{one['alpha']:g}",
            str(one["allowed"]),
            report.plus_minus(one["n_units"], 1),
            report.plus_minus(one["accuracy"], 1),
            report.plus_minus(one["kl"], 3),
            "" if (mean := one["kl_elsewhere"]["mean"]) is None else f"{mean:.3f}",
            f"{sum(run['converged'] for run in one['runs'])}/{len(one['runs'])}",
        )
        for one in summary["settings"]
    )
    return Table(
        f"Accuracy by number of units ({report.subject(summary, model=True)})",
        ("KL weight", "Alpha", "Allowed", "Units", "Accuracy", "KL", "elsewhere", "Conv."),
        rows,
        f"Held-out accuracy in percent; KL in nats, and the part of it that the target's position "
        f"doesn't give; mean ± standard deviation over "
        f"{len(summary['settings'][0]['runs'])} seeds. Allowed: units, of "
        f"{report.site_units(summary)}, by alpha. Conv.: runs that "
        "keep the constraint and whose accuracy no longer rose.",
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """What goes into ``table.md``."""
    model, examples = summary["model"], summary["examples"]
    return (
        f"# {report.subject(summary, model=True)}\n\n"
        f"Model fingerprint {model['fingerprint']}. {examples['train']} examples to search, "
        f"{examples['evaluation']} held out (by {examples['split']}), "
        f"{examples['dropped']} dropped. Method {summary['method']}, surrogate "
        f"{summary['surrogate']}, context {summary['context']}.\n\n"
        f"{report.to_markdown(table(summary))}"
    )


def figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against units: a line for each KL weight, and its range over seeds as a band."""
    curves = {}
    for kl_weight in dict.fromkeys(one["kl_weight"] for one in summary["settings"]):
        points = [one for one in summary["settings"] if one["kl_weight"] == kl_weight]
        accuracy = np.array([[run["accuracy"] for run in one["runs"]] for one in points])
        units = np.array([one["n_units"]["mean"] for one in points])
        curves[f"KL weight {kl_weight:g}"] = Curve(units, accuracy.T)
    seeds = len(summary["settings"][0]["runs"])
    how = f"\nmean and range over {seeds} seeds, at each alpha" if seeds > 1 else ""
    return figures.accuracy_against_units(curves, report.subject(summary, model=True) + how)
