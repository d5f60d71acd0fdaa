"""One experiment: search for interventions on a task, report and save what was found."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import jaxmask
from experiments import activations
from experiments.console import console, print_table, progress
from experiments.setup import (
    PHENOMENA,
    Material,
    OptionError,
    Options,
    check,
    load_task,
    prepare,
    search_config,
)
from experiments.text import draw_sentences
from jaxmask import ensemble, exchange, figures, ordinary_text, report, search
from jaxmask.ensemble import Ensemble, Programs
from jaxmask.evaluate import Evaluation
from jaxmask.examples import Task
from jaxmask.intervention import Intervention, every_step, units
from jaxmask.intervention_file import save_intervention
from jaxmask.run_folder import check_run_folder, read_summary, write_run
from jaxmask.search import Relaxation
from jaxmask.store import LanguageModel

STEPS_A_ROUND = 25  # a round of exchange takes about as long


class Results(NamedTuple):
    """All that was measured, each stacked over runs."""

    search: Ensemble
    evaluations: Evaluation
    relaxations: Relaxation
    text_kl: dict[str, np.ndarray] | None  # at every word and at random words; runs x directions


def run(
    name: str,
    options: Options,
    *,
    model: LanguageModel | None = None,
    programs: Programs | None = None,
    reuse: bool = False,
) -> dict:
    """Searches, reports on the screen, and writes the run folder; returns its summary.

    Args:
        name: of the task, see `experiments.setup.PHENOMENA`.
        options: of the script.
        model: to search; read as the options say if not given.
        programs: of earlier searches on the same model.
        reuse: if the folder holds the finished run already, give its summary.
    """
    check(options)
    started = time.perf_counter()
    config = search_config(options)
    task = load_task(name, options.data)
    material = prepare(options, task, model)
    folder = options.out or Path("results") / f"{name}-{material.model.name}-{options.intervention}"
    settings = _settings(task, options, material)
    check_run_folder(folder, settings)
    if reuse and (there := read_summary(folder)) is not None:
        return there
    _introduce(task, options, material)

    keys = jax.random.split(jax.random.key(0), options.seeds)
    with _observed(config) as observe:
        result = ensemble.run(keys, material.train_objective, config, observe, programs)
    result = result._replace(interventions=_where_learned(result.interventions, material))
    results = Results(
        result,
        ensemble.evaluations(result.interventions, material.evaluation_objective),
        ensemble.relaxations(result.relaxed, material.evaluation_objective, config),
        None if options.text is None else _text_kl(options, material, result.interventions),
    )
    seconds = {"total": time.perf_counter() - started, "compile": result.compile_seconds}
    summary = summarise(task, options, material, results, seconds)
    metrics = observations(result)

    write_run(folder, settings, summary, metrics)
    _save_interventions(folder, task, material, result, summary, settings)
    _draw(folder, task, options, material, result, summary)
    print_table(report.shorten(report.unit_table(summary)))
    print_table(report.summary_row(summary))
    console().print(f"{seconds['total']:.0f} s in all; written to {folder}", soft_wrap=True)
    return summary


def summarise(
    task: Task, options: Options, material: Material, results: Results, seconds: dict[str, float]
) -> dict:
    """The content of ``summary.json``."""
    config = search_config(options)
    model, result, evaluations = material.model, results.search, results.evaluations
    converged = np.asarray(
        jax.vmap(lambda i, h: search.converged(i, h, config))(result.interventions, result.history)
    )
    runs = [
        {
            "seed": seed,
            "accuracy": report.percent(evaluations.accuracy[seed]),
            "accuracy_by_direction": {
                name: report.percent(evaluations.accuracy_by_direction[seed][number])
                for number, name in enumerate(task.directions)
            },
            "n_units": len(units(one.mask)),
            "units": units(one.mask),
            "values": {
                name: {
                    str(unit): float(one.baseline[number, unit - 1])
                    for unit in units(one.mask[number : number + 1])
                }
                for number, name in enumerate(task.directions)
            },
            "expected_l0": float(result.history.steps.expected_l0[seed, -1]),
            "kl": float(evaluations.kl[seed]),
            "text_kl": {
                place: {
                    way: float(kl[seed, number])
                    for number, way in enumerate(task.directions)
                    if material.examples_toward(number, "train")
                }
                for place, kl in (results.text_kl or {}).items()
            },
            "relaxed": {
                "sampled_accuracy": report.percent(results.relaxations.sampled_accuracy[seed]),
                "hard_accuracy": report.percent(results.relaxations.hard_accuracy[seed]),
                "hard_units": float(results.relaxations.hard_units[seed]),
            },
            "steps": config.steps + config.exchange_rounds * config.refit_steps,
            "seconds": result.seconds,
            "converged": bool(converged[seed]),
        }
        for seed, one in enumerate(_separate(result.interventions))
    ]
    return {
        "task": task.name,
        "method": options.method,
        "intervention": options.intervention,
        "surrogate": config.surrogate,
        "kl_weight": options.kl_weight,
        "alpha": options.alpha,
        "beta": config.beta,
        "shared_mask": options.shared_mask,
        "context": options.context,
        "model": {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "layers": model.config.layers,
            "hidden": model.config.hidden,
            "vocabulary": model.config.vocabulary,
        },
        "examples": {
            "train": material.train.size,
            "evaluation": material.evaluation.size,
            "dropped": material.encoded.dropped.total,
            "model_accuracy": material.model_accuracy,
            "split": options.split,
            "toward": {
                name: {
                    part: material.examples_toward(number, part) for part in ("train", "evaluation")
                }
                for number, name in enumerate(task.directions)
            },
        },
        "runs": runs,
        **{
            name: report.mean_std([run[name] for run in runs])
            for name in ("accuracy", "n_units", "kl")
        },
        "prevalence": report.prevalence(
            runs, model.config.layers, model.config.hidden, task.directions
        ),
        "seconds": seconds,
        "versions": {"jaxmask": jaxmask.__version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
    }


def observations(result: Ensemble) -> list[dict]:
    """The content of ``metrics.jsonl``: what each chunk's last step saw, a line a run."""
    history = result.history
    phases = {
        "relaxation": (history.steps, ensemble.CHUNKS[search.step]),
        "exchange": (history.rounds, 1),
    }
    lines = []
    for phase, (info, every) in phases.items():
        if info is None:
            continue
        for number in range(every - 1, info.loss.shape[1], every):
            for seed in range(len(info.loss)):
                values = {name: float(x[seed, number]) for name, x in info._asdict().items()}
                lines.append({"phase": phase, "step": number + 1, "seed": seed, **values})
    return lines


def _settings(task: Task, options: Options, material: Material) -> dict:
    """Everything that decides the results, and nothing else."""
    chosen = dataclasses.asdict(options)
    del chosen["out"], chosen["vocab"]
    if options.text is None:
        del chosen["text_sentences"]
    return {
        "task": task.name,
        **chosen,
        "model": material.model.name,
        "fingerprint": material.model.fingerprint,
        "evaluation": options.evaluation or PHENOMENA[task.name].evaluation,
        "data": "generated" if options.data is None else options.data.name,
        "text": None if options.text is None else options.text.name,
        "search": dataclasses.asdict(search_config(options)),
    }


def _where_learned(interventions: Intervention, material: Material) -> Intervention:
    """Without what it would do toward a direction that had no examples to learn from."""
    ways = interventions.mask.shape[1]
    learned = [material.examples_toward(number, "train") > 0 for number in range(ways)]
    return interventions._replace(mask=interventions.mask * np.array(learned)[None, :, None])


def _text_kl(
    options: Options, material: Material, interventions: Intervention
) -> dict[str, np.ndarray]:
    """The KL on ordinary text of each run, toward each direction."""
    try:
        words = draw_sentences(options.text, options.text_sentences, options.split_seed)
        text = ordinary_text.encode(words, material.model.vocabulary)
    except (OSError, EOFError, ValueError) as fault:
        raise OptionError(f"--text: {options.text}: expected sentences ({fault})") from fault
    places = {
        "every": every_step(text.length),
        "random": ordinary_text.random_step(np.random.default_rng(options.split_seed), text.length),
    }
    params, context = material.model.params, material.context

    @jax.jit
    def of_all(interventions: Intervention, params: dict, where: np.ndarray) -> jax.Array:
        return jax.lax.map(
            lambda one: ordinary_text.kl_on_text(one, params, text, where, context), interventions
        )

    return {
        place: np.asarray(of_all(interventions, params, where)) for place, where in places.items()
    }


def _separate(interventions: Intervention) -> list[Intervention]:
    """One intervention a run, as numpy arrays."""
    return [Intervention(np.asarray(m), np.asarray(b)) for m, b in zip(*interventions, strict=True)]


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
    budget = int(search.budget(sizes.units, search_config(options)))
    lines = [
        f"{task.name}, {options.intervention}-step: {options.seeds} seeds, alpha "
        f"{options.alpha:g} (at most {budget} of {sizes.units} units)",
        f"model: {model.name}, {sizes.layers} x {sizes.hidden}, {sizes.vocabulary} words"
        + (f", right on {right:.1f}% of the pairs" if right is not None else ""),
        f"pairs: {train} to search on + {material.evaluation.size} held out ({toward})",
    ]
    if dropped.total:
        lines.append(f"dropped, as their words are out of vocabulary: {dropped.total} pairs")
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

        def observe(done: int, info: search.SearchInfo | exchange.ExchangeInfo) -> None:
            flipped = f"{100 * np.mean(info.accuracy):.0f}%"
            if isinstance(info, search.SearchInfo):
                advance_to(done, flipped=flipped, units=f"{np.mean(info.expected_l0):.0f}")
            else:
                exchanged = f"{np.mean(info.exchanges):.1f}"
                advance_to(
                    config.steps + done * STEPS_A_ROUND, flipped=flipped, exchanged=exchanged
                )

        yield observe


def _save_interventions(
    folder: Path, task: Task, material: Material, result: Ensemble, summary: dict, settings: dict
) -> None:
    """One file a run, to be applied elsewhere."""
    for one, run in zip(_separate(result.interventions), summary["runs"], strict=True):
        metrics = {
            name: run[name] for name in ("accuracy", "accuracy_by_direction", "n_units", "kl")
        }
        save_intervention(
            folder / "interventions" / f"seed_{run['seed']}.json",
            one,
            material.model,
            task.name,
            task.directions,
            settings,
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
    first = _separate(result.interventions)[0]
    if units(first.mask):
        reading = activations.read(material, options, task.directions, first)
        shown = activations.shown_units(reading, first, summary["prevalence"])
        row = activations.example(reading, lambda group: group == PHENOMENA[task.name].shown)
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
