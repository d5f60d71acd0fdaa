"""What the found units do: their activations with and without an intervention, read and drawn."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from matplotlib.figure import Figure

from experiments.shared.setup import Material, Options, phenomenon, where
from jaxmask.intervention import Intervention, units
from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.report import figures

PANELS = 4  # units in a figure


class Reading(NamedTuple):
    """Held-out sentences as a model reads them, without and with an intervention.

    Attributes:
        sentences: the words up to the target word.
        group: construction or template of each.
        pair: which form was preferred, and which one the intervention turns to.
        toward: the direction it turns to.
        where: at which words the intervention acts.
        original: hidden states after each word, NaN past the end of a sentence.
        intervened: the same with the intervention.
        flipped: is the form it turns to preferred with the intervention?
        hidden: units a layer.
        patterns: see `experiments.shared.setup.Phenomenon`.
    """

    sentences: tuple[tuple[str, ...], ...]
    group: tuple[str, ...]
    pair: tuple[tuple[str, str], ...]
    toward: tuple[str, ...]
    where: Bool[np.ndarray, "examples time"]
    original: Float[np.ndarray, "examples time units"]
    intervened: Float[np.ndarray, "examples time units"]
    flipped: Bool[np.ndarray, " examples"]
    hidden: int
    patterns: Mapping[str, str]


def read(
    material: Material, options: Options, directions: Sequence[str], intervention: Intervention
) -> Reading:
    """Reads the held-out sentences, at the words that the options say intervened on.

    Args:
        material: model and examples.
        options: of the run that found the intervention.
        directions: names of the rows of mask and baseline.
        intervention: a hard one.
    """
    part, params = material.evaluation, material.model.params
    acts = where(options.intervention, part)
    states = jax.jit(_states)
    arguments = (params, material.context, part.tokens)
    original = np.asarray(states(*arguments))
    toward = jax.tree.map(jnp.asarray, intervention).toward(jnp.asarray(part.direction))
    intervened = np.asarray(states(*arguments, toward, acts))

    rows = np.arange(part.size)
    turned, preferred = part.pair[rows, part.direction], part.pair[rows, 1 - part.direction]
    top = intervened[rows, part.length - 1, -material.model.config.hidden :]
    weight, bias = np.asarray(network.decoder_weight(params)), np.asarray(params["decoder"]["bias"])
    log_ratio = np.einsum("nh,nh->n", top, weight[preferred] - weight[turned])
    words = material.model.vocabulary.words
    beyond = np.arange(part.tokens.shape[1]) >= part.length[:, None]
    return Reading(
        tuple(
            tuple(words[token] for token in tokens[:length])
            for tokens, length in zip(part.tokens, part.length, strict=True)
        ),
        tuple(material.encoded.groups[group] for group in part.group),
        tuple((words[a], words[b]) for a, b in zip(preferred, turned, strict=True)),
        tuple(directions[direction] for direction in part.direction),
        acts,
        np.where(beyond[:, :, None], np.nan, original),
        np.where(beyond[:, :, None], np.nan, intervened),
        log_ratio + bias[preferred] - bias[turned] < 0,
        material.model.config.hidden,
        phenomenon(material.task.name).patterns,
    )


def _states(
    params: Params,
    context: LSTMState,
    tokens: Array,
    intervention: Intervention | None = None,
    acts: Array | None = None,
) -> Array:
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(tokens), x.shape[-1])), context)
    gates = network.input_gates(params, network.embed(params, tokens))
    return network.unroll(params, start, gates, intervention, acts)[0]


def shown_units(
    reading: Reading, intervention: Intervention, prevalence: Sequence[Mapping]
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
    reading: Reading, suits: Callable[[str], bool], toward: str | None = None
) -> int | None:
    """The first row whose decision flips, of a group that suits; None if there is none.

    Args:
        reading: to choose from.
        suits: does a group make a good example?
        toward: the direction to prefer, where there is an example of it.
    """
    flipped = [row for row in np.flatnonzero(reading.flipped) if suits(reading.group[row])]
    preferred = [row for row in flipped if reading.toward[row] == toward]
    return next(iter(preferred + flipped), None)


def example_figure(reading: Reading, row: int, shown: Sequence[int]) -> Figure:
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
            reading.hidden,
        ),
        shown,
        f"\u201c{preferred}\u201d {becomes} \u201c{turned}\u201d{direction}",
    )


def heat_map_figure(reading: Reading, group: str, shown: Sequence[int]) -> Figure:
    """Activations of units over all distinct sentences of a group, sorted by direction."""
    first = {}
    for row in np.flatnonzero(np.array(reading.group) == group):
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
            reading.where[rows, :longest].any(axis=0),
            reading.hidden,
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
