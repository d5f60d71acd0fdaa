"""How the cost of a gradient step grows, one size varied at a time.

Sentences are random words, so that their lengths can be chosen; the KL is the sampled one.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from experiments.benchmarks.gradient import compiled
from experiments.benchmarks.subject import Benchmark, all_ready, medians, random_model, sizes
from jaxmask.intervention import single_step
from jaxmask.models.lstm import objective
from jaxmask.models.lstm.network import Params
from jaxmask.models.lstm.reading import read_context
from jaxmask.report import figures
from jaxmask.search import SearchConfig
from jaxmask.text.examples import Examples

SENTENCES = 256
NAMES = {
    "seeds": "seeds",
    "batch": "sentences a batch",
    "suffix": "words after intervention",
    "words": "words of the vocabulary",
    "hidden": "units a layer (two layers)",
}


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Milliseconds of a step at each point; the default point is measured once."""
    of = sizes(benchmark)
    default = tuple(of.scaling_at.values())
    points = {
        (name, value): tuple({**of.scaling_at, name: value}.values())
        for name, values in of.scaling.items()
        for value in values
    }
    models = {
        (words, hidden): random_model(hidden, words).params
        for words, hidden in {point[-2:] for point in points.values()}
    }
    makers = {
        point: partial(_step, models[point[-2:]], *point[:-2])
        for point in sorted({default, *points.values()})
    }
    seconds = medians(all_ready(makers), of.repeats)
    return {
        "at": dict(of.scaling_at),
        "points": {
            name: [
                {"value": value, "ms": 1e3 * seconds[points[name, value]].wall} for value in values
            ]
            for name, values in of.scaling.items()
        },
    }


def _step(params: Params, seeds: int, batch: int, suffix: int) -> Callable[[], Any]:
    random = np.random.default_rng(0)
    words = len(params["decoder"]["bias"])
    length = np.full(SENTENCES, suffix + 2, np.int32)
    sentences = Examples(
        tokens=random.integers(0, words, (SENTENCES, suffix + 2), np.int32),
        length=length,
        position=np.ones(SENTENCES, np.int32),
        pair=np.tile(np.array([0, 1], np.int32), (SENTENCES, 1)),
        direction=random.integers(0, 2, SENTENCES, np.int32),
        correct=np.full(SENTENCES, -1, np.int32),
        group=np.zeros(SENTENCES, np.int32),
    )
    where = single_step(sentences.position, length)
    fast = objective.build(params, sentences, where, read_context(params, []))
    return compiled(fast, seeds, SearchConfig(batch_size=batch))


def figure(scaling: Mapping[str, Any]) -> Figure:
    """A panel for each size that was varied: milliseconds against it, both logarithmic."""
    drawing = Figure(figsize=(7.2, 4.8), layout="constrained")
    panels = drawing.subplots(2, 3, sharey=True).ravel()
    colour, line, marker = figures.STYLES[0]
    for panel, (name, points) in zip(panels, scaling["points"].items(), strict=False):
        x, y = np.array([(point["value"], point["ms"]) for point in points]).T
        panel.plot(x, y, color=colour, linestyle=line, marker=marker, label="measured")
        proportional = y[0] * x / x[0]
        panel.plot(x, proportional, color="0.5", linestyle=":", label="in proportion")
        here = scaling["at"][name]
        default = y[list(x).index(here)]
        panel.plot(here, default, color="black", marker="o", markersize=9, fillstyle="none",
                   linestyle="none", label="where the others are measured")  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel=NAMES[name])
        panel.set_xticks(x, [f"{value:,.0f}" for value in x], fontsize=8)
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[::3]:
        panel.set_ylabel("ms a gradient step")
    for panel in panels[len(scaling["points"]) :]:
        panel.set_axis_off()
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                   frameon=False)  # fmt: skip
    return drawing
