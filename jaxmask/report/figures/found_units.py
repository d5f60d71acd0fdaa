"""Reads and draws the activations of the units found, with and without an intervention."""

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


MOST_NUMBERS = 2**26  # states of all units that are held in memory, in each of four arrays


class SentencesRead(NamedTuple):
    """Held-out sentences and the states of a model, with and without an intervention.

    Attributes:
        sentences: the words before the target word.
        group: construction or template of each sentence.
        pair: the form that the untouched model prefers, and the form that the intervention should
            make the more probable one.
        toward: name of the direction of the intervention, for each sentence.
        where: the words at which the intervention acts.
        original: states after each word, with NaN after the end of a sentence.
        intervened: the same with the intervention.
        flipped: whether the decision has flipped.
        site: that the units belong to.
        patterns: for each group, its words; see `jaxmask.tasks.phenomenon.Phenomenon`.

    Example:
        >>> states = np.zeros((1, 2, 6), np.float32)
        >>> where, flipped = np.array([[False, True]]), np.array([True])
        >>> reading = SentencesRead(
        ...     (("The", "boy"),), ("simple",), (("greets", "greet"),), ("plural",),
        ...     where, states, states, flipped, Site("hidden", 2, 3), {},
        ... )
        >>> example_figure(reading, 0, [4]).axes[0].get_title()
        'unit 4 (layer 2, column 1)'
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
    """Reads the held-out sentences, with and without an intervention.

    Where their states would be more than `MOST_NUMBERS`, some of the sentences are read, evenly
    spread.

    Args:
        prepared: model and examples.
        intervention: with a hard mask and a row for each direction.

    Example:
        >>> from jaxmask.intervention import Intervention
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.pipeline.plan import Design, Split
        >>> from jaxmask.pipeline.prepare import prepare
        >>> from jaxmask.text.examples import Stimulus, Task
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> import jax
        >>> words = ("<unk>", "<eos>", "The", "boy", "girl", "runs", "run")
        >>> config = LSTMConfig(vocabulary=7, embedding=2, hidden=2, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, Vocabulary(words))
        >>> pairs = [Stimulus(("The", n), 1, ("runs", "run"), 0, "g") for n in ("boy", "girl")]
        >>> task = Task("mine", ("singular", "plural"), pairs)
        >>> prepared = prepare(model, task, Design(split=Split(evaluation=1)))
        >>> nothing = np.zeros((2, 2), np.float32)
        >>> read(prepared, Intervention(nothing, nothing)).flipped.tolist()
        [False]
    """
    part, model, kind = prepared.evaluation, prepared.model, prepared.design.kind
    most = max(1, MOST_NUMBERS // (part.tokens.shape[1] * prepared.site.units))
    if part.size > most:
        part = part.take(np.linspace(0, part.size - 1, most).astype(int))
    original = model.read(part, kind, prepared.context)
    intervened = model.read(part, kind, prepared.context, intervention)
    rows, words = np.arange(part.size), model.vocabulary.words
    turned, preferred = part.pair[rows, part.direction], part.pair[rows, 1 - part.direction]
    beyond = np.arange(part.tokens.shape[1]) >= part.length[:, None]
    return SentencesRead(
        tuple(
            tuple(words[token].strip() for token in tokens[:length])
            for tokens, length in zip(part.tokens, part.length, strict=True)
        ),
        tuple(prepared.encoded.groups[group] for group in part.group),
        tuple((words[a].strip(), words[b].strip()) for a, b in zip(preferred, turned, strict=True)),
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
    """The numbers of the units that figures show.

    These are the units of the intervention that most runs found. Among units of equal prevalence,
    those come first whose states the intervention changes most, as a mean over the words at which
    it acts.

    Args:
        reading: with ``intervention``.
        intervention: with a hard mask.
        prevalence: of the summary of the run.

    Example:
        >>> states = np.zeros((1, 1, 3), np.float32)
        >>> reading = SentencesRead(
        ...     (("boy",),), ("simple",), (("greets", "greet"),), ("plural",), np.array([[True]]),
        ...     states, states + 1, np.array([True]), Site("hidden", 1, 3), {},
        ... )
        >>> mask = np.array([[1.0, 0.0, 1.0]])
        >>> prevalence = [{"unit": 3, "prevalence": 100.0}, {"unit": 1, "prevalence": 50.0}]
        >>> shown_units(reading, Intervention(mask, mask), prevalence)
        [3, 1]
    """
    moved = np.abs(reading.intervened - reading.original)[reading.where].mean(axis=0)
    share = {row["unit"]: row["prevalence"] for row in prevalence}
    found = units(intervention.mask)
    return sorted(found, key=lambda unit: (-share.get(unit, 0.0), -moved[unit - 1]))[:PANELS]


def example(
    reading: SentencesRead, suits: Callable[[str], bool], toward: str | None = None
) -> int | None:
    """The first row of a suitable group whose decision flips; None if there is none.

    Args:
        reading: to choose from.
        suits: says, for the name of a group, whether its sentences make good examples.
        toward: name of a direction; its examples are chosen first.

    Example:
        >>> states = np.zeros((2, 1, 1), np.float32)
        >>> reading = SentencesRead(
        ...     (("boy",), ("boys",)), ("simple",) * 2, (("greets", "greet"), ("greet", "greets")),
        ...     ("plural", "singular"), np.array([[True], [True]]), states, states,
        ...     np.array([True, True]), Site("hidden", 1, 1), {},
        ... )
        >>> int(example(reading, lambda group: True, toward="singular"))
        1
    """
    flipped = [row for row in np.flatnonzero(reading.flipped).tolist() if suits(reading.group[row])]
    preferred = [row for row in flipped if reading.toward[row] == toward]
    return next(iter(preferred + flipped), None)


def example_figure(
    reading: SentencesRead, row: int, shown: Sequence[int], group: str = ""
) -> Figure:
    """Draws the activations of units over one sentence (Figures 1 to 4 of the paper).

    Args:
        reading: that has the sentence.
        row: of the sentence.
        shown: numbers of the units to show.
        group: name of the sentence's group, for the title of one of several figures.

    Example:
        >>> states = np.zeros((1, 1, 1), np.float32)
        >>> reading = SentencesRead(
        ...     (("boy",),), ("simple",), (("greets", "greet"),), ("plural",), np.array([[True]]),
        ...     states, states, np.array([True]), Site("hidden", 1, 1), {},
        ... )
        >>> example_figure(reading, 0, [1]).get_suptitle()
        '“greets” becomes “greet” (to plural)'
        >>> example_figure(reading, 0, [1], "simple").get_suptitle()
        'simple: “greets” becomes “greet” (to plural)'
    """
    length = len(reading.sentences[row])
    preferred, turned = reading.pair[row]
    becomes = "becomes" if reading.flipped[row] else "doesn't become"
    direction = "" if reading.toward[row] == turned else f" (to {reading.toward[row]})"
    of = f"{group}: " if group else ""
    return figures.activations(
        figures.Activations(
            reading.sentences[row],
            reading.original[row, :length],
            reading.intervened[row, :length],
            reading.where[row, :length],
            reading.site,
        ),
        shown,
        f"{of}\u201c{preferred}\u201d {becomes} \u201c{turned}\u201d{direction}",
    )


def heat_map_figure(reading: SentencesRead, group: str, shown: Sequence[int]) -> Figure:
    """Draws the activations of units over all distinct sentences of a group, sorted by direction.

    Args:
        reading: that has the sentences.
        group: name of the group.
        shown: numbers of the units to show.

    Example:
        >>> states = np.zeros((1, 1, 1), np.float32)
        >>> reading = SentencesRead(
        ...     (("boy",),), ("simple",), (("greets", "greet"),), ("plural",), np.array([[True]]),
        ...     states, states, np.array([True]), Site("hidden", 1, 1), {},
        ... )
        >>> heat_map_figure(reading, "simple", [1]).get_suptitle()
        'simple: 1 held-out sentence'
    """
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
    """A label for each position of the sentences of a group.

    The label is the word that all sentences share, or else the name that the pattern of the group
    gives to the position, or else an ellipsis.

    Args:
        sentences: of the group.
        pattern: of the group, see `jaxmask.tasks.phenomenon.Phenomenon`; may be empty.

    Example:
        >>> word_labels([["The", "boy"], ["The", "girl"]], "The SUBJECT VERB")
        ['The', 'subject']
    """
    slots = pattern.split()
    labels = []
    for position, words in enumerate(itertools.zip_longest(*sentences)):
        slot = slots[position] if position < len(slots) else ""
        differ = slot.lower() if slot.isupper() else "\u2026"
        labels.append(words[0] if len(set(words)) == 1 else differ)
    return labels
