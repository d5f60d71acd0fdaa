"""All searches of the paper's Table 4, on one or several models; what is finished isn't run again.

OUT/MODEL/SETTING holds the run of a setting; where alpha isn't given, in a folder for its number of
units, beside alpha.json, the size it began with. OUT/MODEL/greedy/ says how many units greedy
selection needs.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from experiments.shared import stopping
from experiments.shared.console import console
from experiments.shared.experiment import Trust
from experiments.shared.loading import data_name, load_model_named, load_task
from experiments.shared.option_types import (
    DataFolder,
    Fraction,
    Model,
    NotEmpty,
    PositiveWeight,
    ResultFolder,
    Runs,
    TextFile,
    check,
    is_checkpoint,
)
from experiments.shared.options import (
    ContextOptions,
    StateOptions,
    StepOptions,
    TextOptions,
    TrustOptions,
    weighted,
)
from experiments.studies import needed_units
from experiments.studies.needed_units import Goal
from experiments.studies.searches import Resources, run_or_read
from jaxmask.files.run_folder import check_writable
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.measure import encode_text
from jaxmask.pipeline.plan import Design, Plan, TextSample
from jaxmask.pipeline.prepare import Prepared, prepare, split_rows
from jaxmask.report import Setting, paper, paper_tables
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig


@dataclasses.dataclass(frozen=True)
class PaperOptions(TrustOptions, TextOptions, StepOptions, ContextOptions, StateOptions):
    """Options of the scripts that run all of Table 4."""

    model: Annotated[tuple[Model, ...], NotEmpty] = ("demo",)
    """One or more of: a model folder, a PyTorch checkpoint (with --vocab), `demo`."""
    vocab: TextFile | None = None
    """Vocabulary of a PyTorch checkpoint: one word a line."""
    data: DataFolder | None = None
    """Folder with the original data of the paper, in number_agreement/ and gender_bias/; if not
    given, the stimuli are generated."""
    alpha: Fraction | None = None
    """Largest fraction of the units, the same for all settings; if not given, the smallest one at
    which a setting reaches the accuracy of the paper on the training examples."""
    kl_weight: PositiveWeight = 4.0
    """Weight of the KL in the regularised settings."""
    seeds: Runs = 10
    """How many searches to run for each setting."""
    out: ResultFolder = Path("results/paper")
    """Folder for the results."""

    def request(self) -> "Request":
        """What is to be run, as values.

        Raises:
            OptionError: an option is out of its range.
        """
        check(self)
        config = SearchConfig().replace(**self.lengths())
        return Request(
            Plan(
                config,
                Design(self.kind_at("single"), self.context_name()),
                seeds=self.seeds,
                text=self.draw_text(0),
            ),
            self.alpha,
            self.kl_weight,
            self.data,
            self.out,
            self.trust,
        )

    def load_model(self, name: str) -> LanguageModel:
        """One of the models that the options name."""
        return load_model_named(name, self.vocab_of(name))

    def vocab_of(self, name: str) -> Path | None:
        """The vocabulary of one of the models; model folders have their own."""
        return self.vocab if is_checkpoint(name) else None


class Request(NamedTuple):
    """All settings of Table 4 on a model.

    Attributes:
        plan: what the settings have in common: the kind of intervention, apart from its place.
        alpha: largest fraction of the units; None for the smallest that reaches the accuracy.
        kl_weight: weight of the KL in the regularised settings.
        data: folder of the original files; None to generate the stimuli.
        folder: for the results.
        trust: what is measured of what was found, see `experiments.shared.experiment.Output`.
    """

    plan: Plan
    alpha: float | None
    kl_weight: float
    data: Path | None
    folder: Path
    trust: Trust = "none"

    def data_of(self, task: str) -> Path | None:
        """The folder of a task's original files."""
        return None if self.data is None else self.data / task

    def plan_of(self, setting: Setting) -> Plan:
        """The plan of a setting, apart from alpha where that isn't given."""
        task, place, regularised = setting
        config = weighted(self.plan.config, self.kl_weight if regularised else 0.0)
        if self.alpha is not None:
            config = config.replace(alpha=self.alpha)
        design = self.plan.design._replace(
            kind=self.plan.design.kind._replace(place=place), data=data_name(self.data_of(task))
        )
        return self.plan._replace(config=config, design=design)

    def folder_of(self, model: LanguageModel, setting: Setting) -> Path:
        """The folder of a setting on a model."""
        task, place, regularised = setting
        return self.folder / model.name / f"{task}-{place}{'-kl' * regularised}"


class PaperRun(NamedTuple):
    """A finished setting.

    Attributes:
        setting: of Table 4.
        summary: of its run.
        greedy_units: units with which greedy selection reaches the paper's accuracy on training
            examples; None if it doesn't, or wasn't run.
        folder: of the run.
    """

    setting: Setting
    summary: dict[str, Any]
    greedy_units: int | None
    folder: Path


def check_all(request: Request, models: list[LanguageModel]) -> None:
    """Finds out before the first run what would end one of the later ones.

    Raises:
        Exception: one of `experiments.shared.script.USER_ERRORS`.
    """
    names = dict.fromkeys(task for task, _, _ in paper.RESULTS)
    tasks = [load_task(name, request.data_of(name)) for name in names]
    for model in models:
        check_writable(request.folder / model.name)
        _check_text(request.plan.text, model)
        split = request.plan.design.split
        for task in tasks:
            split_rows(model.encode(task).examples, split, task.name)


def run_all(request: Request, model: LanguageModel) -> list[PaperRun]:
    """Runs the settings of Table 4 on a model, apart from those that are finished."""
    stopping.keeps(request.folder)
    runs, spent = [], []  # seconds of the settings that had to be run
    for number, setting in enumerate(paper.RESULTS):
        left = len(paper.RESULTS) - number
        line = f"[{number + 1}/{len(paper.RESULTS)}] {paper_tables.setting_name(setting)}"
        if spent:
            minutes = np.mean(spent) * left / 60
            line += f"  (about {minutes:.0f} min left for this model)"
        console().rule(line, align="left", style="default")
        fresh = not list(request.folder_of(model, setting).rglob("summary.json"))
        before = time.perf_counter()
        runs.append(_run(request, model, setting))
        if fresh:
            spent.append(time.perf_counter() - before)
    return runs


def _check_text(text: TextSample | None, model: LanguageModel) -> None:
    if text is not None:
        encode_text(text.sentences, model)


def _run(request: Request, model: LanguageModel, setting: Setting) -> PaperRun:
    plan, folder = request.plan_of(setting), request.folder_of(model, setting)
    task = load_task(setting[0], request.data_of(setting[0]))
    prepared = prepare(model, task, plan.design)
    resources = Resources(Programs(), trust=request.trust)
    if request.alpha is not None:
        summary = run_or_read(prepared, plan, folder, resources)
        return PaperRun(setting, summary, None, folder)
    return _run_sparsest(prepared, plan, folder, setting, resources)


def _run_sparsest(
    prepared: Prepared, plan: Plan, folder: Path, setting: Setting, resources: Resources
) -> PaperRun:
    """A setting at about the smallest alpha that reaches the paper's accuracy."""
    task, place, _ = setting
    curve = needed_units.greedy_curve(
        folder.parent / "greedy" / f"{task}-{place}.json",
        prepared,
        max(_wanted(other) for other in paper.RESULTS if other[:2] == setting[:2]),
        resources.programs,
    )
    wanted = _wanted(setting)
    needed = curve.needed(wanted)
    goal = Goal(wanted, needed or len(curve.units))
    units = needed_units.sparsest_units(folder / "alpha.json", prepared, plan, goal, resources)
    goal = goal._replace(expected=units)
    found = needed_units.search_until(folder, prepared, plan, goal, resources)
    return PaperRun(setting, found.summary, needed, found.folder)


def _wanted(setting: Setting) -> float:
    return needed_units.wanted_on_training(paper.RESULTS[setting].accuracy[0])
