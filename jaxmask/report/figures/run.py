"""The figures of one run: what it found, and how its searches went."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmask.intervention import Intervention, units
from jaxmask.pipeline.prepare import Prepared
from jaxmask.report.figures import found_units
from jaxmask.report.figures.curves import training_curves
from jaxmask.search.history import History
from jaxmask.tasks.registry import phenomenon

EVERY = 10  # steps between the points of a curve


def example_figure(
    prepared: Prepared, intervention: Intervention, prevalence: Sequence[Mapping]
) -> Figure | None:
    """The activations of found units over a held-out sentence whose decision flips.

    Args:
        prepared: model and examples.
        intervention: hard, with a row for each direction and the model's own values.
        prevalence: of the summary of the run.

    Returns:
        The figure; None if no unit was found or no decision flips.

    Example:
        See `jaxmask.found.find`.
    """
    if not units(intervention.mask):
        return None
    reading = found_units.read(prepared, intervention)
    shown = found_units.shown_units(reading, intervention, prevalence)
    good = phenomenon(prepared.task.name).shown
    row = found_units.example(reading, lambda group: good in (None, group))
    return None if row is None else found_units.example_figure(reading, row, shown)


def search_figure(history: History) -> Figure:
    """How the searches went, step by step.

    Args:
        history: what the searches observed, stacked over runs.

    Example:
        See `jaxmask.found.find`.
    """
    steps = jax.tree.map(np.asarray, history.steps)
    total = steps.loss.shape[1]
    some = np.arange(min(EVERY, total) - 1, total, EVERY)
    return training_curves(
        some + 1,
        100.0 * steps.accuracy[:, some],
        steps.expected_l0[:, some],
        steps.hard_units[:, some],
        steps.multiplier[:, some],
        steps.target[0, some],
    )
