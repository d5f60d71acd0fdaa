"""All searches of the paper's Table 4, on one or several models; what is finished isn't run again.

OUT/MODEL/SETTING holds the run of a setting, OUT/MODEL/greedy/ how many units greedy selection
needs, and SETTING/alpha.json the smallest alpha that was found.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import records, report_search
from experiments.console import console
from experiments.setup import (
    Material,
    OptionError,
    Options,
    load_task,
    prepare,
    read_model,
    search_config,
)
from jaxmask import paper, paper_tables, sparsest
from jaxmask.baselines import candidates, greedy
from jaxmask.ensemble import Programs
from jaxmask.protocol import Objective
from jaxmask.report import Setting
from jaxmask.run_folder import read_summary
from jaxmask.store import LanguageModel

MARGIN = 0.005  # above the paper's accuracy, on training examples, as held-out ones come out lower
MOST = 0.15  # of the units are tried
GREEDY = greedy.GreedyConfig(screened=16, rows=256)
JUDGED = 2048  # training examples on which its accuracy is measured
GREEDY_MOST = (8, 80)  # additions; the next is tried where one isn't enough


@dataclasses.dataclass(frozen=True)
class PaperOptions:
    """Options of the scripts that run all of Table 4."""

    model: tuple[str, ...] = ("demo",)
    """One or more of: a model folder, a PyTorch .pt file (with --vocab), `demo`."""
    vocab: Path | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: Path | None = None
    """Folder with the original files in number_agreement/ and gender_bias/; if not given, the tasks
    are generated."""
    alpha: float | None = None
    """Largest fraction of the units to intervene on; if not given, for each setting the smallest
    that reaches the paper's accuracy on the training examples."""
    kl_weight: float = 4.0
    """Weight of the KL in the regularised settings."""
    context: str = "eos"
    """What the model reads before each sentence: eos, none or primer."""
    seeds: int = 10
    """Searches a setting."""
    steps: int | None = None
    """Gradient steps of a search; the method's own number if not given."""
    rounds: int | None = None
    """Rounds of exchange; the method's own number if not given."""
    text: Path | None = None
    """Ordinary text, a sentence a line, plain or .xz, on which the KL is measured too."""
    out: Path = Path("results/paper")
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
        vocab=options.vocab,
        context=options.context,
        seeds=options.seeds,
        steps=options.steps,
        rounds=options.rounds,
        text=options.text,
    )


def run_all(options: PaperOptions, name: str) -> tuple[LanguageModel, list[PaperRun]]:
    """Runs the settings of Table 4 on a model, but for those that are finished."""
    if not 0.0 < options.kl_weight < np.inf:
        raise OptionError(f"--kl-weight: expected above 0, found {options.kl_weight}")
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
        fresh = read_summary(_folder(options, model, setting)) is None
        before = time.perf_counter()
        runs.append(_run(options, common, model, setting))
        if fresh:
            spent.append(time.perf_counter() - before)
    return model, runs


def _run(
    options: PaperOptions, common: Options, model: LanguageModel, setting: Setting
) -> PaperRun:
    task, intervention, regularised = setting
    root, folder = options.out / model.name, _folder(options, model, setting)
    chosen = dataclasses.replace(
        common,
        data=None if options.data is None else options.data / task,
        intervention=intervention,
        kl_weight=options.kl_weight if regularised else 0.0,
        out=folder,
    )
    programs, needed = Programs(), None
    if options.alpha is None:
        material = prepare(chosen, load_task(task, chosen.data), model)
        curve = _greedy_curve(
            root / "greedy" / f"{task}-{intervention}.json", task, chosen, material
        )
        wanted = _wanted(setting)
        needed = _reached(curve, wanted)
        alpha = _smallest_alpha(
            folder / "alpha.json", chosen, material, wanted, needed or len(curve), programs
        )
    else:
        alpha = options.alpha
    chosen = dataclasses.replace(chosen, alpha=alpha)
    summary = report_search.run(task, chosen, model=model, programs=programs, reuse=True)
    return PaperRun(setting, summary, needed, chosen)


def _folder(options: PaperOptions, model: LanguageModel, setting: Setting) -> Path:
    task, intervention, regularised = setting
    return options.out / model.name / f"{task}-{intervention}{'-kl' * regularised}"


def _wanted(setting: Setting) -> float:
    """Training accuracy to reach: the paper's and a little more, but never all of it."""
    return min(0.999, paper.RESULTS[setting].accuracy[0] / 100 + MARGIN)


def _greedy_curve(file: Path, task: str, options: Options, material: Material) -> list[float]:
    """Accuracy of greedy selection's first 1, 2, ... units, on `JUDGED` training examples.

    These aren't the ones it was selected on: it would look better there than it is.
    """
    greedy_settings = dataclasses.asdict(GREEDY) | {"judged": JUDGED}
    settings = {**_identity(options, material), "search": greedy_settings}
    if (there := records.read(file, settings)) is not None:
        return there["accuracy"]
    objective = material.train_objective

    wanted = max(
        _wanted(setting) for setting in paper.RESULTS if setting[:2] == (task, options.intervention)
    )
    for most in GREEDY_MOST:
        console().print(f"greedy selection of {most} units, to compare with")
        config = GREEDY.replace(most=min(most, objective.n_units))
        _, additions = jax.jit(greedy.run)(jax.random.key(0), objective, config)
        curve = np.asarray(_judge(jax.random.key(1), additions, objective)).tolist()
        if _reached(curve, wanted) is not None:
            break
    records.write(file, settings, {"accuracy": curve, "units": (additions.unit + 1).tolist()})
    return curve


@jax.jit
def _judge(key: jax.Array, additions: greedy.Additions, objective: Objective) -> jax.Array:
    batch = objective.sample(key, JUDGED)

    def accuracy(count: jax.Array) -> jax.Array:
        intervention = greedy.first(additions, count, objective.n_units)
        return candidates.respond(intervention, objective, batch).flipped.sum()

    return jax.lax.map(accuracy, 1 + jnp.arange(len(additions.unit)))


def _smallest_alpha(
    file: Path,
    options: Options,
    material: Material,
    wanted: float,
    expected: int,
    programs: Programs,
) -> float:
    settings = _identity(options, material) | {"wanted": wanted, "kl_weight": options.kl_weight}
    if (there := records.read(file, settings)) is not None:
        return there["alpha"]
    objective, config = material.train_objective, search_config(options)
    config = config.replace(
        steps=max(1, config.steps // 2), exchange_rounds=max(1, config.exchange_rounds // 2)
    )
    console().print(f"looking for the smallest alpha that flips {100 * wanted:.1f}%")

    found = sparsest.find(
        jax.random.key(1),
        objective,
        config,
        wanted,
        expected=expected,
        most=max(1, int(MOST * objective.n_units)),
        programs=programs,
    )
    for probe in found.probes:
        console().print(f"  {probe.units} units: {100 * probe.accuracy:.1f}%", soft_wrap=True)
    units = found.probes[-1].units if found.units is None else found.units
    if found.units is None:
        console().print(f"  {units} units aren't enough; going on with them", soft_wrap=True)
    alpha = units / objective.n_units
    records.write(
        file,
        settings,
        {
            "alpha": alpha,
            "reached": found.units is not None,
            "probes": [probe._asdict() for probe in found.probes],
        },
    )
    return alpha


def _reached(curve: list[float], wanted: float) -> int | None:
    """The smallest number of units from which on the accuracy is reached."""
    misses = [n for n, accuracy in enumerate(curve, start=1) if accuracy < wanted]
    first = max(misses, default=0) + 1
    return first if first <= len(curve) else None


def _identity(options: Options, material: Material) -> dict[str, Any]:
    """What decides how many units are needed."""
    search = dataclasses.asdict(search_config(options))
    for chosen in ("alpha", "beta"):
        del search[chosen]
    return {
        "fingerprint": material.model.fingerprint,
        "data": "generated" if options.data is None else options.data.name,
        "intervention": options.intervention,
        "context": options.context,
        "search": search,
    }
