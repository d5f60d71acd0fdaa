"""The style that all figures share.

Lines differ by style and marker as well as by colour, so that they can be told apart in grey. The
first colours are those of Okabe and Ito, which are safe for colour-blind readers.
"""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

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
    ("#117733", (0, (2, 1)), "h"),
    ("#332288", (0, (4, 1, 1, 1)), "d"),
    ("#999933", (0, (1, 2)), "p"),
    ("#AA4499", (0, (4, 2, 1, 2)), "H"),
)

# Fonts that have what matplotlib's own font lacks, such as Chinese characters; used if installed.
FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic",
    "Noto Sans Devanagari", "Nirmala UI", "Arial Unicode MS",
)  # fmt: skip


def save(figure: Figure, file: str | Path) -> None:
    """Writes a figure at 150 dots per inch, and makes its folder if it is missing.

    Characters that matplotlib's own font lacks come from another font, if one is installed. Of
    several processes, only the first one writes.

    Args:
        figure: to write.
        file: whose extension says the format.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Figure(figsize=(1, 1)), Path(folder) / "figures" / "empty.png")
        ...     [file.name for file in Path(folder).rglob("*.png")]
        ['empty.png']
    """
    if jax.process_index():
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    _find_characters(figure)
    figure.savefig(file, dpi=150)


def _find_characters(figure: Figure) -> None:
    """Gives further fonts to texts with characters that matplotlib's own font lacks."""
    own = get_font(findfont(FontProperties())).get_charmap()
    installed = {font.name for font in fontManager.ttflist}
    families = [*rcParams["font.family"], *(name for name in FURTHER_FONTS if name in installed)]
    for text in figure.findobj(Text):
        if any(ord(character) not in own for character in text.get_text() if character != "\n"):
            text.set_fontfamily(families)


def literal(text: str) -> str:
    """Text that matplotlib shows as it is; otherwise two dollar signs would enclose a formula.

    Example:
        >>> len(literal("$5")) - len("$5")
        1
    """
    return text.replace("$", r"\$")


def plain_frame(axes: Axes) -> None:
    """Hides the upper and the right side of the frame of a panel.

    Example:
        >>> axes = Figure().subplots()
        >>> plain_frame(axes)
        >>> axes.spines["top"].get_visible(), axes.spines["left"].get_visible()
        (False, True)
    """
    axes.spines[["top", "right"]].set_visible(False)


def draw_line(axes: Axes, x: np.ndarray, y: np.ndarray, style: tuple, label: str | None) -> None:
    """Draws a line with at most about 12 markers.

    Args:
        axes: to draw in.
        x: of each point.
        y: of each point.
        style: one of `STYLES`.
        label: in the legend; None for no entry.

    Example:
        >>> axes = Figure().subplots()
        >>> draw_line(axes, np.arange(3), np.arange(3), STYLES[0], "greedy")
        >>> axes.get_lines()[0].get_label()
        'greedy'
    """
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
    plain_frame(axes)


def draw_band(
    axes: Axes, x: np.ndarray, y: Float[np.ndarray, "runs points"], style: tuple, label: str
) -> None:
    """Draws the mean over runs as a line, and the range from the lowest to the highest as a band.

    Args:
        axes: to draw in.
        x: of each point.
        y: of each run and point.
        style: one of `STYLES`.
        label: in the legend.

    Example:
        >>> axes = Figure().subplots()
        >>> draw_band(axes, np.arange(2), np.array([[0.0, 1.0], [2.0, 3.0]]), STYLES[0], "greedy")
        >>> axes.get_lines()[0].get_ydata().tolist()
        [1.0, 2.0]
    """
    axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=style[0], alpha=0.18, linewidth=0)
    draw_line(axes, x, y.mean(axis=0), style, label)
