"""Measure 7: what a set costs on ordinary text, beside random sets of its layers and values."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxmask.baselines import random_masks
from jaxmask.intervention import from_arrays
from jaxmask.pipeline.measure import encode_text
from jaxmask.pipeline.prepare import Prepared
from jaxmask.text.examples import PRIMER
from jaxmask.text.ordinary_text import Text
from jaxmask.text.vocabulary import END_OF_SENTENCE
from jaxmask.trust.measure import Measure, judged, not_measured
from jaxmask.trust.statistics import Interval
from jaxmask.trust.subject import Subject

SETS = 20  # random sets
WINDOW, STRIDE = 12, 4  # tokens of a window; words from one window of a sentence to the next
HIGH = 0.95  # quantile of the random sets
RULE = (
    "Passes if the set costs no more nats an intervention than 95% of the random sets of the same "
    "layers and values do."
)


class Cost(NamedTuple):
    """Nats an intervention on ordinary text.

    Attributes:
        found: of the set.
        random: of each random set.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    found: float
    random: Float[np.ndarray, " sets"]


def primer_sentences() -> list[list[str]]:
    """The five sentences of ordinary text that the library has: the primer of Lakretz et al.

    Example:
        >>> len(primer_sentences())
        5
    """
    found: list[list[str]] = [[]]
    for word in PRIMER:
        if word == END_OF_SENTENCE:
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def windows(prepared: Prepared, sentences: list[list[str]], most: int) -> Text | None:
    """Pieces of sentences of `WINDOW` tokens each, evenly spread; None if there are none.

    Equally long, so that sums over the words of a piece can be had from means.

    Args:
        prepared: with the model.
        sentences: the words of each.
        most: number of pieces at most.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    pieces = [
        words[start:]
        for words in sentences
        for start in range(0, max(1, len(words) - WINDOW + 1), STRIDE)
    ]
    text = encode_text(pieces, prepared.model)
    long = np.flatnonzero(text.length >= WINDOW)
    if not len(long):
        return None
    rows = long[np.linspace(0, len(long) - 1, min(most, len(long))).round().astype(int)]
    return Text(text.tokens[rows, :WINDOW], np.full(len(rows), WINDOW, text.length.dtype))


def selectivity(subject: Subject, sentences: list[list[str]] | None, most: int) -> Measure:
    """The cost on ordinary text, as a ratio to random sets of the same layers and values.

    Args:
        subject: the set and its examples.
        sentences: the words of each sentence of ordinary text; None for `primer_sentences`.
        most: number of windows of text at most.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    text = windows(subject.prepared, primer_sentences() if sentences is None else sentences, most)
    if text is None:
        why = f"The text has no sentence of {WINDOW} tokens."
        return not_measured("selectivity", why, RULE)
    found, random = cost(subject, text)
    low, high = np.quantile(random, [0.025, 0.975])
    mean = float(random.mean())
    if not subject.units or not low > 0.0:
        return not_measured("selectivity", "Random sets cost nothing on this text.", RULE)
    source = "the primer's five sentences (--text takes a better text)"
    return Measure(
        "selectivity",
        found / mean,
        "times",
        Interval(float(found / high), float(found / low)),
        f"{SETS} random sets of the same layers and values cost {mean:.3f} nats ({low:.3f} to "
        f"{high:.3f})",
        f"On ordinary text the set costs {found:.3f} nats an intervention, this many times as much "
        f"as a random set; on {len(text.length)} windows of {WINDOW} tokens of "
        + (source if sentences is None else f"{len(sentences)} sentences")
        + ".",
        RULE,
        judged(found <= float(np.quantile(random, HIGH))),
        {
            "found": found,
            "random": random.tolist(),
            "windows": len(text.length),
            "text": "primer" if sentences is None else "given",
        },
    )


def cost(subject: Subject, text: Text) -> Cost:
    """Nats an intervention: the sum of the KL over the words of a window from its place on.

    Where an intervention acts at one word, that is a random one of the first half of each window.
    Where it acts at every word, the sum is divided by their number.

    Args:
        subject: the set and its examples.
        text: of windows of one length.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared = subject.prepared
    rng = np.random.default_rng(0)
    drawn = random_masks.matched(subject.found, prepared.site, SETS, rng)
    sets = from_arrays(
        *(
            np.concatenate([np.asarray(one)[None], more])
            for one, more in zip(subject.found, drawn, strict=True)
        )
    ).within(prepared.value_range)
    where, interventions = _places(subject, text, rng)
    means = np.asarray(prepared.model.text_kl(sets, text, subject.kind, where, prepared.context))
    learned = np.asarray(subject.found.mask).any(axis=1)
    each = means[:, learned].mean(axis=1) if learned.any() else np.zeros(len(means))
    nats = each * WINDOW / interventions
    return Cost(float(nats[0]), nats[1:])


def _places(
    subject: Subject, text: Text, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "windows time"], int]:
    """Where the set acts in each window, and at how many of its words."""
    if subject.kind.place == "every":
        return np.ones(text.tokens.shape, bool), WINDOW
    at = rng.integers(0, WINDOW // 2, len(text.length))
    return np.arange(WINDOW)[None] == at[:, None], 1
