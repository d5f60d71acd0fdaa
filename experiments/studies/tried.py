"""What an intervention does to pairs that it wasn't found on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmask.files.intervention_file import SavedIntervention
from jaxmask.intervention import Intervention, Kind, units
from jaxmask.models.language_model import LanguageModel
from jaxmask.report.cells import Table
from jaxmask.text.examples import Examples, Stimulus, Task, TaskDataError, directed
from jaxmask.text.splits import position_words
from jaxmask.trust.statistics import share_interval
from jaxmask.trust.subject import log_ratios, numbered

PART = 500  # examples that are read at once: all states of long sentences take memory


def on(saved: SavedIntervention, model: LanguageModel, task: Task) -> dict[str, Any]:
    """Flips of all pairs of a task, and by group, direction and what the untouched model prefers.

    Beside them stands in how many pairs the untouched model prefers the other form after the paired
    sentence, in place of the sentence itself.

    Args:
        saved: the intervention; its directions are those of the task, in any order.
        model: the one in which it was found.
        task: with the pairs.

    Raises:
        TaskDataError: the vocabulary can't express any pair.
    """
    rows = [saved.directions.index(name) for name in task.directions]
    own = Intervention(*(np.asarray(part)[rows] for part in saved.intervention))
    encoded = model.encode(task)
    context = model.read_context(saved.settings["context"])
    untouched = model.log_odds(encoded.examples, context)
    examples = directed(encoded.examples, untouched)
    kind = Kind.of_settings(saved.settings)
    parts = [
        examples.take(np.arange(start, min(start + PART, examples.size)))
        for start in range(0, examples.size, PART)
    ]
    odds = [np.asarray(model.read(part, kind, context, own).log_odds) for part in parts]
    flipped = log_ratios(np.concatenate(odds), examples.direction) < 0
    paired = after_paired(model, task, context, np.asarray(untouched))
    pairs = [f"{first} {second}" for first, second in examples.pair.tolist()]
    clusters = position_words(examples), numbered(pairs)
    known = examples.correct >= 0
    right = (1 - examples.direction == examples.correct) & known

    def share(chosen: Bool[np.ndarray, " examples"]) -> dict[str, Any]:
        found = _share(flipped[chosen], [one[chosen] for one in clusters])
        there = paired[chosen][~np.isnan(paired[chosen])]
        return {**found, "paired": 100.0 * float(there.mean()) if len(there) else None}

    kinds = {name: examples.group == at for at, name in enumerate(encoded.groups)}
    kinds |= {f"to {name}": examples.direction == at for at, name in enumerate(task.directions)}
    if known.any():
        kinds |= {"untouched model right": right, "untouched model wrong": known & ~right}
    return {
        "units": len(units(own.mask)),
        "dropped": encoded.dropped.total,
        "model_accuracy": 100.0 * float(right[known].mean()) if known.any() else None,
        "all": share(np.ones(examples.size, bool)),
        "by": {name: share(chosen) for name, chosen in kinds.items()},
    }


def after_paired(
    model: LanguageModel, task: Task, context: Any, untouched: Float[np.ndarray, " examples"]
) -> Float[np.ndarray, " examples"]:
    """Whether the untouched model prefers the other form after the paired sentence: 1 or 0.

    Args:
        model: that reads.
        task: with the pairs.
        context: what the model reads before each sentence.
        untouched: log-odds after the sentences themselves, of those that the vocabulary has.

    Returns:
        A number for each of these; NaN where there is no paired sentence, or where the vocabulary
        doesn't have it.
    """
    other = [_paired(one) for one in task.stimuli]
    found = np.full(len(untouched), np.nan)
    kept = _encoded(model, task, list(task.stimuli))[1]
    place = {row: at for at, row in enumerate(kept.tolist())}
    rows = [row for row, words in enumerate(other) if words and row in place]
    stimuli = [task.stimuli[row]._replace(words=other[row]) for row in rows]
    try:
        examples, again = _encoded(model, task, stimuli)
    except TaskDataError:  # not one has a paired sentence
        return found
    odds = np.asarray(model.log_odds(examples, context))
    at = np.array([place[rows[number]] for number in again], int)
    found[at] = (odds > 0) != (untouched[at] > 0)
    return found


def _paired(stimulus: Stimulus) -> tuple[str, ...]:
    return next((words for words in stimulus.counterfactual if words != stimulus.words), ())


def _encoded(
    model: LanguageModel, task: Task, stimuli: Sequence[Stimulus]
) -> tuple[Examples, Int[np.ndarray, " examples"]]:
    """Stimuli as examples, and which of the stimuli each example is."""
    tagged = [one._replace(group=f"{number:09}") for number, one in enumerate(stimuli)]
    encoded = model.encode(Task(task.name, task.directions, tagged))
    number = np.array([int(name) for name in encoded.groups], int)
    return encoded.examples, number[encoded.examples.group]


def _share(
    flipped: Bool[np.ndarray, " examples"], clusters: list[Int[np.ndarray, " examples"]]
) -> dict[str, Any]:
    if not len(flipped):
        return {"pairs": 0, "flipped": None, "interval": None}
    interval = share_interval(flipped, clusters).scaled(100.0)
    return {
        "pairs": len(flipped),
        "flipped": 100.0 * float(flipped.mean()),
        "interval": list(interval),
    }


def table(found: dict[str, Any]) -> Table:
    """A row for all pairs and for each kind of them."""
    rows = tuple(
        (
            name,
            str(one["pairs"]),
            f"{one['flipped']:.1f}",
            " to ".join(f"{end:.1f}" for end in one["interval"]),
            "" if one["paired"] is None else f"{one['paired']:.1f}",
        )
        for name, one in (("all", found["all"]), *found["by"].items())
        if one["pairs"]
    )
    return Table(
        "Decisions that flip",
        ("Pairs", "Number", "Flip (%)", "95% interval", "Paired (%)"),
        rows,
        "Paired: the untouched model prefers the other form after the paired sentence, of the "
        "pairs that have one.",
    )
