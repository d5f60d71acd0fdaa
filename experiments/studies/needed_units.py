"""How many units a model needs for an accuracy: by the search, and by greedy selection.

Both are judged on all training examples; what they then do on held-out ones is reported.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments.shared import checkpoints, records
from experiments.shared.checkpoints import Checkpoints
from experiments.shared.console import console
from experiments.studies.searches import Resources, run_or_read, train_accuracy
from jaxmask import search
from jaxmask.baselines import greedy
from jaxmask.baselines.greedy import Additions
from jaxmask.evaluate import accuracies
from jaxmask.intervention import DIRECTIONS, Intervention
from jaxmask.objective import Objective
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs import sparsest
from jaxmask.runs.ensemble import Session
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

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


def greedy_curve(file: Path, prepared: Prepared, wanted: float, programs: Programs) -> GreedyCurve:
    """Adds units until an accuracy is reached, or `GREEDY_MOST` of them; kept in a file."""
    settings = prepared.design.settings(prepared.task, prepared.model) | {
        "wanted": wanted,
        "greedy": dataclasses.asdict(GREEDY),
        "most": GREEDY_MOST,
    }
    if (there := records.read(file, settings)) is not None:
        return GreedyCurve(**there)
    console().print(f"greedy selection until {100 * wanted:.1f}% flip, to compare with")
    objective, held_out = prepared.train_objective, prepared.evaluation_objective
    n_units, key = objective.n_units, jax.random.key(0)
    nothing = jnp.zeros((DIRECTIONS, n_units))
    present, curve = Intervention(nothing, nothing), GreedyCurve([], [], [])
    while len(curve.units) < min(GREEDY_MOST, n_units):
        config = GREEDY.replace(most=min(GREEDY.most, n_units - len(curve.units)))
        before, args = present, (key, present, objective, config)
        present, additions = programs.call("greedy.extend", greedy.extend, *args)
        curve.units.extend((additions.unit + 1).tolist())
        for reached, judged_on in (
            (curve.accuracy, objective),
            (curve.held_out, held_out),
        ):
            found = programs.call("greedy.judge", _after_each, before, additions, judged_on)
            reached.extend(found.tolist())
        if curve.accuracy[-1] >= wanted:
            break
    records.write(file, settings, curve._asdict())
    return curve


def _after_each(
    before: Intervention, additions: Additions, objective: Objective
) -> Float[Array, " additions"]:
    """Accuracy after each addition."""

    def after(count: Array) -> Intervention:
        added = greedy.first(additions, count, objective.n_units)
        return jax.tree.map(jnp.add, before, added)

    counts = 1.0 + jnp.arange(len(additions.unit), dtype=jnp.float32)
    return accuracies(jax.vmap(after)(counts), objective)


class Goal(NamedTuple):
    """What the searches on a model are to reach.

    Attributes:
        wanted: fraction of the training decisions to flip.
        expected: number of units to begin with.
    """

    wanted: float
    expected: int


def sparsest_units(
    file: Path, prepared: Prepared, plan: Plan, goal: Goal, resources: Resources
) -> int:
    """The size at which searches of half the length first reach an accuracy; kept in a file.

    If none does, it is the largest size tried.
    """
    settings = _settings(prepared, plan) | {"wanted": goal.wanted}
    if (there := records.read(file, settings)) is not None:
        return there["units"]
    objective, config = prepared.train_objective, _half_as_long(plan.config)
    begun = file.parent / "checkpoints" / file.name  # whose checkpoints these are
    if records.read(begun, settings) is None:
        records.write(begun, settings, {})
    console().print(f"looking for the smallest alpha that flips {100 * goal.wanted:.1f}%")
    found = sparsest.find(
        jax.random.key(1),
        objective,
        config,
        sparsest.Goal(goal.wanted, goal.expected, _most(prepared)),
        Session(
            programs=resources.programs,
            keeper=Checkpoints(file.parent, resources.checkpoint_minutes),
        ),
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


def _half_as_long(config: SearchConfig) -> SearchConfig:
    """The settings of searches of half the length."""
    return config.replace(
        steps=max(1, config.steps // 2), exchange_rounds=max(1, config.exchange_rounds // 2)
    )


class Searches(NamedTuple):
    """The searches that are reported.

    Attributes:
        summary: of their run folder.
        plan: of the searches, with the alpha that was chosen.
        folder: of their run.
        reached: do they reach the accuracy wanted, in the mean over seeds, on training examples?
    """

    summary: dict[str, Any]
    plan: Plan
    folder: Path
    reached: bool


def search_until(
    folder: Path, prepared: Prepared, plan: Plan, goal: Goal, resources: Resources
) -> Searches:
    """Searches at a size, and if they miss the accuracy wanted with one unit more, and so on.

    Each size has a run folder of its own, such as ``30_units``; what is finished isn't run again.

    Args:
        folder: for the run folders.
        prepared: model and examples.
        plan: of the searches, apart from alpha.
        goal: the accuracy wanted, and the number of units to begin with.
        resources: what the searches share.
    """
    units = goal.expected
    while True:
        found = search_at(folder / f"{units}_units", prepared, with_units(plan, prepared, units),
                          goal.wanted, resources)  # fmt: skip
        if found.reached or units >= _most(prepared):
            return found
        console().print(
            f"{train_accuracy(found.summary):.1f}% of the training decisions flip, "
            f"{100 * goal.wanted:.1f}% should: one unit more",
            soft_wrap=True,
        )
        units += 1


def search_at(
    folder: Path, prepared: Prepared, plan: Plan, wanted: float, resources: Resources
) -> Searches:
    """Searches at the alpha of the plan, and says whether they reach the accuracy wanted."""
    summary = run_or_read(prepared, plan, folder, resources)
    return Searches(summary, plan, folder, train_accuracy(summary) >= 100.0 * wanted)


def with_units(plan: Plan, prepared: Prepared, units: int) -> Plan:
    """The plan with an alpha, and a beta, that allow a number of units."""
    alpha = units / prepared.site.units
    return plan._replace(config=plan.config.replace(alpha=alpha, beta=None))


def _most(prepared: Prepared) -> int:
    return max(1, int(MOST * prepared.site.units))


def _settings(prepared: Prepared, plan: Plan) -> dict[str, Any]:
    """What decides how many units are needed."""
    of_search = search.settings(plan.config)
    for chosen in ("alpha", "beta"):
        del of_search[chosen]
    design = prepared.design.settings(prepared.task, prepared.model)
    return design | {"search": of_search}
