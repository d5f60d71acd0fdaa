"""Measure 4: where a set acts: at the last word alone, before it, in which layer."""

import numpy as np
from jaxtyping import Bool

from jaxmask.evaluate import accuracies_in_parts
from jaxmask.intervention import from_arrays
from jaxmask.trust import sentences
from jaxmask.trust.measure import Measure, judged, not_measured
from jaxmask.trust.statistics import share_interval
from jaxmask.trust.subject import Subject, flips

OUTPUT, CARRIED = 0.8, 0.5  # of the flips from the last word alone; of those with words in between
RULE = (
    "Passes if the set at the last word alone gives less than 80% of the flips; a set that gives "
    "more acts on the output."
)
SINGLE_RULE = (
    "Passes if the set flips at least half of the decisions that have words between its place and "
    "the target; otherwise it acts on the output."
)


def place(subject: Subject, most: int) -> Measure:
    """Flips with the set at the last word only, everywhere but there, and of each layer alone.

    Args:
        subject: the set and its examples.
        most: number of sentences that are read one at a time.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared, kind = subject.prepared, subject.kind
    last = flips(prepared, subject.examples, subject.own, kind._replace(place="last"))
    before = _all_but_last(subject, most)
    whole, alone = float(subject.flips.mean()), float(last.mean())
    layers = by_layer(subject)
    single = kind.place == "single"
    if single and not len(before):
        return not_measured(
            "place", "In no example is there a word between the set and the target.", SINGLE_RULE
        )
    between = f"{100 * before.mean():.1f}% of {len(before)} examples" if len(before) else "none"
    of_layers = ", ".join(f"layer {layer} {flipped:.1f}%" for layer, flipped in layers.items())
    carries = float(before.mean()) >= CARRIED if single else alone < OUTPUT * whole
    return Measure(
        "place",
        100.0 * alone,
        "%",
        share_interval(last, subject.clusters).scaled(100.0),
        f"{100 * whole:.1f}% where the set was found; "
        + ("with words in between " if single else "at all words but the last ")
        + f"{between}; one layer alone: {of_layers or 'none'}",
        (
            "Moved to the last word, the set flips this many"
            if single
            else "At the last word only, the set flips this many"
        )
        + (
            "; where it was found, its effect is carried to the target."
            if single and carries
            else "; its effect needs earlier words."
            if carries
            else ": it acts on the output."
        ),
        SINGLE_RULE if single else RULE,
        judged(carries),
        {
            "last_word_only": 100.0 * alone,
            "where_found": 100.0 * whole,
            "all_but_last_word": 100.0 * float(before.mean()) if len(before) else None,
            "layers": {str(layer): flipped for layer, flipped in layers.items()},
        },
    )


def by_layer(subject: Subject) -> dict[int, float]:
    """The percentage of all held-out decisions that the units of each layer flip alone.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    site = subject.prepared.site
    layer_of = np.array([site.place(unit + 1)[0] for unit in range(site.units)])
    layers = sorted({int(layer_of[unit - 1]) for unit in subject.units})
    if not layers:
        return {}
    mask, baseline = (np.asarray(x) for x in subject.found)
    masks = np.stack([mask * (layer_of == layer) for layer in layers])
    stack = from_arrays(masks, baseline)
    found = accuracies_in_parts(stack, subject.prepared.evaluation_objective)
    return {layer: 100.0 * float(one) for layer, one in zip(layers, found, strict=True)}


def _all_but_last(subject: Subject, most: int) -> Bool[np.ndarray, " examples"]:
    """Flips with the set everywhere but at the last word, where it acts before that."""
    if subject.kind.place == "single":  # where that isn't the last word
        return subject.flips[subject.examples.position < subject.examples.length - 1]
    found = []
    for sentence in sentences.sample(subject, most):
        where = sentence.where.copy()
        where[-1] = False
        if not where.any():
            continue
        rows = subject.own.toward(sentence.direction)
        words = sentence.stimulus.words
        last = sentences.log_probs(subject.prepared, sentence, words, rows, where)[-1]
        pair = subject.examples.pair[sentence.row]
        found.append(sentences.log_ratio(last, pair, sentence.direction) < 0)
    return np.array(found, bool)
