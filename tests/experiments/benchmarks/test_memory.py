"""Memory of a gradient, beyond the weights."""

import numpy as np
import pytest

from experiments.benchmarks import memory
from experiments.benchmarks.gradient import Case
from experiments.benchmarks.subject import Benchmark

QUICK = Benchmark(quick=True, seeds=1, naive_steps=1)


def test_memory_is_what_comes_after_the_weights(monkeypatch):
    """A known block of memory, held for a while."""
    megabytes = 150

    def ready(case, benchmark):
        return lambda: np.ones(megabytes * 1_000_000 // 8).sum()

    monkeypatch.setattr(memory, "ready", ready)
    taken = memory.beyond_weights(QUICK, Case("exact KL", "ours"))
    if not memory._PROCESS.is_dir():
        assert taken is None
    else:
        assert megabytes - 5 < taken < megabytes + 50


@pytest.mark.slow
def test_memory_in_a_process_of_its_own(monkeypatch):
    case = Case("no KL", "naive JAX")
    monkeypatch.setattr(memory, "cases", lambda benchmark: [case])
    (measured,) = memory.measure(QUICK)["cases"]
    assert measured == {**case._asdict(), "megabytes": measured["megabytes"]}
    assert measured["megabytes"] is None or 1 < measured["megabytes"] < 2000
