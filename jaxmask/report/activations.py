"""What the found units do: their activations with and without an intervention, read and drawn."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from jaxmask.intervention import Intervention, Site, places, units
from jaxmask.pipeline.prepare import Prepared
from jaxmask.report import figures
from jaxmask.tasks.registry import phenomenon

PANELS = 4  # units in a figure


class SentencesRead(NamedTuple):
    """Held-out sentences as a model reads them, without and with an intervention.

    Attributes:
        sentences: the words up to the target word.
        group: construction or template of each sentence.
        pair: which form was preferred, and which form the intervention turns to.
        toward: the direction that the intervention turns to.
        where: at which words the intervention acts.
        original: states after each word, NaN past the end of a sentence.
        intervened: the same with the intervention.
        flipped: is the form that the intervention turns to preferred with it?
        site: the units whose states these are.
        patterns: for each group, its words; see `jaxmask.tasks.phenomenon.Phenomenon`.
    """

    sentences: tuple[tuple[str, ...], ...]
    group: tuple[str, ...]
    pair: tuple[tuple[str, str], ...]
    toward: tuple[str, ...]
    where: Bool[np.ndarray, "examples time"]
    original: Float[np.ndarray, "examples time units"]
    intervened: Float[np.ndarray, "examples time units"]
    flipped: Bool[np.ndarray, " examples"]
    site: Site
    patterns: Mapping[str, str]


def read(prepared: Prepared, intervention: Intervention) -> SentencesRead:
    """Reads the held-out sentences, untouched and with an intervention.

    Args:
        prepared: model and examples.
        intervention: a hard one, with a row a direction.
    """
    part, model, kind = prepared.evaluation, prepared.model, prepared.design.kind
    original = model.read(part, kind, prepared.context)
    intervened = model.read(part, kind, prepared.context, intervention)
    rows, words = np.arange(part.size), model.vocabulary.words
    turned, preferred = part.pair[rows, part.direction], part.pair[rows, 1 - part.direction]
    beyond = np.arange(part.tokens.shape[1]) >= part.length[:, None]
    return SentencesRead(
        tuple(
            tuple(words[token] for token in tokens[:length])
            for tokens, length in zip(part.tokens, part.length, strict=True)
        ),
        tuple(prepared.encoded.groups[group] for group in part.group),
        tuple((words[a], words[b]) for a, b in zip(preferred, turned, strict=True)),
        tuple(prepared.task.directions[direction] for direction in part.direction),
        places(kind.place, part.position, part.length),
        np.where(beyond[:, :, None], np.nan, original.states),
        np.where(beyond[:, :, None], np.nan, intervened.states),
        np.where(part.direction == 0, -intervened.log_odds, intervened.log_odds) < 0,
        prepared.site,
        phenomenon(prepared.task.name).patterns,
    )


def shown_units(
    reading: SentencesRead, intervention: Intervention, prevalence: Sequence[Mapping]
) -> list[int]:
    """Numbers of the units that figures show.

    Those that most runs found, of the ones in this intervention; of equally prevalent ones those
    that it moves most, on average over the words it acts at.

    Args:
        reading: with ``intervention``.
        intervention: a hard one.
        prevalence: of the run's summary.
    """
    moved = np.abs(reading.intervened - reading.original)[reading.where].mean(axis=0)
    share = {row["unit"]: row["prevalence"] for row in prevalence}
    found = units(intervention.mask)
    return sorted(found, key=lambda unit: (-share.get(unit, 0.0), -moved[unit - 1]))[:PANELS]


def example(
    reading: SentencesRead, suits: Callable[[str], bool], toward: str | None = None
) -> int | None:
    """The first row whose decision flips, of a group that suits; None if there is none.

    Args:
        reading: to choose from.
        suits: does a group make a good example?
        toward: the direction to prefer, where there is an example of it.
    """
    flipped = [row for row in np.flatnonzero(reading.flipped).tolist() if suits(reading.group[row])]
    preferred = [row for row in flipped if reading.toward[row] == toward]
    return next(iter(preferred + flipped), None)


def example_figure(reading: SentencesRead, row: int, shown: Sequence[int]) -> Figure:
    """Activations of units over one sentence (Figures 1 to 4 of the paper)."""
    length = len(reading.sentences[row])
    preferred, turned = reading.pair[row]
    becomes = "becomes" if reading.flipped[row] else "doesn't become"
    direction = "" if reading.toward[row] == turned else f" (to {reading.toward[row]})"
    return figures.activations(
        figures.Activations(
            reading.sentences[row],
            reading.original[row, :length],
            reading.intervened[row, :length],
            reading.where[row, :length],
            reading.site,
        ),
        shown,
        f"\u201c{preferred}\u201d {becomes} \u201c{turned}\u201d{direction}",
    )


def heat_map_figure(reading: SentencesRead, group: str, shown: Sequence[int]) -> Figure:
    """Activations of units over all distinct sentences of a group, sorted by direction."""
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    for row in np.flatnonzero(np.array(reading.group) == group).tolist():
        first.setdefault((reading.toward[row], reading.sentences[row]), row)
    directions = sorted(set(reading.toward))
    blocks = {name: [row for key, row in first.items() if key[0] == name] for name in directions}
    rows = [row for block in blocks.values() for row in block]
    sentences = [reading.sentences[row] for row in rows]
    longest = max(map(len, sentences))
    return figures.heat_maps(
        figures.Activations(
            word_labels(sentences, reading.patterns.get(group, "")),
            reading.original[rows, :longest],
            reading.intervened[rows, :longest],
            np.asarray(reading.where[rows, :longest].any(axis=0)),
            reading.site,
        ),
        shown,
        {f"to {name}\n({len(block)})": len(block) for name, block in blocks.items() if block},
        f"{group}: {len(rows)} held-out sentence{'s' * (len(rows) > 1)}",
    )


def word_labels(sentences: Sequence[Sequence[str]], pattern: str) -> list[str]:
    """For each position the word that all sentences share, else what the group's pattern calls it.

    Where words differ and the pattern doesn't name them, the label is an ellipsis.
    """
    slots = pattern.split()
    labels = []
    for position, words in enumerate(itertools.zip_longest(*sentences)):
        slot = slots[position] if position < len(slots) else ""
        differ = slot.lower() if slot.isupper() else "\u2026"
        labels.append(words[0] if len(set(words)) == 1 else differ)
    return labels
