"""Results of models, as the study of robustness keeps them, made by hand."""

import numpy as np

GROUPS = ("adv", "adv_adv", "adv_conjunction", "namepp", "nounpp", "nounpp_adv", "simple")


def entry(name, runs, greedy=3, right=90.0, perplexity=100.0, **changes):
    """A model's results; runs are (accuracy, units)."""
    accuracy, units = zip(*runs, strict=True)
    counts = [len(found) for found in units]
    there = sorted(set().union(*units))
    value = {"mean": 1.0, "std": 0.0}
    prevalence = [
        {"unit": unit, "layer": 1, "column": unit, "singular": value, "plural": value,
         "prevalence": 100.0 * sum(unit in found for found in units) / len(units)}
        for unit in there
    ]  # fmt: skip
    by_direction = {"singular": 90.0, "plural": 90.0}
    return {
        "name": name, "fingerprint": name, "layers": 2, "hidden": 5, "vocabulary": 9,
        "perplexity": perplexity, "model_accuracy": right, "reached": True,
        "prevalence": prevalence,
        "agreement": dict.fromkeys(GROUPS, 90.0), "alpha": 0.3, "train_accuracy": 90.0,
        "accuracy": {"mean": np.mean(accuracy), "std": np.std(accuracy, ddof=1)},
        "n_units": {"mean": np.mean(counts), "std": np.std(counts, ddof=1)},
        "greedy": {"n_units": greedy, "tried": 8, "accuracy": 91.0, "units": [1, 2]},
        "runs": [
            {"accuracy": a, "train_accuracy": a, "n_units": len(u), "units": u,
             "values": {"singular": {}, "plural": {}},
             "accuracy_by_direction": by_direction}
            for a, u in runs
        ],
    } | changes  # fmt: skip
