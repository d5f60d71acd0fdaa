"""The pictures of the page on concepts, drawn by functions of jaxmask when the guide is built."""

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmask.intervention import intervene
from jaxmask.report.figures.style import STYLES, plain_frame
from jaxmask.search import SearchConfig, hard_concrete, shrinking_target


def intervention() -> Figure:
    """Eq. 1 for ten units, three of which are replaced."""
    hidden = np.random.default_rng(3).uniform(-0.9, 0.9, 10).astype(np.float32)
    mask, baseline = np.zeros(10, np.float32), np.zeros(10, np.float32)
    mask[[2, 5, 6]], baseline[[2, 5, 6]] = 1.0, [1.0, -1.0, 0.6]
    altered = np.asarray(intervene(hidden, mask, baseline))
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    rows = figure.subplots(4, 1, sharex=True)
    names = ("hidden $h$", "mask $m$", "baseline $b$", "after: $h'$")
    for axes, name, values in zip(rows, names, (hidden, mask, baseline, altered), strict=True):
        for unit, value in enumerate(values):
            colour, _, _ = STYLES[1 if mask[unit] else 0]
            hatch = "///" if mask[unit] else ""
            axes.bar(unit + 1, value, color=colour, hatch=hatch, edgecolor="white", width=0.8)
        axes.axhline(0.0, color="0.4", linewidth=0.8)
        axes.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1), xticks=range(1, 11))
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        plain_frame(axes)
    rows[-1].set_xlabel("unit")
    return figure


def gates() -> Figure:
    """Hard Concrete gates: histograms for three locations, and probabilities over the location."""
    u = (np.arange(200_000) + 0.5) / 200_000
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (colour, line, marker), location in zip(STYLES, (-2.0, 0.0, 2.0), strict=False):
        z = np.asarray(hard_concrete.quantile(jnp.asarray(u), jnp.asarray(location)))
        counts, edges = np.histogram(z, np.linspace(-0.025, 1.025, 22))
        left.plot(
            (edges[1:] + edges[:-1]) / 2,
            100 * counts / len(z),
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=3,
            label=f"location {location:g}",
        )
    left.set(xlabel="gate $z$", ylabel="% of samples", ylim=(0, None))
    left.legend(frameon=False, fontsize=8)
    location = jnp.linspace(-6.0, 6.0, 121)
    curves = {
        "$P(z \\neq 0)$": hard_concrete.prob_nonzero(location),
        "$P(0 < z < 1)$": hard_concrete.prob_fractional(location),
        "$E[z]$": hard_concrete.mean(location),
    }
    for (colour, line, marker), (name, values) in zip(STYLES, curves.items(), strict=False):
        right.plot(
            location,
            values,
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
            markevery=20,
            label=name,
        )
    right.set(xlabel="location $\\gamma$", ylim=(-0.03, 1.03))
    right.legend(frameon=False, fontsize=8)
    plain_frame(left)
    plain_frame(right)
    return figure


def target(units: int = 600) -> Figure:
    """The number of units that the constraint allows in the course of a search."""
    config = SearchConfig(alpha=0.02)
    steps = jnp.arange(config.steps)
    allowed = units * shrinking_target(steps, config.alpha, config)
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    colour, line, _ = STYLES[0]
    axes.plot(steps + 1, allowed, color=colour, linestyle=line, label="expected units allowed")
    axes.axhline(
        config.alpha * units, color="black", linestyle=":", label="alpha, of 600 units: 12"
    )
    axes.set(xlabel="step", ylabel="units", ylim=(0, 100))
    axes.legend(frameon=False)
    plain_frame(axes)
    return figure
