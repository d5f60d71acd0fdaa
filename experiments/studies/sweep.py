"""Searches at several alphas and KL weights, from several seeds, as one program."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.shared.experiment import Output
from jaxmask import search
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.measure import Results
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.pipeline.search_all import keys
from jaxmask.pipeline.summarise import observations as of_part
from jaxmask.pipeline.summarise import summarise as summarise_part
from jaxmask.runs import ensemble
from jaxmask.search import SearchConfig
from jaxmask.text.examples import Task

# What a summary says once; all else differs from setting to setting.
SHARED = (
    "task", "method", "intervention", "site", "reach", "values", "surrogate", "shared_mask",
    "kl_at_most", "kl_positions", "site_units", "context", "model", "examples", "seconds",
    "versions", "device", "precision",
)  # fmt: skip


class Sweep(NamedTuple):
    """All combinations of some values of KL weight and alpha, alpha varying faster.

    Attributes:
        plan: what all runs have in common; its seeds are those of each combination.
        alphas: ascending.
        kl_weights: weights of the KL.
    """

    plan: Plan
    alphas: tuple[float, ...]
    kl_weights: tuple[float, ...]

    def settings(self, task: Task, model: LanguageModel) -> dict[str, Any]:
        """Everything that decides the results, and nothing else, in JSON's types."""
        shared = self.plan.settings(task, model)
        of_search = shared.pop("search")
        return shared | {
            "alpha": list(self.alphas),
            "beta": self.plan.config.beta,
            "kl_weight": list(self.kl_weights),
            "search": {
                name: value
                for name, value in of_search.items()
                if name not in ("alpha", "beta", "kl_weight")
            },
        }

    def plans(self) -> list[Plan]:
        """The plan of each combination."""
        return [
            self.plan._replace(
                config=self.plan.config.replace(
                    alpha=alpha,
                    kl_weight=kl_weight,
                )
            )
            for kl_weight in self.kl_weights
            for alpha in self.alphas
        ]

    def grid(self) -> tuple[Key[Array, " runs"], SearchConfig]:
        """Keys and settings of all runs, in the order of `plans`, seeds varying fastest."""
        seeds = keys(self.plan.seeds)
        return ensemble.grid(seeds, self.plan.config, kl_weight=self.kl_weights, alpha=self.alphas)


class Part(NamedTuple):
    """The runs of one combination.

    Attributes:
        plan: of these runs.
        results: of these runs.
    """

    plan: Plan
    results: Results

    @property
    def label(self) -> str:
        """The name of the folder of these interventions."""
        return f"alpha_{self.plan.config.alpha:g}_kl_{self.plan.config.kl_weight:g}"


def introduction(sweep: Sweep, prepared: Prepared) -> str:
    """What is searched, in a line."""
    units = prepared.site.units
    sizes = sorted({int(search.budget(units, alpha)) for alpha in sweep.alphas})
    return (
        f"{prepared.task.name}, {sweep.plan.design.kind.title}, model {prepared.model.name}: "
        f"{sweep.plan.seeds} seeds x {len(sweep.alphas) * len(sweep.kl_weights)} settings, at most "
        f"{', '.join(map(str, sizes))} of {units} units"
    )


def parts(results: Results, sweep: Sweep) -> list[Part]:
    """The results of each combination."""
    seeds = sweep.plan.seeds
    return [
        Part(plan, _rows(results, slice(number * seeds, (number + 1) * seeds)))
        for number, plan in enumerate(sweep.plans())
    ]


def _rows(results: Results, rows: slice) -> Results:
    """The results of some runs."""
    return jax.tree.map(lambda x: x[rows] if np.ndim(x) else x, results)


def summaries(
    parts: list[Part], prepared: Prepared, to: Output, compile_seconds: float
) -> list[dict[str, Any]]:
    """The summary of each combination."""
    seconds = {"total": time.perf_counter() - to.started, "compile": compile_seconds}
    return [summarise_part(part.results, prepared, part.plan, seconds) for part in parts]


def summarise(summaries: list[dict[str, Any]], prepared: Prepared) -> dict[str, Any]:
    """The content of ``summary.json``: what is shared, then an entry for each combination."""
    units = prepared.site.units
    return {name: summaries[0][name] for name in SHARED} | {
        "settings": [
            {
                "allowed": int(search.budget(units, one["alpha"])),
                **{name: x for name, x in one.items() if name not in SHARED},
            }
            for one in summaries
        ]
    }


def observations(parts: list[Part]) -> list[dict[str, Any]]:
    """The content of ``metrics.jsonl``."""
    return [
        {"alpha": part.plan.config.alpha, "kl_weight": part.plan.config.kl_weight, **line}
        for part in parts
        for line in of_part(part.results.search)
    ]
