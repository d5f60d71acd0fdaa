"""Searches of the toy objective in processes of their own, with several devices or hosts."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

RUN = """
import json, sys
import jax
import numpy as np
from support import toy
from jaxmask.runs import devices, ensemble
from jaxmask.runs.ensemble import Session
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

def found(runs, programs=None, objective=None):
    config = SearchConfig(steps=50, batch_size=24, exchange_rounds=2, exchange_rows=24)
    config = config.replace(alpha=np.linspace(0.2, 0.5, runs))
    keys = jax.random.split(jax.random.key(0), runs)
    objective = toy.toy(seed=4, units=8, cost=0.1) if objective is None else objective
    seen = []
    observe = lambda done, info: seen.append((done, len(info.loss)))
    result = ensemble.run(keys, objective, config, Session(observe, programs))
    judged, gap = ensemble.judged(result.interventions, result.relaxed, objective, config)
    arrays = result.interventions, result.history.steps.loss, result.history.rounds, judged, gap
    numbers = [np.asarray(x, float).tolist() for x in jax.tree.leaves(arrays)]
    return {"numbers": numbers, "seen": seen}
"""


EIGHT = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"


def started(code, *arguments, **environment):
    """A process of its own with the toy objective at hand; what it prints is JSON."""
    tests = Path(__file__).parents[1]
    environment = {
        "PYTHONPATH": f"{tests}:{tests.parent}",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN + code, *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process):
    """The JSON that a process printed last."""
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def address():
    """Where the first of several processes on this machine can be met."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
