"""Measure 5: states of a paired sentence in place of learned values, and the ceiling of that."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmask.intervention import Kind
from jaxmask.text.examples import Examples
from jaxmask.trust.measure import Measure, judged, not_measured
from jaxmask.trust.statistics import share_interval
from jaxmask.trust.subject import Subject, encode_rows, flips_one_by_one

ENOUGH = 0.5  # of the flips of the learned values
RULE = (
    "Passes if the units flip at least half as many decisions with the paired sentence's values as "
    "with the learned ones; otherwise the set overrides what the model does."
)


class Pairs(NamedTuple):
    """Examples that have a paired sentence of as many tokens.

    Attributes:
        rows: of the subject's examples.
        examples: those.
        states: of all units at the place of each paired sentence, untouched.
        kind: of intervention at that place.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    rows: Int[np.ndarray, " pairs"]
    examples: Examples
    states: Float[np.ndarray, "pairs units"]
    kind: Kind


def interchange(subject: Subject) -> Measure:
    """Flips with the paired sentence's own values, of the units of the set and of all units.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    found = pairs(subject)
    if found is None:
        why = "There are no paired sentences: the data have no counterfactual."
        return not_measured("interchange", why, RULE)
    prepared = subject.prepared
    chosen = subject.chosen
    of_set, of_all = (
        flips_one_by_one(prepared, found.examples, mask, found.states, found.kind)
        for mask in (chosen, np.ones_like(chosen))
    )
    learned = float(subject.flips[found.rows].mean())
    passes = learned > 0.0 and float(of_set.mean()) >= ENOUGH * learned
    clusters = [one[found.rows] for one in subject.clusters]
    ceiling = share_interval(of_all, clusters).scaled(100.0)
    at = "at the last word" if found.kind.place == "last" else "at the position"
    return Measure(
        "interchange",
        100.0 * float(of_set.mean()),
        "%",
        share_interval(of_set, clusters).scaled(100.0),
        f"ceiling, all {len(chosen)} states: {100 * of_all.mean():.1f}% ({ceiling.low:.1f} to "
        f"{ceiling.high:.1f}); learned values: {100 * learned:.1f}%",
        f"With the values that the units have {at} of the paired sentence, this many of "
        f"{len(of_set)} decisions flip; the ceiling is what swapping every state does there.",
        RULE,
        judged(passes),
        {
            "examples": len(of_set),
            "without_pair": subject.examples.size - len(of_set),
            "set": 100.0 * float(of_set.mean()),
            "ceiling": 100.0 * float(of_all.mean()),
            "learned": 100.0 * learned,
            "place": found.kind.place,
        },
    )


def pairs(subject: Subject) -> Pairs | None:
    """The examples with a paired sentence; None if there are none.

    The paired sentence is the one after which the form ``t`` is to be expected. An example is left
    out if that is its own sentence, or has another number of tokens. An every-step intervention is
    compared at the last word, where the states hold what the decision is made from.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared, examples = subject.prepared, subject.examples
    rows, paired = [], []
    for row, stimulus in enumerate(subject.stimuli):
        if stimulus.counterfactual:
            words = stimulus.counterfactual[examples.direction[row]]
            if words != stimulus.words:
                rows.append(row)
                paired.append(stimulus._replace(words=words))
    encoded, kept = encode_rows(prepared, paired)
    chosen = np.array(rows, int)[kept]
    alike = (encoded.length == examples.length[chosen]) & (
        encoded.position == examples.position[chosen]
    )
    chosen, encoded = chosen[alike], encoded.take(np.flatnonzero(alike))
    if not len(chosen):
        return None
    kind = subject.kind
    if kind.place == "every":
        kind = kind._replace(place="last")
    at = encoded.position if kind.place == "single" else encoded.length - 1
    states = prepared.model.read(encoded, kind, prepared.context).states
    of_pairs = np.asarray(states)[np.arange(len(at)), at]
    return Pairs(chosen, examples.take(chosen), of_pairs, kind)
