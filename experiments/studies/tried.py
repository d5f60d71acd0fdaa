"""What an intervention does to pairs that it wasn't found on."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from jaxmask.files.intervention_file import SavedIntervention
from jaxmask.intervention import Intervention, Kind, units
from jaxmask.models.language_model import LanguageModel
from jaxmask.report.cells import Table
from jaxmask.text.examples import Task, directed
from jaxmask.text.splits import position_words
from jaxmask.trust.statistics import share_interval
from jaxmask.trust.subject import log_ratios, numbered

PART = 500  # examples that are read at once: all states of long sentences take memory


def on(saved: SavedIntervention, model: LanguageModel, task: Task) -> dict[str, Any]:
    """Flips of all pairs of a task, and by group, direction and what the untouched model prefers.

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
    examples = directed(encoded.examples, model.log_odds(encoded.examples, context))
    kind = Kind.of_settings(saved.settings)
    parts = [
        examples.take(np.arange(start, min(start + PART, examples.size)))
        for start in range(0, examples.size, PART)
    ]
    odds = [np.asarray(model.read(part, kind, context, own).log_odds) for part in parts]
    flipped = log_ratios(np.concatenate(odds), examples.direction) < 0
    pairs = [f"{first} {second}" for first, second in examples.pair.tolist()]
    clusters = position_words(examples), numbered(pairs)
    known = examples.correct >= 0
    right = (1 - examples.direction == examples.correct) & known

    def share(chosen: Bool[np.ndarray, " examples"]) -> dict[str, Any]:
        return _share(flipped[chosen], [one[chosen] for one in clusters])

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
        )
        for name, one in (("all", found["all"]), *found["by"].items())
        if one["pairs"]
    )
    return Table("Decisions that flip", ("Pairs", "Number", "Flip (%)", "95% interval"), rows)
