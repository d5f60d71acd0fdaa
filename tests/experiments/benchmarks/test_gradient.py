"""What the benchmark says of one gradient."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.small_model import CONFIG

from experiments.benchmarks import gradient, subject
from experiments.benchmarks.gradient import Case
from experiments.benchmarks.subject import Benchmark, Taken
from jaxmask.search import SearchConfig


def test_necessary_operations_are_the_products_of_the_rows():
    """One product after another: of a state with a matrix, 2 operations an entry of it."""
    hidden, words, layers = 5, 70, 3
    length, position = np.array([4, 2, 6]), np.array([1, 1, 2])
    setting = SimpleNamespace(
        model=SimpleNamespace(config=CONFIG._replace(hidden=hidden, vocabulary=words, layers=3)),
        train=SimpleNamespace(length=length, position=position),
    )
    recurrent = kl = 0
    for count, place in zip(length, position, strict=True):
        for word in range(place, count):
            for _ in ("forward", "backward"):
                kl += 2 * hidden * words
                if word > place:  # what the intervened word itself is read with comes before it
                    for layer in range(layers):
                        recurrent += 2 * hidden * 4 * hidden
                        recurrent += 2 * hidden * 4 * hidden if layer else 0
    rows = gradient.BATCH / len(length)
    count = gradient.necessary_operations
    np.testing.assert_allclose(count(setting, "no KL"), recurrent * rows)
    np.testing.assert_allclose(count(setting, "exact KL"), (recurrent + kl) * rows)
    sampled = SearchConfig().kl.rows * 4 * hidden * words
    np.testing.assert_allclose(count(setting, "sampled KL"), recurrent * rows + sampled)


def test_ratios_are_those_of_the_times_of_one_seed(monkeypatch):
    operations = {"no KL": 1e9, "sampled KL": 2e9, "exact KL": 8e9}
    taken = {
        Case("no KL", "ours"): 0.1, Case("sampled KL", "ours"): 0.2, Case("exact KL", "ours"): 0.4,
        Case("no KL", "ours", 4): 0.2, Case("sampled KL", "ours", 4): 0.5,
        Case("exact KL", "ours", 4): 1.0,
        Case("no KL", "naive JAX"): 0.5, Case("exact KL", "naive JAX"): 3.0,
        gradient.MATMUL: 2.0 * subject.QUICK.square**3 / 50e9,
    }  # fmt: skip

    def medians(work, repeats):
        assert set(work) == set(taken)
        return {case: Taken(seconds, 2 * seconds) for case, seconds in taken.items()}

    for name, stand_in in {
        "prepared": lambda benchmark: None,
        "ready": lambda case, benchmark: None,
        "necessary_operations": lambda examples, kl: operations[kl],
        "subject": lambda benchmark: None,
        "rival_there": lambda model: False,
        "medians": medians,
    }.items():
        monkeypatch.setattr(gradient, name, stand_in)
    measured = gradient.measure(Benchmark(quick=True, seeds=4))
    assert measured["matmul_gflops"] == pytest.approx(50.0)
    found = {(c["objective"], c["version"], c["seeds"]): c for c in measured["cases"]}
    assert found["sampled KL", "ours", 4]["cpu_ms"] == pytest.approx(250.0)
    assert found["sampled KL", "ours", 4]["ms"] == pytest.approx(125.0)
    assert found["sampled KL", "ours", 4]["times_naive_jax"] == pytest.approx(3.0 / 0.125)
    assert found["sampled KL", "ours", 1]["times_naive_jax"] == pytest.approx(3.0 / 0.2)
    assert found["no KL", "ours", 1]["times_naive_jax"] == pytest.approx(5.0)
    assert found["exact KL", "ours", 4]["matmul_share"] == pytest.approx(100 * 32 / 50)
    assert found["exact KL", "naive JAX", 1]["matmul_share"] == pytest.approx(100 * 8 / 3 / 50)
    assert found["no KL", "ours", 1]["times_pytorch"] is None
