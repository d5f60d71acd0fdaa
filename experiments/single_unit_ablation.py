"""Finds the single units that number agreement hangs on, after Lakretz et al. (2019).

Each unit of the model is set to 0 alone, at every word, and the fall of the accuracy is measured on
each construction, apart for singular and plural subjects.

python -m experiments.single_unit_ablation --model demo
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.shared.console import console, print_table, progress
from experiments.shared.option_types import (
    Count,
    DataFolder,
    Model,
    ResultFolder,
    Seed,
    TextFile,
    check,
)
from experiments.shared.setup import load_task, read_model, run_script
from jaxmask.baselines import ablation
from jaxmask.files.run_folder import check_writable, write_text
from jaxmask.intervention import Kind
from jaxmask.models.language_model import LanguageModel, site_of
from jaxmask.report import Table, to_markdown
from jaxmask.tasks import number_agreement
from jaxmask.text import examples
from jaxmask.text.examples import Examples

FOUND = (
    10.0  # points of accuracy lost somewhere, from which on Lakretz et al. count a unit as found
)

KIND = Kind(place="every")


@dataclasses.dataclass(frozen=True)
class AblationOptions:
    """Options of this script."""

    model: Model = "demo"
    """A model folder, a PyTorch .pt file (with --vocab), or `demo`, the bundled model."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: DataFolder | None = None
    """Folder of the task's original files; if not given, the task is generated."""
    context: Literal["eos", "none", "primer"] = "eos"
    """What the model reads before each sentence."""
    examples: Count = 100
    """Pairs of each construction and number of its subject."""
    seed: Seed = 0
    """Seed of the choice of these."""
    out: ResultFolder | None = None
    """Folder for the results; results/single_unit_ablation-MODEL if not given."""


class Ablations(NamedTuple):
    """What zeroing each unit does, by condition.

    Attributes:
        conditions: construction and number of the subject.
        untouched: accuracy of the untouched model, in percent.
        drop: by how many points it falls without each unit.
    """

    conditions: tuple[str, ...]
    untouched: Float[np.ndarray, " conditions"]
    drop: Float[np.ndarray, "conditions units"]

    @property
    def found(self) -> list[int]:
        """Numbers, from 1, of the units whose loss costs `FOUND` points or more somewhere."""
        return (np.flatnonzero((self.drop >= FOUND).any(axis=0)) + 1).tolist()


def ablate(options: AblationOptions, model: LanguageModel) -> Ablations:
    """Zeroes each unit of the model alone, at every word of the sentences."""
    check(options)
    task = load_task(number_agreement.NAME, options.data)
    encoded = examples.encode(task, model.vocabulary)
    context = model.read_context(options.context)
    # The form to turn to is the wrong one: an example that flips is an error.
    known = encoded.examples._replace(direction=(1 - encoded.examples.correct).astype(np.int32))
    conditions = [(group, number) for group in range(len(encoded.groups)) for number in range(2)]
    rng, effects, names = np.random.default_rng(options.seed), [], []
    run = jax.jit(lambda fast: ablation.effects(fast, fast.everything(by_direction=True)))
    with progress(len(conditions), "zeroing each unit") as advance_to:
        for done, (group, number) in enumerate(conditions, start=1):
            rows = np.flatnonzero((known.group == group) & (known.correct == number))
            if len(rows):
                rows = rng.permutation(rows)[: options.examples]
                part: Examples = known.take(np.sort(rows))
                fast = model.objective(part, KIND, context)
                effects.append(jax.tree.map(np.asarray, run(fast)))
                names.append(f"{encoded.groups[group]}, {task.directions[number]}")
            advance_to(done)
    untouched = np.array([effect.untouched for effect in effects])
    flipped = np.stack([effect.flipped for effect in effects])
    return Ablations(
        tuple(names), 100.0 * (1.0 - untouched), 100.0 * (flipped - untouched[:, None])
    )


def table(ablations: Ablations, model: LanguageModel, most: int = 10) -> Table:
    """The units whose loss costs most, with the condition that it costs most in."""
    site = site_of(model, KIND)
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
    """The inverse of `content`."""
    conditions = content["conditions"]
    return Ablations(
        tuple(conditions),
        np.array([condition["untouched"] for condition in conditions.values()]),
        np.array([condition["drop"] for condition in conditions.values()]),
    )


def work(options: AblationOptions) -> None:
    """Ablates, prints the table, writes it and all figures."""
    model = read_model(options)
    out = options.out or Path("results") / f"single_unit_ablation-{model.name}"
    check_writable(out)
    ablations = ablate(options, model)
    shown = table(ablations, model)
    print_table(shown)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "table.md", to_markdown(table(ablations, model, most=50)))
    write_text(out / "ablation.json", json.dumps(content(ablations)) + "\n")
    console().print(f"written to {out}", soft_wrap=True)


def main() -> None:
    """Reads the options, ablates, reports."""
    run_script(AblationOptions, "single_unit_ablation", __doc__, work)


if __name__ == "__main__":
    main()
