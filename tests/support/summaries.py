"""Summaries of runs, as in summary.json, made by hand."""

from jaxmask import report
from jaxmask.intervention import Site
from jaxmask.trust.assess import MEASURES
from jaxmask.trust.measure import Measure, not_measured
from jaxmask.trust.statistics import Interval

DIRECTIONS = ("singular", "plural")


def run(seed, units, **changes):
    """A run as in summary.json that found ``units``, with values that depend on unit and seed."""
    values = {
        "singular": {str(u): -0.9 + 0.1 * seed for u in units},
        "plural": {str(u): 0.5 + u / 1000 for u in units},
    }
    return {
        "seed": seed,
        "accuracy": 90.0 + seed,
        "accuracy_by_direction": {"singular": 91.0, "plural": 89.0},
        "n_units": len(units),
        "units": units,
        "values": values,
        "expected_l0": 6.5,
        "kl": 0.03,
        "steps": 2000,
        "seconds": 10.0,
        "converged": True,
    } | changes


def summary(runs, **changes):
    return {
        "task": "number_agreement",
        "method": "hard_concrete",
        "intervention": "single",
        "site": "hidden",
        "reach": "all",
        "values": "free",
        "surrogate": "ratio",
        "kl_weight": 1.0,
        "alpha": 0.02,
        "beta": 0.02,
        "shared_mask": True,
        "context": "eos",
        "model": {
            "name": "demo",
            "fingerprint": "0123456789abcdef",
            "layers": 2,
            "hidden": 100,
            "vocabulary": 1000,
        },
        "examples": {
            "train": 900,
            "evaluation": 100,
            "dropped": 3,
            "model_accuracy": 94.25,
            "split": "example",
            "toward": {
                "singular": {"train": 440, "evaluation": 60},
                "plural": {"train": 460, "evaluation": 40},
            },
        },
        "runs": runs,
        "accuracy": report.mean_std([r["accuracy"] for r in runs]),
        "n_units": report.mean_std([r["n_units"] for r in runs]),
        "kl": report.mean_std([r["kl"] for r in runs]),
        "prevalence": report.prevalence(runs, Site("hidden", 2, 100), tuple(runs[0]["values"])),
        "seconds": {"total": 20.0, "compile": 5.0},
        "versions": {"jaxmask": "0.1.0", "jax": "0.5"},
        "device": "cpu",
    } | changes


def three_runs():
    return [run(0, [7, 101]), run(1, [7, 150, 101]), run(2, [101])]


SHARES = {
    "simple": {"examples": 50, "accuracy": 100.0, "interval": [92.9, 100.0]},
    "nounpp": {"examples": 200, "accuracy": 84.5, "interval": [78.8, 88.9]},
}
DETAILS = {
    "accuracy": {"by": {"construction": SHARES, "direction": {"plural": SHARES["simple"]}}},
    "harm": {
        "kl": 0.4, "reference": 0.5, "tie": 0.05, "swap": 0.2,
        "by_distance": [
            {"distance": 0, "part": 0.3, "kl": 0.6, "paired": 0.7, "examples": 250},
            {"distance": 1, "part": 0.1, "kl": 0.2, "paired": None, "examples": 200},
        ],
    },
    "dose": {"doses": [0.5, 1.0], "flips": [40.0, 90.0]},
    "place": {"where_found": 90.0, "last_word_only": 83.0, "all_but_last_word": None,
              "layers": {"1": 80.0, "2": 10.0}},
}  # fmt: skip


def trust():
    """The "trust" of a summary, with details of the measures that tables and figures show."""
    measures = [
        Measure(name, 98.76, "points", Interval(-12.34, 100.0), "a control of many words " * 5,
                "So many flip.", "Passes if they do.", "caution", DETAILS.get(name, {}))
        for name in MEASURES
    ]  # fmt: skip
    measures[1] = not_measured("unseen", "It is asked for by --trust all.", "Passes if few.")
    return {
        "level": "fast", "seed": 3, "n_units": 2, "units": [5, 12], "seconds": 31.2,
        "measures": [one.content() for one in measures],
    }  # fmt: skip
