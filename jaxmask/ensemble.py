"""Many searches as one program: `jaxmask.search` under ``jax.vmap``.

The frozen model is shared by all runs (``in_axes=None``), never stacked. Settings are shared too,
or differ from run to run. Steps run in compiled chunks, so that progress and metrics cost nothing
inside; each kind of chunk is compiled once.
"""

import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxmask import search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.exchange import ExchangeInfo
from jaxmask.intervention import Intervention
from jaxmask.protocol import Objective
from jaxmask.search import (
    HardState,
    History,
    Relaxation,
    SearchConfig,
    SearchInfo,
    SearchState,
)

CHUNKS = {search.step: 50, search.refine: 2}  # steps, or rounds, a compiled chunk

# (state, objective, config) -> (state, what it observed)
Step = Callable[[Any, Objective, Any], tuple[Any, Any]]

# Called after each chunk with the number of steps (rounds) done and what the last one observed.
Observer = Callable[[int, SearchInfo | ExchangeInfo], None]


class Ensemble(NamedTuple):
    """What an ensemble of searches found.

    Attributes:
        interventions: hard ones, stacked over runs.
        relaxed: the states at the end of the relaxation, stacked over runs.
        history: stacked over runs, then steps or rounds; None where there were none.
        seconds: wall time of the searches, without compilation.
        compile_seconds: wall time of tracing and compiling.
    """

    interventions: Intervention
    relaxed: SearchState
    history: History
    seconds: float
    compile_seconds: float


class Programs:
    """Compiles functions ahead of time, once for each shape of arguments, and times both apart.

    Attributes:
        compiling: seconds spent on tracing and compiling so far.
        running: seconds spent in compiled programs so far.
    """

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0
        self._compiled: dict[Hashable, Callable] = {}

    def call(self, name: str, function: Callable, *args: Any) -> Any:
        """``function(*args)``, compiled; ``name`` stands for all functions that do the same."""
        start = time.perf_counter()
        leaves, structure = jax.tree.flatten(args)
        key = name, structure, tuple(jax.typeof(leaf) for leaf in leaves)
        if key not in self._compiled:
            self._compiled[key] = jax.jit(function).lower(*args).compile()
        compiled = time.perf_counter()
        result = jax.block_until_ready(self._compiled[key](*args))
        self.compiling += compiled - start
        self.running += time.perf_counter() - compiled
        return result


def run(
    keys: Key[Array, " runs"],
    objective: Objective,
    config: SearchConfig,
    observe: Observer | None = None,
    programs: Programs | None = None,
) -> Ensemble:
    """Runs a search for each key; the same as ``jit(vmap(search.run))``, with progress.

    Args:
        keys: one a run.
        objective: shared by all runs.
        config: each number is shared by all runs, or an array with one for each run.
        observe: told how far the runs are.
        programs: give the same again, and nothing is compiled twice.
    """
    programs = Programs() if programs is None else programs
    compiled, ran = programs.compiling, programs.running
    config = jax.tree.map(lambda x: np.asarray(x, np.float32), config)
    mapped = jax.tree.map(lambda x: 0 if x.ndim else None, config)

    def over_runs(function: Callable) -> Callable:
        return jax.vmap(function, in_axes=(0, None, mapped))

    def harden(state: SearchState, objective: Objective, config: SearchConfig) -> HardState:
        return search.harden(state, config)

    states = programs.call("init", over_runs(search.init), keys, objective, config)
    relaxed, steps = _run_chunks(
        programs, search.step, over_runs, states, objective, config, config.steps, observe
    )
    hard = programs.call("harden", over_runs(harden), relaxed, objective, config)
    hard, rounds = _run_chunks(
        programs, search.refine, over_runs, hard, objective, config, config.exchange_rounds, observe
    )
    return Ensemble(
        jax.vmap(search.found)(hard),
        relaxed,
        History(steps, rounds),
        programs.running - ran,
        programs.compiling - compiled,
    )


def evaluations(interventions: Intervention, objective: Objective) -> Evaluation:
    """`evaluate` of each of a stack of interventions, one after another to spare memory."""

    @jax.jit
    def all_of(interventions: Intervention, objective: Objective) -> Evaluation:
        return jax.lax.map(lambda one: evaluate(one, objective), interventions)

    return all_of(interventions, objective)


def relaxations(relaxed: SearchState, objective: Objective, config: SearchConfig) -> Relaxation:
    """`jaxmask.search.relaxation` of each of a stack of states, one after another."""

    @jax.jit
    def all_of(relaxed: SearchState, objective: Objective) -> Relaxation:
        return jax.lax.map(lambda one: search.relaxation(one, objective, config), relaxed)

    return all_of(relaxed, objective)


def advance(
    programs: Programs,
    step: Step,
    state: Any,
    objective: Objective,
    config: Any,
    count: int,
    over_runs: Callable[[Callable], Callable] = lambda function: function,
) -> tuple[Any, Any]:
    """``count`` steps as one program: the state after them, and what each of them observed.

    Args:
        programs: compiles each kind of step once for each count.
        step: of a search or of another method.
        state: before them.
        objective: passed to each step.
        config: passed to each step.
        count: how many.
        over_runs: maps a function of state, objective and config over many runs.
    """

    def steps(state: Any, objective: Objective, config: Any) -> tuple[Any, Any]:
        return jax.lax.scan(
            lambda state, _: step(state, objective, config), state, None, length=count
        )

    name = f"{count} of {step.__module__}.{step.__name__}"
    return programs.call(name, over_runs(steps), state, objective, config)


def _run_chunks(
    programs: Programs,
    step: Step,
    over_runs: Callable,
    states: Any,
    objective: Objective,
    config: SearchConfig,
    total: int,
    observe: Observer | None,
) -> tuple[Any, Any]:
    """``total`` steps of all runs, in chunks; the states after them and all observations."""
    length = CHUNKS[step]
    infos = []
    for done in range(0, total, length):
        size = min(length, total - done)
        states, info = advance(programs, step, states, objective, config, size, over_runs)
        infos.append(jax.tree.map(np.asarray, info))
        if observe is not None:
            observe(done + size, jax.tree.map(lambda x: x[:, -1], infos[-1]))
    return states, jax.tree.map(lambda *x: np.concatenate(x, axis=1), *infos) if infos else None
