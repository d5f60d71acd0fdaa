"""A whole search, and the evaluation of what it finds, beside the naive versions."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.gradient import BATCH, in_torch, naive_objective
from experiments.benchmarks.subject import (
    Benchmark,
    plan,
    prepared,
    rival_there,
)
from experiments.shared.console import progress
from experiments.shared.experiment import search_progress
from jaxmask import report, search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.intervention import Intervention, single_step
from jaxmask.models.lstm import objective
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.objective import NoKL, Objective
from jaxmask.pipeline.prepare import Prepared
from jaxmask.pipeline.search_all import search_all
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Session
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

_COMPILED = "/jax/core/compile/backend_compile_duration"

# Steps of a naive version: takes how many, and gives the seconds of each.
Steps = Callable[[int], Iterator[float]]


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Seconds of a search of all seeds, and of as many naive ones, one after another."""
    examples, chosen = prepared(benchmark), plan(benchmark)
    config = chosen.config
    programs = Programs()
    with compilations() as compiled, search_progress(config, "ours") as observe:
        session = Session(observe=observe, programs=programs)
        result = search_all(examples, chosen, session)
    before = programs.compiling, programs.running
    evaluations = ensemble.evaluations(
        result.interventions, examples.evaluation_objective, programs
    )
    converged = jax.vmap(lambda i, h: search.converged(i, h, config))(
        result.interventions, result.history
    )
    taken = jax.vmap(lambda history: search.steps_taken(history, config))(result.history)
    steps = round(float(taken.mean()))
    seconds = {
        "search": result.seconds,
        "compile": result.compile_seconds,
        "evaluate": programs.running - before[1],
        "evaluate_compile": programs.compiling - before[0],
    }
    ours = {
        "version": "ours",
        "timed_steps": steps,
        "seconds": result.seconds,
        "converged": int(converged.sum()),
        **_quality(result.interventions, evaluations),
    }
    versions = [ours]
    if benchmark.naive_steps:
        versions += [
            _extrapolated(name, take, benchmark, steps)
            for name, take in _naive_versions(benchmark, config).items()
        ]
    if benchmark.torch_search and rival_there(examples.model):
        versions.append(_torch_search(benchmark, config.replace(steps=steps)))
    return {
        "alpha": benchmark.alpha,
        "seeds": benchmark.seeds,
        "steps": steps,
        "batch": config.batch_size,
        "versions": versions,
        "details": seconds,
        "compilations": compiled,
    }


@contextlib.contextmanager
def compilations() -> Iterator[list[dict[str, Any]]]:
    """Lists the programs compiled inside, by name: how often, and seconds of compilation.

    The list is filled at the end. What is traced again is compiled again, and counted again.
    """
    times: dict[str, int] = {}
    seconds: dict[str, float] = {}

    def listen(event: str, duration: float, fun_name: str = "", **_: Any) -> None:
        if event == _COMPILED:
            name = fun_name.removeprefix("jit(").removesuffix(")")
            times[name] = times.get(name, 0) + 1
            seconds[name] = seconds.get(name, 0.0) + duration

    found: list[dict[str, Any]] = []
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    found += [
        {"program": name, "times": times[name], "seconds": seconds[name]}
        for name in sorted(seconds, key=seconds.get, reverse=True)
    ]


def measure_evaluation(benchmark: Benchmark) -> dict[str, Any]:
    """Seconds to evaluate random hard masks on all pairs, of training and held out."""
    examples = prepared(benchmark)
    pairs = examples.encoded.examples
    whole = objective.build(
        examples.model.params,
        pairs,
        single_step(pairs.position, pairs.length),
        examples.context,
    )
    units = whole.n_units
    random = np.random.default_rng(0)
    order = random.permuted(np.tile(np.arange(units), (benchmark.seeds, 1)), axis=1)
    mask = (order < int(search.budget(units, benchmark.alpha))).astype(np.float32)
    masks = Intervention(
        jnp.asarray(np.repeat(mask[:, None], 2, axis=1)),
        jnp.asarray(random.uniform(-1, 1, (benchmark.seeds, 2, units)).astype(np.float32)),
    )

    def accuracies(masks: Intervention, objective: Objective) -> Evaluation:
        return jax.lax.map(lambda one: evaluate(one, objective, NoKL()), masks)

    measured = {"masks": benchmark.seeds, "pairs": pairs.size}
    for name, evaluate_all in {
        "accuracy": lambda programs: programs.call("accuracy", accuracies, masks, whole),
        "exact_kl": lambda programs: ensemble.evaluations(masks, whole, programs),
    }.items():
        programs = Programs()
        evaluate_all(programs)
        measured[name] = {"seconds": programs.running, "compile": programs.compiling}
    return measured


def _naive_versions(benchmark: Benchmark, config: SearchConfig) -> dict[str, Steps]:
    """One seed's steps with the naive objective in JAX, and in PyTorch where it is installed.

    A transformer has no naive version in JAX.
    """
    examples, versions = prepared(benchmark), {}
    if not isinstance(examples.model, TransformerModel):
        versions["naive JAX"] = lambda n: _jax_steps(examples, config, n)
    if rival_there(examples.model):
        versions["PyTorch"] = lambda n: _torch_steps(in_torch(benchmark, config), n)
    return versions


def _jax_steps(examples: Prepared, config: SearchConfig, count: int) -> Iterator[float]:
    slow = naive_objective(examples)
    state = jax.jit(search.init)(jax.random.key(0), slow, config)
    step = jax.jit(search.step).lower(state, slow, config).compile()
    for _ in range(count):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step(state, slow, config))
        yield time.perf_counter() - start


def _torch_steps(plain: Any, count: int) -> Iterator[float]:
    for _ in range(count):
        start = time.perf_counter()
        plain.step(*plain.draw(BATCH))
        yield time.perf_counter() - start


def _extrapolated(name: str, steps_of: Steps, benchmark: Benchmark, steps: int) -> dict[str, Any]:
    """A naive version's entry: the median step times the steps of all seeds."""
    with progress(benchmark.naive_steps, name) as advance_to:
        taken = []
        for number, seconds in enumerate(steps_of(benchmark.naive_steps)):
            taken.append(seconds)
            advance_to(number + 1)
    return {
        "version": name,
        "timed_steps": benchmark.naive_steps,
        "seconds": statistics.median(taken) * steps * benchmark.seeds,
    }


def _torch_search(benchmark: Benchmark, config: SearchConfig) -> dict[str, Any]:
    """A whole search in PyTorch: what it finds, and the time of as many as there are seeds."""
    plain = in_torch(benchmark, config)
    with progress(config.steps, "PyTorch, whole search") as advance_to:
        taken = 0.0
        for number, seconds in enumerate(_torch_steps(plain, config.steps)):
            taken += seconds
            advance_to(number + 1)
    found = jax.tree.map(lambda x: x[None], plain.found())
    evaluations = ensemble.evaluations(found, prepared(benchmark).evaluation_objective)
    return {
        "version": "PyTorch, one whole",
        "timed_steps": config.steps,
        "seconds": taken * benchmark.seeds,
        **_quality(found, evaluations),
    }


def _quality(interventions: Intervention, evaluations: Evaluation) -> dict[str, Any]:
    units = np.asarray(interventions.mask).any(axis=1).sum(axis=1)
    return {
        "accuracy": report.mean_std([report.percent(x) for x in evaluations.accuracy]),
        "n_units": report.mean_std(units.tolist()),
        "kl": report.mean_std(np.asarray(evaluations.kl, float).tolist()),
    }
