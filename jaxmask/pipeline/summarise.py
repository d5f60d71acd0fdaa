"""What is kept of an experiment: the content of ``summary.json`` and ``metrics.jsonl``."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int

import jaxmask
from jaxmask import report, search
from jaxmask.intervention import Intervention, units
from jaxmask.pipeline.measure import Results
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble
from jaxmask.search import Convergence, History, SearchConfig, SearchInfo
from jaxmask.search.exchange import ExchangeInfo


def summarise(
    results: Results, prepared: Prepared, plan: Plan, seconds: dict[str, float]
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        results: what was measured.
        prepared: model and examples.
        plan: of the searches.
        seconds: wall time, ``total`` and ``compile``.

    Example:
        >>> import jaxmask
        >>> from jaxmask.tasks import gender_bias
        >>> model = jaxmask.load_model(jaxmask.BUNDLED_MODEL)
        >>> task = gender_bias.generate()
        >>> task = task._replace(stimuli=task.stimuli[:20])
        >>> prepared = jaxmask.prepare(model, task, jaxmask.Design(split=jaxmask.Split(5)))
        >>> config = jaxmask.SearchConfig(steps=2, exchange_rounds=0, kl=jaxmask.NoKL())
        >>> plan = jaxmask.Plan(config, seeds=2)
        >>> found = jaxmask.search_all(prepared, plan)
        >>> results = jaxmask.measure(found, prepared, plan)
        >>> summary = jaxmask.summarise(results, prepared, plan, {"total": 9.0, "compile": 8.0})
        >>> summary["examples"]["train"], len(summary["runs"]), summary["intervention"]
        (12, 2, 'single')
    """
    task, site = prepared.task, prepared.site
    config = plan.config
    results = jax.device_get(results)
    runs = [
        {**_found(one, prepared, number), **_measured(results, prepared, config, number)}
        for number, one in enumerate(separate(results.interventions))
    ]
    return {
        "task": task.name,
        "method": plan.method,
        **plan.design.kind.settings(),
        "surrogate": config.surrogate,
        "kl_weight": config.kl_weight,
        "kl_at_most": config.kl_at_most,
        "kl_positions": config.kl_positions,
        "alpha": config.alpha,
        "beta": config.most_fractional,
        "shared_mask": config.shared_mask,
        "context": plan.design.context,
        **model_of(prepared),
        "examples": examples_of(prepared),
        "runs": runs,
        **{
            name: report.mean_std([run[name] for run in runs if run[name] is not None])
            for name in ("accuracy", "n_units", "kl", "kl_elsewhere")
        },
        "prevalence": report.prevalence(runs, site, task.directions),
        "seconds": seconds,
        **environment(),
    }


def model_of(prepared: Prepared) -> dict[str, Any]:
    """What a summary says of its model; ``hidden``: number of units of a layer at the site."""
    site = prepared.site
    return {
        "model": {**prepared.model.description(), "hidden": site.width},
        "site_units": site.units,
    }


def examples_of(prepared: Prepared) -> dict[str, Any]:
    """What a summary says of its examples."""
    return {
        "train": prepared.train.size,
        "evaluation": prepared.evaluation.size,
        "dropped": prepared.encoded.dropped.total,
        "unknown": prepared.encoded.unknown,
        "left_out": dict(prepared.task.left_out),
        "model_accuracy": prepared.model_accuracy,
        "split": prepared.design.split.by,
        "development": prepared.design.split.development != 0,
        "toward": {
            name: {part: prepared.examples_toward(number, part) for part in ("train", "evaluation")}
            for number, name in enumerate(prepared.task.directions)
        },
    }


def environment() -> dict[str, Any]:
    """What a summary says of software and device."""
    return {
        "versions": {"jaxmask": jaxmask.__version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
        "precision": jax.config.values["jax_default_matmul_precision"] or "default",
    }


def _found(one: Intervention, prepared: Prepared, number: int) -> dict[str, Any]:
    """What a run found."""
    return {
        "seed": number,
        "n_units": len(units(one.mask)),
        "units": units(one.mask),
        "values": {
            name: {
                str(unit): float(one.baseline[direction, unit - 1])
                for unit in units(one.mask[direction : direction + 1])
            }
            for direction, name in enumerate(prepared.task.directions)
        },
    }


@jax.jit
def _end(
    one: Intervention, history: History, config: SearchConfig
) -> tuple[Int[Array, ""], Int[Array, ""], Convergence]:
    """Number of steps, the one that stopped the run, and which conditions it has met."""
    return (
        search.steps_taken(history, config),
        search.stopped_at(history, config),
        search.convergence(one, history, config),
    )


def _measured(
    results: Results, prepared: Prepared, config: SearchConfig, number: int
) -> dict[str, Any]:
    """What was measured of a run."""
    run: Results = jax.tree.map(lambda x: x[number] if np.ndim(x) else x, results)
    history = run.search.history
    directions = prepared.task.directions
    steps, stopped_at, met = _end(run.search.interventions, history, config)
    stopped = int(stopped_at)
    unmet = [name for name, holds in met._asdict().items() if not holds]
    elsewhere = float(run.evaluations.kl_elsewhere)
    return {
        "accuracy": report.percent(run.evaluations.accuracy),
        "train_accuracy": report.percent(run.train_accuracy),
        "accuracy_by_direction": {
            name: report.percent(run.evaluations.accuracy_by_direction[direction])
            for direction, name in enumerate(directions)
        },
        "expected_l0": float(history.steps.expected_l0[-1]),
        "fractional_gates": float(history.steps.fractional_gates[-1]),
        "kl": float(run.evaluations.kl),
        "kl_elsewhere": None if np.isnan(elsewhere) else elsewhere,
        "text_kl": {
            where: {
                name: float(kl[direction])
                for direction, name in enumerate(directions)
                if prepared.examples_toward(direction, "train")
            }
            for where, kl in run.text_kl.items()
        },
        "relaxed": {
            "sampled_accuracy": report.percent(run.relaxations.sampled_accuracy),
            "hard_accuracy": report.percent(run.relaxations.hard_accuracy),
            "hard_units": float(run.relaxations.hard_units),
        },
        "steps": int(steps),
        "stopped_at": stopped or None,
        "seconds": run.search.seconds,
        "converged": not unmet,
        "not_converged": unmet,
    }


def observations(found: Ensemble) -> list[dict[str, Any]]:
    """The content of ``metrics.jsonl``: what the last step of each chunk observed, a line a run.

    A run that has stopped has no lines from then on.
    """
    history = found.history
    phases: dict[str, tuple[SearchInfo | ExchangeInfo | None, int]] = {
        "relaxation": (history.steps, ensemble.CHUNKS[search.step]),
        "exchange": (history.rounds, 1),
    }
    lines = []
    for phase, (info, every) in phases.items():
        if info is None:
            continue
        for number in range(every - 1, info.loss.shape[1], every):
            for seed in np.flatnonzero(info.finite[:, number]).tolist():
                values = {name: float(x[seed, number]) for name, x in info._asdict().items()}
                del values["finite"]
                lines.append({"phase": phase, "step": number + 1, "seed": seed, **values})
    return lines


def separate(interventions: Intervention) -> list[Intervention]:
    """One intervention a run, as numpy arrays, of a stack of interventions.

    Example:
        >>> stack = Intervention(np.zeros((3, 2, 4)), np.zeros((3, 2, 4)))
        >>> len(separate(stack)), separate(stack)[0].mask.shape
        (3, (2, 4))
    """
    stacked = jax.tree.map(np.asarray, interventions)
    return [jax.tree.map(lambda x, run=run: x[run], stacked) for run in range(len(stacked.mask))]
