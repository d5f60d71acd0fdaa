"""Measure 2: sets found without some words or constructions, tried on those."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxmask.evaluate import accuracies_in_parts
from jaxmask.intervention import Intervention, units
from jaxmask.pipeline.plan import Split
from jaxmask.pipeline.prepare import Prepared, SplitError
from jaxmask.trust.measure import Measure, judged, not_measured
from jaxmask.trust.subject import Subject

HELD_OUT = 0.25  # of the examples
MOST_GAP = 10.0  # points
RULE = (
    "Passes if, for words and for constructions, accuracy on what training has not seen is at most "
    "10 points below that on what it has."
)

# A search of the same size on another split: its examples, and the set with places for values
Again = Callable[[Split], tuple[Prepared, Intervention]]


def unseen(subject: Subject, again: Again) -> Measure:
    """The gap between seen and unseen words, and between seen and unseen constructions.

    Args:
        subject: the set and its examples.
        again: searches on a split that holds other examples out.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    design = subject.prepared.design
    size = max(1, int(HELD_OUT * subject.prepared.encoded.examples.size))
    found: dict[str, dict[str, Any]] = {}
    for by in ("word", "group"):
        try:
            prepared, one = again(design.split._replace(by=by, evaluation=size))
        except SplitError:  # there is one word, or one construction only
            continue
        found["words" if by == "word" else "constructions"] = gap(prepared, one)
    if not found:
        why = "The examples have one word and one construction only."
        return not_measured("unseen", why, RULE)
    worst = max(found, key=lambda name: found[name]["gap"])
    listed = "; ".join(
        f"{name}: {one['seen']:.1f}% seen, {one['unseen']:.1f}% unseen"
        for name, one in found.items()
    )
    return Measure(
        "unseen",
        found[worst]["gap"],
        "points",
        None,
        listed,
        f"A set of the same size, searched without some {worst}, loses so many points on these.",
        RULE,
        judged(all(one["gap"] <= MOST_GAP for one in found.values())),
        found,
    )


def gap(prepared: Prepared, found: Intervention) -> dict[str, Any]:
    """Accuracy on the examples searched on, on those held out, their difference, and the set.

    Args:
        prepared: of this search.
        found: its set; baselines are places in the range of each unit.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    stack = jax.tree.map(lambda x: np.asarray(x)[None], found)
    seen, new = (
        100.0 * float(accuracies_in_parts(stack, objective)[0])
        for objective in (prepared.train_objective, prepared.evaluation_objective)
    )
    return {
        "seen": seen,
        "unseen": new,
        "gap": seen - new,
        "units": units(found.mask),
        "examples": prepared.evaluation.size,
        "held_out": _held_out(prepared),
    }


def _held_out(prepared: Prepared) -> list[str]:
    """Names of the constructions that are only in the part held out."""
    trained = set(prepared.train.group.tolist())
    held = sorted(set(prepared.evaluation.group.tolist()) - trained)
    return [prepared.encoded.groups[number] for number in held]
