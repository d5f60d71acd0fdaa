"""All runs of a comparison of methods; what is finished isn't run again.

OUT/methods/METHOD/ holds a file for each alpha and seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.shared import records
from experiments.shared.console import console, progress
from experiments.studies import paired
from experiments.studies.convergence import Rule, Run, Watch
from experiments.studies.methods import METHODS, Bench, Size, greedy_curve
from jaxmask import report, search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.files.run_folder import plain
from jaxmask.intervention import units
from jaxmask.models.language_model import LanguageModel
from jaxmask.objective import Objective
from jaxmask.pipeline.plan import Design
from jaxmask.pipeline.prepare import Prepared
from jaxmask.pipeline.summarise import environment, examples_of, model_of
from jaxmask.runs.programs import Programs
from jaxmask.text.examples import Task
from jaxmask.trust.subject import flips

WATCHED = 1024  # training rows that the rule of convergence looks at


class Job(NamedTuple):
    """A run that is asked for."""

    method: str
    alpha: float
    seed: int


class Results(NamedTuple):
    """What all runs found.

    Attributes:
        runs: by job.
        greedy_curves: held-out accuracy in percent of greedy's first 1, 2, ... units, by seed.
    """

    runs: dict[Job, dict[str, Any]]
    greedy_curves: list[list[float]]


class Comparison(NamedTuple):
    """What is compared.

    Attributes:
        methods: names of `experiments.studies.methods.METHODS`.
        alphas: largest fractions of the units, a comparison each.
        seeds: runs of each method at each alpha.
        size: what methods are asked for, apart from alpha.
        rule: of convergence.
    """

    methods: tuple[str, ...]
    alphas: tuple[float, ...]
    seeds: int
    size: Size
    rule: Rule

    def settings(self, design: Design, task: Task, model: LanguageModel) -> dict[str, Any]:
        """What all runs of a comparison have in common, in JSON's types."""
        return design.settings(task, model) | {
            "kl_weight": self.size.kl_weight,
            "rule": self.rule._asdict(),
        }

    def jobs(self, n_units: int) -> list[Job]:
        """All runs, one seed after the other, so that the first runs tell the time left."""
        return [
            Job(method, alpha, seed)
            for seed in range(self.seeds)
            for method in METHODS
            if method in self.methods
            for alpha in sorted(self.alphas)
            if allowed(n_units, alpha) <= (METHODS[method].most or n_units)
        ]


def run_all(
    jobs: Sequence[Job], comparison: Comparison, prepared: Prepared, folder: Path
) -> Results:
    """Runs all jobs that no earlier start has finished, and keeps what they find.

    Results include what earlier starts found at other sizes.
    """
    jobs = tuple(dict.fromkeys((*jobs, *_earlier(folder, comparison))))
    objective, evaluation = prepared.train_objective, prepared.evaluation_objective
    most = max(allowed(objective.n_units, job.alpha) for job in jobs)
    watch = Watch(
        comparison.rule,
        jax.jit(lambda o: o.sample(jax.random.key(1), WATCHED))(objective),
        Programs(),
    )
    used = {job.method: METHODS[job.method].score or job.method for job in jobs}
    of_score = {of: Bench(objective, watch, Programs(), most, {}) for of in used.values()}
    benches = {method: of_score[of] for method, of in used.items()}
    for method, bench in benches.items():
        if METHODS[method].at_last_word:
            benches[method] = bench._replace(last=prepared.last_word_objective)
    shared = comparison.settings(prepared.design, prepared.task, prepared.model)
    runs: dict[Job, dict[str, Any]] = {}
    waiting = []
    for job in jobs:
        size = comparison.size._replace(alpha=job.alpha)
        config = METHODS[job.method].config(size, objective.n_units)
        settings = {**shared, **job._asdict(), "config": _kept(config)}
        file = folder / "methods" / job.method / f"alpha_{job.alpha:.6g}_seed_{job.seed}.json"
        if (there := records.read(file, settings)) is None:
            waiting.append((job, config, settings, file))
        else:
            runs[job] = there
    console().print(
        f"{report.count(len(jobs), 'run')}, {len(runs)} of them there already", soft_wrap=True
    )

    with progress(max(1, len(waiting)), "comparing") as advance_to:
        for number, (job, config, settings, file) in enumerate(waiting):
            bench, method = benches[job.method], METHODS[job.method]
            run = method.run(bench, job.seed, config)
            judged = watch.programs.call("evaluate", evaluate, run.intervention, evaluation)
            own = jax.tree.map(np.asarray, run.intervention.within(prepared.value_range))
            flipped_each = flips(prepared, prepared.evaluation, own)
            record = _record(run, judged, bench.programs.compiling, prepared.task.directions)
            record["flipped"] = "".join(map(str, flipped_each.astype(int)))
            runs[job] = plain(record, "run")
            records.write(file, settings, runs[job])
            flipped = f"{runs[job]['accuracy']:.0f}%"
            advance_to(number + 1, **{job.method: f"{flipped}, {runs[job]['n_units']} units"})

    kept = {job: runs[job] for job in jobs}
    if "greedy" not in benches:
        return Results(kept, [])
    curves = _greedy_curves(comparison, benches["greedy"], shared, folder, evaluation)
    return Results(kept, curves)


def _earlier(folder: Path, comparison: Comparison) -> list[Job]:
    """Runs of these methods and seeds that the folder holds."""
    settings = [records.settings(file) for file in sorted(folder.glob("methods/*/alpha_*.json"))]
    jobs = [Job(*(given.get(name) for name in Job._fields)) for given in settings]
    return [job for job in jobs if job.method in comparison.methods and job.seed < comparison.seeds]


def _greedy_curves(
    comparison: Comparison,
    bench: Bench,
    shared: dict[str, Any],
    folder: Path,
    evaluation: Objective,
) -> list[list[float]]:
    config = METHODS["greedy"].config(comparison.size, evaluation.n_units)
    curves = []
    for seed in range(comparison.seeds):
        settings = {**shared, "seed": seed, "most": bench.most, "config": _kept(config)}
        file = folder / "methods" / "greedy" / f"curve_of_{bench.most}_seed_{seed}.json"
        if (there := records.read(file, settings)) is None:
            curve = greedy_curve(bench, seed, config, evaluation)
            there = {"accuracy": (100.0 * curve).tolist()}
            records.write(file, settings, there)
        curves.append(there["accuracy"])
    return curves


def _kept(config: Any) -> dict[str, Any]:
    """Settings that results depend on; the units that greedy adds later don't change the first."""
    return {name: x for name, x in search.settings(config).items() if name != "most"}


def allowed(n_units: int, alpha: float) -> int:
    """The most units that an alpha allows."""
    return int(search.budget(n_units, alpha))


def _record(
    run: Run, judged: Evaluation, compiling: float, directions: tuple[str, ...]
) -> dict[str, Any]:
    """What is kept of a run."""
    by_direction = zip(directions, judged.accuracy_by_direction, strict=True)
    found = units(run.intervention.mask)
    return {
        "accuracy": report.percent(judged.accuracy),
        "accuracy_by_direction": {name: report.percent(x) for name, x in by_direction},
        "n_units": len(found),
        "units": found,
        "kl": judged.kl,
        "seconds": run.seconds,
        "compile_seconds": compiling,
        "steps": run.steps,
        "converged": run.converged,
        "evaluations": [seen._asdict() for seen in run.seen],
    }


def summarise(
    comparison: Comparison, prepared: Prepared, results: Results, seconds: float
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    units, runs = prepared.site.units, results.runs
    entries = [
        _entry(method, alpha, units, {job.seed: run for job, run in runs.items() if job[:2] == of})
        for of in dict.fromkeys((job.method, job.alpha) for job in runs)
        for method, alpha in [of]
    ]
    shared = comparison.settings(prepared.design, prepared.task, prepared.model)
    examples = examples_of(prepared)
    for name in ("left_out", "toward"):
        del examples[name]
    return {
        **{name: shared[name] for name in ("task", "context", "kl_weight", "rule")},
        **prepared.design.kind.settings(),
        **model_of(prepared),
        "examples": examples | {"watched": WATCHED},
        "methods": entries,
        "paired": paired.differences(entries, prepared),
        "greedy_curve": results.greedy_curves,
        "seconds": {"total": seconds},
        **environment(),
    }


def _entry(
    method: str, alpha: float, units: int, run_of_seed: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """What a summary says of a method at an alpha."""
    runs = [{"seed": seed, **run} for seed, run in run_of_seed.items()]
    means = {
        name: report.mean_std([run[name] for run in runs if run[name] is not None])
        for name in ("accuracy", "n_units", "kl", "seconds", "compile_seconds", "steps")
    }
    return {
        "method": method,
        "alpha": alpha,
        "allowed": allowed(units, alpha),
        **means,
        "converged": sum(run["converged"] for run in runs),
        "runs": runs,
    }
