"""All runs of a comparison of methods; what is finished isn't run again.

OUT/methods/METHOD/ holds a file for each alpha and seed.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax

import jaxmask
from experiments.shared import records
from experiments.shared.console import console, progress
from experiments.shared.measurements import describe
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    Data,
    Fraction,
    Model,
    NotEmpty,
    ResultFolder,
    Runs,
    Seed,
    TextFile,
    Weight,
    check,
)
from experiments.shared.setup import (
    Material,
    OptionError,
    Options,
    TaskName,
    data_name,
    held_out,
)
from experiments.studies.convergence import Rule, Run, Watch
from experiments.studies.methods import METHODS, Bench, greedy_curve
from jaxmask import report, search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.files.run_folder import plain
from jaxmask.intervention import units
from jaxmask.objective import Objective
from jaxmask.runs.programs import Programs

WATCHED = 1024  # training rows that the rule of convergence looks at
MethodName = Literal[
    "hard_concrete", "hard_concrete_paper", "reinforce", "ig_zeroed", "ig_learned",
    "ablation_zeroed", "ablation_learned", "greedy", "random", "exhaustive",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Options of the comparison; where names are those of other scripts, so are meanings."""

    task: TaskName = "number_agreement"
    """What to search for; minimal_pairs stands for a file of your own (--data)."""
    model: Model = "demo"
    """A model folder, a PyTorch .pt file (with --vocab), or `demo`, the bundled model."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: Data | None = None
    """Folder of the task's original files; if not given, the task is generated. For minimal pairs:
    their file."""
    intervention: Literal["single", "every"] = "single"
    """Intervene at one word, or at every word of the sentence."""
    context: Literal["eos", "none", "primer"] = "eos"
    """What the model reads before each sentence."""
    methods: Annotated[tuple[MethodName, ...], NotEmpty] = tuple(METHODS)  # type: ignore[assignment]
    """Which methods to compare."""
    alpha: tuple[Fraction, ...] = (0.005, 0.01, 0.02, 0.05)
    """Largest fractions of the hidden units to intervene on, a comparison each."""
    units: tuple[Count, ...] = ()
    """The same as numbers of units; exhaustive search runs at 1, 2 and 3 only."""
    kl_weight: Weight = 0.0
    """Weight of the KL from the untouched model, where values are learned."""
    seeds: Runs = 3
    """Runs of each method at each alpha."""
    steps: Count | None = None
    """Gradient steps; each method's own number if not given."""
    rounds: CountOrZero | None = None
    """Rounds of exchange of the search; its own number if not given."""
    every: Count = 50
    """Steps from one evaluation of the hard mask to the next."""
    patience: Count = 3
    """Evaluations without a rise after which a run has converged."""
    evaluation: Count | None = None
    """Examples held out; as many as in the paper if not given, or a fifth of minimal pairs."""
    split: Literal["example", "word"] = "example"
    """Hold out examples, or words: no subject (profession) is in both parts."""
    split_seed: Seed = 0
    """Seed of the choice of these."""
    out: ResultFolder | None = None
    """Folder for the results; results/compare-TASK-MODEL-INTERVENTION if not given."""


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


def check_options(options: CompareOptions) -> None:
    """Raises an `OptionError` for what can't be compared, before any work is done."""
    check(options)
    if not options.alpha + options.units:
        raise OptionError("--alpha, --units: expected at least one size, found none")


def common(options: CompareOptions, alpha: float = 1.0, method: str = "hard_concrete") -> Options:
    """The options of a search of its own, which say what other methods need to know too."""
    names = {field.name for field in dataclasses.fields(Options)} - {"alpha", "method"}
    shared = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    chosen = {name: value for name, value in shared.items() if name in names}
    if method == "hard_concrete_paper":
        chosen["method"] = method
        chosen["rounds"] = None
    return Options(**chosen, alpha=alpha)


def jobs_of(options: CompareOptions, n_units: int) -> list[Job]:
    """All runs, one seed after the other, so that the time left can be told from the first."""
    if max(options.units, default=0) > n_units:
        raise OptionError(
            f"--units: expected at most {n_units}, the model's, found {max(options.units)}"
        )
    there = {_allowed(n_units, alpha) for alpha in options.alpha}
    alphas = {*options.alpha, *(n / n_units for n in options.units if n not in there)}
    jobs = [
        Job(method, alpha, seed)
        for seed in range(options.seeds)
        for method in METHODS
        if method in options.methods
        for alpha in sorted(alphas)
        if _allowed(n_units, alpha) <= (METHODS[method].most or n_units)
    ]
    if not jobs:
        raise OptionError("--methods: expected one that can be run at these sizes, found none")
    return jobs


def run_all(
    jobs: Sequence[Job],
    options: CompareOptions,
    material: Material,
    folder: Path,
    directions: tuple[str, ...],
) -> Results:
    """Runs all jobs that an earlier start hasn't, and keeps what they find.

    Results include what earlier starts found at other sizes.
    """
    jobs = tuple(dict.fromkeys((*jobs, *_earlier(folder, options))))
    objective, evaluation = material.train_objective, material.evaluation_objective
    most = max(_allowed(objective.n_units, job.alpha) for job in jobs)
    watch = Watch(
        Rule(options.every, options.patience),
        jax.jit(lambda o: o.sample(jax.random.key(1), WATCHED))(objective),
        Programs(),
    )
    used = {job.method: METHODS[job.method].score or job.method for job in jobs}
    of_score = {of: Bench(objective, watch, Programs(), most, {}) for of in used.values()}
    benches = {method: of_score[of] for method, of in used.items()}
    shared = identity(options, material)
    runs: dict[Job, dict[str, Any]] = {}
    waiting = []
    for job in jobs:
        config = METHODS[job.method].config(
            common(options, job.alpha, job.method), objective.n_units
        )
        settings = {**shared, **job._asdict(), "config": _kept(config)}
        file = folder / "methods" / job.method / f"alpha_{job.alpha:.6g}_seed_{job.seed}.json"
        if (there := records.read(file, settings)) is None:
            waiting.append((job, config, settings, file))
        else:
            runs[job] = there
    console().print(f"{len(jobs)} runs, {len(runs)} of them there already", soft_wrap=True)

    with progress(max(1, len(waiting)), "comparing") as advance_to:
        for number, (job, config, settings, file) in enumerate(waiting):
            bench, method = benches[job.method], METHODS[job.method]
            run = method.run(bench, job.seed, config)
            judged = watch.programs.call("evaluate", evaluate, run.intervention, evaluation)
            runs[job] = plain(_record(run, judged, bench.programs.compiling, directions), "run")
            records.write(file, settings, runs[job])
            flipped = f"{runs[job]['accuracy']:.0f}%"
            advance_to(number + 1, **{method.label: f"{flipped}, {runs[job]['n_units']} units"})

    kept = {job: runs[job] for job in jobs}
    if "greedy" not in benches:
        return Results(kept, [])
    return Results(kept, _greedy_curves(options, benches["greedy"], shared, folder, evaluation))


def _earlier(folder: Path, options: CompareOptions) -> list[Job]:
    """Runs of these methods and seeds that the folder holds."""
    settings = [records.settings(file) for file in sorted(folder.glob("methods/*/alpha_*.json"))]
    jobs = [Job(*(given.get(name) for name in Job._fields)) for given in settings]
    return [job for job in jobs if job.method in options.methods and job.seed < options.seeds]


def _greedy_curves(
    options: CompareOptions,
    bench: Bench,
    shared: dict[str, Any],
    folder: Path,
    evaluation: Objective,
) -> list[list[float]]:
    config = METHODS["greedy"].config(common(options), evaluation.n_units)
    curves = []
    for seed in range(options.seeds):
        settings = {**shared, "seed": seed, "most": bench.most, "config": _kept(config)}
        file = folder / "methods" / "greedy" / f"curve_of_{bench.most}_seed_{seed}.json"
        if (there := records.read(file, settings)) is None:
            curve = greedy_curve(bench, seed, config, evaluation)
            there = {"accuracy": (100.0 * curve).tolist()}
            records.write(file, settings, there)
        curves.append(there["accuracy"])
    return curves


def _kept(config: Any) -> dict[str, Any]:
    """Settings that results depend on: further units of greedy's don't change the first."""
    return {name: x for name, x in search.settings(config).items() if name != "most"}


def _allowed(n_units: int, alpha: float) -> int:
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


def identity(options: CompareOptions, material: Material) -> dict[str, Any]:
    """What all runs of a comparison have in common."""
    return {
        "task": material.task.name,
        "model": material.model.name,
        "fingerprint": material.model.fingerprint,
        "data": data_name(options.data),
        "intervention": options.intervention,
        "context": options.context,
        "kl_weight": options.kl_weight,
        "evaluation": held_out(options, material.task),
        "split": options.split,
        "split_seed": options.split_seed,
        "rule": Rule(options.every, options.patience)._asdict(),
    }


def summarise(
    options: CompareOptions, material: Material, results: Results, seconds: float
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    model = material.model
    methods, runs = [], results.runs
    for method, alpha in dict.fromkeys((job.method, job.alpha) for job in runs):
        of_seed = {job.seed: run for job, run in runs.items() if job[:2] == (method, alpha)}
        entries = [{"seed": seed, **run} for seed, run in of_seed.items()]
        means = {
            name: report.mean_std([run[name] for run in entries if run[name] is not None])
            for name in ("accuracy", "n_units", "kl", "seconds", "compile_seconds", "steps")
        }
        methods.append(
            {
                "method": method,
                "alpha": alpha,
                "allowed": _allowed(model.config.units, alpha),
                **means,
                "converged": sum(run["converged"] for run in entries),
                "runs": entries,
            }
        )
    shared = identity(options, material)
    return {
        **{name: shared[name] for name in ("task", "intervention", "context", "kl_weight", "rule")},
        "model": describe(model),
        "examples": {
            "train": material.train.size,
            "evaluation": material.evaluation.size,
            "dropped": material.encoded.dropped.total,
            "unknown": material.encoded.unknown,
            "model_accuracy": material.model_accuracy,
            "split": options.split,
            "watched": WATCHED,
        },
        "methods": methods,
        "greedy_curve": results.greedy_curves,
        "seconds": {"total": seconds},
        "versions": {"jaxmask": jaxmask.__version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
    }
