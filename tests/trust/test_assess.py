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
from jaxmask.trust.assess import MEASURES, assess, best_run
from jaxmask.trust.controls import same_values


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
    assert [name for _, name in seen] == list(MEASURES)
    assert [done for done, _ in seen] == list(range(1, 14))
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
    assert len(splits) == (2 if level == "all" else 0)
