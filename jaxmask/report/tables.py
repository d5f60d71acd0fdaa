"""Tables for people to read, made from the summary of a run (the content of ``summary.json``).

Percentages are in percent, and units are numbered from 1.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxmask.intervention import Kind, Site
from jaxmask.report import paper
from jaxmask.report.cells import (
    NO_EXAMPLES,
    Table,
    mean_only,
    mean_std,
    paper_pair,
    plus_minus,
    to_markdown,
)

Summary = Mapping[str, Any]
Setting = tuple[str, str, bool]

# What the columns of these names mean.
EXPECTED = (
    "Expected: the number of units that the relaxed mask expects to replace at its end, the sum of "
    "P(z != 0) over all units. Units: those of the hard mask that is made of it."
)
CONVERGED = (
    "Converged: the hard mask has no more units than alpha allows, the relaxed one ended within 5% "
    "of its two limits, and the accuracy no longer rose."
)

PAPER_MODEL = "Gulordava et al.'s model, 2 x 650 units"


def prevalence(
    runs: Sequence[Summary], site: Site, directions: Sequence[str]
) -> list[dict[str, Any]]:
    """How often each unit was found, and which values replaced it.

    Args:
        runs: the "runs" of a summary.
        site: the units that were searched.
        directions: names of the directions of the task, which are the keys of "values" of a run.

    Returns:
        The "prevalence" of a summary: an entry for each unit that any run found, sorted by
        decreasing prevalence, then by number. A value is averaged over the runs that found the unit
        for that direction. If no run did, which is possible with separate masks, mean and std are
        None.

    Raises:
        ValueError: a run has a unit that the model doesn't have.

    Example:
        >>> one = {"units": [4], "values": {"up": {"4": 1.0}}}
        >>> other = {"units": [], "values": {"up": {}}}
        >>> (row,) = prevalence([one, other], Site("hidden", layers=2, width=3), ("up",))
        >>> row["layer"], row["column"], row["prevalence"], row["up"]["mean"]
        (2, 1, 50.0, 1.0)
    """
    found = sorted({unit for run in runs for unit in run["units"]})
    if found and not 1 <= found[0] <= found[-1] <= site.units:
        raise ValueError(f"units: expected 1 to {site.units}, found {found[0]} to {found[-1]}")
    rows = []
    for unit in found:
        layer, column = site.place(unit)
        share = sum(unit in run["units"] for run in runs) / len(runs)
        row = {"unit": unit, "layer": layer, "column": column, "state": site.state(unit)}
        row["prevalence"] = 100.0 * share
        for direction in directions:
            values = (run["values"][direction].get(str(unit)) for run in runs)
            row[direction] = mean_std([value for value in values if value is not None])
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["prevalence"], row["unit"]))


def directions(summary: Summary) -> tuple[str, ...]:
    """The names of the directions of the task.

    Example:
        >>> directions({"runs": [{"values": {"singular": {}, "plural": {}}}]})
        ('singular', 'plural')
    """
    return tuple(summary["runs"][0]["values"])


def unit_table(summary: Summary, also: tuple[str, Collection[int]] | None = None) -> Table:
    """The units found, as in Tables 1, 2, 3 and 5: their values for each direction and prevalence.

    Args:
        summary: of a run.
        also: header of an additional last column, and the units for which it says "yes", such as
            those that another method finds.

    Example:
        >>> run = {"values": {"up": {"4": 1.0}}, "accuracy_by_direction": {"up": 90.0}}
        >>> row = {"unit": 4, "layer": 2, "column": 1, "state": "hidden", "prevalence": 100.0}
        >>> row["up"] = mean_std([1.0])
        >>> summary = {"task": "t", "intervention": "single", "kl_weight": 0.0, "runs": [run]}
        >>> unit_table(summary | {"prevalence": [row]}).rows
        (('4', '2, 1', '1.00 ± 0.00', '100%'),)
    """
    header, ticked = also or ("", ())
    names, several = directions(summary), len(Kind.of_settings(summary).states) > 1
    empty = {name for name in names if _accuracy_toward(summary, name)["mean"] is None}
    rows = tuple(
        (
            str(row["unit"]),
            ", ".join(str(row[name]) for name in ("layer", "column", *["state"] * several)),
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
    """The accuracy, number of units and KL of a run, as in Table 4.

    The row of the paper stands under ours if the paper has one for this setting. "Expected" is the
    expected number of units of the relaxed mask, which the constraint bounds ("expected_l0" of the
    runs, None for methods without a relaxed mask). "Units" is the number of units of the hard mask.
    The note gives the part of the KL that the target's position doesn't give, if it was measured.

    Args:
        summary: of a run.

    Example:
        >>> run = {"values": {"up": {}}, "accuracy_by_direction": {"up": 90.0}, "expected_l0": 2.5}
        >>> summary = {"task": "t", "intervention": "single", "kl_weight": 0.0, "runs": [run]}
        >>> summary |= {"method": "greedy", "model": {"name": "m", "layers": 2, "hidden": 3}}
        >>> summary |= {"accuracy": mean_std([90.0]), "n_units": mean_std([2])}
        >>> summary |= {"kl": mean_std([0.1])}
        >>> summary_row(summary).rows
        (('ours', '90.0 ± 0.0', '90.0', '2.0 ± 0.0', '2.5', '0.100 ± 0.000'),)
    """
    names, elsewhere = directions(summary), _kl_elsewhere(summary)
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
        + (f" Paper: {PAPER_MODEL}." if theirs else "")
        + "".join(f" {note}" for note in _on_expected(summary))
        + (f" Of the KL, {plus_minus(elsewhere, 3)} isn't at the target." if elsewhere else ""),
    )


def _on_expected(summary: Summary) -> tuple[str, ...]:
    """What the column of that name means, if a run has something in it."""
    known = any(run["expected_l0"] is not None for run in summary["runs"])
    return (EXPECTED,) if known else ()


def _kl_elsewhere(summary: Summary) -> Mapping[str, float | None] | None:
    """Its mean and deviation; None if it wasn't measured."""
    statistics = summary.get("kl_elsewhere")
    return None if statistics is None or statistics["mean"] is None else statistics


def site_units(summary: Summary) -> int:
    """The number of units that can be replaced, which summaries of earlier versions don't name.

    Example:
        >>> model = {"layers": 2, "hidden": 650}
        >>> site_units({"model": model}), site_units({"model": model, "site_units": 2600})
        (1300, 2600)
    """
    model = summary["model"]
    return summary.get("site_units", model["layers"] * model["hidden"])


def subject(summary: Summary, model: bool = False) -> str:
    """The task and the kind of intervention of a run, for a title.

    Args:
        summary: of a run, or of several runs of one kind.
        model: whether the title begins with the name of the model.

    Example:
        >>> subject({"task": "gender_bias", "intervention": "every", "site": "cell"})
        'gender bias, every-step, cell states, reach time'
    """
    name = f"{summary['task'].replace('_', ' ')}, {Kind.of_settings(summary).title}"
    return f"{summary['model']['name']}, {name}" if model else name


def setting_of(summary: Summary) -> Setting:
    """The setting of a run, by which the rows of Table 4 differ.

    Returns:
        (task, intervention, whether there is KL regularisation).

    Example:
        >>> setting_of({"task": "gender_bias", "intervention": "every", "kl_weight": 1.0})
        ('gender_bias', 'every', True)
    """
    return summary["task"], summary["intervention"], _regularised(summary)


def run_table(summary: Summary) -> Table:
    """A row for each run.

    Example:
        >>> run = {"seed": 0, "accuracy": 90.0, "n_units": 2, "expected_l0": 2.5, "kl": 0.1}
        >>> run |= {"steps": 150, "converged": True, "units": [4, 6]}
        >>> run_table({"runs": [run]}).rows
        (('0', '90.0', '2', '2.5', '0.100', '150', 'yes', '4 6'),)
    """
    rows = tuple(
        (
            str(run["seed"]),
            f"{run['accuracy']:.1f}",
            str(run["n_units"]),
            "" if run["expected_l0"] is None else f"{run['expected_l0']:.1f}",
            f"{run['kl']:.3f}",
            str(run["steps"]),
            "yes" if run["converged"] else ": ".join(["no", *_unmet(run)]),
            " ".join(str(unit) for unit in run["units"]),
        )
        for run in summary["runs"]
    )
    header = ("Seed", "Accuracy", "Units", "Expected", "KL", "Steps", "Converged", "Which units")
    notes = (*_on_expected(summary), CONVERGED, *(f"{line}." for line in stops(summary)))
    return Table("Runs", header, rows, " ".join(notes))


def stops(summary: Summary) -> list[str]:
    """A line for each run that stopped early; its results are those of its last finite step.

    Example:
        >>> stops({"runs": [{"seed": 3, "stopped_at": 17}]})
        ["seed 3 stopped at step 17: the loss or its gradient isn't finite"]
    """
    return [
        f"seed {run['seed']} stopped at step {run['stopped_at']}: the loss or its gradient isn't "
        "finite"
        for run in summary["runs"]
        if run.get("stopped_at") is not None
    ]


UNMET = {
    "finite": "a step wasn't finite",
    "units": "more units than alpha allows",
    "expected_units": "expected units of the relaxed mask end more than 5% above their limit",
    "fractional_gates": "gates between 0 and 1 end more than 5% above their limit",
    "settled": "the accuracy still rose",
}


def unconverged(summary: Summary) -> list[str]:
    """A line that says how many runs haven't converged, and why; none if all have.

    Example:
        >>> unconverged({"runs": [{"converged": False, "not_converged": ["settled"]}]})
        ["1 of 1 searches hasn't converged: the accuracy still rose (1)"]
        >>> unconverged({"runs": [{"converged": True, "not_converged": []}]})
        []
    """
    runs = summary["runs"]
    failed = [run for run in runs if not run["converged"]]
    if not failed:
        return []
    reasons = [name for run in failed for name in run.get("not_converged", ())]
    counts = (f"{UNMET[name]} ({reasons.count(name)})" for name in UNMET if name in reasons)
    verb = "hasn't" if len(failed) == 1 else "haven't"
    line = f"{len(failed)} of {len(runs)} searches {verb} converged"
    return [": ".join([line, *([", ".join(counts)] if reasons else [])])]


def _unmet(run: Summary) -> list[str]:
    """What a run didn't meet, in words, as one text; summaries of earlier versions don't say it."""
    unmet = run.get("not_converged", ())
    return [", ".join(UNMET[name] for name in unmet)] * bool(unmet)


def markdown_report(summary: Summary) -> str:
    """The content of ``table.md``: the summary, all units, and each run.

    Example:
        >>> run = {"seed": 0, "accuracy": 90.0, "n_units": 0, "units": [], "values": {"up": {}}}
        >>> run |= {"accuracy_by_direction": {"up": 90.0}, "expected_l0": None, "kl": 0.1}
        >>> run |= {"steps": 9, "converged": True}
        >>> model = {"name": "m", "fingerprint": "0", "layers": 2, "hidden": 3, "vocabulary": 5}
        >>> examples = {"train": 8, "evaluation": 2, "split": "example", "dropped": 0}
        >>> examples |= {"model_accuracy": None, "toward": {"up": {"train": 8, "evaluation": 2}}}
        >>> summary = {"task": "t", "intervention": "single", "method": "greedy", "alpha": 0.1}
        >>> summary |= {"surrogate": "share", "beta": 0.1, "kl_weight": 0.0, "shared_mask": True}
        >>> summary |= {"context": "eos", "model": model, "examples": examples, "runs": [run]}
        >>> summary |= {"accuracy": mean_std([90.0]), "n_units": mean_std([0])}
        >>> summary |= {"kl": mean_std([0.1])}
        >>> markdown_report(summary | {"prevalence": []}).splitlines()[2]
        'Model m (fingerprint 0): 2 x 3 units, 5 words.'
    """
    examples, model = summary["examples"], summary["model"]
    settings = ", ".join(
        f"{name.replace('_', ' ')} {summary[name]}"
        for name in ("method", "surrogate", "alpha", "beta", "kl_weight", "shared_mask", "context")
    )
    lines = (
        f"# {summary['task'].replace('_', ' ').capitalize()}",
        f"Model {model['name']} (fingerprint {model['fingerprint']}): {model['layers']} x "
        f"{model['hidden']} units, {model['vocabulary']} "
        f"{'tokens' if 'tokenizer' in model else 'words'}"
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
    """The row of Table 4 in the paper that has the setting of a run; None if there is none.

    Example:
        >>> summary = {"task": "gender_bias", "intervention": "every", "kl_weight": 1.0}
        >>> paper_result(summary | {"method": "hard_concrete"}).units
        (3.0, 0.0)
        >>> paper_result(summary | {"method": "greedy"}) is None
        True
    """
    if summary["method"] != "hard_concrete":
        return None
    return paper.RESULTS.get(setting_of(summary))


def _accuracy_toward(summary: Summary, direction: str) -> dict[str, float | None]:
    """The accuracy toward a direction, over the runs that have examples of it."""
    accuracies = (run["accuracy_by_direction"][direction] for run in summary["runs"])
    return mean_std([accuracy for accuracy in accuracies if accuracy is not None])


def _name(summary: Summary) -> str:
    """The setting of a run, for the title of a table."""
    return f"{subject(summary)}, {'KL-regularised' if _regularised(summary) else 'no KL'}"


def _regularised(summary: Summary) -> bool:
    return summary["kl_weight"] > 0 or summary.get("kl_at_most") is not None
