"""The figures of a finished run, from its folder."""

import json

import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from experiments.studies import run_figures
from jaxmask.files.intervention_file import (
    InterventionFileError,
    SavedIntervention,
    save_intervention,
)
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import Intervention, Kind, units
from jaxmask.models import model_folder
from jaxmask.pipeline.plan import Design, Plan, Split
from jaxmask.tasks import number_agreement

UNITS = (2, 5, 7, 8, 12)
DESIGN = Design(split=Split(evaluation=100))


@pytest.fixture(scope="module")
def task():
    return number_agreement.generate(0)


@pytest.fixture(scope="module")
def tiny(model):
    return model_folder.load_model(model)


@pytest.fixture
def folder(tiny, task, tmp_path):
    """A finished run, as far as it is read; its intervention turns some of each construction."""
    signs = np.sign(np.random.default_rng(7).uniform(-1, 1, (2, 12)))
    mask = np.isin(np.arange(1, 13), UNITS) * np.ones((2, 1))
    found = Intervention(jnp.asarray(mask, jnp.float32), jnp.asarray(signs, jnp.float32))
    settings = Plan(design=DESIGN).settings(task, tiny)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    prevalence = [{"unit": unit, "prevalence": 100.0} for unit in units(found.mask)]
    (tmp_path / "summary.json").write_text(json.dumps({"prevalence": prevalence}))
    saved = SavedIntervention(found, task.name, task.directions, settings, {})
    save_intervention(tmp_path / run_figures.INTERVENTION, saved, tiny)
    return tmp_path


def change(file, **changes):
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **changes}))


def test_what_is_read_of_a_run_is_what_it_was_made_with(folder):
    run = run_figures.read_run(folder)
    assert (run.folder, run.task, run.design) == (folder, "number_agreement", DESIGN)
    assert [row["unit"] for row in run.summary["prevalence"]] == list(UNITS)
    change(folder / "config.json", intervention="every", context="none", split="word", split_seed=3)
    assert run_figures.read_run(folder).design == Design(
        Kind(place="every"), "none", Split(100, "word", 3)
    )


def test_figures_of_a_run(folder, tiny, task):
    files = run_figures.draw(run_figures.read_run(folder), tiny, task)
    names = {file.name for file in files}
    assert {f"heat_map_{group}.png" for group in number_agreement.CONSTRUCTIONS} <= names
    assert {f"example_{group}.png" for group in number_agreement.CONSTRUCTIONS} <= names
    for file in files:
        assert file.parent == folder / "figures"
        assert matplotlib.image.imread(file).std() > 0.05


def test_a_figure_that_fails_is_a_warning_with_its_name(folder, tiny, task, monkeypatch, capsys):
    def fail(*_):
        raise IndexError("index 4 is out of bounds")

    monkeypatch.setattr(run_figures.found_units, "heat_map_figure", fail)
    files = run_figures.draw(run_figures.read_run(folder), tiny, task)
    assert {file.name.partition("_")[0] for file in files} == {"example"}
    warning = "warning: the figure heat_map_simple.png couldn't be drawn (IndexError: index 4 is"
    assert warning in capsys.readouterr().out


def test_figures_refuse_another_model(folder, task):
    demo = model_folder.load_model(model_folder.BUNDLED_MODEL)
    with pytest.raises(InterventionFileError, match=r"seed_0\.json: is of another model"):
        run_figures.draw(run_figures.read_run(folder), demo, task)


def test_a_run_without_units_can_not_be_drawn(folder, tiny, task):
    file = folder / run_figures.INTERVENTION
    change(file, units=[], values={"singular": {}, "plural": {}})
    with pytest.raises(RunFolderError, match=r"seed_0\.json: expected units to draw, found none"):
        run_figures.draw(run_figures.read_run(folder), tiny, task)


def test_runs_of_earlier_versions_can_be_read(folder, tiny):
    """Their config.json held all options beside what decides how the examples are read."""
    before = run_figures.read_run(folder)
    options = {
        "task": "number_agreement", "model": "tiny", "data": "generated", "intervention": "single",
        "context": "eos", "alpha": 0.25, "beta": None, "kl_weight": 1.0, "surrogate": None,
        "method": "hard_concrete", "shared_mask": True, "seeds": 2, "steps": 60, "rounds": None,
        "evaluation": 100, "split": "example", "split_seed": 0, "text": None,
        "fingerprint": tiny.fingerprint, "search": {"alpha": 0.25, "kl_rows": 8},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(options))
    design = before.design._replace(kind=Kind(reach="time"))  # the only reach at their time
    assert run_figures.read_run(folder) == before._replace(design=design)


def test_figures_need_a_finished_run(folder):
    (folder / "summary.json").unlink()
    with pytest.raises(RunFolderError, match=r"found no summary\.json"):
        run_figures.read_run(folder)
    change(folder / "config.json", task="sentiment")
    with pytest.raises(RunFolderError, match="task: expected one of number_agreement"):
        run_figures.read_run(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"config\.json: expected task, .* found no task"):
        run_figures.read_run(folder)
    (folder / "config.json").unlink()
    with pytest.raises(RunFolderError, match=r"config\.json: expected a run's configuration"):
        run_figures.read_run(folder)


def test_a_run_on_a_development_part_is_read_as_one(folder):
    change(folder / "config.json", development=20)
    assert run_figures.read_run(folder).design.split == Split(100, development=20)
