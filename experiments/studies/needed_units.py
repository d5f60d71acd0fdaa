"""How many units a model needs for an accuracy: by the search, and by greedy selection.

Both are judged on all training examples; what they then do on held-out ones is reported.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.shared import checkpoints, records, report_search
from experiments.shared.checkpoints import Checkpoints
from experiments.shared.console import console
from experiments.shared.setup import Material, Options, data_name, search_config
from jaxmask import search
from jaxmask.baselines import greedy
from jaxmask.baselines.greedy import Additions
from jaxmask.intervention import DIRECTIONS, Intervention
from jaxmask.objective import Objective
from jaxmask.runs import sparsest
from jaxmask.runs.programs import Programs

MARGIN = 0.005  # above the accuracy wanted, on training examples, as held-out ones come out lower
MOST = 0.15  # of the units are tried
GREEDY = greedy.GreedyConfig(screened=16, rows=256, most=8)  # units at a time, until they suffice
GREEDY_MOST = 80  # units


class GreedyCurve(NamedTuple):
    """Greedy selection's first 1, 2, ... units, as far as they were looked for.

    Attributes:
        units: numbers, from 1, in the order they were added.
        accuracy: fraction of all training decisions that flip.
        held_out: of those held out.
    """

    units: list[int]
    accuracy: list[float]
    held_out: list[float]

    def needed(self, wanted: float) -> int | None:
        """The smallest number of units from which on an accuracy is reached; None if none is."""
        misses = [n for n, accuracy in enumerate(self.accuracy, start=1) if accuracy < wanted]
        first = max(misses, default=0) + 1
        return first if first <= len(self.accuracy) else None


def wanted_on_training(percent: float) -> float:
    """Fraction of training decisions to flip: the accuracy wanted and a little more, never all."""
    return min(0.999, percent / 100 + MARGIN)


def greedy_curve(
    file: Path, options: Options, material: Material, wanted: float, programs: Programs
) -> GreedyCurve:
    """Adds units until an accuracy is reached, or `GREEDY_MOST` of them; kept in a file."""
    settings = _identity(options, material) | {
        "wanted": wanted,
        "greedy": search.settings(GREEDY),
        "most": GREEDY_MOST,
    }
    if (there := records.read(file, settings)) is not None:
        return GreedyCurve(**there)
    console().print(f"greedy selection until {100 * wanted:.1f}% flip, to compare with")
    objective, held_out = material.train_objective, material.evaluation_objective
    n_units, key = objective.n_units, jax.random.key(0)
    nothing = jnp.zeros((DIRECTIONS, n_units))
    present, curve = Intervention(nothing, nothing), GreedyCurve([], [], [])
    while len(curve.units) < min(GREEDY_MOST, n_units):
        config = GREEDY.replace(most=min(GREEDY.most, n_units - len(curve.units)))
        before, args = present, (key, present, objective, config)
        present, additions = programs.call("greedy.extend", greedy.extend, *args)
        curve.units.extend((additions.unit + 1).tolist())
        for accuracies, judged_on in (
            (curve.accuracy, objective),
            (curve.held_out, held_out),
        ):
            found = programs.call("greedy.judge", _of_each, before, additions, judged_on)
            accuracies.extend(found.tolist())
        if curve.accuracy[-1] >= wanted:
            break
    records.write(file, settings, curve._asdict())
    return curve


def _of_each(
    before: Intervention, additions: Additions, objective: Objective
) -> Float[Array, " additions"]:
    """Accuracy after each addition."""

    def after(count: Array) -> Intervention:
        added = greedy.first(additions, count, objective.n_units)
        return jax.tree.map(jnp.add, before, added)

    return sparsest.accuracies(jax.vmap(after)(1 + jnp.arange(len(additions.unit))), objective)


def sparsest_units(
    file: Path,
    options: Options,
    material: Material,
    wanted: float,
    expected: int,
    programs: Programs,
) -> int:
    """Size at which searches of half the length first reach an accuracy; kept in a file.

    If none does, it is the largest tried.
    """
    settings = _identity(options, material) | {"wanted": wanted, "kl_weight": options.kl_weight}
    if (there := records.read(file, settings)) is not None:
        return there["units"]
    objective, config = material.train_objective, search_config(options)
    config = config.replace(
        steps=max(1, config.steps // 2), exchange_rounds=max(1, config.exchange_rounds // 2)
    )
    begun = file.parent / "checkpoints" / file.name  # whose checkpoints these are
    if records.read(begun, settings) is None:
        records.write(begun, settings, {})
    console().print(f"looking for the smallest alpha that flips {100 * wanted:.1f}%")
    found = sparsest.find(
        jax.random.key(1),
        objective,
        config,
        wanted,
        expected=expected,
        most=_most(material),
        programs=programs,
        keeper=Checkpoints(file.parent, options.checkpoint_minutes),
    )
    for probe in found.probes:
        console().print(f"  {probe.units} units: {100 * probe.accuracy:.1f}%", soft_wrap=True)
    units = found.probes[-1].units if found.units is None else found.units
    if found.units is None:
        console().print(f"  {units} units aren't enough; going on with them", soft_wrap=True)
    content = {
        "units": units,
        "alpha": units / objective.n_units,
        "reached": found.units is not None,
        "probes": [probe._asdict() for probe in found.probes],
    }
    records.write(file, settings, content)
    checkpoints.remove(file.parent)
    return units


class Searches(NamedTuple):
    """The searches that are reported.

    Attributes:
        summary: of their run folder.
        options: theirs, with alpha and folder.
        reached: do they reach the accuracy wanted, in the mean over seeds, on training examples?
    """

    summary: dict[str, Any]
    options: Options
    reached: bool


def search_until(
    task: str, options: Options, material: Material, wanted: float, units: int, programs: Programs
) -> Searches:
    """Searches at a size, and if they miss the accuracy wanted with one unit more, and so on.

    ``options.out`` gets a run folder for each size, ``30_units``; what is finished isn't run again.
    """
    while True:
        chosen = dataclasses.replace(
            options, alpha=units / material.model.config.units, out=options.out / f"{units}_units"
        )
        summary = report_search.run(task, chosen, material=material, programs=programs, reuse=True)
        reached = train_accuracy(summary) >= 100.0 * wanted
        if reached or units >= _most(material):
            return Searches(summary, chosen, reached)
        console().print(
            f"{train_accuracy(summary):.1f}% of the training decisions flip, "
            f"{100 * wanted:.1f}% should: one unit more",
            soft_wrap=True,
        )
        units += 1


def train_accuracy(summary: dict[str, Any]) -> float:
    """In percent, mean over the runs of a summary."""
    return float(np.mean([run["train_accuracy"] for run in summary["runs"]]))


def _most(material: Material) -> int:
    return max(1, int(MOST * material.model.config.units))


def _identity(options: Options, material: Material) -> dict[str, Any]:
    """What decides how many units are needed."""
    same = search.settings(search_config(options))
    for chosen in ("alpha", "beta"):
        del same[chosen]
    return {
        "fingerprint": material.model.fingerprint,
        "data": data_name(options.data),
        "intervention": options.intervention,
        "context": options.context,
        "search": same,
    }
