"""Peak memory of one gradient, each case in a process of its own.

What is counted is the highest resident memory from the moment on that the weights are there, minus
what was resident then: building the objective, compiling and computing one gradient.
"""

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.gradient import Case, ready
from experiments.benchmarks.subject import Benchmark, subject, torch_there

_PROCESS = Path("/proc/self")  # Linux only
_FORGET_PEAK = "5"  # see proc_pid_clear_refs(5)


def cases(benchmark: Benchmark) -> list[Case]:
    """What is measured: ours for all seeds at once, the naive versions for one."""
    ours = [Case(kl, "ours", benchmark.seeds) for kl in ("sampled KL", "exact KL")]
    naive = [Case("exact KL", "naive JAX")]
    return ours + naive + ([Case("exact KL", "PyTorch")] if torch_there() else [])


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Megabytes beyond the weights of each case; None where they can't be told."""
    measured = []
    for case in cases(benchmark):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            taken = alone.submit(beyond_weights, benchmark, case).result()
        measured.append({**case._asdict(), "megabytes": taken})
    return {"cases": measured}


def beyond_weights(benchmark: Benchmark, case: Case) -> float | None:
    """Peak megabytes beyond the weights; call it in a process that has done nothing else."""
    params = jax.block_until_ready(subject(benchmark).params)
    gc.collect()
    held = _resident("VmRSS")
    try:
        (_PROCESS / "clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return None
    ready(case, benchmark)()
    peak = _resident("VmHWM")
    # PyTorch has a copy of its own.
    copied = sum(x.nbytes for x in jax.tree.leaves(params)) if case.version == "PyTorch" else 0
    return (peak - held - copied) / 1e6


def _resident(name: str) -> int:
    """Resident bytes of this process: now (VmRSS) or at most (VmHWM).

    ``ru_maxrss`` won't do: a new process inherits it from the one that started it.
    """
    status = (_PROCESS / "status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
