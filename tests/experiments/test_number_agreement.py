"""An experiment from end to end, on a model of a few units."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments import number_agreement
from experiments.shared.option_types import OptionError
from experiments.shared.options import Options
from jaxmask.files.intervention_file import load_intervention
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import units
from jaxmask.models import model_folder
from jaxmask.runs import ensemble


def options(model, out, **changes):
    settings = {"seeds": 2, "steps": 60, "alpha": 0.25, "evaluation": 300, "trust": "none"}
    settings |= changes
    return Options(model=str(model), out=out, **settings)


CELLS = {"place": "last", "site": "hidden+cell", "reach": "all", "values": "natural"}


@pytest.mark.parametrize(
    "kind",
    [
        {"place": "single"},
        pytest.param({"place": "every"}, marks=pytest.mark.slow),
        pytest.param(CELLS, marks=pytest.mark.slow),
    ],
)
def test_run_folder_tells_what_was_found(model, tmp_path, monkeypatch, kind):
    folder = tmp_path / "run"
    most = {"alpha": 3 / 24} if kind is CELLS else {"alpha": 3 / 12}
    summary = number_agreement.work(options(model, folder, **kind, **most))

    assert json.loads((folder / "summary.json").read_text()) == summary
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "summary.json", "metrics.jsonl", "table.md", "figures", "interventions",
    }  # fmt: skip
    assert (folder / "figures" / "search.png").stat().st_size > 10_000
    assert summary["examples"]["train"] + summary["examples"]["evaluation"] == 12_000
    of_all = 24 if kind is CELLS else 12
    assert kind.items() <= ({"place": summary["intervention"]} | summary).items()
    for run in summary["runs"]:
        assert run["n_units"] == len(run["units"]) == 3
        assert all(1 <= unit <= of_all for unit in run["units"])
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
        number_agreement.work(options(model, folder / "table.md" / "run"))
    differing = r"configuration; search\.alpha: 0\.\d+ there, 0\.5 now; search\.beta: .* 0\.5 now;"
    with pytest.raises(RunFolderError, match=differing):
        number_agreement.work(options(model, folder, **kind, alpha=0.5))


@pytest.mark.slow
def test_a_seed_that_stopped_is_reported(model, tmp_path, monkeypatch, capsys):
    whole = ensemble.run

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

    monkeypatch.setattr(ensemble, "run", stops)
    summary = number_agreement.work(options(model, tmp_path))
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
        number_agreement.work(options(model, tmp_path / name, steps=20)) for name in "ab"
    )
    for one, other in zip(first["runs"], second["runs"], strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


@pytest.mark.slow
def test_separate_masks_and_no_kl(model, tmp_path):
    chosen = options(model, tmp_path, shared_mask=False, kl_weight=0.0, steps=30)
    summary = number_agreement.work(chosen)
    for run in summary["runs"]:
        assert len(run["values"]["singular"]) == len(run["values"]["plural"]) == 3


@pytest.mark.slow
def test_paper_settings_run(model, tmp_path):
    chosen = options(model, tmp_path, method="hard_concrete_paper", steps=30, seeds=1)
    summary = number_agreement.work(chosen)
    assert summary["surrogate"] == "ratio"
    assert summary["method"] == "hard_concrete_paper"


@pytest.mark.slow
def test_command_line(model, tmp_path):
    command = [sys.executable, "-m", "experiments.number_agreement", "--model", str(model)]
    done = subprocess.run(
        [*command, "--seeds", "1", "--steps", "10", "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(
        len(line) for line in lines if not line.startswith(("pairs: ", "searching: "))
    ) <= max(80, len(str(tmp_path)) + 40)
    assert max(len(line) for line in lines if "written to" not in line) <= 90  # soft lines
    assert "Units found by 1 run" in done.stdout
    assert "\x1b" not in done.stdout

    done = subprocess.run([*command, "--alpha", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --alpha: expected a number from 1e-06 to 1, found 2.0")


def old_settings(model, **changes):
    """What config.json held before options became values: all options, and the settings."""
    return {
        "task": "number_agreement", "model": model.name, "data": "generated",
        "intervention": "single", "context": "eos", "alpha": 0.25, "beta": None, "kl_weight": 1.0,
        "surrogate": None, "method": "hard_concrete", "shared_mask": True, "seeds": 2, "steps": 60,
        "rounds": None, "evaluation": 300, "split": "example", "split_seed": 0, "text": None,
        "fingerprint": model.fingerprint,
        "search": {"alpha": 0.25, "beta": 0.25, "kl_weight": 1.0, "kl_rows": 8, "steps": 60},
    } | changes  # fmt: skip


def test_a_run_begun_by_an_earlier_version_does_not_go_on(model, tmp_path):
    """Its checkpoints would be taken for others."""
    (tmp_path / "config.json").write_text(json.dumps(old_settings(model_folder.load_model(model))))
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RunFolderError) as refused:
        number_agreement.work(options(model, tmp_path))
    first, *differing = str(refused.value).split("; ")
    assert first == f"{tmp_path} holds a run with another configuration"
    assert "steps: 60 there, not set now" in differing
    assert 'search.kl: not set there, "8 rows" now' in differing
    assert "search.kl_rows: 8 there, not set now" in differing
    same = ("task", "model", "fingerprint", "seeds", "search.alpha", "search.steps")
    assert not [line for line in differing if line.partition(":")[0] in same]
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "checkpoints"}
