"""Figures of what was measured of a found set; they can be read without colour."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmask.report.figures.style import STYLES, draw_line, literal, plain_frame
from jaxmask.report.trust import measure_of

GREY = "0.35"
LONGEST_NAME, MOST_TICKS = 30, 9  # characters of a construction; distances that are named


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def constructions_figure(details: Mapping[str, Any]) -> Figure:
    """Accuracy by construction, with 95% intervals; the dashed line is all examples.

    Args:
        details: of the measure "accuracy".

    Example:
        >>> share = {"examples": 9, "accuracy": 50.0, "interval": [20.0, 80.0]}
        >>> figure = constructions_figure({"by": {"construction": {"simple": share}}})
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['simple (9)']
    """
    groups = details["by"]["construction"]
    figure = Figure(figsize=(6.4, 1.4 + 0.32 * len(groups)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(groups))
    middle = np.array([one["accuracy"] for one in groups.values()])
    ends = np.array([one["interval"] for one in groups.values()]).T
    axes.errorbar(
        middle, places, xerr=np.abs(ends - middle), fmt="o", color=STYLES[0][0], ecolor=GREY,
        capsize=3,
    )  # fmt: skip
    sizes = np.array([one["examples"] for one in groups.values()])
    whole = float(np.average(middle, weights=sizes))
    axes.axvline(whole, color="black", linestyle="--", linewidth=0.9)
    axes.annotate(
        f"all {whole:.0f}%", (whole, 1.0), xycoords=axes.get_xaxis_transform(),
        xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8,
    )  # fmt: skip
    names = [f"{literal(_cut(name))} ({one['examples']})" for name, one in groups.items()]
    axes.set_yticks(places, names)
    axes.set(xlabel="held-out decisions flipped (%), 95% interval", xlim=(-2, 102))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    plain_frame(axes)
    return figure


def kl_figure(details: Mapping[str, Any]) -> Figure:
    """The KL by distance from the intervention, beside that of the paired sentences.

    Args:
        details: of the measure "harm".

    Example:
        >>> entry = {"distance": 0, "part": 0.2, "kl": 0.6, "paired": 0.5, "examples": 3}
        >>> details = {"by_distance": [entry], "kl": 0.4, "reference": 0.5}
        >>> kl_figure(details | {"tie": 0.1, "swap": 0.2}).axes[0].get_ylabel()
        'KL (nats)'
    """
    entries = details["by_distance"]
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    distance = np.array([one["distance"] for one in entries])
    axes.bar(distance, [one["kl"] for one in entries], color="0.8", edgecolor="black", width=0.7,
             label="set, at this word")  # fmt: skip
    if details["reference"] is not None:
        paired = [np.nan if one["paired"] is None else one["paired"] for one in entries]
        axes.plot(distance, paired, "D", color="black", markerfacecolor="white", zorder=3,
                  label="paired sentence, at this word")  # fmt: skip
    lines = [("set, mean over all words", details["kl"], "-")]
    if details["reference"] is not None:
        lines.append(("paired sentence, mean over all words", details["reference"], "--"))
    lines.append(("least that swaps the two forms, at the target", details["swap"], ":"))
    for label, height, line in lines:
        axes.axhline(height, color="black", linestyle=line, linewidth=1.3, label=label)
    axes.set(xlabel="words after the intervention (in brackets: examples)", ylabel="KL (nats)")
    some = entries[:: -(-len(entries) // MOST_TICKS)]
    labels = [f"{one['distance']}\n({one['examples']})" for one in some]
    axes.set_xticks([one["distance"] for one in some], labels, fontsize=9)
    axes.set_ylim(0, None if max(one["kl"] for one in entries) > 0 else 1)
    plain_frame(axes)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def dose_figure(details: Mapping[str, Any]) -> Figure:
    """Flips over the share of the way that units are moved to their learned values.

    Args:
        details: of the measure "dose".

    Example:
        >>> dose_figure({"doses": [0.5, 1.0], "flips": [40.0, 90.0]}).axes[0].get_xlabel()
        'dose (share of the way to the learned values)'
    """
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    doses = np.array([0.0, *details["doses"]])
    flips = np.array([0.0, *details["flips"]])
    draw_line(axes, doses, flips, STYLES[0], None)
    axes.set(
        xlabel="dose (share of the way to the learned values)",
        ylabel="decisions flipped (%)",
        ylim=(-3, 103),
    )
    return figure


def place_figure(details: Mapping[str, Any]) -> Figure:
    """Flips with the whole set, at the last word only, elsewhere only, and of each layer.

    Args:
        details: of the measure "place".

    Example:
        >>> details = {"where_found": 90.0, "last_word_only": 80.0, "all_but_last_word": None}
        >>> len(place_figure(details | {"layers": {"1": 90.0}}).axes[0].patches)
        3
    """
    bars = {
        "where it was found": details["where_found"],
        "at the last word only": details["last_word_only"],
        "not at the last word": details["all_but_last_word"],
        **{f"layer {layer} alone": flipped for layer, flipped in details["layers"].items()},
    }
    bars = {name: flipped for name, flipped in bars.items() if flipped is not None}
    figure = Figure(figsize=(6.4, 1.2 + 0.34 * len(bars)), layout="constrained")
    axes = figure.subplots()
    _bars(axes, bars)
    return figure


def _bars(axes: Axes, bars: Mapping[str, float]) -> None:
    """Horizontal bars with their values beside them."""
    places = np.arange(len(bars))
    axes.barh(places, list(bars.values()), color="0.8", edgecolor="black", height=0.65)
    for place, flipped in zip(places, bars.values(), strict=True):
        axes.annotate(
            f"{flipped:.1f}", (flipped, place), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=9,
        )  # fmt: skip
    axes.set_yticks(places, list(bars))
    axes.set(xlabel="decisions flipped (%)", xlim=(0, 112), ylim=(len(bars) - 0.5, -0.5))
    plain_frame(axes)


# The measures that a picture says more of, and how it is drawn.
DRAWN: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "accuracy": constructions_figure,
    "harm": kl_figure,
    "dose": dose_figure,
    "place": place_figure,
}


def trust_figure(trust: Mapping[str, Any], name: str) -> Figure | None:
    """The figure of a measure; None if it wasn't measured.

    Args:
        trust: the "trust" of a summary.
        name: of the measure, one of `DRAWN`.

    Example:
        >>> flips = {"doses": [0.5, 1.0], "flips": [40.0, 90.0]}
        >>> trust = {"measures": [{"name": "dose", "details": flips}]}
        >>> trust_figure(trust, "place") is None, len(trust_figure(trust, "dose").axes)
        (True, 1)
    """
    measure = measure_of(trust, name)
    return None if measure is None else DRAWN[name](measure["details"])
