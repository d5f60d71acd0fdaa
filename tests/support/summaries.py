"""Summaries of runs, as in summary.json, made by hand."""

from jaxmask import report
from jaxmask.intervention import Site

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
