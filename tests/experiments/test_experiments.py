"""The scripts from end to end, on a model of a few units."""

import json
import subprocess
import sys

import numpy as np
import pytest
from experiments.shared.setup import OptionError, Options, check, search_config

from experiments.shared import report_search
from jaxmask.files.intervention_file import load_intervention
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import units
from jaxmask.models import model_folder
from jaxmask.objective import NoKL
from jaxmask.runs import ensemble
from jaxmask.tasks import number_agreement

NAME = number_agreement.NAME


def options(model, out, **changes):
    settings = {"seeds": 2, "steps": 60, "alpha": 0.25, "evaluation": 300, **changes}
    return Options(model=str(model), out=out, **settings)


@pytest.mark.parametrize("intervention", ["single", pytest.param("every", marks=pytest.mark.slow)])
def test_run_folder_tells_what_was_found(model, tmp_path, monkeypatch, intervention):
    folder = tmp_path / "run"
    summary = report_search.run(NAME, options(model, folder, intervention=intervention))

    assert json.loads((folder / "summary.json").read_text()) == summary
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "summary.json", "metrics.jsonl", "table.md", "figures", "interventions",
    }  # fmt: skip
    assert (folder / "figures" / "search.png").stat().st_size > 10_000
    assert summary["examples"]["train"] + summary["examples"]["evaluation"] == 12_000
    for run in summary["runs"]:
        assert run["n_units"] == len(run["units"]) == 3  # a quarter of 12
        assert all(1 <= unit <= 12 for unit in run["units"])
        assert set(run["values"]["plural"]) == {str(unit) for unit in run["units"]}
        saved = load_intervention(
            folder / "interventions" / f"seed_{run['seed']}.json", model_folder.load_model(model)
        )
        assert units(saved.intervention.mask) == run["units"]
    assert summary["accuracy"]["mean"] == pytest.approx(
        np.mean([run["accuracy"] for run in summary["runs"]])
    )

    monkeypatch.setattr(ensemble, "run", None)  # what follows is before any work is done
    with pytest.raises(OptionError, match="--out: expected a folder that can be written"):
        report_search.run(NAME, options(model, folder / "table.md" / "run"))
    with pytest.raises(RunFolderError, match="alpha"):
        report_search.run(NAME, options(model, folder, intervention=intervention, alpha=0.5))


@pytest.mark.slow
def test_a_seed_that_stopped_is_reported(model, tmp_path, monkeypatch, capsys):
    whole = report_search.ensemble.run

    def stops(*arguments):
        """The second seed's loss is NaN in step 55."""
        result = whole(*arguments)
        steps, rounds = result.history
        loss, finite = steps.loss.copy(), steps.finite.copy()
        loss[1, 54:], finite[1, 54:] = np.nan, False
        rounds = rounds._replace(finite=rounds.finite & np.array([[True], [False]]))
        history = result.history._replace(
            steps=steps._replace(loss=loss, finite=finite), rounds=rounds
        )
        return result._replace(history=history)

    monkeypatch.setattr(report_search.ensemble, "run", stops)
    summary = report_search.run(NAME, options(model, tmp_path))
    first, second = summary["runs"]
    assert (first["stopped_at"], second["stopped_at"]) == (None, 55)
    assert not second["converged"]
    assert first["steps"] > second["steps"] == 55
    line = "seed 1 stopped at step 55: the loss or its gradient isn't finite"
    assert line in capsys.readouterr().out
    assert f"{line}." in (tmp_path / "table.md").read_text()
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {one["step"] for one in lines if one["seed"] == 1} == {50}
    assert {one["phase"] for one in lines if one["seed"] == 0} == {"relaxation", "exchange"}


@pytest.mark.slow
def test_same_seed_same_result(model, tmp_path):
    first, second = (
        report_search.run(NAME, options(model, tmp_path / name, steps=20)) for name in "ab"
    )
    for one, other in zip(first["runs"], second["runs"], strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


@pytest.mark.slow
def test_separate_masks_and_no_kl(model, tmp_path):
    chosen = options(model, tmp_path, shared_mask=False, kl_weight=0.0, steps=30)
    summary = report_search.run(NAME, chosen)
    for run in summary["runs"]:
        assert len(run["values"]["singular"]) == len(run["values"]["plural"]) == 3


@pytest.mark.slow
def test_paper_settings_run(model, tmp_path):
    chosen = options(model, tmp_path, method="hard_concrete_paper", steps=30, seeds=1)
    summary = report_search.run(NAME, chosen)
    assert summary["surrogate"] == "ratio"
    assert summary["method"] == "hard_concrete_paper"


@pytest.mark.parametrize(
    "fault",
    [{"alpha": 0.0}, {"alpha": 1.5}, {"alpha": float("nan")}, {"beta": 0.0}, {"kl_weight": -1.0},
     {"seeds": 0}, {"steps": 0}, {"rounds": -1}, {"evaluation": 0}, {"split_seed": -1},
     {"checkpoint_minutes": -1}],
)  # fmt: skip
def test_options_out_of_range_are_refused(fault):
    (name,) = fault
    with pytest.raises(OptionError, match=name.replace("_", "-")):
        check(Options(**fault))


def test_options_reach_the_search():
    config = search_config(Options(alpha=0.3, kl_weight=0.0, steps=7, surrogate="log_ratio"))
    assert (config.alpha, config.beta, config.kl, config.steps) == (0.3, 0.3, NoKL(), 7)
    assert config.surrogate == "log_ratio"


@pytest.mark.slow
def test_command_line(model, tmp_path):
    command = [sys.executable, "-m", "experiments.number_agreement", "--model", str(model)]
    done = subprocess.run(
        [*command, "--seeds", "1", "--steps", "10", "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= max(80, len(str(tmp_path)) + 40)
    assert "Units found by 1 run" in done.stdout
    assert "\x1b" not in done.stdout

    done = subprocess.run([*command, "--alpha", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --alpha: expected a number from 1e-06 to 1, found 2.0")
