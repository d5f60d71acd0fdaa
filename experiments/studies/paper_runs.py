"""All searches of the paper's Table 4, on one or several models; what is finished isn't run again.

OUT/MODEL/SETTING holds the run of a setting; where alpha isn't given, in a folder for its number of
units, beside alpha.json, the size it began with. OUT/MODEL/greedy/ says how many units greedy
selection needs.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from experiments.shared import report_search
from experiments.shared.console import console
from experiments.shared.measurements import read_text
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    DataFolder,
    Fraction,
    Model,
    NotEmpty,
    PositiveWeight,
    ResultFolder,
    Runs,
    TextFile,
    check,
)
from experiments.shared.setup import (
    Options,
    load_task,
    prepare,
    read_model,
    split_rows,
)
from experiments.studies import needed_units
from jaxmask.files.run_folder import check_writable
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import Setting, paper, paper_tables
from jaxmask.runs.programs import Programs
from jaxmask.text import examples


@dataclasses.dataclass(frozen=True)
class PaperOptions:
    """Options of the scripts that run all of Table 4."""

    model: Annotated[tuple[Model, ...], NotEmpty] = ("demo",)
    """One or more of: a model folder, a PyTorch .pt file (with --vocab), `demo`."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: DataFolder | None = None
    """Folder of the original number_agreement/ and gender_bias/; generated if not given."""
    alpha: Fraction | None = None
    """Largest fraction of the units; for each setting the smallest that does if not given."""
    kl_weight: PositiveWeight = 4.0
    """Weight of the KL in the regularised settings."""
    context: Literal["eos", "none", "primer"] = "eos"
    """What the model reads before each sentence."""
    seeds: Runs = 10
    """Searches a setting."""
    steps: Count | None = None
    """Gradient steps of a search; the method's own number if not given."""
    rounds: CountOrZero | None = None
    """Rounds of exchange; the method's own number if not given."""
    text: TextFile | None = None
    """Ordinary text, a sentence a line, plain or .xz, on which the KL is measured too."""
    out: ResultFolder = Path("results/paper")
    """Folder for the results."""


class PaperRun(NamedTuple):
    """A finished setting."""

    setting: Setting
    summary: dict[str, Any]
    greedy_units: int | None  # for the paper's accuracy on training examples; None if over its most
    options: Options


def model_options(options: PaperOptions, model: str) -> Options:
    """The common options of all runs on a model."""
    return Options(
        model=model,
        vocab=options.vocab if Path(model).suffix == ".pt" else None,
        context=options.context,
        seeds=options.seeds,
        steps=options.steps,
        rounds=options.rounds,
        text=options.text,
    )


def check_all(options: PaperOptions) -> None:
    """Finds out before the first run what would end one of the later ones.

    Raises:
        Exception: one of `experiments.shared.setup.USER_ERRORS`.
    """
    check(options)
    names = dict.fromkeys(task for task, _, _ in paper.RESULTS)
    tasks = [load_task(name, _data(options, name)) for name in names]
    for name in options.model:
        common = model_options(options, name)
        model = read_model(common)
        check_writable(options.out / model.name)
        read_text(common, model.vocabulary)
        for task in tasks:
            split_rows(common, task, examples.encode(task, model.vocabulary))


def run_all(options: PaperOptions, name: str) -> tuple[LanguageModel, list[PaperRun]]:
    """Runs the settings of Table 4 on a model, but for those that are finished."""
    check(options)
    common = model_options(options, name)
    model = read_model(common)
    runs, spent = [], []  # seconds of the settings that weren't there yet
    for number, setting in enumerate(paper.RESULTS):
        left = len(paper.RESULTS) - number
        line = f"[{number + 1}/{len(paper.RESULTS)}] {paper_tables.setting_name(setting)}"
        if spent:
            minutes = np.mean(spent) * left / 60
            line += f"  (about {minutes:.0f} min left for this model)"
        console().rule(line, align="left", style="default")
        fresh = not list(_folder(options, model, setting).rglob("summary.json"))
        before = time.perf_counter()
        runs.append(_run(options, common, model, setting))
        if fresh:
            spent.append(time.perf_counter() - before)
    return model, runs


def _data(options: PaperOptions, task: str) -> Path | None:
    return None if options.data is None else options.data / task


def _run(
    options: PaperOptions, common: Options, model: LanguageModel, setting: Setting
) -> PaperRun:
    task, intervention, regularised = setting
    root, folder = options.out / model.name, _folder(options, model, setting)
    chosen = dataclasses.replace(
        common,
        data=_data(options, task),
        intervention=intervention,
        kl_weight=options.kl_weight if regularised else 0.0,
        out=folder,
    )
    programs = Programs()
    if options.alpha is not None:
        chosen = dataclasses.replace(chosen, alpha=options.alpha)
        summary = report_search.run(task, chosen, model=model, programs=programs, reuse=True)
        return PaperRun(setting, summary, None, chosen)
    material = prepare(chosen, load_task(task, chosen.data), model)
    curve = needed_units.greedy_curve(
        root / "greedy" / f"{task}-{intervention}.json",
        chosen,
        material,
        max(_wanted(other) for other in paper.RESULTS if other[:2] == setting[:2]),
        programs,
    )
    wanted = _wanted(setting)
    needed = curve.needed(wanted)
    units = needed_units.sparsest_units(
        folder / "alpha.json", chosen, material, wanted, needed or len(curve.units), programs
    )
    found = needed_units.search_until(task, chosen, material, wanted, units, programs)
    return PaperRun(setting, found.summary, needed, found.options)


def _wanted(setting: Setting) -> float:
    return needed_units.wanted_on_training(paper.RESULTS[setting].accuracy[0])


def _folder(options: PaperOptions, model: LanguageModel, setting: Setting) -> Path:
    task, intervention, regularised = setting
    return options.out / model.name / f"{task}-{intervention}{'-kl' * regularised}"
