"""Accuracy against the number of units: the search at every alpha, from several seeds, as one.

python -m experiments.pareto --model demo --alpha 0.005 0.01 0.02 0.05 --seeds 5

All seeds and settings are runs of one compiled program, which takes them in as few parts as fit
into memory. With several KL weights, there is a line for each.
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key
from matplotlib.figure import Figure

from experiments.shared import checkpoints, hosts
from experiments.shared.console import console, print_table
from experiments.shared.measurements import (
    Results,
    measure,
    observations,
    read_text,
    settings,
    summarise,
)
from experiments.shared.option_types import Fraction, NotEmpty, Runs, Weight
from experiments.shared.report_search import keys, save_interventions, search_all
from experiments.shared.setup import (
    OptionError,
    Options,
    TaskName,
    check,
    load_task,
    prepare,
    read_model,
    run_script,
    search_config,
)
from jaxmask import report, search
from jaxmask.files.run_folder import check_run_folder, open_run, write_run
from jaxmask.report import Table, figures
from jaxmask.report.figures import Curve
from jaxmask.runs import ensemble
from jaxmask.search import SearchConfig

# What a summary tells once; all else differs from setting to setting.
_SHARED = (
    "task", "method", "intervention", "surrogate", "shared_mask", "context", "model", "examples",
    "seconds", "versions", "device",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ParetoOptions(Options):
    """Options that all experiments understand; of alpha and the KL weight, several values."""

    task: TaskName = "number_agreement"
    """What to search for."""
    alpha: Annotated[tuple[Fraction, ...], NotEmpty] = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
    """Largest fractions of the hidden units to intervene on."""
    kl_weight: Annotated[tuple[Weight, ...], NotEmpty] = (1.0,)
    """Weights of the KL from the untouched model."""
    seeds: Runs = 5
    """Searches of each setting."""


class Setting(NamedTuple):
    """Runs that differ in their seed only; in the order of `jaxmask.runs.ensemble.grid`."""

    options: Options
    rows: slice


def work(options: ParetoOptions) -> dict[str, Any]:
    """Searches, reports on the screen, and writes the run folder; returns its summary."""
    started = time.perf_counter()
    all_settings = settings_of(options)
    common = all_settings[0].options
    task = load_task(options.task, options.data)
    model = read_model(common)
    text = read_text(common, model.vocabulary)
    name = f"pareto-{task.name}-{model.name}-{options.intervention}"
    folder = options.out or Path("results") / name
    run_keys, config = _grid(options, common)
    chosen = settings(task, common, model) | {
        "alpha": sorted(options.alpha),
        "kl_weight": options.kl_weight,
        "search": {
            name: value
            for name, value in search.settings(config).items()
            if name not in ("alpha", "beta", "kl_weight")
        },
    }
    check_run_folder(folder, chosen)
    material = prepare(common, task, model)
    hosts.by_first(lambda: open_run(folder, chosen))
    sizes = sorted({int(n) for n in search.budget(material.model.config.units, config.alpha)})
    console().print(
        f"{task.name}, {options.intervention}-step, model {material.model.name}: "
        f"{options.seeds} seeds x {len(all_settings)} settings, at most "
        f"{', '.join(map(str, sizes))} of {material.model.config.units} units\n",
        soft_wrap=True,
    )

    result = search_all(run_keys, material, config, common, folder)
    results = measure(result, common, material, text, config)
    seconds = {"total": time.perf_counter() - started, "compile": result.compile_seconds}
    summaries = [
        summarise(task, one.options, material, _part(results, one.rows), seconds)
        for one in all_settings
    ]
    summary = {name: summaries[0][name] for name in _SHARED} | {
        "settings": [
            {
                "allowed": int(search.budget(material.model.config.units, one["alpha"])),
                **{name: x for name, x in one.items() if name not in _SHARED},
            }
            for one in summaries
        ]
    }
    metrics = [
        {"alpha": one.options.alpha, "kl_weight": one.options.kl_weight, **line}
        for one in all_settings
        for line in observations(_part(results, one.rows).search)
    ]

    def others() -> None:
        for one, of_setting in zip(all_settings, summaries, strict=True):
            label = f"alpha_{one.options.alpha:g}_kl_{one.options.kl_weight:g}"
            there = folder / "interventions" / label
            found = _part(results, one.rows).search
            made_with = settings(task, one.options, model)
            save_interventions(there, task, material, found, of_setting, made_with)
        figures.save(figure(summary), folder / "figures" / "accuracy_against_units.png")

    hosts.by_first(lambda: write_run(folder, chosen, summary, metrics, markdown, others))
    checkpoints.remove(folder)
    print_table(table(summary))
    console().print(f"{seconds['total']:.0f} s in all; written to {folder}", soft_wrap=True)
    return summary


def settings_of(options: ParetoOptions) -> list[Setting]:
    """All combinations of KL weight and alpha, alpha the faster.

    Raises:
        OptionError: a value is out of range, there twice, or there is none.
    """
    for name, values in (("alpha", options.alpha), ("kl-weight", options.kl_weight)):
        if not values or len(set(values)) < len(values):
            raise OptionError(f"--{name}: expected values that differ, found {values}")
    shared = {field.name: getattr(options, field.name) for field in dataclasses.fields(Options)}
    found = []
    for kl_weight in options.kl_weight:
        for alpha in sorted(options.alpha):
            one = Options(**{**shared, "alpha": alpha, "kl_weight": kl_weight})
            check(one)
            first = len(found) * options.seeds
            found.append(Setting(one, slice(first, first + options.seeds)))
    return found


def table(summary: Mapping[str, Any]) -> Table:
    """How well each setting does."""
    rows = tuple(
        (
            f"{one['kl_weight']:g}",
            f"{one['alpha']:g}",
            str(one["allowed"]),
            report.plus_minus(one["n_units"], 1),
            report.plus_minus(one["accuracy"], 1),
            report.plus_minus(one["kl"], 3),
            f"{sum(run['converged'] for run in one['runs'])}/{len(one['runs'])}",
        )
        for one in summary["settings"]
    )
    return Table(
        f"Accuracy by number of units ({_title(summary)})",
        ("KL weight", "Alpha", "Allowed", "Units", "Accuracy", "KL", "Conv."),
        rows,
        f"Held-out accuracy in percent, KL in nats; mean ± standard deviation over "
        f"{len(summary['settings'][0]['runs'])} seeds. Allowed: units, of "
        f"{summary['model']['layers'] * summary['model']['hidden']}, by alpha. Conv.: runs that "
        "keep the constraint and whose accuracy no longer rose.",
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """What goes into ``table.md``."""
    model, examples = summary["model"], summary["examples"]
    return (
        f"# {_title(summary)}\n\nModel fingerprint {model['fingerprint']}. {examples['train']} "
        f"examples to search, {examples['evaluation']} held out (by {examples['split']}), "
        f"{examples['dropped']} dropped. Method {summary['method']}, surrogate "
        f"{summary['surrogate']}, context {summary['context']}.\n\n"
        f"{report.to_markdown(table(summary))}"
    )


def figure(summary: Mapping[str, Any]) -> Figure:
    """Accuracy against units: a line for each KL weight, its band over seeds."""
    curves = {}
    for kl_weight in dict.fromkeys(one["kl_weight"] for one in summary["settings"]):
        points = [one for one in summary["settings"] if one["kl_weight"] == kl_weight]
        accuracy = np.array([[run["accuracy"] for run in one["runs"]] for one in points])
        units = np.array([one["n_units"]["mean"] for one in points])
        curves[f"KL weight {kl_weight:g}"] = Curve(units, accuracy.T)
    seeds = len(summary["settings"][0]["runs"])
    how = f"\nmean and range over {seeds} seeds, at each alpha" if seeds > 1 else ""
    return figures.accuracy_against_units(curves, _title(summary) + how)


def _grid(options: ParetoOptions, common: Options) -> tuple[Key[Array, " runs"], SearchConfig]:
    """Keys and settings of all runs, in the order of `settings_of`."""
    config = search_config(common)
    if any(options.kl_weight):  # shapes are shared: a weight of 0 multiplies what others need
        config = config.replace(kl=SearchConfig().kl)
    run_keys, config = ensemble.grid(
        keys(common), config, kl_weight=options.kl_weight, alpha=sorted(options.alpha)
    )
    return run_keys, config if options.beta else config.replace(beta=config.alpha)


def _part(results: Results, rows: slice) -> Results:
    """The results of some runs."""
    return jax.tree.map(lambda x: x[rows] if np.ndim(x) else x, results)


def _title(summary: Mapping[str, Any]) -> str:
    task = summary["task"].replace("_", " ")
    return f"{summary['model']['name']}, {task}, {summary['intervention']}-step"


def main() -> None:
    """Reads the options, searches, reports."""
    run_script(ParetoOptions, "pareto", __doc__, work)


if __name__ == "__main__":
    main()
