"""Single-unit ablation of a model, after Lakretz et al. (2019): each unit is set to 0 alone.

Each unit is set to 0 at every word, and the fall of the accuracy is measured on each construction,
apart for singular and plural subjects. Ablation keeps the reach ``time``: Lakretz et al. zero a
unit's recurrent weights and its columns of the decoder, not the weights to the layer above.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.shared.console import progress
from jaxmask.baselines import ablation
from jaxmask.intervention import Kind
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import Table
from jaxmask.text.examples import Encoded, Task

FOUND = (
    10.0  # points of accuracy lost somewhere: from there on Lakretz et al. count a unit as found
)


class Sample(NamedTuple):
    """Which examples the ablation is measured on.

    Attributes:
        examples: number of pairs of each construction and number of its subject.
        seed: of the choice of these pairs.
        context: name of what the model reads before each sentence.
    """

    examples: int = 100
    seed: int = 0
    context: str = "eos"


class Ablations(NamedTuple):
    """What zeroing each unit does, by condition.

    Attributes:
        conditions: construction and number of the subject.
        untouched: accuracy of the untouched model, in percent.
        drop: by how many points the accuracy falls without each unit.
    """

    conditions: tuple[str, ...]
    untouched: Float[np.ndarray, " conditions"]
    drop: Float[np.ndarray, "conditions units"]

    @property
    def found(self) -> list[int]:
        """Numbers, from 1, of the units whose loss costs `FOUND` points or more somewhere."""
        return (np.flatnonzero((self.drop >= FOUND).any(axis=0)) + 1).tolist()


def kind_of(model: LanguageModel) -> Kind:
    """States of the model's first site, zeroed at every word, as Lakretz et al. did.

    In a model that offers the reach time, the layer above reads the original states.
    """
    reach = "time" if "time" in model.reaches else model.reaches[0]
    return Kind(next(iter(model.sites)), reach, place="every")


def ablate(model: LanguageModel, task: Task, sample: Sample) -> Ablations:
    """Zeroes each unit of the model alone, at every word of the sentences."""
    encoded = model.encode(task)
    # The form to turn to is the wrong one: an example that flips is an error.
    wrong = (1 - encoded.examples.correct).astype(np.int32)
    encoded = encoded._replace(examples=encoded.examples._replace(direction=wrong))
    context = model.read_context(sample.context)
    run = jax.jit(lambda fast: ablation.effects(fast, fast.everything(by_direction=True)))
    effects, names = [], []
    conditions = list(_conditions(encoded, task, sample))
    with progress(len(conditions), "zeroing each unit") as advance_to:
        for done, (name, rows) in enumerate(conditions, start=1):
            objective = model.objective(encoded.examples.take(rows), kind_of(model), context)
            effects.append(jax.tree.map(np.asarray, run(objective)))
            names.append(name)
            advance_to(done)
    untouched = np.array([effect.untouched for effect in effects])
    flipped = np.stack([effect.flipped for effect in effects])
    return Ablations(
        tuple(names), 100.0 * (1.0 - untouched), 100.0 * (flipped - untouched[:, None])
    )


def _conditions(encoded: Encoded, task: Task, sample: Sample) -> Iterator[tuple[str, np.ndarray]]:
    """Each construction and number of the subject that has examples, and rows drawn of them."""
    rng = np.random.default_rng(sample.seed)
    for group, construction in enumerate(encoded.groups):
        for number, direction in enumerate(task.directions):
            here = (encoded.examples.group == group) & (encoded.examples.correct == number)
            rows = np.flatnonzero(here)
            if len(rows):
                chosen = np.sort(rng.permutation(rows)[: sample.examples])
                yield f"{construction}, {direction}", chosen


def table(ablations: Ablations, model: LanguageModel, most: int = 10) -> Table:
    """The units whose loss costs most, with the condition in which it costs most."""
    site = model.sites[kind_of(model).site]
    worst = ablations.drop.max(axis=0)
    order = np.argsort(-worst, kind="stable")[:most]
    rows = []
    for unit in order:
        condition = int(ablations.drop[:, unit].argmax())
        layer, column = site.place(int(unit) + 1)
        rows.append(
            (
                str(unit + 1),
                f"{layer}, {column}",
                f"{worst[unit]:.1f}",
                f"{ablations.drop[:, unit].mean():.1f}",
                ablations.conditions[condition],
                f"{ablations.untouched[condition]:.1f}",
            )
        )
    return Table(
        f"Single-unit ablation: {model.name}",
        ("Unit", "Layer, column", "Largest fall", "Mean fall", "Largest in", "Untouched"),
        tuple(rows),
        f"Points of number agreement lost when the unit is 0 at every word. Lakretz et al. count "
        f"units from {FOUND:.0f} points on: {len(ablations.found)} of {site.units} here. "
        "Untouched: accuracy there in percent.",
    )


def content(ablations: Ablations) -> dict[str, Any]:
    """What ``ablation.json`` holds."""
    return {
        "found": ablations.found,
        "conditions": {
            name: {"untouched": float(before), "drop": [round(float(x), 3) for x in drop]}
            for name, before, drop in zip(*ablations, strict=True)
        },
    }


def from_content(content: dict[str, Any]) -> Ablations:
    """The ablations that `content` was made of."""
    conditions = content["conditions"]
    return Ablations(
        tuple(conditions),
        np.array([condition["untouched"] for condition in conditions.values()]),
        np.array([condition["drop"] for condition in conditions.values()]),
    )
