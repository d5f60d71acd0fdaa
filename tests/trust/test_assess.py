"""All measures of what a search found, in their order."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jaxmask
from jaxmask.intervention import from_arrays, units
from jaxmask.pipeline.measure import Results
from jaxmask.pipeline.plan import Plan
from jaxmask.runs.ensemble import Ensemble
from jaxmask.search import History, SearchConfig
from jaxmask.trust import assess as assessing
from jaxmask.trust.assess import MEASURES, assess, best_run, identity
from jaxmask.trust.controls import same_values
from jaxmask.trust.measure import not_measured


def best(train_accuracy, loss):
    """The number of the best run, of runs of which no more is known."""
    rounds = SimpleNamespace(loss=np.array(loss)[:, None])
    found = Ensemble(None, None, History(None, rounds), 0.0, 0.0)
    return best_run(Results(found, None, np.array(train_accuracy), None, None, {}))


def test_the_best_run_flips_most_training_decisions_with_the_least_loss():
    assert best([0.5, 0.9, 0.7], [1.0, 3.0, 2.0]) == 1
    assert best([0.9, 0.9, 0.7], [3.0, 1.0, 0.0]) == 1
    assert best([0.9, 0.9], [np.nan, 5.0]) == 1
    assert best([0.9, 0.9], [1.0, 1.0]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("level", ["fast", "all"])
def test_every_measure_of_a_search(prepare_kind, level, monkeypatch):
    prepared = prepare_kind()
    config = SearchConfig(alpha=0.25, beta=0.25, steps=20, exchange_rounds=1)
    plan = Plan(config, prepared.design, seeds=2)
    results = jaxmask.measure(jaxmask.search_all(prepared, plan), prepared, plan)
    # Further searches and other methods are tested where they are defined; they take long.
    first = from_arrays(*jax.tree.map(lambda x: x[0], results.search.interventions))
    ensemble = results.search._replace(interventions=jax.tree.map(lambda x: x[None], first))
    monkeypatch.setattr(assessing, "search_all", lambda prepared, plan: ensemble)
    monkeypatch.setattr(assessing, "controls", lambda subject, kl_weight: same_values(subject))
    seen = []
    trust = assess(results, prepared, plan, level, lambda done, name: seen.append((done, name)))
    assert seen == [*enumerate(MEASURES), (13, "")]
    json.dumps(trust, allow_nan=False)
    run = best_run(results)
    mask = jax.tree.map(np.asarray, results.search.interventions).mask[run]
    assert (trust["seed"], trust["units"]) == (run, units(mask))
    by_name = {one["name"]: one for one in trust["measures"]}
    assert by_name["accuracy"]["value"] == pytest.approx(
        100 * float(results.evaluations.accuracy[run])
    )
    assert by_name["harm"]["value"] == pytest.approx(float(results.evaluations.kl[run]), rel=1e-4)
    assert (by_name["unseen"]["verdict"] == "not measured") == (level == "fast")
    splits = by_name["stability"]["details"]["over_splits"]
    further = ["words", "constructions", "split seed 1", "split seed 2"]
    assert list(splits) == (further if level == "all" else [])


class Stopped(Exception):
    pass


def test_a_measure_that_was_made_is_not_made_again(prepare_kind, monkeypatch):
    """A report is stopped before its tenth measure and goes on from there."""
    made = []

    def thunk(name):
        def measure():
            made.append(name)
            return not_measured(name, "", "")

        return measure

    prepared, plan = prepare_kind(), Plan(SearchConfig())
    found = from_arrays(np.zeros((1, 2, 12)), np.zeros((1, 2, 12)))
    ensemble = Ensemble(found, None, History(None, SimpleNamespace(loss=np.ones((1, 1)))), 0.0, 0.0)
    results = Results(ensemble, None, np.array([0.5]), None, None, {})
    monkeypatch.setattr(assessing, "_measures", lambda *_: {name: thunk(name) for name in MEASURES})
    kept = {}

    def stop(done, name):
        if done == 9:
            raise Stopped

    with pytest.raises(Stopped):
        assess(results, prepared, plan, "fast", stop, kept)
    assert made == list(kept) == list(MEASURES[:9])
    trust = assess(results, prepared, plan, "fast", None, json.loads(json.dumps(kept)))
    assert made == list(MEASURES)
    assert [one["name"] for one in trust["measures"]] == list(MEASURES)


def test_what_is_measured_has_an_identity():
    def results(values, train=(0.5, 0.4)):
        found = from_arrays(np.ones((2, 2, 4)), values)
        history = History(None, SimpleNamespace(loss=np.ones((2, 1))))
        return Results(Ensemble(found, None, history, 0.0, 0.0), None, np.array(train), None,
                       None, {})  # fmt: skip

    zeros, ones = np.zeros((2, 2, 4)), np.ones((2, 2, 4))
    first = identity(results(zeros), "fast")
    assert first == identity(results(zeros), "fast")
    others = {identity(results(ones), "fast"), identity(results(zeros), "all"),
              identity(results(zeros, (0.4, 0.5)), "fast")}  # fmt: skip
    assert len({first, *others}) == 4
