"""Figures of a run; the only file that imports matplotlib.

Each function gives a `Figure` that belongs to no window; `save` writes it. Lines differ by style
and marker as well as by colour (the first are Okabe and Ito's, safe for colour-blind readers), and
the colours of heat maps by lightness, so that both can be told apart in grey.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter
from matplotlib.transforms import offset_copy

from jaxmask.intervention import Site

# (colour, line style, marker)
STYLES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", (0, (5, 1)), "v"),
    ("#E69F00", (0, (3, 1, 1, 1)), "P"),
    ("#56B4E9", (0, (1, 1)), "X"),
    ("#7F7F7F", (0, (8, 2, 2, 2)), "<"),
    ("#8B4513", (0, (3, 3)), ">"),
    ("#882255", (0, (6, 1, 1, 1, 1, 1)), "*"),
)
_SHADE = "0.88"

# From dark blue over grey, at 0, to yellow: it diverges in hue, while its lightness rises from end
# to end (the usual diverging maps print -1 and 1 in one grey), and it was made for colour-blind
# readers too.
ACTIVATION_COLOURS = colormaps["cividis"].with_extremes(bad="white")
_ACTIVATION_RANGE = Normalize(-1.0, 1.0)
_BAR: dict[str, Any] = {
    "color": "black",
    "linewidth": 3,
    "solid_capstyle": "butt",
    "clip_on": False,
}


class Curve(NamedTuple):
    """Accuracy in percent reached with a number of units; one row a run, or a single row."""

    units: Float[np.ndarray, " points"] | Int[np.ndarray, " points"]
    accuracy: Float[np.ndarray, "runs points"]


class Needed(NamedTuple):
    """How many units a method needs for an accuracy, and whether it reaches it with them."""

    units: Float[np.ndarray, " points"] | Int[np.ndarray, " points"]
    reached: Bool[np.ndarray, " points"]


def activations(
    words: Sequence[str],
    original: Float[np.ndarray, "words all_units"],
    intervened: Float[np.ndarray, "words all_units"],
    units: Sequence[int],
    where: Bool[np.ndarray, " words"],
    site: Site,
    title: str = "",
) -> Figure:
    """Activations of a few units over one sentence, with and without intervention (Figure 1).

    Args:
        words: of the sentence, up to and including the last one that is read.
        original: hidden states after each word, units of all layers side by side.
        intervened: the same with the intervention.
        units: numbers, from 1, of the units to show, a panel each; about four fit well.
        where: at which words the intervention acts; these are shaded.
        site: whose units they are.
        title: over the figure.
    """
    columns = 1 if len(units) % 2 else 2
    rows = len(units) // columns
    width = max(5.0, columns * max(3.2, 0.42 * len(words) + 0.8))
    figure = Figure(figsize=(width, 1.75 * rows + 1.5), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, unit in zip(grid, units, strict=True):
        _activation_panel(panel, original[:, unit - 1], intervened[:, unit - 1], where)
        layer, column = site.place(unit)
        panel.set_title(f"unit {unit} (layer {layer}, column {column})", fontsize=9)
        _words_below(panel, words)
    for panel in grid[::columns]:
        panel.set_ylabel("activation")
    entries = grid[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(_text(title), fontsize=10)
    return figure


def heat_maps(
    words: Sequence[str],
    original: Float[np.ndarray, "sentences words all_units"],
    intervened: Float[np.ndarray, "sentences words all_units"],
    units: Sequence[int],
    where: Bool[np.ndarray, " words"],
    rows: Mapping[str, int],
    site: Site,
    title: str = "",
) -> Figure:
    """Activations of a few units over many sentences: for each, untouched beside intervened.

    Args:
        words: a label for each position.
        original: hidden states after each word, a row a sentence; NaN past its end.
        intervened: the same with the intervention.
        units: numbers, from 1, of the units to show; about four fit well.
        where: at which positions the intervention acts; a bar marks them.
        rows: names of blocks of sentences, from the top, and how many sentences each has.
        site: whose units they are.
        title: over the figure.
    """
    across = 1 if len(units) % 2 else 2
    down = len(units) // across
    width = across * max(3.4, 2 * 0.3 * len(words) + 1.3)
    height = down * (float(np.clip(0.013 * len(original), 1.3, 6.0)) + 1.3) + 0.3
    figure = Figure(figsize=(width, height + 0.6), layout="constrained")
    panels, key = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 0.6)).flat
    for part, unit in zip(panels.subfigures(down, across, squeeze=False).flat, units, strict=True):
        layer, column = site.place(unit)
        part.suptitle(f"unit {unit} (layer {layer}, column {column})", fontsize=9)
        untouched, altered = part.subplots(1, 2, sharey=True)
        _heat_panel(untouched, "untouched", original[:, :, unit - 1], words, rows)
        _heat_panel(altered, "with intervention", intervened[:, :, unit - 1], words, rows)
        above = offset_copy(altered.get_xaxis_transform(), figure, y=3, units="points")
        for word in np.flatnonzero(where):
            altered.plot((word - 0.5, word + 0.5), (1, 1), transform=above, **_BAR)
    _heat_key(key, bool(where.sum() > 1))
    figure.suptitle(_text(title), fontsize=10)
    return figure


def training_curves(
    steps: Int[np.ndarray, " points"],
    accuracy: Float[np.ndarray, "seeds points"],
    expected_units: Float[np.ndarray, "seeds points"],
    hard_units: Float[np.ndarray, "seeds points"],
    multiplier: Float[np.ndarray, "seeds points"],
    target: Float[np.ndarray, " points"] | None = None,
) -> Figure:
    """How a search went: mean over seeds as a line, smallest to largest as a band.

    Args:
        steps: at which the rest was observed.
        accuracy: in percent.
        expected_units: expected number of units of the relaxed mask.
        hard_units: number of units after thresholding.
        multiplier: of the constraint on the number of units.
        target: the number of units the constraint allows at each step.
    """
    figure = Figure(figsize=(6.4, 6.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    _band(top, steps, accuracy, 0, "accuracy")
    top.set(ylabel="accuracy (%)", ylim=(-3, 103))
    _band(middle, steps, expected_units, 0, "expected")
    _band(middle, steps, hard_units, 1, "thresholded")
    if target is not None:
        middle.plot(steps, target, color="black", linestyle=":", zorder=3, label="allowed")
    middle.set(ylabel="units", yscale="symlog")  # a count can be 0
    ticks = [0] + [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
    middle.yaxis.set_major_locator(FixedLocator(ticks))
    middle.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    middle.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    _band(bottom, steps, multiplier, 0, "multiplier")
    bottom.set(ylabel="multiplier", xlabel="step", ylim=(0, None))
    seeds = len(accuracy)
    if seeds > 1:
        figure.suptitle(f"mean and range over {seeds} seeds", fontsize=10)
    return figure


def accuracy_against_units(curves: Mapping[str, Curve], title: str = "") -> Figure:
    """Accuracy over the number of units, a line a method; bands span its runs."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        _band(axes, curve.units, curve.accuracy, number, name)
    axes.set(xlabel="units", ylabel="accuracy (%)", ylim=(-3, 103))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=min(3, len(curves)), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def units_against_perplexity(
    perplexity: Float[np.ndarray, " points"],
    needed: Mapping[str, Needed],
    right: Float[np.ndarray, " points"] | None,
    labels: Sequence[str],
    title: str = "",
) -> Figure:
    """Units needed over the perplexity of a model in training, and what it knows below.

    Args:
        perplexity: of each snapshot; the axis runs from high to low, as training does.
        needed: for each method; hollow where its units don't reach the accuracy.
        right: percentage of right forms that the model prefers, if forms are right or wrong.
        labels: of the snapshots.
        title: over the figure.
    """
    figure = Figure(figsize=(6.4, 3.6 if right is None else 5.4), layout="constrained")
    panels = figure.subplots(1 if right is None else 2, 1, sharex=True, squeeze=False).ravel()
    upper, lower = panels[0], panels[-1]
    for (name, (units, reached)), style in zip(needed.items(), STYLES, strict=False):
        _line(upper, perplexity, units, style, name)
        _line(upper, perplexity[~reached], units[~reached], style, None)
        upper.lines[-1].set(linestyle="", markerfacecolor="white")
    if not all(reached.all() for _, reached in needed.values()):
        upper.plot((), (), "o", color="0.3", markerfacecolor="white", label="accuracy not reached")
    upper.set(ylabel="units needed", ylim=(0, None), xscale="log")
    upper.invert_xaxis()
    if right is not None:
        _line(lower, perplexity, right, STYLES[len(needed)], None)
        lower.axhline(50.0, color="0.5", linewidth=0.8, zorder=0.5)
        lower.set(ylabel="untouched model right (%)", ylim=(-3, 103))
    # At the lower panel's top, where no line passes but that of a model that is always right.
    for x, label in zip(perplexity, labels, strict=True):
        lower.annotate(
            label,
            (x, 1.0),
            xycoords=lower.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=90,
            ha="center",
            fontsize=8,
        )
    digits = [digit * 10**power for power in range(6) for digit in (1, 1.5, 2, 3, 5, 7)]
    narrow = perplexity.max() < 2 * perplexity.min()
    lower.xaxis.set_major_locator(MaxNLocator(6) if narrow else FixedLocator(digits))
    lower.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xlabel("perplexity (falls in training; numbers along it: updates)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def save(figure: Figure, file: str | Path) -> None:
    """Writes a figure at 150 dots an inch; its folder is made if missing.

    Of several processes, only the first does.
    """
    if jax.process_index():
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def _text(text: str) -> str:
    """Text as it is: between two dollars matplotlib sees a formula."""
    return text.replace("$", r"\$")


def _activation_panel(
    panel: Axes,
    original: Float[np.ndarray, " words"],
    intervened: Float[np.ndarray, " words"],
    where: Bool[np.ndarray, " words"],
) -> None:
    for number, word in enumerate(np.flatnonzero(where)):
        label = None if number else "intervened word" if where.sum() == 1 else "intervened words"
        panel.axvspan(word - 0.5, word + 0.5, color=_SHADE, linewidth=0, zorder=0, label=label)
    for values, (colour, line, marker), label in zip(
        (original, intervened), STYLES, ("untouched", "with intervention"), strict=False
    ):
        panel.plot(values, color=colour, linestyle=line, marker=marker, markersize=4, label=label)
    panel.axhline(0.0, color="0.6", linewidth=0.6, zorder=0.5)
    panel.set(ylim=(-1.08, 1.08), yticks=(-1, 0, 1), xlim=(-0.5, len(original) - 0.5))
    _plain_frame(panel)


def _heat_panel(
    panel: Axes,
    title: str,
    activations: Float[np.ndarray, "sentences words"],
    words: Sequence[str],
    rows: Mapping[str, int],
) -> None:
    panel.imshow(
        activations,
        cmap=ACTIVATION_COLOURS,
        norm=_ACTIVATION_RANGE,
        aspect="auto",
        interpolation="nearest",  # none across words
    )
    panel.set_title(title, fontsize=8, pad=8)
    _words_below(panel, words, fontsize=8)
    counts = np.array(list(rows.values()))
    ends = np.cumsum(counts)
    panel.set_yticks(ends - counts / 2 - 0.5, [_text(name) for name in rows], fontsize=8)
    for end in ends[:-1]:
        panel.axhline(end - 0.5, color="black", linewidth=1.2)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _heat_key(key: SubFigure, several: bool) -> None:
    """What colours and bars mean, in a strip below the panels."""
    panel = key.subplots()
    colours = ScalarMappable(_ACTIVATION_RANGE, ACTIVATION_COLOURS)
    key.colorbar(colours, cax=panel, orientation="horizontal", ticks=np.linspace(-1, 1, 5))
    panel.set_xlabel("activation", fontsize=8)
    panel.tick_params(labelsize=8)
    bar = Line2D((), (), label="intervened words" if several else "intervened word", **_BAR)
    key.legend(handles=[bar], loc="outside right center", frameon=False, fontsize=8)


def _band(
    axes: Axes, x: np.ndarray, y: Float[np.ndarray, "runs points"], number: int, label: str
) -> None:
    style = STYLES[number % len(STYLES)]
    axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=style[0], alpha=0.18, linewidth=0)
    _line(axes, x, y.mean(axis=0), style, label)


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, style: tuple, label: str | None) -> None:
    colour, line, marker = style
    axes.plot(
        x,
        y,
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=4,
        markevery=max(1, len(x) // 12),
        label=label,
    )
    _plain_frame(axes)


def _words_below(axes: Axes, words: Sequence[str], **how: Any) -> None:
    """The words of a sentence as ticks, slanting."""
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(words)), [_text(word) for word in words], **slanted, **how)


def _plain_frame(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
