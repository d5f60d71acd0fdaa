"""What several models show together: the summary's figures, tables and the figure."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmask import report
from jaxmask.intervention import Kind
from jaxmask.report import Table, figures, paper
from jaxmask.report.figures import Needed, Snapshots

Entry = Mapping[str, Any]  # of a summary's "models" or "snapshots", see `robustness_runs.of_model`


def summarise(models: Sequence[Entry], snapshots: Sequence[Entry]) -> dict[str, Any]:
    """What a summary says of models that were searched.

    "accuracy" and "n_units" are over all runs of all models, as the paper's; "over_models" is over
    each model's mean, and None for what isn't known of all of them. Snapshots are put in the order
    of their training, by perplexity.
    """
    runs = [run for model in models for run in model["runs"]]
    means = {
        "accuracy": [model["accuracy"]["mean"] for model in models],
        "n_units": [model["n_units"]["mean"] for model in models],
        "greedy_units": [model["greedy"]["n_units"] for model in models],
        "greedy_accuracy": [model["greedy"]["accuracy"] for model in models],
        "perplexity": [model["perplexity"] for model in models],
        "model_accuracy": [model["model_accuracy"] for model in models],
    }
    known = {name: [] if None in values else values for name, values in means.items()}
    return {
        "models": list(models),
        "snapshots": sorted(snapshots, key=lambda one: -one["perplexity"]),
        **{name: report.mean_std([run[name] for run in runs]) for name in ("accuracy", "n_units")},
        "over_models": {name: report.mean_std(values) for name, values in known.items()},
        "overlap": {
            "within": [overlap(_pairs_within(model)) for model in models],
            "across": overlap(_pairs_across(models)),
        },
    }


# Two sets of units, and how many units there are to take them from.
Pair = tuple[set[int], set[int], int]


def overlap(pairs: Iterator[Pair]) -> dict[str, float | None]:
    """How much sets of units have in common, mean over pairs; None where there are no pairs.

    Of sets A and B, drawn by chance from n units, ``|A| |B| / n`` would be shared on average.
    """
    found = [
        (len(a & b), len(a & b) / len(a | b), len(a) * len(b) / n) for a, b, n in pairs if a | b
    ]
    means = np.mean(found, axis=0).tolist() if found else (None, None, None)
    return dict(zip(("shared", "jaccard", "expected"), means, strict=True))


def _pairs_within(model: Entry) -> Iterator[Pair]:
    """Each two searches on a model."""
    for a, b in itertools.combinations(model["runs"], 2):
        yield set(a["units"]), set(b["units"]), _units_of(model)


def _pairs_across(models: Sequence[Entry]) -> Iterator[Pair]:
    """Each two searches on two models of as many units."""
    for one, other in itertools.combinations(models, 2):
        if _units_of(one) == _units_of(other):
            for a, b in itertools.product(one["runs"], other["runs"]):
                yield set(a["units"]), set(b["units"]), _units_of(one)


def _units_of(model: Entry) -> int:
    return model["layers"] * model["hidden"]


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """All tables that have rows."""
    chosen = []
    if summary["models"]:
        chosen += [model_table(summary), overlap_table(summary)]
    if summary["snapshots"]:
        chosen.append(snapshot_table(summary))
    if any(entry["agreement"] for entry in _entries(summary)):
        chosen.append(agreement_table(summary))
    return chosen


def model_table(summary: Mapping[str, Any]) -> Table:
    """Accuracy and units of each model beside greedy selection's, and the paper's below."""
    rows = [
        (entry["name"], *_of_entry(entry), report.plus_minus(entry["n_units"], 1), *_greedy(entry))
        for entry in summary["models"]
    ]
    over, count = summary["over_models"], len(summary["models"])
    rows.append(
        (
            "all runs", "", "",
            report.plus_minus(summary["accuracy"], 1),
            report.plus_minus(summary["n_units"], 1), "", "",
        )
    )  # fmt: skip
    rows.append(
        (
            "models",
            report.mean_only(over["perplexity"]),
            report.mean_only(over["model_accuracy"]),
            *(report.plus_minus(over[name], 1) for name in ("accuracy", "n_units", "greedy_units")),
            report.mean_only(over["greedy_accuracy"]),
        )
    )
    theirs = paper.FIVE_MODELS
    if _is_paper_s(summary):
        pairs = (report.paper_pair(x, 1) for x in (theirs.accuracy, theirs.units))
        rows.append(("paper", "", "", *pairs, "", ""))
    seeds = len(summary["models"][0]["runs"])
    note = (
        f"{count} models, {seeds} searches each. Perpl.: perplexity; right: percentage of right "
        "forms the untouched model prefers. Accuracy: percentage of held-out decisions that flip, "
        "whichever form the model preferred; ± over searches, in the last rows over all of them "
        "and over the models' means."
    )
    note += _how_many(summary, summary["models"])
    if _is_paper_s(summary):
        note += f" Paper: {theirs.models} models of 2 x 650 units, {theirs.runs} searches each."
    header = ("Model", "Perpl.", "Right", "Accuracy", "Units", "Greedy", "Acc.")
    return Table(f"Robustness ({report.subject(summary)})", header, tuple(rows), note)


def overlap_table(summary: Mapping[str, Any]) -> Table:
    """How much the sets of units have in common, and how much by chance."""
    within, across = summary["overlap"]["within"], summary["overlap"]["across"]
    parts = [
        (model["name"], part, str(_found_always(model)))
        for model, part in zip(summary["models"], within, strict=True)
    ]
    parts.append(("across models", across, ""))
    rows = tuple(
        (
            name,
            f"{part['jaccard']:.2f}",
            f"{part['shared']:.1f}",
            f"{part['expected']:.1f}",
            always,
        )
        for name, part, always in parts
        if part["jaccard"] is not None
    )
    return Table(
        "What two searches' units have in common",
        ("Searches on", "Jaccard", "Shared", "By chance", "In all"),
        rows,
        "Jaccard: shared units by all units of the two, mean over pairs of searches. By chance: "
        "units that two sets of these sizes would share if drawn at random. In all: units that all "
        "searches on the model found. Units of different models aren't aligned: unit 7 of one has "
        "nothing to do with unit 7 of another, so that across models no more than chance is to be "
        "expected.",
    )


def _found_always(model: Entry) -> int:
    return sum(row["prevalence"] == 100.0 for row in model["prevalence"])


def snapshot_table(summary: Mapping[str, Any]) -> Table:
    """Does training longer make the phenomenon sparser?"""
    rows = tuple(
        (entry["name"], *_of_entry(entry), report.plus_minus(entry["n_units"], 1), *_greedy(entry))
        for entry in summary["snapshots"]
    )
    return Table(
        f"Snapshots of a training run ({report.subject(summary)})",
        ("Snapshot", "Perpl.", "Right", "Accuracy", "Units", "Greedy", "Acc."),
        rows,
        "The search turns whatever a model prefers into the other form: where it is right hardly "
        "more often than by chance (50%), the units carry its preferences between forms, not yet "
        "number agreement." * _has_right_forms(summary) + _how_many(summary, summary["snapshots"]),
    )


def agreement_table(summary: Mapping[str, Any]) -> Table:
    """How often each untouched model prefers the right form, by construction."""
    entries = [entry for entry in _entries(summary) if entry["agreement"]]
    groups = list(dict.fromkeys(group for entry in entries for group in entry["agreement"]))
    rows = tuple(
        (
            entry["name"],
            *(f"{entry['agreement'][g]:.1f}" if g in entry["agreement"] else "" for g in groups),
        )
        for entry in entries
    )
    return Table(
        "What the untouched models know",
        ("Model", *(group.replace("_", " ") for group in groups)),
        rows,
        "Percentage of pairs of which the model prefers the right form.",
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """What goes into ``table.md``: the tables, and the units of each model."""
    units = (_unit_table(summary, entry) for entry in _entries(summary))
    text = [report.to_markdown(table) for table in (*tables(summary), *units)]
    return f"# Robustness: {report.subject(summary)}\n\n" + "\n".join(text)


def figure(summary: Mapping[str, Any]) -> Figure:
    """Units needed over perplexity, snapshot by snapshot."""
    entries = summary["snapshots"]
    ours = [(entry["n_units"]["mean"], entry["reached"]) for entry in entries]
    greedy = [
        (entry["greedy"]["n_units"] or entry["greedy"]["tried"], bool(entry["greedy"]["n_units"]))
        for entry in entries
    ]
    right = [entry["model_accuracy"] for entry in entries]
    how = (
        f"units that flip {summary['wanted']:g}%" if summary["alpha"] is None
        else f"alpha {summary['alpha']:g}"
    )  # fmt: skip
    return figures.units_against_perplexity(
        Snapshots(
            np.array([entry["perplexity"] for entry in entries]),
            [entry["name"].rsplit("-", 1)[-1] for entry in entries],
            np.array(right) if _has_right_forms(summary) else None,
        ),
        {
            name: Needed(np.array([n for n, _ in points]), np.array([ok for _, ok in points]))
            for name, points in (("search", ours), ("greedy selection", greedy))
        },
        f"{report.subject(summary)}: {how}, over a training run",
    )


def _entries(summary: Mapping[str, Any]) -> list[Entry]:
    return [*summary["models"], *summary["snapshots"]]


def _has_right_forms(summary: Mapping[str, Any]) -> bool:
    return all(entry["model_accuracy"] is not None for entry in _entries(summary))


def _is_paper_s(summary: Mapping[str, Any]) -> bool:
    return (summary["task"], summary["intervention"]) == ("number_agreement", "single")


def _of_entry(entry: Entry) -> tuple[str, str, str]:
    perplexity, right = entry["perplexity"], entry["model_accuracy"]
    return (
        "" if perplexity is None else f"{perplexity:.1f}",
        "" if right is None else f"{right:.1f}",
        report.plus_minus(entry["accuracy"], 1),
    )


def _greedy(entry: Entry) -> tuple[str, str]:
    greedy = entry["greedy"]
    needed = str(greedy["n_units"] or f"> {greedy['tried']}")
    return needed, f"{greedy['accuracy']:.1f}"


def _how_many(summary: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    """What a table's columns of units mean, and where they miss the accuracy."""
    wanted = f"{summary['wanted']:g}%"
    if summary["alpha"] is None:
        text = (
            f" Units: about the fewest with which the searches flip {wanted} of the training "
            "decisions (and half a point more)"
        )
    else:
        text = f" Units: at alpha {summary['alpha']:g}"
    text += (
        f"; greedy: the fewest with which greedy selection flips {wanted} (and as much more), and "
        "its accuracy on held-out decisions."
    )
    missed = [entry["name"] for entry in entries if not entry["reached"]]
    return text + (f" The searches miss that on {', '.join(missed)}." if missed else "")


def _unit_table(summary: Mapping[str, Any], entry: Entry) -> Table:
    of_search = {name: summary[name] for name in ("task", "kl_weight")}
    of_search |= Kind.of_settings(summary).settings()
    table = report.unit_table({**of_search, **entry})
    greedy = " ".join(map(str, entry["greedy"]["units"]))
    note = f"{table.note} Greedy selection's: {greedy}.".strip()
    return table._replace(title=f"Units of {entry['name']}", note=note)
