"""Searches that are finished are read; the others are run."""

import json

import pytest

from experiments.shared.experiment import Output
from experiments.studies import searches
from experiments.studies.searches import Resources, run_or_read
from jaxmask.files.run_folder import RunFolderError, open_run
from jaxmask.models import model_folder
from jaxmask.pipeline.plan import Design, Plan, Split
from jaxmask.pipeline.prepare import prepare
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig
from jaxmask.tasks import number_agreement

PLAN = Plan(SearchConfig(alpha=0.25), Design(split=Split(evaluation=9)), seeds=2)
RESOURCES = Resources(Programs(), checkpoint_minutes=7.0)


@pytest.fixture(scope="module")
def prepared(model):
    task = number_agreement.generate(0)
    task = task._replace(stimuli=task.stimuli[::200])
    return prepare(model_folder.load_model(model), task, PLAN.design)


@pytest.fixture
def run(monkeypatch):
    """The experiments that are run."""
    asked = []
    monkeypatch.setattr(searches, "experiment", lambda *given: asked.append(given) or {"new": 1})
    return asked


def test_what_is_not_finished_is_run(prepared, tmp_path, run):
    assert run_or_read(prepared, PLAN, tmp_path / "a", RESOURCES) == {"new": 1}
    ((given, plan, to, programs),) = run
    assert given is prepared
    assert plan == PLAN
    assert programs is RESOURCES.programs
    settings = PLAN.settings(prepared.task, prepared.model)
    assert to == Output(tmp_path / "a", settings, 7.0, to.started)
    assert not (tmp_path / "a").exists()  # that is the experiment's to do


def test_what_is_finished_is_read_and_its_checkpoints_go(prepared, tmp_path, run):
    open_run(tmp_path, PLAN.settings(prepared.task, prepared.model))
    (tmp_path / "checkpoints" / "relaxation").mkdir(parents=True)
    assert run_or_read(prepared, PLAN, tmp_path, RESOURCES) == {"new": 1}  # begun only
    assert (tmp_path / "checkpoints").exists()
    (tmp_path / "summary.json").write_text(json.dumps({"there": 1}))
    assert run_or_read(prepared, PLAN, tmp_path, RESOURCES) == {"there": 1}
    assert not (tmp_path / "checkpoints").exists()
    assert len(run) == 1


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_of_other_settings_is_refused(prepared, tmp_path, run, finished):
    open_run(tmp_path, PLAN.settings(prepared.task, prepared.model))
    if finished:
        (tmp_path / "summary.json").write_text("{}")
    other = PLAN._replace(config=PLAN.config.replace(alpha=0.5))
    with pytest.raises(RunFolderError, match=r"configuration; search\.alpha: 0\.25 there, 0\.5 n"):
        run_or_read(prepared, other, tmp_path, RESOURCES)
    assert not run
