"""Activations of units over the words of sentences, with and without an intervention.

The colours of heat maps differ by lightness as well as by hue, so that they can be told apart in
grey.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from jaxmask.intervention import Site
from jaxmask.report.figures.style import STYLES, literal, plain_frame

# From dark blue over grey, at 0, to yellow. The hue diverges from 0, while the lightness rises from
# end to end; most diverging colour maps print -1 and 1 in the same grey. This one was made for
# colour-blind readers too.
ACTIVATION_COLOURS = colormaps["cividis"].with_extremes(bad="white")
_SHADE = "0.88"
_BAR: dict[str, Any] = {
    "color": "black",
    "linewidth": 3,
    "solid_capstyle": "butt",
    "clip_on": False,
}


class Activations(NamedTuple):
    """Hidden states over the words of one sentence or of several, with and without an intervention.

    Attributes:
        words: of the sentence, up to the last one that is read; for several sentences a label for
            each position.
        original: hidden states after each word, with the units of all layers side by side; for
            several sentences a row for each, with NaN after its end.
        intervened: the same with the intervention.
        where: the words, or positions, at which the intervention acts.
        site: the units of these states.

    Example:
        >>> states = np.zeros((2, 6), np.float32)
        >>> acts = np.array([False, True])
        >>> sentence = Activations(("The", "boys"), states, states, acts, Site("hidden", 2, 3))
        >>> sentence.numbered(4)
        'unit 4 (layer 2, column 1)'
    """

    words: Sequence[str]
    original: Float[np.ndarray, "... words all_units"]
    intervened: Float[np.ndarray, "... words all_units"]
    where: Bool[np.ndarray, " words"]
    site: Site

    def numbered(self, unit: int) -> str:
        """A title for the panel of a unit, given by its number, from 1."""
        layer, column = self.site.place(unit)
        state = f"{self.site.state(unit)}, " if len(self.site.states) > 1 else ""
        return f"unit {unit} ({state}layer {layer}, column {column})"

    def most(self, units: Sequence[int]) -> float:
        """The largest absolute value to draw: the site's bound, or what some units reach."""
        if np.isfinite(self.site.bound):
            return self.site.bound
        columns = np.array(units) - 1
        parts = (self.original[..., columns], self.intervened[..., columns])
        return float(np.ceil(max(1.0, *(np.nanmax(np.abs(part)) for part in parts))))

    @property
    def intervened_words(self) -> str:
        """The entry of a legend for the words at which the intervention acts."""
        return "intervened word" if self.where.sum() == 1 else "intervened words"


def activations(sentence: Activations, units: Sequence[int], title: str = "") -> Figure:
    """Activations of a few units over one sentence, with and without intervention (Figure 1).

    The words at which the intervention acts are shaded.

    Args:
        sentence: its words and hidden states.
        units: numbers, from 1, of the units to show, each in a panel; about four fit well.
        title: above the figure.

    Example:
        >>> states = np.zeros((2, 6), np.float32)
        >>> site = Site("hidden", layers=2, width=3)
        >>> sentence = Activations(("The", "boys"), states, states, np.array([False, True]), site)
        >>> activations(sentence, [4]).axes[0].get_title()
        'unit 4 (layer 2, column 1)'
    """
    words = sentence.words
    columns = 1 if len(units) % 2 else 2
    rows = len(units) // columns
    width = max(5.0, columns * max(3.2, 0.42 * len(words) + 0.8))
    figure = Figure(figsize=(width, 1.75 * rows + 1.5), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, unit in zip(grid, units, strict=True):
        _activation_panel(panel, sentence, unit, sentence.most(units))
        panel.set_title(sentence.numbered(unit), fontsize=9)
        _words_below(panel, words)
    for panel in grid[::columns]:
        panel.set_ylabel("activation")
    entries = grid[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(literal(title), fontsize=10)
    return figure


def heat_maps(
    sentences: Activations, units: Sequence[int], blocks: Mapping[str, int], title: str = ""
) -> Figure:
    """Activations of a few units over many sentences, with and without intervention side by side.

    Bars mark the positions at which the intervention acts.

    Args:
        sentences: labels of positions, and hidden states.
        units: numbers, from 1, of the units to show; about four fit well.
        blocks: names of blocks of sentences, from the top, each with its number of sentences.
        title: above the figure.

    Example:
        >>> states = np.zeros((5, 2, 6), np.float32)
        >>> site = Site("hidden", layers=2, width=3)
        >>> acts = np.array([False, True])
        >>> sentences = Activations(("The", "subject"), states, states, acts, site)
        >>> figure = heat_maps(sentences, [4], {"to singular": 2, "to plural": 3})
        >>> [axes.get_title() for axes in figure.axes[:2]]
        ['untouched', 'with intervention']
    """
    most = sentences.most(units)
    across = 1 if len(units) % 2 else 2
    down = len(units) // across
    width = across * max(3.4, 2 * 0.3 * len(sentences.words) + 1.3)
    height = down * (float(np.clip(0.013 * len(sentences.original), 1.3, 6.0)) + 1.3) + 0.3
    figure = Figure(figsize=(width, height + 0.6), layout="constrained")
    panels, key = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 0.6)).flat
    for part, unit in zip(panels.subfigures(down, across, squeeze=False).flat, units, strict=True):
        part.suptitle(sentences.numbered(unit), fontsize=9)
        untouched, altered = part.subplots(1, 2, sharey=True)
        for panel, name, states in (
            (untouched, "untouched", sentences.original),
            (altered, "with intervention", sentences.intervened),
        ):
            _heat_panel(panel, states[:, :, unit - 1], blocks, most)
            panel.set_title(name, fontsize=8, pad=8)
            _words_below(panel, sentences.words, fontsize=8)
        above = offset_copy(altered.get_xaxis_transform(), figure, y=3, units="points")
        for word in np.flatnonzero(sentences.where):
            altered.plot((word - 0.5, word + 0.5), (1, 1), transform=above, **_BAR)
    _heat_key(key, sentences.intervened_words, most)
    figure.suptitle(literal(title), fontsize=10)
    return figure


def _activation_panel(panel: Axes, sentence: Activations, unit: int, most: float) -> None:
    """Draws the activations of one unit, and shades the words at which the intervention acts."""
    label: str | None = sentence.intervened_words
    for word in np.flatnonzero(sentence.where):
        panel.axvspan(word - 0.5, word + 0.5, color=_SHADE, linewidth=0, zorder=0, label=label)
        label = None  # one entry in the legend is enough
    for states, style, name in (
        (sentence.original, STYLES[0], "untouched"),
        (sentence.intervened, STYLES[1], "with intervention"),
    ):
        colour, line, marker = style
        panel.plot(
            states[:, unit - 1],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
            label=name,
        )
    panel.axhline(0.0, color="0.6", linewidth=0.6, zorder=0.5)
    panel.set(
        ylim=(-1.08 * most, 1.08 * most),
        yticks=(-most, 0, most),
        xlim=(-0.5, len(sentence.words) - 0.5),
    )
    plain_frame(panel)


def _heat_panel(
    panel: Axes,
    states: Float[np.ndarray, "sentences words"],
    blocks: Mapping[str, int],
    most: float,
) -> None:
    """Draws the activations of one unit as a heat map, with lines between blocks of sentences."""
    panel.imshow(
        states,
        cmap=ACTIVATION_COLOURS,
        norm=Normalize(-most, most),
        aspect="auto",
        interpolation="nearest",  # no interpolation from one word to the next
    )
    counts = np.array(list(blocks.values()))
    ends = np.cumsum(counts)
    panel.set_yticks(ends - counts / 2 - 0.5, [literal(name) for name in blocks], fontsize=8)
    for end in ends[:-1]:
        panel.axhline(end - 0.5, color="black", linewidth=1.2)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _heat_key(key: SubFigure, intervened_words: str, most: float) -> None:
    """Explains colours and bars in a strip below the panels."""
    panel = key.subplots()
    colours = ScalarMappable(Normalize(-most, most), ACTIVATION_COLOURS)
    ticks = np.linspace(-most, most, 5)
    key.colorbar(colours, cax=panel, orientation="horizontal", ticks=ticks)
    panel.set_xlabel("activation", fontsize=8)
    panel.tick_params(labelsize=8)
    bar = Line2D((), (), label=intervened_words, **_BAR)
    key.legend(handles=[bar], loc="outside right center", frameon=False, fontsize=8)


def _words_below(axes: Axes, words: Sequence[str], **style: Any) -> None:
    """Writes the words of a sentence slantwise below a panel."""
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(words)), [literal(word) for word in words], **slanted, **style)
