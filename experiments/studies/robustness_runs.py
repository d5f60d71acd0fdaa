"""What the study of robustness does with one model; what is finished isn't done again.

OUT/models/NAME/ or OUT/snapshots/NAME/ holds result.json, greedy.json and alpha.json of a model,
and the run folders of its searches, one for each number of units tried.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.shared import records, report_search
from experiments.shared.console import console
from experiments.shared.setup import Material, OptionError, Options, data_name, prepare, read_model
from experiments.studies import needed_units
from experiments.studies.needed_units import GreedyCurve, Searches
from experiments.training import text_files
from jaxmask.files.run_folder import plain
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.lstm import training
from jaxmask.runs.programs import Programs
from jaxmask.text import corpus
from jaxmask.text.examples import Task
from jaxmask.text.vocabulary import END_OF_SENTENCE


class Goal(NamedTuple):
    """What the searches are to reach.

    Attributes:
        percent: of the decisions are to flip.
        alpha: to search at; None for the smallest that reaches it.
        valid: text to measure perplexities on; None for what the models' training measured.
    """

    percent: float
    alpha: float | None
    valid: Path | None


class Named(NamedTuple):
    """A model that was asked for, without its weights."""

    source: str
    name: str
    fingerprint: str


def identify(sources: Sequence[str], options: Options) -> list[Named]:
    """Which models were asked for.

    Raises:
        OptionError: two have one name, which is that of their results' folder, or are one model.
        ModelError: one can't be read.
    """
    found: list[Named] = []
    for source in sources:
        model = read_model(dataclasses.replace(options, model=source))
        for other in found:
            if model.fingerprint == other.fingerprint:
                raise OptionError(f"--models: {other.source} and {source} are the same model")
            if model.name == other.name:
                raise OptionError(
                    f"--models: expected models of different names, found {model.name!r} twice, "
                    f"{other.source} and {source}"
                )
        found.append(Named(source, model.name, model.fingerprint))
    return found


def of_model(
    one: Named, task: Task, options: Options, goal: Goal, folder: Path, programs: Programs
) -> dict[str, Any]:
    """All that is reported of a model: an entry of the summary's "models" or "snapshots".

    Args:
        one: the model.
        task: what to search for.
        options: of the searches, but for the model, alpha and folder.
        goal: what to reach.
        folder: for its own folder.
        programs: shared by models of one size.
    """
    place = folder / one.name
    settings = _settings(one, task, options, goal)
    if (there := records.read(place / "result.json", settings)) is not None:
        return there
    console().rule(one.name, align="left", style="default")
    options = dataclasses.replace(options, model=one.source, out=place)
    model = read_model(options)
    of_text = perplexity(one, model, goal.valid, place)
    material = prepare(options, task, model, both_directions=True)
    wanted = needed_units.wanted_on_training(goal.percent)
    greedy = needed_units.greedy_curve(place / "greedy.json", options, material, wanted, programs)
    found = _search(task.name, options, goal, material, wanted, greedy, programs)
    result = {
        **model.description(),
        "perplexity": of_text,
        "model_accuracy": material.model_accuracy,
        "agreement": agreement(material),
        **_of_searches(found),
        "greedy": _of_greedy(greedy, wanted),
    }
    result = plain(result, "result")
    records.write(place / "result.json", settings, result)
    return result


def _settings(one: Named, task: Task, options: Options, goal: Goal) -> dict[str, Any]:
    chosen = dataclasses.asdict(options)
    for name in ("model", "vocab", "out", "alpha", "beta", "data"):
        del chosen[name]
    return {
        **chosen,
        "task": task.name,
        "fingerprint": one.fingerprint,
        "data": data_name(options.data),
        "accuracy": goal.percent,
        "alpha": goal.alpha,
        "valid": None if goal.valid is None else text_files.digest(goal.valid),
    }


def _search(
    task: str,
    options: Options,
    goal: Goal,
    material: Material,
    wanted: float,
    greedy: GreedyCurve,
    programs: Programs,
) -> Searches:
    if goal.alpha is not None:
        chosen = dataclasses.replace(options, alpha=goal.alpha, out=options.out / "searches")
        summary = report_search.run(task, chosen, material=material, programs=programs, reuse=True)
        reached = needed_units.train_accuracy(summary) >= 100.0 * wanted
        return Searches(summary, chosen, reached)
    expected = greedy.needed(wanted) or len(greedy.units)
    units = needed_units.sparsest_units(
        options.out / "alpha.json", options, material, wanted, expected, programs
    )
    return needed_units.search_until(task, options, material, wanted, units, programs)


def _of_searches(found: Searches) -> dict[str, Any]:
    summary = found.summary
    return {
        "alpha": found.options.alpha,
        "reached": found.reached,
        "train_accuracy": needed_units.train_accuracy(summary),
        **{name: summary[name] for name in ("accuracy", "n_units", "kl", "runs", "prevalence")},
        "examples": summary["examples"],
    }


def _of_greedy(curve: GreedyCurve, wanted: float) -> dict[str, Any]:
    """How many units greedy selection needs, and what these do to held-out examples."""
    needed = curve.needed(wanted)
    count = needed or len(curve.units)
    return {
        "n_units": needed,
        "tried": len(curve.units),
        "accuracy": 100.0 * curve.held_out[count - 1],
        "train_accuracy": 100.0 * curve.accuracy[count - 1],
        "units": sorted(curve.units[:count]),
    }


def agreement(material: Material) -> dict[str, float]:
    """In percent by group, how often the untouched model prefers the right form, where one is."""
    examples = material.encoded.examples
    right = examples.correct == 1 - examples.direction  # it turns away from what it prefers
    known = examples.correct >= 0
    return {
        name: 100.0 * float(np.mean(right[here]))
        for number, name in enumerate(material.encoded.groups)
        if (here := known & (examples.group == number)).any()
    }


def perplexity(one: Named, model: LanguageModel, valid: Path | None, place: Path) -> float | None:
    """On a text; without one, what the model's training measured, if it is known.

    Raises:
        OptionError: the text can't be read, or holds no words.
    """
    if valid is None:
        return trained_perplexity(Path(one.source))
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"valid-{text_files.digest(valid)}.tokens"
    tokens = text_files.encode([valid], model.vocabulary, file)
    end = model.vocabulary.index[END_OF_SENTENCE]
    words = corpus.read(tokens)
    return training.perplexity(model.params, model.config, words, end)


def trained_perplexity(folder: Path) -> float | None:
    """What `experiments.train_language_model` measured of the model that it wrote to a folder.

    None where that isn't known: elsewhere, or after SGD, whose best weights aren't the last ones.
    """
    folder, update = folder.absolute(), None
    if folder.parent.name == "snapshots" and folder.name.isdigit():
        folder, update = folder.parent.parent, int(folder.name)
    of_several = re.fullmatch(r"seed_(\d+)", folder.name)
    if (folder / "training").is_dir():
        training, seed = folder / "training", None
    elif of_several and (folder.parent / "training").is_dir():
        training, seed = folder.parent / "training", int(of_several[1])
    else:
        return None
    lines = [
        json.loads(line)
        for file in training.glob("seeds_*/metrics.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    lines = [line for line in lines if seed is None or line["seed"] == seed]
    if update is not None:
        lines = [line for line in lines if line["update"] == update]
    elif lines and "learning_rate_scale" in lines[-1]:
        return None
    return lines[-1]["perplexity"] if lines else None
