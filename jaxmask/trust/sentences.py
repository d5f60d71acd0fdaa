"""Sentences read one at a time, with the whole next-word distribution after each word."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmask.intervention import Intervention, places
from jaxmask.pipeline.prepare import Prepared
from jaxmask.text.examples import Stimulus
from jaxmask.trust.subject import Subject, evenly_spread


class Sentence(NamedTuple):
    """One of the examples that are read one at a time.

    Attributes:
        row: of the subject's examples.
        stimulus: the same as text.
        direction: index in the pair of the form ``t``.
        where: the words at which the intervention acts.
        longest: words of the longest of these sentences.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    row: int
    stimulus: Stimulus
    direction: int
    where: Bool[np.ndarray, " words"]
    longest: int

    @property
    def paired(self) -> tuple[str, ...]:
        """The paired sentence after which ``t`` is to be expected; empty if there is none."""
        if not self.stimulus.counterfactual:
            return ()
        paired = self.stimulus.counterfactual[self.direction]
        return () if paired == self.stimulus.words else paired


def sample(subject: Subject, most: int) -> list[Sentence]:
    """At most so many of the subject's examples, evenly spread.

    Args:
        subject: the set and its examples.
        most: how many to take.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    rows = evenly_spread(subject.examples.size, most)
    stimuli = [subject.stimuli[row] for row in rows]
    longest = max(len(stimulus.words) for stimulus in stimuli)
    return [
        Sentence(
            int(row), stimulus, int(subject.examples.direction[row]), _where(subject, stimulus),
            longest,
        )
        for row, stimulus in zip(rows, stimuli, strict=True)
    ]  # fmt: skip


def _where(subject: Subject, stimulus: Stimulus) -> Bool[np.ndarray, " words"]:
    position, length = np.array([stimulus.position]), np.array([len(stimulus.words)])
    return places(subject.kind.place, position, length)[0]


def log_probs(
    prepared: Prepared,
    sentence: Sentence,
    words: tuple[str, ...],
    intervention: Intervention | None = None,
    where: Bool[np.ndarray, " words"] | None = None,
) -> Float[np.ndarray, "words vocabulary"]:
    """Log-probabilities in nats of the next word after each word.

    The words are padded to the longest of all sentences, which changes nothing before, so that
    sentences of all lengths share a program.

    Args:
        prepared: with the model.
        sentence: that the words belong to.
        words: of the sentence, or of the paired one.
        intervention: mask and baseline, one number a unit, the model's own values; None leaves the
            model untouched.
        where: the words at which it acts; those of the sentence if not given.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    padded = (*words, *[words[-1]] * (sentence.longest - len(words)))
    acts = rows = None
    if intervention is not None:
        rows = jax.tree.map(jnp.asarray, intervention)
        acts = np.zeros(len(padded), bool)
        acts[: len(words)] = sentence.where if where is None else where
    found = prepared.model.log_probs(padded, prepared.design.kind, prepared.context, rows, acts)
    return np.asarray(found, np.float64)[: len(words)]


def divergence(
    original: Float[np.ndarray, "words vocabulary"], other: Float[np.ndarray, "words vocabulary"]
) -> Float[np.ndarray, " words"]:
    """KL(original || other) in nats after each word, from log-probabilities.

    Example:
        >>> p, q = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
        >>> divergence(p, q).round(4).tolist()
        [0.1438]
    """
    return np.sum(np.exp(original) * (original - other), axis=-1)


def log_ratio(
    last: Float[np.ndarray, " vocabulary"], pair: Int[np.ndarray, " 2"], direction: int
) -> float:
    """Log p(d) - log p(t), from log-probabilities.

    Args:
        last: after the last word.
        pair: of word indices.
        direction: index in the pair of the form ``t``.

    Example:
        >>> log_ratio(np.array([-1.0, -3.0]), np.array([0, 1]), direction=1)
        2.0
    """
    return float(last[pair[1 - direction]] - last[pair[direction]])
