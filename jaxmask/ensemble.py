"""Many searches as one program: `jaxmask.search` under `jax.vmap`.

The frozen model is shared by all runs (``in_axes=None``), never stacked. Steps run in compiled
chunks, so that progress and metrics cost nothing inside; each kind of chunk is compiled once.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxmask import search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.exchange import ExchangeInfo
from jaxmask.intervention import Intervention
from jaxmask.protocol import Objective
from jaxmask.search import HardState, History, SearchConfig, SearchInfo, SearchState

CHUNKS = {search.step: 50, search.refine: 2}  # steps, or rounds, a compiled chunk

# Called after each chunk with the number of steps (rounds) done and what the last one observed.
Observer = Callable[[int, SearchInfo | ExchangeInfo], None]


class Ensemble(NamedTuple):
    """What an ensemble of searches found.

    Attributes:
        interventions: hard ones, stacked over runs.
        history: stacked over runs, then steps or rounds; None where there were none.
        seconds: wall time of the searches, without compilation.
        compile_seconds: wall time of tracing and compiling.
    """

    interventions: Intervention
    history: History
    seconds: float
    compile_seconds: float


def run(
    keys: Key[Array, " runs"],
    objective: Objective,
    config: SearchConfig,
    observe: Observer | None = None,
) -> Ensemble:
    """Runs a search for each key; the same as ``jit(vmap(search.run))``, with progress.

    Args:
        keys: one a run.
        objective: shared by all runs.
        config: shared by all runs.
        observe: told how far the runs are.
    """
    clock = _Clock()

    def start(keys: Array, objective: Objective) -> SearchState:
        return jax.vmap(lambda key: search.init(key, objective, config))(keys)

    def harden(states: SearchState) -> HardState:
        return jax.vmap(lambda state: search.harden(state, config))(states)

    states = clock.call("start", start, keys, objective)
    states, steps = _advance(clock, search.step, states, objective, config, config.steps, observe)
    hard = clock.call("harden", harden, states)
    hard, rounds = _advance(
        clock, search.refine, hard, objective, config, config.exchange_rounds, observe
    )
    found = jax.vmap(search.found)(hard)
    return Ensemble(found, History(steps, rounds), clock.running, clock.compiling)


def evaluations(interventions: Intervention, objective: Objective) -> Evaluation:
    """`evaluate` of each of a stack of interventions, one after another to spare memory."""

    @jax.jit
    def all_of(interventions: Intervention, objective: Objective) -> Evaluation:
        return jax.lax.map(lambda one: evaluate(one, objective), interventions)

    return all_of(interventions, objective)


def _advance(
    clock: "_Clock",
    step: Callable,
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

        def chunk(states: Any, objective: Objective, size: int = size) -> tuple[Any, Any]:
            def one(state: Any) -> tuple[Any, Any]:
                return jax.lax.scan(
                    lambda state, _: step(state, objective, config), state, None, length=size
                )

            return jax.vmap(one)(states)

        states, info = clock.call(f"{size} of {step.__name__}", chunk, states, objective)
        infos.append(jax.tree.map(np.asarray, info))
        if observe is not None:
            observe(done + size, jax.tree.map(lambda x: x[:, -1], infos[-1]))
    return states, jax.tree.map(lambda *x: np.concatenate(x, axis=1), *infos) if infos else None


class _Clock:
    """Compiles programs ahead of time, once each, and times compiling and running apart."""

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0
        self.programs: dict[str, Callable] = {}

    def call(self, name: str, function: Callable, *args: Any) -> Any:
        start = time.perf_counter()
        if name not in self.programs:
            self.programs[name] = jax.jit(function).lower(*args).compile()
        compiled = time.perf_counter()
        result = jax.block_until_ready(self.programs[name](*args))
        self.compiling += compiled - start
        self.running += time.perf_counter() - compiled
        return result
