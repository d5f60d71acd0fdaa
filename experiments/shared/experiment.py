"""The parts of an experiment that write and show: its run folder, progress, files and tables."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import numpy as np

from experiments.shared import checkpoints, device, hosts, stopping
from experiments.shared.checkpoints import Checkpoints
from experiments.shared.console import console, print_table, progress
from experiments.shared.drawing import save_figure
from jaxmask import report, search
from jaxmask.files.intervention_file import save_intervention
from jaxmask.files.run_folder import (
    RunFolderError,
    check_run_folder,
    open_run,
    write_run,
    write_text,
)
from jaxmask.found import saved_run
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.measure import Results, encode_text, measure
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared, encode_and_split
from jaxmask.pipeline.search_all import search_all
from jaxmask.pipeline.summarise import observations, separate, summarise
from jaxmask.report.trust import trust_report, trust_table
from jaxmask.runs.ensemble import Session
from jaxmask.runs.phases import Observer
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig, SearchInfo
from jaxmask.search.exchange import ExchangeInfo
from jaxmask.text.examples import Task
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN
from jaxmask.trust.assess import MEASURES, Level, assess, identity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Trust = Level | Literal["none"]
# Written out: a search starts without waiting for matplotlib.
TRUST_FIGURES = (
    "accuracy",
    "harm",
    "dose",
    "place",
)

CAPTIONS = {
    "activations.png": "the units of the first run over a sentence whose decision flips",
    "search.png": "the relaxed masks, step by step: decisions flipped; units that they expect to "
    "replace, those with E[z] above 0.5 (thresholded), and those allowed; the multiplier of that "
    "limit",
}
STEPS_A_ROUND = 20  # a round of exchange takes about as long, settled runs included


class Output(NamedTuple):
    """Where an experiment writes.

    Attributes:
        folder: of the run.
        settings: everything that decides the results: the content of ``config.json``.
        checkpoint_minutes: minutes between checkpoints.
        started: when the experiment began, as of `time.perf_counter`.
        trust: how much is measured of what can be trusted, see `jaxmask.trust.assess.assess`.
    """

    folder: Path
    settings: dict[str, Any]
    checkpoint_minutes: float
    started: float
    trust: Trust = "none"


def settings_of(plan: Plan, task: Task, model: LanguageModel) -> dict[str, Any]:
    """Everything that decides the results, once it is known that the model can be searched so.

    An option that can't be used is reported before a folder of a run with other settings.

    Raises:
        Exception: what `jaxmask.pipeline.prepare.encode_and_split` raises.
    """
    encode_and_split(model, task, plan.design)
    return plan.settings(task, model)


def open_output(folder: Path, settings: dict[str, Any], checkpoint_minutes: float = 1.0) -> Output:
    """Makes sure, before any work is done, that a folder can take a run.

    Raises:
        RunFolderError: the folder holds a run with other settings, or can't be written.
    """
    check_run_folder(folder, settings)
    stopping.keeps(folder)
    return Output(folder, settings, checkpoint_minutes, time.perf_counter())


def open_folder(to: Output) -> None:
    """Makes the folder of a run, with its settings; just before the run begins.

    Raises:
        RunFolderError: see `open_output`.
    """
    hosts.by_first(lambda: open_run(to.folder, to.settings))
    stopping.opened(to.folder / "config.json")


def experiment(
    prepared: Prepared, plan: Plan, to: Output, programs: Programs | None = None
) -> dict[str, Any]:
    """Search, evaluation and report on prepared examples; returns the summary.

    Args:
        prepared: model and examples.
        plan: of the searches.
        to: where to write.
        programs: of earlier searches on the same model, or on others of its size.
    """
    introduce(prepared, plan, to)
    with watched(plan.config, to, programs) as session:
        found = search_all(prepared, plan, session)
    return report_results(measure(found, prepared, plan), prepared, plan, to)


def introduce(prepared: Prepared, plan: Plan, to: Output) -> None:
    """Opens the run folder, and says in a few lines what is searched, and where.

    What would end the run after its searches, such as a text without a known word, ends it here.

    Raises:
        ModelError: the model can't read the ordinary text.
    """
    if plan.text is not None:
        encode_text(plan.text.sentences, prepared.model)
    open_folder(to)
    for line in (*introduction(prepared, plan), device.line()):
        console().print(line, soft_wrap=True)
    console().print()


def introduction(prepared: Prepared, plan: Plan) -> list[str]:
    """What is searched: plan, model and examples."""
    task, site = prepared.task, prepared.site
    alpha, dropped = plan.config.alpha, prepared.encoded.dropped.total
    right = prepared.model_accuracy
    words = f"{prepared.model.description()['vocabulary']} {prepared.model.vocabulary.unit}"
    counts = {
        name: (
            prepared.examples_toward(number, "train"),
            prepared.examples_toward(number, "evaluation"),
        )
        for number, name in enumerate(task.directions)
    }
    toward = "; ".join(f"to {name}: {train} + {held}" for name, (train, held) in counts.items())
    lines = [
        f"{task.name}, {plan.design.kind.place}-step: {report.count(plan.seeds, 'seed')}, alpha "
        f"{alpha:g} (at most {int(search.budget(site.units, alpha))} of {site.units} units)",
        *below_one_unit(alpha, site.units),
        f"model: {prepared.model.name}, {site.layers} x {site.width}, {words}"
        + (f", right on {right:.1f}% of the pairs" if right is not None else ""),
        f"pairs: {prepared.train.size} to search on + {prepared.evaluation.size} held out "
        f"({toward})",
    ]
    if prepared.design.split.development != 0:
        lines.append(
            "to choose settings by: all results are on a development part; the pairs of "
            "--evaluation are neither searched nor read"
        )
    if dropped:
        lines.append(
            f"dropped: {report.count(dropped, 'pair')} that the vocabulary can't express; "
            "jaxmask check lists them"
        )
    if prepared.encoded.unknown:
        lines.append(
            f"read as {UNKNOWN}: "
            f"{report.count(prepared.encoded.unknown, 'other word')}, which the vocabulary lacks"
        )
    lines += [f"left out of the data: {count} {what}" for what, count in task.left_out if count]
    if ends := sum(END_OF_SENTENCE in stimulus.words for stimulus in task.stimuli):
        lines.append(
            f"{END_OF_SENTENCE} inside a sentence: {report.count(ends, 'pair')}; --context says "
            "what the model reads before each sentence"
        )
    lines += [
        f"no pair can be flipped to {name!r}, because the model always prefers it already"
        for name, (train, _) in counts.items()
        if not train
    ]
    return lines


def below_one_unit(alpha: float, n_units: int) -> list[str]:
    """A line about an alpha that allows less than one unit, which is rounded up; else none."""
    if alpha * n_units * (1.0 + 1e-6) >= 1.0:  # as `search.budget` rounds
        return []
    return [f"alpha {alpha:g} is less than one of {n_units} units; one unit is allowed"]


@contextlib.contextmanager
def watched(
    config: SearchConfig, to: Output, programs: Programs | None = None
) -> Iterator[Session]:
    """A session whose searches show their progress and keep checkpoints in the run folder."""
    keeper = Checkpoints(to.folder, to.checkpoint_minutes)
    with search_progress(config, "searching") as observe:
        yield Session(observe=observe, programs=programs or Programs(), keeper=keeper)


@contextlib.contextmanager
def search_progress(config: SearchConfig, description: str) -> Iterator[Observer]:
    """Progress of a search, relaxation and exchange in one bar."""
    total = config.steps + config.exchange_rounds * STEPS_A_ROUND
    with progress(total, description) as advance_to:

        def observe(done: int, info: SearchInfo | ExchangeInfo) -> None:
            going = info.finite if info.finite.any() else ...
            flipped = f"{100 * np.mean(info.accuracy[going]):.0f}%"
            if isinstance(info, SearchInfo):
                advance_to(done, flipped=flipped, units=f"{np.mean(info.expected_l0):.0f}")
            else:
                exchanged = f"{np.mean(info.exchanges):.1f} units a seed"
                done_in_all = config.steps + done * STEPS_A_ROUND
                advance_to(done_in_all, flipped=flipped, exchanged=exchanged)

        yield observe


def report_results(results: Results, prepared: Prepared, plan: Plan, to: Output) -> dict[str, Any]:
    """Writes the run folder, prints the tables and draws the figures; returns the summary.

    The checkpoints are removed after the summary is written. Figures come last, so that one that
    fails costs neither files nor tables.
    """
    found = results.search
    trust = measure_trust(results, prepared, plan, to)
    seconds = {"total": time.perf_counter() - to.started, "compile": found.compile_seconds}
    summary = {**summarise(results, prepared, plan, seconds), **trust}

    def write_others() -> None:
        (to.folder / "trust.md").unlink(missing_ok=True)
        if trust:
            write_text(to.folder / "trust.md", trust_report(summary["trust"]))
        save_interventions(to.folder / "interventions", results, summary, prepared, to.settings)

    hosts.by_first(
        lambda: write_run(to.folder, to.settings, summary, observations(found), more=write_others)
    )
    checkpoints.remove(to.folder)
    print_table(report.shorten(report.unit_table(summary)))
    print_table(report.summary_row(summary))
    if trust:
        print_table(trust_table(summary["trust"], short=True))
    for line in (*report.stops(summary), *report.unconverged(summary)):
        console().print(line, markup=False)
    draw(to.folder / "figures", results, summary, prepared)
    console().print(f"{seconds['total']:.0f} s in all; written to {to.folder}", soft_wrap=True)
    return summary


def measure_trust(results: Results, prepared: Prepared, plan: Plan, to: Output) -> dict[str, Any]:
    """The entry "trust" of a summary, measured with progress; none if none is asked for.

    Each measure is kept beside the checkpoints once it is made, for a run that is stopped.
    """
    if to.trust == "none":
        return {}
    level: Level = to.trust
    file = to.folder / "checkpoints" / f"trust_{identity(results, level)}.json"
    kept = _kept(file)
    with progress(len(MEASURES), "measuring", even=False) as advance_to:

        def observe(done: int, name: str) -> None:
            if kept:
                with contextlib.suppress(RunFolderError):  # the results say whether it is mended
                    write_text(file, json.dumps(kept))
            advance_to(done, now=name or "done")

        return {"trust": assess(results, prepared, plan, level, observe, kept)}


def _kept(file: Path) -> dict[str, Any]:
    """Measures that an earlier start made; none if there are none, or if they can't be read."""
    if jax.process_count() > 1:  # all processes have to make the same ones
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def save_interventions(
    folder: Path,
    results: Results,
    summary: dict[str, Any],
    prepared: Prepared,
    settings: dict[str, Any],
) -> None:
    """Writes one file a run, to be applied elsewhere."""
    for one, run in zip(separate(results.interventions), summary["runs"], strict=True):
        saved = saved_run(one, run, prepared, settings)
        save_intervention(folder / f"seed_{run['seed']}.json", saved, prepared.model)


def draw(folder: Path, results: Results, summary: dict[str, Any], prepared: Prepared) -> None:
    """Draws the activations of an example, how the searches went, and what can be trusted.

    What the first two show is printed.
    """
    for name, make in (
        ("activations.png", lambda: _example(results, summary, prepared)),
        ("search.png", lambda: _curves(results)),
    ):
        if save_figure(folder / name, make):
            console().print(f"{folder.name}/{name}: {CAPTIONS[name]}", markup=False)
    trust = summary.get("trust", {"measures": []})
    for name in TRUST_FIGURES:
        save_figure(folder / f"trust_{name}.png", lambda name=name: _trust(name, trust))


def _trust(name: str, trust: dict[str, Any]) -> "Figure | None":
    """The figure of a measure of trust; None if there is none."""
    from jaxmask.report.figures.trust import trust_figure

    return trust_figure(trust, name)


def _example(results: Results, summary: dict[str, Any], prepared: Prepared) -> "Figure | None":
    """The activations of the first run's units over a sentence whose decision flips."""
    from jaxmask.report.figures import run

    first = separate(results.interventions)[0]
    return run.example_figure(prepared, first, summary["prevalence"])


def _curves(results: Results) -> "Figure":
    """How the searches went."""
    from jaxmask.report.figures import run

    return run.search_figure(results.search.history)
