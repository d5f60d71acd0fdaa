"""One experiment: search for interventions on a task, report and save what was found."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.shared import checkpoints, hosts
from experiments.shared.checkpoints import Checkpoints
from experiments.shared.console import console, print_table, progress
from experiments.shared.measurements import (
    measure,
    observations,
    read_text,
    separate,
    settings,
    summarise,
)
from experiments.shared.setup import (
    Material,
    Options,
    check,
    load_task,
    phenomenon,
    prepare,
    read_model,
    search_config,
)
from jaxmask import report, search
from jaxmask.files.intervention_file import save_intervention
from jaxmask.files.run_folder import check_run_folder, open_run, read_summary, write_run
from jaxmask.intervention import units
from jaxmask.models.model_folder import LanguageModel
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble
from jaxmask.runs.programs import Programs
from jaxmask.text.examples import Task

STEPS_A_ROUND = 20  # a round of exchange takes about as long, settled runs included


def run(
    name: str,
    options: Options,
    *,
    model: LanguageModel | None = None,
    material: Material | None = None,
    programs: Programs | None = None,
    reuse: bool = False,
) -> dict:
    """Searches, reports on the screen, and writes the run folder; returns its summary.

    Args:
        name: of the task, see `experiments.shared.setup.PHENOMENA`.
        options: of the script.
        model: to search; read as the options say if not given.
        material: the model with the task, if it is prepared already.
        programs: of earlier searches on the same model, or on others of its size.
        reuse: if the folder holds the finished run already, give its summary.
    """
    check(options)
    started = time.perf_counter()
    config = search_config(options)
    task = load_task(name, options.data)
    if material is not None:
        model = material.model
    model = read_model(options) if model is None else model
    folder = options.out or Path("results") / f"{task.name}-{model.name}-{options.intervention}"
    chosen = settings(task, options, model)
    check_run_folder(folder, chosen)
    if reuse and (there := read_summary(folder)) is not None:
        checkpoints.remove(folder)
        return there
    text = read_text(options, model.vocabulary)
    material = prepare(options, task, model) if material is None else material
    hosts.by_first(lambda: open_run(folder, chosen))
    _introduce(task, options, material)

    result = search_all(keys(options), material, config, options, folder, programs)
    results = measure(result, options, material, text)
    result = results.search
    seconds = {"total": time.perf_counter() - started, "compile": result.compile_seconds}
    summary = summarise(task, options, material, results, seconds)

    def others() -> None:
        save_interventions(folder / "interventions", task, material, result, summary, chosen)
        _draw(folder, task, options, material, result, summary)

    hosts.by_first(lambda: write_run(folder, chosen, summary, observations(result), more=others))
    checkpoints.remove(folder)
    print_table(report.shorten(report.unit_table(summary)))
    print_table(report.summary_row(summary))
    for line in report.stops(summary):
        console().print(line, soft_wrap=True)
    console().print(f"{seconds['total']:.0f} s in all; written to {folder}", soft_wrap=True)
    return summary


def keys(options: Options) -> Key[Array, " seeds"]:
    """Of the searches: seed n's is the same whatever other seeds there are."""
    return jax.random.split(jax.random.key(0), options.seeds)


def search_all(
    keys: Key[Array, " runs"],
    material: Material,
    config: search.SearchConfig,
    options: Options,
    folder: Path,
    programs: Programs | None = None,
) -> Ensemble:
    """`jaxmask.runs.ensemble.run` with progress, and with checkpoints in the run's folder."""
    keeper = Checkpoints(folder, options.checkpoint_minutes)
    with _observed(config) as observe:
        return ensemble.run(keys, material.train_objective, config, observe, programs, keeper)


def _introduce(task: Task, options: Options, material: Material) -> None:
    """Says what is searched, in three lines."""
    model, dropped = material.model, material.encoded.dropped
    right, train = material.model_accuracy, material.train.size
    toward = "; ".join(
        f"to {name}: {material.examples_toward(number, 'train')} + "
        f"{material.examples_toward(number, 'evaluation')}"
        for number, name in enumerate(task.directions)
    )
    empty = [
        name
        for number, name in enumerate(task.directions)
        if not material.examples_toward(number, "train")
    ]
    sizes = model.config
    budget = int(search.budget(sizes.units, options.alpha))
    lines = [
        f"{task.name}, {options.intervention}-step: {options.seeds} seeds, alpha "
        f"{options.alpha:g} (at most {budget} of {sizes.units} units)",
        f"model: {model.name}, {sizes.layers} x {sizes.hidden}, {sizes.vocabulary} words"
        + (f", right on {right:.1f}% of the pairs" if right is not None else ""),
        f"pairs: {train} to search on + {material.evaluation.size} held out ({toward})",
    ]
    if dropped.total:
        lines.append(
            f"dropped, as their words are out of vocabulary: {dropped.total} pairs; "
            "experiments.check_data says which"
        )
    if material.encoded.unknown:
        lines.append(f"out of vocabulary, read as <unk>: {material.encoded.unknown} other words")
    lines += [f"left out of the data: {count} {what}" for what, count in task.left_out if count]
    for name in empty:
        lines.append(f"nothing can be learned toward {name!r}: the model always prefers it")
    for line in lines:
        console().print(line, soft_wrap=True)
    console().print()


@contextlib.contextmanager
def _observed(config: search.SearchConfig) -> Iterator[ensemble.Observer]:
    """Progress of a search, relaxation and exchange in one bar."""
    total = config.steps + config.exchange_rounds * STEPS_A_ROUND
    with progress(total, "searching") as advance_to:

        def observe(done: int, info: search.SearchInfo | search.ExchangeInfo) -> None:
            going = info.finite if info.finite.any() else ...
            flipped = f"{100 * np.mean(info.accuracy[going]):.0f}%"
            if isinstance(info, search.SearchInfo):
                advance_to(done, flipped=flipped, units=f"{np.mean(info.expected_l0):.0f}")
            else:
                exchanged = f"{np.mean(info.exchanges):.1f}"
                advance_to(
                    config.steps + done * STEPS_A_ROUND, flipped=flipped, exchanged=exchanged
                )

        yield observe


def save_interventions(
    folder: Path, task: Task, material: Material, result: Ensemble, summary: dict, chosen: dict
) -> None:
    """One file a run, to be applied elsewhere."""
    for one, run in zip(separate(result.interventions), summary["runs"], strict=True):
        metrics = {
            name: run[name] for name in ("accuracy", "accuracy_by_direction", "n_units", "kl")
        }
        save_intervention(
            folder / f"seed_{run['seed']}.json",
            one,
            material.model,
            task.name,
            task.directions,
            chosen,
            metrics,
        )


def _draw(
    folder: Path,
    task: Task,
    options: Options,
    material: Material,
    result: Ensemble,
    summary: dict,
) -> None:
    """The activations of an example, and how the search went."""
    # Imported here: a search starts without waiting for matplotlib.
    from experiments.shared import activations
    from jaxmask.report import figures

    first = separate(result.interventions)[0]
    if units(first.mask):
        reading = activations.read(material, options, task.directions, first)
        shown = activations.shown_units(reading, first, summary["prevalence"])
        good = phenomenon(task.name).shown
        row = activations.example(reading, lambda group: good in (None, group))
        if row is not None:
            figure = activations.example_figure(reading, row, shown)
            figures.save(figure, folder / "figures" / "activations.png")
    steps = result.history.steps
    shown = slice(9, None, 10)
    numbers = np.arange(1, steps.loss.shape[1] + 1)[shown]
    figure = figures.training_curves(
        numbers,
        100.0 * steps.accuracy[:, shown],
        steps.expected_l0[:, shown],
        steps.hard_units[:, shown],
        steps.multiplier[:, shown],
        steps.target[0, shown],
    )
    figures.save(figure, folder / "figures" / "search.png")
