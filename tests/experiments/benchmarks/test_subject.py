"""What the parts of the benchmark share."""

import dataclasses

from experiments.benchmarks import subject
from experiments.benchmarks.subject import Benchmark, BenchmarkOptions
from jaxmask.search import SearchConfig


def test_medians_leave_out_the_first_run_and_take_turns(monkeypatch):
    clock, runs = [0.0], []
    monkeypatch.setattr(subject.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(subject.time, "process_time", lambda: 3 * clock[0])
    takes = {"a": iter([100.0, 1.0, 9.0, 2.0]), "b": iter([0.0, 5.0, 4.0, 6.0])}

    def work(name):
        runs.append(name)
        clock[0] += next(takes[name])

    found = subject.medians({name: lambda n=name: work(n) for name in takes}, 3)
    assert found == {"a": (2.0, 6.0), "b": (5.0, 15.0)}
    assert runs == ["a", "b"] * 4


def test_options_are_what_is_measured_but_for_where_it_goes():
    names = {field.name for field in dataclasses.fields(BenchmarkOptions)}
    assert names - set(Benchmark._fields) == {"only", "out"}
    assert BenchmarkOptions().benchmark() == Benchmark()
    found = BenchmarkOptions(model="demo", alpha=0.3, seeds=2, quick=True).benchmark()
    assert found == Benchmark(model="demo", alpha=0.3, seeds=2, quick=True)


def test_the_plan_is_the_default_but_for_its_size():
    plan = subject.plan(Benchmark(alpha=0.3, seeds=2))
    assert plan.config == SearchConfig(alpha=0.3)
    quick = subject.plan(Benchmark(quick=True))
    assert quick.seeds == 10
    assert (quick.config.steps, quick.config.exchange_rounds) == (10, 1)


def test_a_random_model_knows_the_task():
    model = subject.random_model(6, 200)
    assert (model.name, model.config.hidden, len(model.vocabulary)) == ("random", 6, 200)
    prepared = subject.prepared(Benchmark(quick=True))
    assert prepared.encoded.dropped.total == prepared.encoded.unknown == 0
    assert prepared.train.size + prepared.evaluation.size == 12_000
