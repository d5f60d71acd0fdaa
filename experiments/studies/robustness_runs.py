"""What the study of robustness does with one model; what is finished isn't done again.

OUT/models/NAME/ or OUT/snapshots/NAME/ holds result.json, greedy.json and alpha.json of a model,
and the run folders of its searches, one for each number of units tried.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.shared import records
from experiments.shared.console import console
from experiments.shared.option_types import OptionError
from experiments.studies import needed_units
from experiments.studies.needed_units import GreedyCurve, Searches
from experiments.studies.searches import Resources, train_accuracy
from experiments.training import text_files
from jaxmask import search
from jaxmask.files.run_folder import plain
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.lstm import training
from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.text import corpus
from jaxmask.text.examples import Task
from jaxmask.text.vocabulary import END_OF_SENTENCE


class Goal(NamedTuple):
    """What the searches on each model are to reach.

    Attributes:
        plan: of the searches, apart from alpha if that is looked for.
        percent: percentage of the decisions to flip.
        sparsest: look for the smallest alpha that reaches it; else the plan's alpha is used.
        valid: text to measure perplexities on; None for what the models' training measured.
    """

    plan: Plan
    percent: float
    sparsest: bool
    valid: Path | None


class Named(NamedTuple):
    """A model that was asked for, without its weights."""

    source: str
    name: str
    fingerprint: str


def identify(sources: Sequence[str], load_model: Callable[[str], LanguageModel]) -> list[Named]:
    """Which models were asked for.

    Raises:
        OptionError: two have one name, which is that of their results' folder, or are one model.
        ModelError: one can't be read.
    """
    found: list[Named] = []
    for source in sources:
        model = load_model(source)
        for other in found:
            if model.fingerprint == other.fingerprint:
                raise OptionError(f"--models: {other.source} and {source} are the same model")
            if model.name == other.name:
                raise OptionError(
                    f"--models: expected models of different names, found {model.name!r} twice, "
                    f"{other.source} and {source}; config.json of a model folder has the name"
                )
        found.append(Named(source, model.name, model.fingerprint))
    return found


class Study(NamedTuple):
    """What is done with each of the models.

    Attributes:
        task: what is searched for.
        goal: what the searches are to reach.
        load_model: reads a model by its source.
        resources: what the searches share, on models of one size.
    """

    task: Task
    goal: Goal
    load_model: Callable[[str], LanguageModel]
    resources: Resources

    def settings(self) -> dict[str, Any]:
        """What decides the results of each model, in JSON's types."""
        plan, split = self.goal.plan, self.goal.plan.design.split
        return {
            "task": self.task.name,
            "data": plan.design.data,
            **plan.design.kind.settings(),
            "context": plan.design.context,
            "evaluation": split.fixed(self.task.name),  # else a fifth of what each model knows
            **({"development": split.development} if split.development != 0 else {}),
            "split": split.by,
            "split_seed": split.seed,
            "seeds": plan.seeds,
            "search": search.settings(plan.config),
            "accuracy": self.goal.percent,
            "sparsest": self.goal.sparsest,
            "valid": None if self.goal.valid is None else text_files.digest(self.goal.valid),
        }


def results(one: Named, study: Study, folder: Path) -> dict[str, Any]:
    """All that is reported of a model: an entry of the summary's "models" or "snapshots".

    Args:
        one: the model.
        study: what to do with it.
        folder: for the folder of the model.
    """
    place, goal = folder / one.name, study.goal
    settings = study.settings() | {"fingerprint": one.fingerprint}
    if (there := records.read(place / "result.json", settings)) is not None:
        return there
    console().rule(one.name, align="left", style="default")
    model = study.load_model(one.source)
    of_text = perplexity(one, model, goal.valid, place)
    prepared = prepare(model, study.task, goal.plan.design, both_directions=True)
    wanted = needed_units.wanted_on_training(goal.percent)
    greedy = needed_units.greedy_curve(
        place / "greedy.json", prepared, wanted, study.resources.programs
    )
    found = _search(place, prepared, goal, greedy, study.resources)
    result = {
        **model.description(),
        "perplexity": of_text,
        "model_accuracy": prepared.model_accuracy,
        "agreement": agreement(prepared),
        **_of_searches(found),
        "greedy": _of_greedy(greedy, wanted),
    }
    result = plain(result, "result")
    records.write(place / "result.json", settings, result)
    return result


def _search(
    place: Path, prepared: Prepared, goal: Goal, greedy: GreedyCurve, resources: Resources
) -> Searches:
    wanted = needed_units.wanted_on_training(goal.percent)
    if not goal.sparsest:
        return needed_units.search_at(place / "searches", prepared, goal.plan, wanted, resources)
    near = needed_units.Goal(wanted, greedy.needed(wanted) or len(greedy.units))
    units = needed_units.sparsest_units(place / "alpha.json", prepared, goal.plan, near, resources)
    near = near._replace(expected=units)
    return needed_units.search_until(place, prepared, goal.plan, near, resources)


def _of_searches(found: Searches) -> dict[str, Any]:
    summary = found.summary
    return {
        "alpha": found.plan.config.alpha,
        "reached": found.reached,
        "train_accuracy": train_accuracy(summary),
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


def agreement(prepared: Prepared) -> dict[str, float]:
    """How often the untouched model prefers the right form, in percent by group that has one."""
    examples = prepared.encoded.examples
    right = examples.correct == 1 - examples.direction  # it turns away from what it prefers
    known = examples.correct >= 0
    return {
        name: 100.0 * float(np.mean(right[here]))
        for number, name in enumerate(prepared.encoded.groups)
        if (here := known & (examples.group == number)).any()
    }


def perplexity(one: Named, model: LanguageModel, valid: Path | None, place: Path) -> float | None:
    """The perplexity on a text; without a text, the one that training measured, if it is known.

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
