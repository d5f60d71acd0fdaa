"""The content of summary.json and metrics.jsonl, which other programs read."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import jaxmask
from jaxmask import report, search
from jaxmask.files.run_folder import plain
from jaxmask.intervention import units
from jaxmask.pipeline.measure import measure
from jaxmask.pipeline.summarise import observations, separate, summarise

SECONDS = {"total": 2.0, "compile": 1.0}
FIELDS = [
    "task", "method", "intervention", "site", "reach", "values", "surrogate", "kl_weight",
    "kl_at_most", "kl_positions", "alpha", "beta", "shared_mask", "context", "model", "site_units",
    "examples", "runs", "accuracy", "n_units", "kl", "kl_elsewhere", "prevalence",
    "seconds", "versions", "device", "precision",
]  # fmt: skip
RUN = {
    "seed", "accuracy", "train_accuracy", "accuracy_by_direction", "n_units", "units", "values",
    "expected_l0", "kl", "kl_elsewhere", "text_kl", "relaxed",
    "steps", "stopped_at", "seconds", "converged", "fractional_gates", "not_converged",
}  # fmt: skip
NESTED = {
    "model": {"name", "fingerprint", "layers", "hidden", "vocabulary"},
    "examples": {
        "train", "evaluation", "dropped", "unknown", "left_out", "model_accuracy", "split",
        "development", "toward",
    },
    "accuracy": {"mean", "std"}, "n_units": {"mean", "std"}, "kl": {"mean", "std"},
    "kl_elsewhere": {"mean", "std"},
    "seconds": {"total", "compile"}, "versions": {"jaxmask", "jax"},
}  # fmt: skip


@pytest.fixture(scope="module")
def results(searched):
    prepared, plan, found = searched
    return measure(found, prepared, plan)


@pytest.fixture(scope="module")
def summary(searched, results):
    return summarise(results, searched.prepared, searched.plan, SECONDS)


def test_fields_are_those_that_other_programs_know(summary):
    assert list(summary) == FIELDS
    for name, fields in NESTED.items():
        assert set(summary[name]) == fields, name
    for run in summary["runs"]:
        assert set(run) == RUN
        assert set(run["relaxed"]) == {"sampled_accuracy", "hard_accuracy", "hard_units"}
        for name in ("accuracy_by_direction", "values", *run["text_kl"]):
            here = run[name] if name in run else run["text_kl"][name]
            assert set(here) == {"singular", "plural"}
        assert set(run["text_kl"]) == {"every", "random"}
    for row in summary["prevalence"]:
        assert set(row) == {"unit", "layer", "column", "state", "singular", "plural", "prevalence"}


def test_it_is_json_as_it_stands_and_can_be_reported(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == plain(summary, "summary")
    assert "tiny" in report.markdown_report(summary)


def test_numbers_are_those_that_were_measured(searched, summary, results):
    prepared, plan, found = searched
    config = plan.config
    assert (summary["alpha"], summary["beta"], summary["kl_weight"]) == (0.25, 0.25, 1.0)
    assert summary["examples"]["toward"] == {
        name: {part: prepared.examples_toward(number, part) for part in ("train", "evaluation")}
        for number, name in enumerate(("singular", "plural"))
    }
    assert summary["seconds"] == SECONDS
    assert summary["versions"]["jaxmask"] == jaxmask.__version__
    for number, run in enumerate(summary["runs"]):
        mask = np.asarray(found.interventions.mask[number])
        baseline = np.asarray(found.interventions.baseline[number])
        history = jax.tree.map(lambda x, n=number: x[n], found.history)
        assert run["seed"] == number
        assert run["units"] == units(mask)
        for row, name in enumerate(("singular", "plural")):
            assert run["values"][name] == {
                str(unit): float(baseline[row, unit - 1]) for unit in run["units"]
            }
            accuracy = results.evaluations.accuracy_by_direction[number, row]
            assert run["accuracy_by_direction"][name] == report.percent(accuracy)
            kl = {where: float(kl[number, row]) for where, kl in results.text_kl.items()}
            assert {where: run["text_kl"][where][name] for where in kl} == kl
        assert run["accuracy"] == report.percent(results.evaluations.accuracy[number])
        assert run["train_accuracy"] == report.percent(results.train_accuracy[number])
        assert run["kl"] == float(results.evaluations.kl[number])
        assert run["steps"] == int(search.steps_taken(history, config))
        assert run["stopped_at"] is None
        assert run["seconds"] == found.seconds
        intervention = jax.tree.map(lambda x, n=number: x[n], found.interventions)
        assert run["converged"] == bool(search.converged(intervention, history, config))
    assert summary["accuracy"]["mean"] == pytest.approx(
        np.mean([run["accuracy"] for run in summary["runs"]])
    )


def test_what_does_not_exist_is_null(searched):
    """Toward a direction that has no examples there is no accuracy and no KL on text."""
    prepared, plan, found = searched
    only = {
        name: part.take(np.flatnonzero(part.direction == 1))
        for name, part in (("train", prepared.train), ("evaluation", prepared.evaluation))
    }
    one_sided = dataclasses.replace(prepared, **only)
    results = measure(found, one_sided, plan)
    run = summarise(results, one_sided, plan, SECONDS)["runs"][0]
    assert run["accuracy_by_direction"]["singular"] is None
    assert run["accuracy_by_direction"]["plural"] is not None
    assert set(run["text_kl"]["every"]) == {"plural"}
    assert run["values"]["singular"] == {}


def test_observations_are_the_last_steps_of_chunks_and_all_rounds(searched):
    _, _, found = searched
    lines = observations(found)
    places = [(line["phase"], line["step"], line["seed"]) for line in lines]
    assert places == [
        ("relaxation", 50, 0), ("relaxation", 50, 1),
        *(("exchange", step, seed) for step in (1, 2) for seed in (0, 1)),
    ]  # fmt: skip
    steps, rounds = found.history
    assert lines[1]["loss"] == float(steps.loss[1, 49])
    assert lines[-1]["accuracy"] == float(rounds.accuracy[1, 1])
    for line, info in ((lines[0], steps), (lines[-1], rounds)):
        assert set(line) == {"phase", "step", "seed"} | set(info._fields) - {"finite"}


def test_one_intervention_a_run(searched):
    stack = searched.found.interventions
    for number, one in enumerate(separate(stack)):
        np.testing.assert_array_equal(one.mask, stack.mask[number])
        np.testing.assert_array_equal(one.baseline, stack.baseline[number])
        assert isinstance(one.mask, np.ndarray)
