"""Curves: how a search went, and how many units an accuracy needs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from jaxmask.report.figures.style import STYLES, draw_band, draw_line

_FEW_TIMES = 8  # the least ratio of largest to smallest for which an axis is logarithmic


class Curve(NamedTuple):
    """The accuracy of a method at several numbers of units.

    Attributes:
        units: number of units at each point.
        accuracy: in percent, a row for each run.

    Example:
        >>> Curve(np.array([1, 2]), np.array([[40.0, 80.0]])).accuracy.shape
        (1, 2)
    """

    units: Float[np.ndarray, " points"] | Int[np.ndarray, " points"]
    accuracy: Float[np.ndarray, "runs points"]


class Needed(NamedTuple):
    """The number of units that a method needs for an accuracy.

    Attributes:
        units: number of units at each point.
        reached: whether the method reaches the accuracy with them.

    Example:
        >>> Needed(np.array([26, 14]), np.array([False, True])).reached.tolist()
        [False, True]
    """

    units: Float[np.ndarray, " points"] | Int[np.ndarray, " points"]
    reached: Bool[np.ndarray, " points"]


class Snapshots(NamedTuple):
    """Snapshots of a language model in training.

    Attributes:
        perplexity: of each snapshot.
        labels: text that identifies each snapshot.
        right: how often each prefers the right form, in percent; None if no form is right.

    Example:
        >>> Snapshots(np.array([103.7, 95.1]), ("200", "400")).right is None
        True
    """

    perplexity: Float[np.ndarray, " points"]
    labels: Sequence[str]
    right: Float[np.ndarray, " points"] | None = None


def training_curves(
    steps: Int[np.ndarray, " points"],
    accuracy: Float[np.ndarray, "seeds points"],
    expected_units: Float[np.ndarray, "seeds points"],
    hard_units: Float[np.ndarray, "seeds points"],
    multiplier: Float[np.ndarray, "seeds points"],
    target: Float[np.ndarray, " points"] | None = None,
) -> Figure:
    """How a search went: a line for the mean over seeds, a band from the lowest to the highest.

    Args:
        steps: at which the other values were observed.
        accuracy: in percent.
        expected_units: expected number of units of the relaxed mask.
        hard_units: number of units after thresholding.
        multiplier: of the constraint on the number of units.
        target: number of units that the constraint allows at each step.

    Example:
        >>> steps, values = np.arange(3), np.ones((2, 3))
        >>> figure = training_curves(steps, values, values, values, values)
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['accuracy (%)', 'units', 'multiplier']
    """
    figure = Figure(figsize=(6.4, 6.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    draw_band(top, steps, accuracy, STYLES[0], "accuracy")
    top.set(ylabel="accuracy (%)", ylim=(-3, 103))
    draw_band(middle, steps, expected_units, STYLES[0], "expected")
    draw_band(middle, steps, hard_units, STYLES[1], "thresholded")
    if target is not None:
        middle.plot(steps, target, color="black", linestyle=":", zorder=3, label="allowed")
    middle.set_ylabel("units")
    lowest, highest = min(expected_units.min(), hard_units.min()), expected_units.max()
    if lowest <= 0 or highest > _FEW_TIMES * lowest:
        middle.set_yscale("symlog")  # not "log", because a number of units can be 0
        ticks = [0] + [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
        middle.yaxis.set_major_locator(FixedLocator(ticks))
    middle.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    middle.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    draw_band(bottom, steps, multiplier, STYLES[0], "multiplier")
    bottom.set(ylabel="multiplier", xlabel="step", ylim=(0, None if multiplier.max() > 0 else 1))
    bottom.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    few = len(steps) < 3
    bottom.xaxis.set_major_locator(
        FixedLocator(steps.tolist()) if few else MaxNLocator(integer=True)
    )
    seeds = len(accuracy)
    if seeds > 1:
        figure.suptitle(f"mean and range over {seeds} seeds", fontsize=10)
    return figure


def accuracy_against_units(curves: Mapping[str, Curve], title: str = "") -> Figure:
    """Accuracy over the number of units: a line for each method, a band for the range of its runs.

    Args:
        curves: of each method, by its name.
        title: above the figure.

    Example:
        >>> curve = Curve(np.array([1, 2]), np.array([[40.0, 80.0]]))
        >>> figure = accuracy_against_units({"greedy": curve})
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['greedy']
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        draw_band(axes, curve.units, curve.accuracy, STYLES[number % len(STYLES)], name)
    _units_and_accuracy(axes, curves)
    figure.legend(loc="outside lower center", ncols=min(3, len(curves)), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def frontier(
    by_units: Mapping[str, Curve],
    by_kl: Mapping[str, Curve],
    other: tuple[float, float, float] | None = None,
    title: str = "",
) -> Figure:
    """Accuracy over the number of units, and over the KL: a line for each kind of intervention.

    Args:
        by_units: a curve for each kind, by its name.
        by_kl: the same kinds, with the mean KL in nats in place of the number of units.
        other: units, KL and accuracy of a result to compare with, drawn as a cross.
        title: above the figure.

    Example:
        >>> accuracy = np.array([[40.0, 80.0]])
        >>> units, kl = Curve(np.array([1, 2]), accuracy), Curve(np.array([0.1, 0.2]), accuracy)
        >>> figure = frontier({"hidden": units}, {"hidden": kl})
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['units', 'KL (nats)']
    """
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, curves in zip(panels, (by_units, by_kl), strict=True):
        for number, (name, curve) in enumerate(curves.items()):
            draw_band(axes, curve.units, curve.accuracy, STYLES[number % len(STYLES)], name)
    _units_and_accuracy(panels[0], by_units)
    panels[1].set(xlabel="KL (nats)", xlim=(0, None))
    handles, labels = panels[0].get_legend_handles_labels()
    if other is not None:
        for axes, x in zip(panels, other[:2], strict=True):
            cross = axes.plot(x, other[2], "kx", markersize=8, label="the paper, another model")
        handles, labels = [*handles, *cross], [*labels, "the paper, another model"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def units_against_perplexity(
    snapshots: Snapshots, needed: Mapping[str, Needed], title: str = ""
) -> Figure:
    """The number of units needed over the perplexity of a model in training.

    The perplexity axis runs from high to low, which is the direction of training. If some forms are
    right, a second panel shows how often the untouched model prefers them.

    Args:
        snapshots: of the model.
        needed: for each method, by its name; markers are hollow where the units don't reach the
            accuracy.
        title: above the figure.

    Example:
        >>> snapshots = Snapshots(np.array([103.7, 95.1]), ("200", "400"))
        >>> needed = {"greedy": Needed(np.array([26, 14]), np.array([True, True]))}
        >>> len(units_against_perplexity(snapshots, needed).axes)
        1
    """
    perplexity, right = snapshots.perplexity, snapshots.right
    figure = Figure(figsize=(6.4, 3.6 if right is None else 5.4), layout="constrained")
    panels = figure.subplots(1 if right is None else 2, 1, sharex=True, squeeze=False).ravel()
    upper, lower = panels[0], panels[-1]
    for (name, (units, reached)), style in zip(needed.items(), STYLES, strict=False):
        draw_line(upper, perplexity, units, style, name)
        draw_line(upper, perplexity[~reached], units[~reached], style, None)
        upper.lines[-1].set(linestyle="", markerfacecolor="white")
    if not all(reached.all() for _, reached in needed.values()):
        upper.plot((), (), "o", color="0.3", markerfacecolor="white", label="accuracy not reached")
    upper.set(ylabel="units needed", ylim=(0, None), xscale="log")
    upper.invert_xaxis()
    if right is not None:
        draw_line(lower, perplexity, right, STYLES[len(needed)], None)
        lower.axhline(50.0, color="0.5", linewidth=0.8, zorder=0.5)
        lower.set(ylabel="untouched model right (%)", ylim=(-3, 103))
    _label_snapshots(lower, snapshots)
    digits = [digit * 10**power for power in range(6) for digit in (1, 1.5, 2, 3, 5, 7)]
    narrow = perplexity.max() < 2 * perplexity.min()
    lower.xaxis.set_major_locator(MaxNLocator(6) if narrow else FixedLocator(digits))
    lower.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xlabel("perplexity (falls in training; numbers along it: updates)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def _label_snapshots(axes: Axes, snapshots: Snapshots) -> None:
    """Writes labels at the top of a panel, where only the line of a model without errors passes."""
    for x, label in zip(snapshots.perplexity, snapshots.labels, strict=True):
        axes.annotate(
            label,
            (x, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=90,
            ha="center",
            fontsize=8,
        )


def _units_and_accuracy(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Labels and limits of the axes; a single number of units has a tick of its own."""
    axes.set(xlabel="units", ylabel="accuracy (%)", ylim=(-3, 103))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    sizes = np.unique(np.concatenate([curve.units for curve in curves.values()]))
    if len(sizes) == 1:
        axes.set(xticks=sizes, xlim=(sizes[0] - 1, sizes[0] + 1))
