"""Tables and figure of a sweep of alpha and KL weight, from its summary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmask import report
from jaxmask.intervention import Kind
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
            f"{sum(run['converged'] for run in one['runs'])}/{len(one['runs'])}",
        )
        for one in summary["settings"]
    )
    return Table(
        f"Accuracy by number of units ({_title(summary)})",
        ("KL weight", "Alpha", "Allowed", "Units", "Accuracy", "KL", "Conv."),
        rows,
        f"Held-out accuracy in percent, KL in nats; mean ± standard deviation over "
        f"{len(summary['settings'][0]['runs'])} seeds. Allowed: units, of "
        f"{summary['model']['layers'] * summary['model']['hidden']}, by alpha. Conv.: runs that "
        "keep the constraint and whose accuracy no longer rose.",
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """What goes into ``table.md``."""
    model, examples = summary["model"], summary["examples"]
    return (
        f"# {_title(summary)}\n\nModel fingerprint {model['fingerprint']}. {examples['train']} "
        f"examples to search, {examples['evaluation']} held out (by {examples['split']}), "
        f"{examples['dropped']} dropped. Method {summary['method']}, surrogate "
        f"{summary['surrogate']}, context {summary['context']}.\n\n"
        f"{report.to_markdown(table(summary))}"
    )


def figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against units: a line for each KL weight, its band over seeds."""
    curves = {}
    for kl_weight in dict.fromkeys(one["kl_weight"] for one in summary["settings"]):
        points = [one for one in summary["settings"] if one["kl_weight"] == kl_weight]
        accuracy = np.array([[run["accuracy"] for run in one["runs"]] for one in points])
        units = np.array([one["n_units"]["mean"] for one in points])
        curves[f"KL weight {kl_weight:g}"] = Curve(units, accuracy.T)
    seeds = len(summary["settings"][0]["runs"])
    how = f"\nmean and range over {seeds} seeds, at each alpha" if seeds > 1 else ""
    return figures.accuracy_against_units(curves, _title(summary) + how)


def _title(summary: Mapping[str, Any]) -> str:
    task = summary["task"].replace("_", " ")
    return f"{summary['model']['name']}, {task}, {Kind.of_settings(summary).title}"
