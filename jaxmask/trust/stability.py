"""Measures 12 and 13: whether other searches find the same units, and how the search ended."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmask import search
from jaxmask.search import Convergence, SearchConfig
from jaxmask.trust.measure import Measure, judged, not_measured
from jaxmask.trust.statistics import jaccard, jaccard_by_chance

LEAST = 0.5
RULE = (
    "Passes if two searches share, on average, at least half of the units that either has (mean "
    "Jaccard index of 0.5)."
)
SEARCH_RULE = (
    "Passes if the search has converged: both constraints within 5% of their limits, a hard mask "
    "of at most as many units as allowed, an accuracy that no longer rises, and finite steps."
)


def stability(
    of_seeds: Sequence[list[int]], of_splits: Mapping[str, Mapping[str, Any]], units: int
) -> Measure:
    """The mean Jaccard index of the sets of several searches, beside chance.

    Args:
        of_seeds: unit numbers of the set of each seed.
        of_splits: for each other split of the examples, its name and what a search found there,
            see `jaxmask.trust.unseen.gap`; its set is compared with that of the first seed.
        units: number of units of the site.

    Example:
        >>> split = {"words": {"units": [1, 3], "seen": 91.0, "unseen": 90.0}}
        >>> found = stability([[1, 2], [1, 2], [2, 3]], split, 100)
        >>> round(found.value, 3), found.verdict, found.details["over_splits"]["words"]["jaccard"]
        (0.556, 'pass', 0.3333333333333333)
    """
    pairs = list(itertools.combinations(of_seeds, 2))
    if not pairs:
        return not_measured("stability", "There is one search only: more --seeds say more.", RULE)
    shared = [jaccard(one, other) for one, other in pairs]
    chance = float(np.mean([jaccard_by_chance(len(a), len(b), units) for a, b in pairs]))
    over_splits = {
        name: {"jaccard": jaccard(of_seeds[0], one["units"]), "unseen": one["unseen"]}
        for name, one in of_splits.items()
    }
    common = set.intersection(*map(set, of_seeds))
    mean = float(np.mean(shared))
    details = {
        "pairs": shared,
        "chance": chance,
        "in_all": len(common),
        "in_any": len(set.union(*map(set, of_seeds))),
        "over_splits": over_splits,
    }
    listed = ", ".join(f"{name} {one['jaccard']:.2f}" for name, one in over_splits.items())
    splits = f"; with other examples held out: {listed}" if listed else ""
    return Measure(
        "stability",
        mean,
        "",
        None,
        f"by chance {chance:.3f}; lowest pair {min(shared):.2f}{splits}",
        f"Mean Jaccard index of the sets of {len(of_seeds)} searches that differ in their random "
        f"numbers: {len(common)} units are in all, {details['in_any']} in any.",
        RULE,
        judged(mean >= LEAST),
        details,
    )


def search_end(
    met: Convergence, steps: search.SearchInfo, relaxed: search.Relaxation, config: SearchConfig,
    units: int,
) -> Measure:  # fmt: skip
    """How the relaxed search ended, against its limits.

    Args:
        met: conditions of convergence.
        steps: what the steps of this search observed.
        relaxed: effect of the relaxed mask on held-out examples.
        config: settings.
        units: number of units of the site.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    expected, between = float(steps.expected_l0[-1]), float(steps.fractional_gates[-1])
    limits = float(config.alpha) * units, float(config.most_fractional) * units
    unmet = [name for name, holds in met._asdict().items() if not holds]
    sampled, hard = 100.0 * float(relaxed.sampled_accuracy), 100.0 * float(relaxed.hard_accuracy)
    named = ", ".join(name.replace("_", " ") for name in unmet)
    return Measure(
        "search",
        expected,
        "units",
        None,
        f"{limits[0]:.1f} allowed; {between:.1f} gates between 0 and 1, {limits[1]:.1f} allowed",
        "Expected number of units of the relaxed mask at its end; sampled masks flip "
        f"{sampled:.1f}%, the thresholded one {hard:.1f}%"
        + (f". Not met: {named}." if unmet else "."),
        SEARCH_RULE,
        judged(not unmet),
        {
            "expected_units": expected,
            "allowed": limits[0],
            "fractional_gates": between,
            "fractional_allowed": limits[1],
            "sampled_accuracy": sampled,
            "thresholded_accuracy": hard,
            "unmet": unmet,
        },
    )
