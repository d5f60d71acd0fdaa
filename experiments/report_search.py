"""One experiment: search for interventions on a task, report and save what was found."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxmask
from experiments.console import console, print_table, progress
from experiments.setup import Material, Options, check, prepare, search_config, where
from jaxmask import ensemble, exchange, figures, lstm, report, search
from jaxmask.ensemble import Ensemble
from jaxmask.evaluate import Evaluation
from jaxmask.examples import Task
from jaxmask.intervention import Intervention, units
from jaxmask.intervention_file import save_intervention
from jaxmask.run_folder import check_run_folder, write_run

PANELS = 4  # units in the activation figure
CANDIDATES = 50  # sentences tried for that figure
STEPS_A_ROUND = 25  # a round of exchange takes about as long


def run(task: Task, options: Options, suits: Callable[[str], bool] = lambda group: True) -> dict:
    """Searches, reports on the screen, and writes the run folder; returns its summary.

    Args:
        task: what to search for.
        options: of the script.
        suits: does a group (construction, template) make a good example for a figure?
    """
    check(options)
    started = time.perf_counter()
    config = search_config(options)
    material = prepare(options, task)
    folder = (
        options.out or Path("results") / f"{task.name}-{material.model.name}-{options.intervention}"
    )
    settings = _settings(task, options, material)
    check_run_folder(folder, settings)
    _introduce(task, options, material)

    keys = jax.random.split(jax.random.key(0), options.seeds)
    with _observed(config) as observe:
        result = ensemble.run(keys, material.train_objective, config, observe)
    evaluations = ensemble.evaluations(result.interventions, material.evaluation_objective)
    seconds = {"total": time.perf_counter() - started, "compile": result.compile_seconds}
    summary = summarise(task, options, material, result, evaluations, seconds)
    metrics = observations(result)

    write_run(folder, settings, summary, metrics)
    _save_interventions(folder, task, material, result, summary, settings)
    _draw(folder, task, options, material, result, summary, suits)
    print_table(report.shorten(report.unit_table(summary)))
    print_table(report.summary_row(summary))
    console().print(f"{seconds['total']:.0f} s in all; written to {folder}", soft_wrap=True)
    return summary


def summarise(
    task: Task,
    options: Options,
    material: Material,
    result: Ensemble,
    evaluations: Evaluation,
    seconds: dict[str, float],
) -> dict:
    """The content of ``summary.json``."""
    config = search_config(options)
    model = material.model
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
    return {
        "task": task.name,
        **chosen,
        "model": material.model.name,
        "fingerprint": material.model.fingerprint,
        "data": "generated" if options.data is None else options.data.name,
        "search": dataclasses.asdict(search_config(options)),
    }


def _separate(interventions: Intervention) -> list[Intervention]:
    """One intervention a run, as numpy arrays."""
    return [Intervention(np.asarray(m), np.asarray(b)) for m, b in zip(*interventions, strict=True)]


def _introduce(task: Task, options: Options, material: Material) -> None:
    """Says what is searched, in three lines."""
    model, dropped = material.model, material.encoded.dropped
    sizes = model.config
    budget = int(search.budget(sizes.units, search_config(options)))
    right = material.model_accuracy
    lines = (
        f"{task.name}, {options.intervention}-step: {options.seeds} seeds, alpha "
        f"{options.alpha:g} (at most {budget} of {sizes.units} units)",
        f"model: {model.name}, {sizes.layers} x {sizes.hidden}, {sizes.vocabulary} words"
        + (f", right on {right:.1f}% of the pairs" if right is not None else ""),
        f"pairs: {material.train.size} to search on, {material.evaluation.size} held out"
        + (f", {dropped.total} dropped (out of vocabulary)" if dropped.total else ""),
    )
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
    suits: Callable[[str], bool],
) -> None:
    """The activations of an example, and how the search went."""
    first = _separate(result.interventions)[0]
    figure = activation_figure(task, options, material, first, summary, suits)
    if figure is not None:
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


def activation_figure(
    task: Task,
    options: Options,
    material: Material,
    intervention: Intervention,
    summary: dict,
    suits: Callable[[str], bool],
) -> Figure | None:
    """Activations of the most prevalent units over a held-out sentence whose decision flips.

    None if no unit was found or no suitable decision flips.
    """
    found = set(units(intervention.mask))
    shown = [row["unit"] for row in summary["prevalence"] if row["unit"] in found][:PANELS]
    part, params = material.evaluation, material.model.params
    decoder = np.asarray(lstm.decoder_weight(params))
    bias = np.asarray(params["decoder"]["bias"])
    acts = where(options, part)
    read = jax.jit(lstm.unroll)
    suitable = [row for row in range(part.size) if suits(material.encoded.groups[part.group[row]])]
    for row in suitable[:CANDIDATES] if shown else ():
        length, direction = int(part.length[row]), int(part.direction[row])
        at = acts[row, :length]
        toward = intervention.toward(direction)
        gates = lstm.input_gates(params, lstm.embed(params, part.tokens[row, :length]))
        original, _ = read(params, material.context, gates)
        altered, _ = read(params, material.context, gates, toward, jnp.asarray(at))
        turned, preferred = part.pair[row, direction], part.pair[row, 1 - direction]
        top = np.asarray(lstm.top_layer(params, altered))[-1]
        log_ratio = top @ (decoder[preferred] - decoder[turned]) + bias[preferred] - bias[turned]
        if log_ratio < 0:
            words = material.model.vocabulary.words
            return figures.activations(
                [words[token] for token in part.tokens[row, :length]],
                np.asarray(original),
                np.asarray(altered),
                shown,
                at,
                material.model.config.hidden,
                f"\u201c{words[preferred]}\u201d becomes \u201c{words[turned]}\u201d "
                f"({options.intervention}-step, to {task.directions[direction]})",
            )
    return None
