"""Tables a person reads, from the summary of a run (the content of its ``summary.json``).

Percentages are in percent, units are numbered from 1. A mean goes with the sample standard
deviation over runs (divided by n - 1; 0 for a single run).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from jaxmask.intervention import Site
from jaxmask.report import paper

Summary = Mapping[str, Any]
Setting = tuple[str, str, bool]

NO_EXAMPLES = "no examples"
PAPER_MODEL = "Gulordava et al.'s model, 2 x 650 units"


class Table(NamedTuple):
    """Cells as text, ready for any medium.

    Attributes:
        title: what the table shows.
        header: one name a column.
        rows: as many cells each as there are columns.
        note: a sentence under the table, or nothing.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def mean_std(values: Sequence[float | int]) -> dict[str, float | None]:
    """Mean and sample standard deviation over runs; the latter is 0 for a single run.

    Both are None where there are no values at all.
    """
    if not values:
        return {"mean": None, "std": None}
    std = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "std": float(std)}


def percent(fraction: SupportsFloat) -> float | None:
    """A fraction in percent; None, JSON's ``null``, for the NaN that means "no examples"."""
    fraction = float(fraction)
    return None if fraction != fraction else 100.0 * fraction


def prevalence(
    runs: Sequence[Summary], site: Site, directions: Sequence[str]
) -> list[dict[str, Any]]:
    """How often each unit was found, and by which values it was replaced.

    Args:
        runs: the "runs" of a summary.
        site: whose units were searched.
        directions: names of the task's directions, the keys of a run's "values".

    Returns:
        The "prevalence" of a summary: one entry for each unit that any run found, the most
        prevalent first, then by number. A value is averaged over the runs that found the unit for
        that direction; its mean and std are None where, with separate masks, none did.

    Raises:
        ValueError: a run has a unit that the model hasn't.
    """
    found = sorted({unit for run in runs for unit in run["units"]})
    if found and not 1 <= found[0] <= found[-1] <= site.units:
        raise ValueError(f"units: expected 1 to {site.units}, found {found[0]} to {found[-1]}")
    rows = []
    for unit in found:
        layer, column = site.place(unit)
        share = sum(unit in run["units"] for run in runs) / len(runs)
        row = {"unit": unit, "layer": layer, "column": column, "prevalence": 100.0 * share}
        for direction in directions:
            values = (run["values"][direction].get(str(unit)) for run in runs)
            row[direction] = mean_std([value for value in values if value is not None])
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["prevalence"], row["unit"]))


def directions(summary: Summary) -> tuple[str, ...]:
    """Names of the task's directions."""
    return tuple(summary["runs"][0]["values"])


def unit_table(summary: Summary, also: tuple[str, Collection[int]] | None = None) -> Table:
    """The units found, as in Tables 1, 2, 3 and 5: values by direction and prevalence.

    Args:
        summary: of a run.
        also: header of a last column and the units to be ticked in it, such as those that another
            method finds.
    """
    header, ticked = also or ("", ())
    names = directions(summary)
    empty = {name for name in names if _accuracy_toward(summary, name)["mean"] is None}
    rows = tuple(
        (
            str(row["unit"]),
            f"{row['layer']}, {row['column']}",
            *(NO_EXAMPLES if n in empty else plus_minus(row[n], 2) for n in names),
            f"{row['prevalence']:.0f}%",
            *(["yes" if row["unit"] in ticked else "no"] if also else []),
        )
        for row in summary["prevalence"]
    )
    runs = len(summary["runs"])
    return Table(
        f"Units found by {runs} run{'s' * (runs > 1)} ({_name(summary)})",
        (
            "Unit",
            "Layer, column",
            *(f"To {n}" for n in names),
            "Prevalence",
            *([header] * bool(also)),
        ),
        rows,
        "" if rows else "No run found a unit.",
    )


def summary_row(summary: Summary) -> Table:
    """How well the units do, as in Table 4, with the paper's row under ours where it has one.

    "Expected" is the expected number of units of the relaxed mask, which the constraint bounds
    ("expected_l0" of the runs, None for methods without one); "Units" counts those that are left
    after thresholding.
    """
    names = directions(summary)
    ours = (
        "ours",
        plus_minus(summary["accuracy"], 1),
        *(mean_only(_accuracy_toward(summary, name), NO_EXAMPLES) for name in names),
        plus_minus(summary["n_units"], 1),
        mean_only(
            mean_std([r["expected_l0"] for r in summary["runs"] if r["expected_l0"] is not None])
        ),
        plus_minus(summary["kl"], 3),
    )
    rows = [ours]
    theirs = paper_result(summary)
    if theirs is not None:
        rows.append(
            (
                "paper",
                paper_pair(theirs.accuracy, 1),
                *("" for _ in names),
                paper_pair(theirs.units, 1),
                "",
                paper_pair(theirs.kl, 3),
            )
        )
    model = summary["model"]
    return Table(
        f"Summary ({_name(summary)})",
        ("", "Accuracy", *(f"To {n}" for n in names), "Units", "Expected", "KL"),
        tuple(rows),
        f"Ours: {model['name']}, {model['layers']} x {model['hidden']} units."
        + (f" Paper: {PAPER_MODEL}." if theirs else ""),
    )


def setting_of(summary: Summary) -> Setting:
    """What the rows of Table 4 differ in: (task, intervention, KL-regularised?)."""
    return summary["task"], summary["intervention"], summary["kl_weight"] > 0


def run_table(summary: Summary) -> Table:
    """One row a run."""
    rows = tuple(
        (
            str(run["seed"]),
            f"{run['accuracy']:.1f}",
            str(run["n_units"]),
            "" if run["expected_l0"] is None else f"{run['expected_l0']:.1f}",
            f"{run['kl']:.3f}",
            str(run["steps"]),
            "yes" if run["converged"] else "no",
            " ".join(str(unit) for unit in run["units"]),
        )
        for run in summary["runs"]
    )
    header = ("Seed", "Accuracy", "Units", "Expected", "KL", "Steps", "Converged", "Which units")
    return Table("Runs", header, rows, " ".join(f"{line}." for line in stops(summary)))


def stops(summary: Summary) -> list[str]:
    """A line for each run that ended early, and is reported as it was before that."""
    return [
        f"seed {run['seed']} stopped at step {run['stopped_at']}: the loss or its gradient isn't "
        "finite"
        for run in summary["runs"]
        if run.get("stopped_at") is not None
    ]


def shorten(table: Table, most: int = 15, rest: str = "table.md") -> Table:
    """The first ``most`` rows, with a note that says how many more ``rest`` holds."""
    left = len(table.rows) - most
    if left <= 0:
        return table
    note = f"... and {left} more: see {rest}."
    return table._replace(rows=table.rows[:most], note=note)


def to_markdown(table: Table) -> str:
    """The table in Markdown, columns aligned to the eye in plain text too."""
    grid = [[cell.replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*grid, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in grid
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    note = f"\n{table.note}\n" if table.note else ""
    return f"## {table.title}\n\n" + "\n".join(lines) + "\n" + note


def markdown_report(summary: Summary) -> str:
    """What goes into ``table.md``: the summary, all units, and each run."""
    examples, model = summary["examples"], summary["model"]
    settings = ", ".join(
        f"{name.replace('_', ' ')} {summary[name]}"
        for name in ("method", "surrogate", "alpha", "beta", "kl_weight", "shared_mask", "context")
    )
    lines = (
        f"# {summary['task'].replace('_', ' ').capitalize()}",
        f"Model {model['name']} (fingerprint {model['fingerprint']}): {model['layers']} x "
        f"{model['hidden']} units, {model['vocabulary']} words"
        + (
            "."
            if examples["model_accuracy"] is None
            else f"; it is right on {examples['model_accuracy']:.1f}% of the examples before any "
            "intervention."
        ),
        f"{examples['train']} examples to search, {examples['evaluation']} held out to evaluate "
        f"(by {examples['split']}), {examples['dropped']} dropped"
        + (f", {examples['unknown']} words read as <unk>. " if examples.get("unknown") else ". ")
        + "; ".join(
            f"To {name}: {count['train']} + {count['evaluation']}"
            for name, count in examples["toward"].items()
        )
        + ".",
        f"Settings: {settings}. Mean ± sample standard deviation over runs; accuracy is the "
        "percentage of held-out decisions that flip; KL is in nats.",
    )
    tables = (summary_row(summary), unit_table(summary), run_table(summary))
    return "\n\n".join(lines) + "\n\n" + "\n".join(to_markdown(table) for table in tables)


def paper_result(summary: Summary) -> paper.Result | None:
    """The paper's row of Table 4 that a summary is to be set beside."""
    same = summary["method"] == "hard_concrete"
    return paper.RESULTS.get(setting_of(summary)) if same else None


def _accuracy_toward(summary: Summary, direction: str) -> dict[str, float | None]:
    accuracies = (run["accuracy_by_direction"][direction] for run in summary["runs"])
    return mean_std([accuracy for accuracy in accuracies if accuracy is not None])


def _name(summary: Summary) -> str:
    regularised = "KL-regularised" if summary["kl_weight"] > 0 else "no KL"
    return f"{summary['task'].replace('_', ' ')}, {summary['intervention']}-step, {regularised}"


def plus_minus(of: Mapping[str, float | None], digits: int) -> str:
    """A mean and its standard deviation; nothing where there is no mean."""
    mean, std = of["mean"], of["std"]
    return "" if mean is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def paper_pair(of: paper.Pair, digits: int) -> str:
    """A mean and standard deviation of the paper's."""
    return f"{of[0]:.{digits}f} ± {of[1]:.{digits}f}"


def mean_only(of: Mapping[str, float | None], none: str = "") -> str:
    """A mean, with one digit; ``none`` where there is none."""
    return none if of["mean"] is None else f"{of['mean']:.1f}"
