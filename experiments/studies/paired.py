"""Differences between methods, over the same held-out examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmask.pipeline.prepare import Prepared
from jaxmask.text.splits import position_words
from jaxmask.trust.statistics import difference_interval
from jaxmask.trust.subject import numbered

REFERENCE = "hard_concrete"  # what all others are compared with
LEVEL = 0.95


def differences(entries: Sequence[Mapping[str, Any]], prepared: Prepared) -> list[dict[str, Any]]:
    """Each method against the search at the same number of units.

    A method's outcome on an example is the share of its seeds that flip it. Words at the position
    and pairs are drawn with replacement, as examples that share them aren't independent.

    Args:
        entries: "methods" of a summary, with "flipped" of their runs; those of earlier versions
            don't have it, and are left out.
        prepared: with the held-out examples.

    Returns:
        The difference in points, its 95% interval, and whether the interval that is widened for
        the number of comparisons leaves out 0.
    """
    outcomes = {
        (entry["method"], entry["allowed"]): _flips(entry["runs"])
        for entry in entries
        if all("flipped" in run for run in entry["runs"])
    }
    compared = [key for key in outcomes if key[0] != REFERENCE and (REFERENCE, key[1]) in outcomes]
    held_out = prepared.evaluation
    pairs = [f"{first} {second}" for first, second in held_out.pair.tolist()]
    clusters = [position_words(held_out), numbered(pairs)]
    found = []
    for method, allowed in compared:
        gap = outcomes[method, allowed] - outcomes[REFERENCE, allowed]
        for_all = difference_interval(gap, clusters, 1 - (1 - LEVEL) / len(compared))
        found.append(
            {
                "method": method,
                "allowed": allowed,
                "difference": 100.0 * float(gap.mean()),
                "interval": list(difference_interval(gap, clusters, LEVEL).scaled(100.0)),
                "differs": not for_all.low <= 0.0 <= for_all.high,
            }
        )
    return found


def _flips(runs: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, " examples"]:
    """How often the runs flip each example."""
    return np.mean([[int(digit) for digit in run["flipped"]] for run in runs], axis=0)
