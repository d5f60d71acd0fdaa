"""From a file to units in one call: what the pipeline gives, shown, saved, applied."""

import importlib
import logging
import sys

import jax
import numpy as np
import pytest

import jaxmask
from jaxmask import report
from jaxmask.files.intervention_file import InterventionFileError
from jaxmask.found import find
from jaxmask.intervention import Kind, units
from jaxmask.models.language_model import ModelError
from jaxmask.pipeline.prepare import SplitError
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.examples import TaskDataError

CONFIG = jaxmask.SearchConfig(steps=20, exchange_rounds=1, kl=jaxmask.SampledKL(8))
PLAN = jaxmask.Plan(CONFIG, jaxmask.Design(split=jaxmask.Split(evaluation=20)), seeds=2)
SENTENCE = "The boy"


def write(file, stimuli):
    lines = ["sentence\tposition\tsingular\tplural"]
    lines += ["\t".join((" ".join(s.words), str(s.position + 1), *s.pair)) for s in stimuli]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    stimuli = number_agreement.generate(0).stimuli[::100]
    return write(tmp_path_factory.mktemp("pairs") / "mine.tsv", stimuli)


@pytest.fixture(scope="module")
def found(pairs, model):
    return find(str(pairs), model, alpha=0.25, plan=PLAN)


def test_it_is_what_the_pipeline_gives(found, pairs, model):
    loaded, task = jaxmask.load_model(model), minimal_pairs.read(pairs)
    plan = PLAN._replace(config=CONFIG.replace(alpha=0.25))
    prepared = jaxmask.prepare(loaded, task, plan.design)
    results = jaxmask.measure(jaxmask.search_all(prepared, plan), prepared, plan)
    summary = jaxmask.summarise(results, prepared, plan, {"total": 0.0, "compile": 0.0})
    for name in ("runs", "prevalence", "examples", "accuracy", "alpha", "beta", "model"):
        ours, theirs = found.summary[name], summary[name]
        if name == "runs":
            for run in (*ours, *theirs):
                run.pop("seconds", None)
        assert ours == theirs, name
    for one, other in zip(found.evaluations, results.evaluations, strict=True):
        np.testing.assert_array_equal(one, other)
    by_task = find(task, loaded, alpha=0.25, plan=PLAN)
    assert by_task.summary["prevalence"] == summary["prevalence"]
    record = found.plan.settings(task, loaded)
    assert record["data"].startswith("mine.tsv, sha256 ")
    assert {**record, "data": "generated"} == by_task.plan.settings(task, loaded)


def test_printed_it_is_its_tables(found):
    assert str(found) == repr(found) == found._repr_markdown_()
    for table in (report.unit_table(found.summary), report.summary_row(found.summary)):
        assert report.to_markdown(table) in repr(found)
    many = dict(found.summary, prevalence=found.summary["prevalence"] * 20)
    more = jaxmask.Found(found.prepared, found.plan, found.results, many)
    assert 'more: see .summary["prevalence"].' in repr(more)


def test_the_best_run_is_saved_and_applied(found, model, tmp_path):
    loaded = jaxmask.load_model(model)
    flips = [run["train_accuracy"] for run in found.summary["runs"]]
    assert flips[found.best] == max(flips)
    assert found.units == found.summary["runs"][found.best]["units"] != []
    for run in (None, 0, 1):
        found.save(tmp_path / "one.json", run)
        saved = jaxmask.load_intervention(tmp_path / "one.json", loaded, found.prepared.task)
        number = found.best if run is None else run
        for part, whole in zip(saved.intervention, found.results.interventions, strict=True):
            masked = np.asarray(found.results.interventions.mask[number]) > 0
            np.testing.assert_array_equal(part, np.where(masked, whole[number], 0))
        assert saved.metrics["accuracy"] == found.summary["runs"][number]["accuracy"]
        assert saved.settings["search"]["alpha"] == 0.25
        assert units(saved.intervention.mask) == found.summary["runs"][number]["units"]
    found.save(tmp_path / "best.json")
    saved = jaxmask.load_intervention(tmp_path / "best.json", loaded)
    for toward in (None, "plural", "singular"):
        theirs = jaxmask.apply(saved, loaded, SENTENCE.split(), toward, position=1)
        np.testing.assert_array_equal(found.apply(SENTENCE, toward, 1), theirs)
    assert (found.apply(SENTENCE, "plural", 1) != found.apply(SENTENCE, None)).any()
    with pytest.raises(InterventionFileError, match="toward: expected singular or plural"):
        found.apply(SENTENCE, "dual", 1)
    with pytest.raises(IndexError):
        found.save(tmp_path / "none.json", run=2)


def test_its_figures_are_drawn(found, tmp_path):
    figures = found.draw()
    titles = [figure.get_suptitle() for figure in figures]
    assert len(figures) == 2
    assert "becomes" in titles[0]
    nothing = jax.tree.map(np.zeros_like, found.results.interventions)
    empty = found.results._replace(interventions=nothing)
    assert len(jaxmask.Found(found.prepared, found.plan, empty, found.summary).draw()) == 1


def test_figures_name_the_extra_that_is_missing(found, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("jaxmask.report.figures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    expected = r"figures need matplotlib: pip install 'jaxmask\[experiments\]'"
    with pytest.raises(ImportError, match=expected):
        found.draw()
    with pytest.raises(ImportError, match=expected):
        importlib.import_module("jaxmask.report.figures.curves")


@pytest.fixture
def asked(monkeypatch):
    """The plan of a call, which then ends."""
    seen = []

    def stop(model, task, design):
        seen.append(design)
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxmask.found.search.check", seen.append)
    monkeypatch.setattr("jaxmask.found.prepare", stop)

    def ask(*arguments, **choices):
        """The settings of the search, and the design."""
        seen.clear()
        with pytest.raises(KeyboardInterrupt):
            find(*arguments, **choices)
        return tuple(seen)

    return ask


def test_units_in_place_of_alpha(asked, pairs, model):
    for count in range(1, 13):
        config, _ = asked(pairs, model, units=count)
        assert int(jaxmask.search.budget(12, jax.numpy.float32(config.alpha))) == count
        assert config.most_fractional == config.alpha
    config, _ = asked(pairs, model)
    assert config == jaxmask.Plan().config


def test_what_is_usual_for_the_model(asked, pairs, model):
    assert asked(pairs, model)[1].kind == Kind()
    kind = Kind("cell", place="every")
    assert asked(pairs, model, kind=kind)[1].kind == kind
    inside = jaxmask.Plan(design=jaxmask.Design(kind, "none"))
    assert asked(pairs, model, plan=inside)[1][:2] == (kind, "none")
    transformer = type("T", (), {"sites": {"mlp": 0, "residual": 0}, "usual_values": "natural",
                                 "contexts": ("own", "bos")})()  # fmt: skip
    design = asked(pairs, transformer)[1]
    assert (design.kind, design.context) == (Kind("mlp", values="natural"), "own")


def planned(split):
    return jaxmask.Plan(design=jaxmask.Design(split=split))


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"alpha": 0.1, "units": 2}, ValueError, "units: expected no alpha beside it"),
        ({"units": 0}, ValueError, "units: expected 1 to 12, found 0"),
        ({"units": 13}, ValueError, "units: expected 1 to 12, found 13"),
        ({"units": 2.5}, ValueError, "units: expected 1 to 12, found 2.5"),
        ({"kind": Kind(place="evry")}, ValueError, "expected place single or every or last, found"),
        ({"plan": planned("word")}, ValueError, "split: expected a jaxmask.Split, found 'word'"),
        ({"plan": planned(jaxmask.Split(0))}, ValueError, "split: evaluation: expected None or a"),
        ({"plan": planned(jaxmask.Split(by="x"))}, ValueError, "split: expected by example, word"),
        ({"alpha": 2.0}, ValueError, "alpha: expected above 0, at most 1, found 2.0"),
        ({"plan": jaxmask.Plan(seeds=0)}, ValueError, "seeds: expected at least 1, found 0"),
        ({"kind": Kind("mlp")}, ModelError, "tiny: site: expected hidden or cell"),
        ({"plan": 3}, ValueError, "plan: expected a jaxmask.Plan, found 3"),
        ({"kind": "every"}, ValueError, "kind: expected a jaxmask.Kind, such as Kind("),
        ({"kind": Kind("mlp"), "units": 1}, ModelError, "tiny: site: expected hidden or cell"),
        ({"plan": jaxmask.Plan(design=jaxmask.Design(split=jaxmask.Split(999)))}, SplitError, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(choices, error, message, pairs, model):
    with pytest.raises(error) as fault:
        find(pairs, model, **choices)
    assert str(fault.value).startswith(message)
    assert "\n" not in str(fault.value)


def test_files_that_cannot_be_used(tmp_path, model):
    with pytest.raises(TaskDataError, match=r"none\.tsv: expected a file of pairs"):
        find(tmp_path / "none.tsv", model)
    task = write(tmp_path / "gender_bias.tsv", number_agreement.generate(0).stimuli[:2])
    with pytest.raises(TaskDataError, match=r"isn't called like a task \(gender_bias\)"):
        find(task, model)
    with pytest.raises(ModelError, match=r"found none at .*nowhere; .* none is downloaded"):
        find(task, tmp_path / "nowhere")
    with pytest.raises(TaskDataError, match=r"data: expected a file of pairs or a Task, found \["):
        find([], model)


def test_progress_goes_to_the_logger(pairs, model, caplog):
    with caplog.at_level(logging.INFO, "jaxmask"):
        find(pairs, model, alpha=0.25, plan=PLAN)
    lines = [record.message for record in caplog.records if record.name == "jaxmask"]
    assert lines[0].startswith("mine: 2 searches on ")
    assert lines[0].endswith("for at most 3 of 12 units; compiling comes first")
    assert lines[1].startswith("step 20 of 20: ")
    assert lines[2].startswith("round of exchange 1 of 1: ")


def test_bundled_models_have_the_names_of_the_command_line(monkeypatch, pairs):
    asked = []

    def load(folder):
        asked.append(folder)
        raise ModelError("stop")

    monkeypatch.setattr("jaxmask.found.load_model", load)
    for given in ((), ("demo",), ("demo-gpt2",), ("other",)):
        with pytest.raises(ModelError):
            find(pairs, *given)
    assert asked == [jaxmask.BUNDLED_MODEL, jaxmask.BUNDLED_MODEL, jaxmask.BUNDLED_GPT2, "other"]
