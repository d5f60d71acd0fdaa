"""What a run measured, and what its files say of it."""

import dataclasses
import lzma
from typing import NamedTuple

import jax
import numpy as np

import jaxmask
from experiments.shared.setup import (
    Material,
    OptionError,
    Options,
    data_name,
    held_out,
    search_config,
)
from experiments.shared.text import draw_sentences
from jaxmask import report, search
from jaxmask.evaluate import Evaluation
from jaxmask.intervention import Intervention, every_step, units
from jaxmask.models.language_model import LanguageModel
from jaxmask.runs import ensemble, sparsest
from jaxmask.runs.ensemble import Ensemble
from jaxmask.search import Relaxation, SearchConfig
from jaxmask.text import ordinary_text
from jaxmask.text.examples import Task
from jaxmask.text.ordinary_text import Text
from jaxmask.text.vocabulary import Vocabulary


class Results(NamedTuple):
    """All that was measured, each stacked over runs."""

    search: Ensemble
    evaluations: Evaluation
    relaxations: Relaxation
    text_kl: dict[str, np.ndarray] | None  # at every word and at random words; runs x directions


def read_text(options: Options, vocabulary: Vocabulary) -> Text | None:
    """The ordinary text that ``--text`` names, if it does.

    Raises:
        OptionError: it can't be read, or holds no sentences to draw.
    """
    if options.text is None:
        return None
    try:
        words = draw_sentences(options.text, options.text_sentences, options.split_seed)
        return ordinary_text.encode(words, vocabulary)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as fault:
        raise OptionError(f"--text: {options.text}: expected sentences ({fault})") from fault


def measure(
    result: Ensemble,
    options: Options,
    material: Material,
    text: Text | None,
    config: SearchConfig | None = None,
) -> Results:
    """Everything that held-out examples and ordinary text say of what was found.

    Args:
        result: of the searches.
        options: of the script.
        material: that was searched.
        text: see `read_text`.
        config: of the searches, if it differs from run to run; else as the options say.
    """
    result = result._replace(interventions=_where_learned(result.interventions, material))
    config = search_config(options) if config is None else config
    return Results(
        result,
        ensemble.evaluations(result.interventions, material.evaluation_objective),
        ensemble.relaxations(result.relaxed, material.evaluation_objective, config),
        None if text is None else _text_kl(text, options, material, result.interventions),
    )


def summarise(
    task: Task, options: Options, material: Material, results: Results, seconds: dict[str, float]
) -> dict:
    """The content of ``summary.json``."""
    config = search_config(options)
    model, result, evaluations = material.model, results.search, results.evaluations
    converged = np.asarray(
        jax.vmap(lambda i, h: search.converged(i, h, config))(result.interventions, result.history)
    )
    train_accuracy = _train_accuracy(result, material)
    stopped = np.asarray(jax.vmap(lambda h: search.stopped_at(h, config))(result.history))
    taken = np.asarray(jax.vmap(lambda h: search.steps_taken(h, config))(result.history))
    runs = [
        {
            "seed": seed,
            "accuracy": report.percent(evaluations.accuracy[seed]),
            "train_accuracy": report.percent(train_accuracy[seed]),
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
            "steps": int(taken[seed]),
            "stopped_at": int(stopped[seed]) or None,
            "seconds": result.seconds,
            "converged": bool(converged[seed]),
        }
        for seed, one in enumerate(separate(result.interventions))
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
        "model": model.description(),
        "examples": {
            "train": material.train.size,
            "evaluation": material.evaluation.size,
            "dropped": material.encoded.dropped.total,
            "unknown": material.encoded.unknown,
            "left_out": dict(task.left_out),
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
        "prevalence": report.prevalence(runs, model.sites[material.kind.site], task.directions),
        "seconds": seconds,
        "versions": {"jaxmask": jaxmask.__version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
    }


def observations(result: Ensemble) -> list[dict]:
    """The content of ``metrics.jsonl``: what each chunk's last step saw, a line a run.

    Runs that have stopped see nothing any more.
    """
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
            for seed in np.flatnonzero(info.finite[:, number]).tolist():
                values = {name: float(x[seed, number]) for name, x in info._asdict().items()}
                del values["finite"]
                lines.append({"phase": phase, "step": number + 1, "seed": seed, **values})
    return lines


def settings(task: Task, options: Options, model: LanguageModel) -> dict:
    """Everything that decides the results, and nothing else."""
    chosen = dataclasses.asdict(options)
    del chosen["out"], chosen["vocab"], chosen["checkpoint_minutes"]
    if options.text is None:
        del chosen["text_sentences"]
    return {
        "task": task.name,
        **chosen,
        "model": model.name,
        "fingerprint": model.fingerprint,
        "evaluation": held_out(options, task),
        "data": data_name(options.data),
        "text": None if options.text is None else options.text.name,
        "search": search.settings(search_config(options)),
    }


def separate(interventions: Intervention) -> list[Intervention]:
    """One intervention a run, as numpy arrays."""
    return [Intervention(np.asarray(m), np.asarray(b)) for m, b in zip(*interventions, strict=True)]


def _where_learned(interventions: Intervention, material: Material) -> Intervention:
    """Without what it would do toward a direction that had no examples to learn from."""
    ways = interventions.mask.shape[1]
    learned = [material.examples_toward(number, "train") > 0 for number in range(ways)]
    return interventions._replace(mask=interventions.mask * np.array(learned)[None, :, None])


def _train_accuracy(result: Ensemble, material: Material) -> np.ndarray:
    """The fraction of training decisions flipped by each run; the last round has computed it."""
    rounds = result.history.rounds
    if rounds is not None:
        return rounds.accuracy[:, -1]
    return np.asarray(sparsest.accuracies(result.interventions, material.train_objective))


def _text_kl(
    text: Text, options: Options, material: Material, interventions: Intervention
) -> dict[str, np.ndarray]:
    """The KL on ordinary text of each run, toward each direction."""
    places = {
        "every": every_step(text.length),
        "random": ordinary_text.random_step(np.random.default_rng(options.split_seed), text.length),
    }
    return {
        place: material.model.text_kl(interventions, text, material.kind, where, material.context)
        for place, where in places.items()
    }
