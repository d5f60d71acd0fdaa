"""Measure 1: how many held-out decisions flip, of which examples, and how new those are."""

from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.statistics import bootstrap, share_interval, wilson
from jaxmask.trust.subject import Subject

WANTED, FEW = 0.8, 30  # of the decisions; examples below which a group isn't judged
RULE = (
    "Passes if the lower end of the interval is at least 80%, and every construction of at least "
    "30 examples is flipped in at least half of them."
)


def accuracy(subject: Subject) -> Measure:
    """The share of held-out decisions that flip, by what the examples are.

    Args:
        subject: the set and its examples.

    Example:
        >>> import jaxmask
        >>> from jaxmask.intervention import from_arrays
        >>> from jaxmask.tasks import number_agreement
        >>> model = jaxmask.load_model(jaxmask.BUNDLED_MODEL)
        >>> task = number_agreement.generate(0)
        >>> task = task._replace(stimuli=task.stimuli[:600:20])
        >>> prepared = jaxmask.prepare(model, task, jaxmask.Design(split=jaxmask.Split(10)))
        >>> no_units = from_arrays(np.zeros((2, 600)), np.zeros((2, 600)))
        >>> found = accuracy(Subject(prepared, no_units))
        >>> found.value, found.verdict, found.details["seen_in_training"]["sentence"]
        (0.0, 'caution', 0.0)
    """
    flipped, stimuli = subject.flips, subject.stimuli
    interval = share_interval(flipped, subject.clusters)
    by = {
        "construction": _by([stimulus.group for stimulus in stimuli], flipped),
        "direction": _by(
            [subject.prepared.task.directions[d] for d in subject.examples.direction], flipped
        ),
    }
    known = subject.examples.correct >= 0
    if known.any():
        names = np.where(subject.right[known], "right", "wrong").tolist()
        by["untouched model"] = _by(names, flipped[known])
    seen = seen_in_training(subject)
    shares = {name: 100.0 * float(flags.mean()) for name, flags in seen.items()}
    worst = min(by["construction"].items(), key=lambda item: item[1]["accuracy"])
    large = [one for one in by["construction"].values() if one["examples"] >= FEW]
    passes = interval.low >= WANTED and all(one["accuracy"] >= 50.0 for one in large)
    wilson_ends = wilson(int(flipped.sum()), len(flipped))
    of_words, of_pairs = (bootstrap(flipped, [one]) for one in subject.clusters)
    held_out = subject.prepared.evaluation.size
    spread = "" if held_out == len(flipped) else f", evenly spread over all {held_out},"
    return Measure(
        "accuracy",
        100.0 * float(flipped.mean()),
        "%",
        interval.scaled(100.0),
        f"training has seen the sentence of {shares['sentence']:.0f}% of these examples, and the "
        f"word at the position together with the pair of {shares['word and pair']:.0f}%",
        f"Of {len(flipped)} held-out decisions{spread} this many flip"
        + (f"; of those of {worst[0]!r}, {worst[1]['accuracy']:.0f}%" if not flipped.all() else "")
        + ". The interval is the wider one of Wilson's, which counts examples with the same word "
        "and pair once, and of a bootstrap that draws words and pairs.",
        RULE,
        judged(passes),
        {
            "examples": len(flipped),
            "held_out": held_out,
            "wilson": [100.0 * end for end in wilson_ends],
            "clustered_by_word": [100.0 * end for end in of_words],
            "clustered_by_pair": [100.0 * end for end in of_pairs],
            "by": by,
            "seen_in_training": shares,
            "unseen_sentences": _share(flipped[~seen["sentence"]]),
        },
    )


def seen_in_training(subject: Subject) -> dict[str, Bool[np.ndarray, " examples"]]:
    """For each example, whether training has its sentence, its word, and its word with its pair.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    train = subject.train_stimuli
    sentences = {stimulus.words for stimulus in train}
    words = {stimulus.words[stimulus.position] for stimulus in train}
    both = {(stimulus.words[stimulus.position], stimulus.pair) for stimulus in train}
    held_out = subject.stimuli
    return {
        "sentence": np.array([one.words in sentences for one in held_out]),
        "word": np.array([one.words[one.position] in words for one in held_out]),
        "word and pair": np.array(
            [(one.words[one.position], one.pair) in both for one in held_out]
        ),
    }


def _by(names: list[str], flipped: Bool[np.ndarray, " examples"]) -> dict[str, dict[str, Any]]:
    """The share of flips of each name, with Wilson's interval."""
    labels = np.array(names)
    return {str(name): _share(flipped[labels == name]) for name in np.unique(labels)}


def _share(flipped: Bool[np.ndarray, " examples"]) -> dict[str, Any]:
    size = len(flipped)
    if not size:
        return {"examples": 0, "accuracy": None, "interval": None}
    ends = wilson(int(flipped.sum()), size)
    return {
        "examples": size,
        "accuracy": 100.0 * float(flipped.mean()),
        "interval": [100.0 * end for end in ends],
    }
