"""Tables and the figure of a comparison of methods, from its summary."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.studies import paired
from experiments.studies.methods import METHODS
from jaxmask import report
from jaxmask.report import Table, figures, paper
from jaxmask.report.figures import Curve

Entry = Mapping[str, Any]  # a method at an alpha: one of a summary's "methods"


def accuracy_table(summary: Mapping[str, Any]) -> Table:
    """Accuracy of each method at each size, as the figure draws it."""
    sizes = sorted({entry["allowed"] for entry in summary["methods"]})
    accuracy = {
        (entry["method"], entry["allowed"]): f"{entry['accuracy']['mean']:.1f}"
        for entry in summary["methods"]
    }
    rows = tuple(
        (name, *(accuracy.get((name, size), "") for size in sizes))
        for name in METHODS
        if any(entry["method"] == name for entry in summary["methods"])
    )
    return Table(
        f"Accuracy by number of units: {report.subject(summary, model=True)}",
        ("Method", *map(str, sizes)),
        rows,
        f"Held-out accuracy in percent, mean over seeds, with at most that many of "
        f"{report.site_units(summary)} units.",
    )


def take_evaluations(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Removes the evaluations during each run from a summary; returns what ``metrics.jsonl`` holds.

    Which examples each run flips stays in the file of the run.
    """
    for entry in summary["methods"]:
        for run in entry["runs"]:
            run.pop("flipped", None)
    return [
        {"method": entry["method"], "alpha": entry["alpha"], "seed": run["seed"], **seen}
        for entry in summary["methods"]
        for run in entry["runs"]
        for seen in run.pop("evaluations")
    ]


def paired_tables(summary: Mapping[str, Any]) -> list[Table]:
    """How far each method is from the search at the same size, over the same examples.

    There is no such table if no other method has a size of the search.
    """
    rows = tuple(
        (
            one["method"],
            str(one["allowed"]),
            f"{one['difference']:+.1f}",
            " to ".join(f"{end:+.1f}" for end in one["interval"]),
            "yes" if one["differs"] else "no",
        )
        for one in summary.get("paired", ())
    )
    table = Table(
        f"Differences from {paired.REFERENCE}: {report.subject(summary, model=True)}",
        ("Method", "Most", "Points", "95% interval", "Differs"),
        rows,
        "Points of held-out accuracy more than the search, mean over seeds, on the same examples; "
        "the bootstrap of the interval draws words and pairs. Differs: an interval widened for all "
        f"{len(rows)} comparisons (Bonferroni) leaves out 0.",
    )
    return [table] if rows else []


def quality_table(summary: Mapping[str, Any]) -> Table:
    """How well each method does at each alpha, beside the paper's Table 6."""
    theirs = {(row.name, row.alpha): row for row in _table_6(summary)}
    rows = []
    for entry in _by_alpha(summary):
        row = theirs.get((METHODS[entry["method"]].paper, entry["alpha"]))
        rows.append(
            (
                entry["method"],
                f"{entry['alpha']:.2g}",
                str(entry["allowed"]),
                report.plus_minus(entry["accuracy"], 1),
                report.plus_minus(entry["n_units"], 1),
                f"{entry['kl']['mean']:.3f}",
                *(("", "") if row is None else (f"{row.accuracy:.1f}", f"{row.units:.1f}")),
            )
        )
    header = ("Method", "alpha", "Most", "Accuracy", "Units", "KL", "Paper", "units")
    seeds = max(len(entry["runs"]) for entry in summary["methods"])
    table = report.without_empty(
        Table(
            f"Table 6: {report.subject(summary, model=True)}",
            header,
            tuple(rows),
            f"Held-out accuracy in percent, mean ± standard deviation over "
            f"{report.count(seeds, 'seed')}; KL in nats. Most: units that alpha allows.",
        )
    )
    paper = f" Paper: accuracy and units of {report.PAPER_MODEL}, single-step."
    return table._replace(note=table.note + paper) if "Paper" in table.header else table


def speed_table(summary: Mapping[str, Any]) -> Table:
    """How long each method takes, and how many times as long REINFORCE does at the same alpha."""
    theirs = {(row.name, row.alpha): row for row in _table_6(summary)}
    reinforce = {
        entry["alpha"]: entry["seconds"]["mean"]
        for entry in summary["methods"]
        if entry["method"] == "reinforce"
    }
    rows = []
    for entry in _by_alpha(summary):
        row = theirs.get((METHODS[entry["method"]].paper, entry["alpha"]))
        slower = reinforce.get(entry["alpha"])
        rows.append(
            (
                entry["method"],
                f"{entry['alpha']:.2g}",
                "" if entry["steps"]["mean"] is None else f"{entry['steps']['mean']:.0f}",
                report.plus_minus(entry["seconds"], 1 if entry["seconds"]["mean"] < 100.0 else 0),
                f"{entry['compile_seconds']['mean']:.1f}",
                f"{entry['converged']}/{len(entry['runs'])}",
                "" if slower is None else f"{slower / entry['seconds']['mean']:.1f}",
                "" if row is None or row.hours is None else f"{row.hours:.1f} h",
            )
        )
    rule = summary["rule"]
    notes = {
        "Steps": " Steps are gradient steps, units added (greedy) or sets tried (exhaustive).",
        "Faster": " Faster: how many times as long REINFORCE takes at that alpha.",
        "Paper": f" Paper: hours of {report.PAPER_MODEL}.",
    }
    table = report.without_empty(
        Table(
            f"Time to convergence: {report.subject(summary, model=True)}",
            ("Method", "alpha", "Steps", "Seconds", "Compile", "Conv.", "Faster", "Paper"),
            tuple(rows),
            f"Seconds of one run, without compilation ({summary['device']}). Conv.: how many of "
            "the runs have converged: for the searches and REINFORCE, those whose constraint "
            "holds and whose hard mask's accuracy on "
            f"{summary['examples']['watched']} training rows has not risen by more than "
            f"{100 * rule['rise']:g} points for {rule['patience']} evaluations, {rule['every']} "
            "steps or a round of exchange apart; the others end by themselves. Compile: seconds "
            "for all programs of the method; less where an earlier start left them in the cache.",
        )
    )
    more = "".join(note for name, note in notes.items() if name in table.header)
    return table._replace(note=table.note + more)


def paper_table() -> Table:
    """The paper's Table 6."""
    rows = tuple(
        (
            row.name,
            f"{row.alpha:g}",
            f"{row.accuracy:.1f}",
            f"{row.units:.1f}",
            "" if row.hours is None else f"{row.hours:.1f}",
        )
        for row in paper.ALTERNATIVES
    )
    note = f"{report.PAPER_MODEL}, number agreement, single-step."
    return Table(
        "Table 6 of the paper", ("Method", "alpha", "Accuracy", "Units", "Hours"), rows, note
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """What goes into ``table.md``."""
    examples, model = summary["examples"], summary["model"]
    lines = (
        f"# {report.subject(summary, model=True)}",
        f"Model {model['name']} (fingerprint {model['fingerprint']}): {model['layers']} x "
        f"{model['hidden']} units. {examples['train']} examples to learn from, "
        f"{examples['evaluation']} held out (by {examples['split']}), {examples['dropped']} "
        f"dropped. KL weight {summary['kl_weight']:g}, context {summary['context']}.",
    )
    tables = (
        accuracy_table(summary), quality_table(summary), *paired_tables(summary),
        speed_table(summary), paper_table(),
    )  # fmt: skip
    return "\n\n".join(lines) + "\n\n" + "\n".join(report.to_markdown(table) for table in tables)


def figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against units of every method; greedy's line has all its sizes."""
    curves = {}
    for name in METHODS:
        entries = sorted(
            (entry for entry in summary["methods"] if entry["method"] == name),
            key=lambda entry: entry["n_units"]["mean"],
        )
        if name == "greedy" and entries:
            accuracy = np.array(summary["greedy_curve"])
            curves[name] = Curve(1 + np.arange(accuracy.shape[1]), accuracy)
        elif entries:
            accuracy = np.array([[run["accuracy"] for run in entry["runs"]] for entry in entries])
            units = np.array([entry["n_units"]["mean"] for entry in entries])
            curves[name] = Curve(units, accuracy.T)
    how = "\nmeans and ranges at the sizes compared, joined by lines; greedy at every size"
    return figures.accuracy_against_units(curves, report.subject(summary, model=True) + how)


def _by_alpha(summary: Mapping[str, Any]) -> list[Entry]:
    return sorted(
        summary["methods"], key=lambda entry: (entry["alpha"], list(METHODS).index(entry["method"]))
    )


def _table_6(summary: Mapping[str, Any]) -> tuple[paper.Alternative, ...]:
    """The paper's rows, where it has any for this setting."""
    same = (summary["task"], summary["intervention"]) == ("number_agreement", "single")
    return paper.ALTERNATIVES if same else ()
