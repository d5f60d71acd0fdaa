"""Measure 6: how much the predictions change, where, and beside what."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmask.trust import sentences
from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.sentences import Sentence
from jaxmask.trust.statistics import bootstrap
from jaxmask.trust.subject import Subject

RULE = (
    "Passes if the mean KL is at most that of the paired sentence and the recovery is above 0; "
    "without paired sentences, if the KL at the target is at most what swapping the two forms "
    "costs and the KL elsewhere is less than at the target."
)


class Harm(NamedTuple):
    """What an intervention does to the predictions of one example, in nats.

    Attributes:
        kl: KL(original || intervened) after each word.
        first: index of the first word at which the intervention acts.
        top_kept: whether the most likely next word at the target is the same.
        tie: the least KL with which the two forms are equally likely.
        swap: the KL of swapping the probabilities of the two forms.
        reference: KL(original || paired) after each word; None without a paired sentence.
        to_paired: mean over words of KL(paired || intervened), and of KL(paired || original).

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    kl: Float[np.ndarray, " words"]
    first: int
    top_kept: bool
    tie: float
    swap: float
    reference: Float[np.ndarray, " words"] | None
    to_paired: tuple[float, float] | None


def least_cost(log_d: float, log_t: float) -> tuple[float, float]:
    """The least KL(p || q) that makes two words equally likely, and that of swapping them.

    Only the two probabilities have to change. The tie gives both their mean
    ``m = (p(d) + p(t)) / 2`` and costs ``p(d) log(p(d) / m) + p(t) log(p(t) / m)``; the swap costs
    ``(p(d) - p(t)) log(p(d) / p(t))``.

    Args:
        log_d: log-probability of the form that the model prefers.
        log_t: log-probability of the other form.

    Example:
        >>> [round(cost, 4) for cost in least_cost(np.log(0.3), np.log(0.1))]
        [0.0523, 0.2197]
    """
    d, t = np.exp(log_d), np.exp(log_t)
    middle = np.log((d + t) / 2)
    tie = d * (log_d - middle) + t * (log_t - middle)
    return float(tie), float((d - t) * (log_d - log_t))


def harm_of(subject: Subject, sentence: Sentence) -> Harm:
    """What the set does to the predictions of one example.

    Args:
        subject: the set and its examples.
        sentence: the example.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared, words = subject.prepared, sentence.stimulus.words
    original = sentences.log_probs(prepared, sentence, words)
    rows = subject.own.toward(sentence.direction)
    altered = sentences.log_probs(prepared, sentence, words, rows)
    pair = subject.examples.pair[sentence.row]
    d, t = pair[1 - sentence.direction], pair[sentence.direction]
    tie, swap = least_cost(original[-1, d], original[-1, t])
    reference = to_paired = None
    if len(sentence.paired) == len(words):
        paired = sentences.log_probs(prepared, sentence, sentence.paired)
        reference = sentences.divergence(original, paired)
        to_paired = (
            float(sentences.divergence(paired, altered).mean()),
            float(sentences.divergence(paired, original).mean()),
        )
    return Harm(
        sentences.divergence(original, altered),
        int(np.argmax(sentence.where)),
        bool(original[-1].argmax() == altered[-1].argmax()),
        tie,
        swap,
        reference,
        to_paired,
    )


def harm(subject: Subject, most: int) -> Measure:
    """The KL from the untouched model, taken apart, with its references.

    Args:
        subject: the set and its examples.
        most: number of examples that are read one at a time.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    read = sentences.sample(subject, most)
    each = [harm_of(subject, sentence) for sentence in read]
    rows = np.array([sentence.row for sentence in read])
    mean = np.array([one.kl.mean() for one in each])
    parts = decomposition(each)
    swap = float(np.mean([one.swap for one in each]))
    at_target = float(np.mean([one.kl[-1] for one in each]))
    details = {
        "examples": len(each),
        "kl": float(mean.mean()),
        **parts,
        "kl_at_target": at_target,
        "tie": float(np.mean([one.tie for one in each])),
        "swap": swap,
        "top_word_kept": 100.0 * float(np.mean([one.top_kept for one in each])),
        **_references(each),
    }
    reference, recovery = details["reference"], details["recovery"]
    if reference is None:
        passes = at_target <= swap and parts["elsewhere"] < parts["at_target"]
        control = f"swapping the two forms at the target costs {swap:.3f}, the set {at_target:.3f}"
    else:
        passes = details["kl_of_paired"] <= reference and recovery > 0.0
        control = (
            f"the paired sentence is {reference:.3f} away; over the examples that have one, the "
            f"set is {details['kl_of_paired']:.3f} away and recovers {100 * recovery:.0f}% of the "
            "way to it"
        )
    share = 100 * parts["at_target"] / max(details["kl"], 1e-12)
    return Measure(
        "harm",
        details["kl"],
        "nats",
        bootstrap(mean, [one[rows] for one in subject.clusters]),
        control,
        f"Mean KL over all words of a sentence, {share:.0f}% of it at the target itself, where the "
        f"most likely word stays in {details['top_word_kept']:.0f}% of the examples.",
        RULE,
        judged(passes),
        details,
    )


def decomposition(each: list[Harm]) -> dict[str, Any]:
    """The mean KL of Eq. 8 in parts that add up to it.

    Args:
        each: of the examples.

    Returns:
        ``at_target`` and ``elsewhere`` add up to the mean KL, as do the "part" entries of
        ``by_distance``, which has an entry for each number of words after the first one at which
        the intervention acts: the part, the mean KL there, that of the paired sentences ("paired",
        None without any), and the number of examples.

    Example:
        >>> one = Harm(np.array([0.0, 0.3, 0.6]), 1, True, 0.1, 0.2, None, None)
        >>> parts = decomposition([one])
        >>> round(parts["at_target"], 3), round(parts["elsewhere"], 3)
        (0.2, 0.1)
        >>> [entry["distance"] for entry in parts["by_distance"]]
        [0, 1]
    """
    size = len(each)
    target = sum(float(one.kl[-1]) / len(one.kl) for one in each) / size
    whole = sum(float(one.kl.mean()) for one in each) / size
    distances = sorted({at - one.first for one in each for at in range(one.first, len(one.kl))})
    entries = []
    for distance in distances:
        here = [one for one in each if one.first + distance < len(one.kl)]
        kl = [float(one.kl[one.first + distance]) for one in here]
        paired = [one.reference[one.first + distance] for one in here if one.reference is not None]
        part = sum(x / len(one.kl) for x, one in zip(kl, here, strict=True)) / size
        entries.append(
            {
                "distance": distance,
                "part": part,
                "kl": float(np.mean(kl)),
                "paired": float(np.mean(paired)) if paired else None,
                "examples": len(here),
            }
        )
    return {"at_target": target, "elsewhere": whole - target, "by_distance": entries}


def _references(each: list[Harm]) -> dict[str, float | None]:
    """What the paired sentence says of the KL, over the examples that have one."""
    paired = [one for one in each if one.reference is not None]
    if not paired:
        return {"reference": None, "recovery": None, "kl_of_paired": None}
    references = [one.reference.mean() for one in each if one.reference is not None]
    to_altered, to_original = np.mean([one.to_paired or () for one in paired], axis=0)
    return {
        "reference": float(np.mean(references)),
        "recovery": float(1 - to_altered / to_original),
        "kl_of_paired": float(np.mean([one.kl.mean() for one in paired])),
    }
