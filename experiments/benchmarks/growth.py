"""From one seed to a thousand in one program: memory by the compiler's own count, and time.

The memory is that of a program of one step, and of one round of exchange, with the weights and
the examples. A step is timed where its program takes no more than the share of the device's memory
that searches may take (`jaxmask.runs.devices`).
"""

from collections.abc import Callable
from typing import Any

import jax

from experiments.benchmarks.subject import Benchmark, medians, plan, prepared, sizes
from jaxmask import search
from jaxmask.objective import Objective
from jaxmask.pipeline.search_all import keys
from jaxmask.runs import devices
from jaxmask.runs.programs import Programs
from jaxmask.search import HardState, SearchConfig, SearchState


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Megabytes of both programs and milliseconds of a step, for each number of seeds."""
    objective, config = prepared(benchmark).train_objective, plan(benchmark).config
    return {"points": [_point(seeds, objective, config) for seeds in sizes(benchmark).growth]}


def _point(seeds: int, objective: Objective, config: SearchConfig) -> dict[str, Any]:
    programs, first = Programs(), keys(seeds)
    begin, step, enter, refine = map(_over_runs, (search.init, search.step, _harden, search.refine))
    states = jax.eval_shape(begin, first, objective, config)
    hard = jax.eval_shape(enter, states, objective, config)
    stepping = programs.compile("step", step, states, objective, config)
    exchanging = programs.compile("refine", refine, hard, objective, config)
    taken = devices.memory(stepping)
    point = {
        "seeds": seeds,
        "step_mb": taken / 1e6,
        "exchange_mb": devices.memory(exchanging) / 1e6,
        "compile": programs.compiling,
        "ms": None,
        "ms_a_seed": None,
    }
    if devices.together(seeds, lambda _: taken) == seeds:
        start = jax.jit(begin)(first, objective, config)
        work = {"step": lambda: jax.block_until_ready(stepping(start, objective, config))}
        milliseconds = 1e3 * medians(work, repeats=1)["step"].wall
        point |= {"ms": milliseconds, "ms_a_seed": milliseconds / seeds}
    return point


def _over_runs(function: Callable) -> Callable:
    return jax.vmap(function, in_axes=(0, None, None))


def _harden(state: SearchState, objective: Objective, config: SearchConfig) -> HardState:
    return search.harden(state, config)
