"""Accuracy against the number of units: all settings of a sweep as one program."""

import json

import numpy as np
import pytest

from experiments import pareto
from experiments.pareto import ParetoOptions
from experiments.shared.option_types import OptionError
from jaxmask.files.run_folder import RunFolderError
from jaxmask.models import model_folder
from jaxmask.objective import NoKL, SampledKL
from jaxmask.runs import ensemble
from jaxmask.tasks import number_agreement


@pytest.mark.slow
def test_pareto_tells_of_every_setting(model, tmp_path, capsys):
    options = pareto.ParetoOptions(
        model=str(model), alpha=(0.25, 0.1), kl_weight=(0.0, 4.0), seeds=2, steps=20, rounds=1,
        evaluation=300, out=tmp_path / "run",
    )  # fmt: skip
    summary = pareto.work(options)
    there = [(one["kl_weight"], one["alpha"], one["allowed"]) for one in summary["settings"]]
    assert there == [(0.0, 0.1, 1), (0.0, 0.25, 3), (4.0, 0.1, 1), (4.0, 0.25, 3)]
    for one in summary["settings"]:
        assert [run["n_units"] for run in one["runs"]] == 2 * [one["allowed"]]
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert (tmp_path / "run" / "figures" / "accuracy_against_units.png").exists()
    assert len(list((tmp_path / "run").glob("interventions/*/seed_*.json"))) == 8
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 90 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"alpha": ()}, "--alpha: expected"),
        ({"alpha": (0.1, 0.1)}, "--alpha: expected values that differ"),
        ({"alpha": (0.1, 2.0)}, "--alpha: expected a number from 1e-06 to 1, found 2.0"),
        ({"alpha": (-0.1, 0.2)}, "--alpha: expected a number from 1e-06 to 1, found -0.1"),
        ({"kl_weight": ()}, "--kl-weight: expected"),
        ({"kl_weight": (1.0, 1.0)}, "--kl-weight: expected values that differ"),
        ({"kl_weight": (float("nan"), 1.0)}, "--kl-weight: expected a number from 0"),
        ({"seeds": 0}, "--seeds"),
        ({"method": "hard_concrete_paper", "rounds": 2}, "--rounds: expected none"),
    ],
)
def test_options_out_of_range_are_refused(fault, named):
    with pytest.raises(OptionError, match=named):
        ParetoOptions(**fault).sweep()


def test_plans_are_in_the_order_of_the_runs():
    sweep = ParetoOptions(alpha=(0.3, 0.1), kl_weight=(4.0, 0.0), seeds=2).sweep()
    plans = [(plan.config.kl_weight, plan.config.alpha) for plan in sweep.plans()]
    assert plans == [(4.0, 0.1), (4.0, 0.3), (0.0, 0.1), (0.0, 0.3)]
    assert all(plan.config.most_fractional == plan.config.alpha for plan in sweep.plans())
    keys, config = sweep.grid()
    assert len(keys) == 8
    np.testing.assert_array_equal(config.alpha, np.float32(np.tile([0.1, 0.1, 0.3, 0.3], 2)))
    np.testing.assert_array_equal(config.kl_weight, np.repeat([4.0, 0.0], 4))
    np.testing.assert_array_equal(config.most_fractional, config.alpha)
    assert config.kl == SampledKL(8)  # shapes are shared: a weight of 0 multiplies it
    fixed = ParetoOptions(alpha=(0.3, 0.1), kl_weight=(0.0,), beta=0.5).sweep()
    assert fixed.grid()[1].kl == NoKL()
    assert fixed.grid()[1].beta == 0.5
    assert {plan.config.beta for plan in fixed.plans()} == {0.5}


def test_a_folder_of_another_sweep_is_refused_before_any_work_is_done(model, tmp_path, monkeypatch):
    options = {"model": str(model), "kl_weight": (0.0, 4.0), "evaluation": 300, "out": tmp_path}
    tiny, task = model_folder.load_model(model), number_agreement.generate(0)
    settings = ParetoOptions(alpha=(0.1, 0.2), **options).sweep().settings(task, tiny)
    assert (settings["alpha"], settings["beta"], settings["kl_weight"]) == (
        [0.1, 0.2], None, [0.0, 4.0]
    )  # fmt: skip
    assert not {"alpha", "beta", "kl_weight"} & settings["search"].keys()
    (tmp_path / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(ensemble, "run", None)
    differing = r"configuration; alpha: \[0\.1, 0\.2\] there, \[0\.1, 0\.3\] now; these"
    with pytest.raises(RunFolderError, match=differing):
        pareto.work(ParetoOptions(alpha=(0.3, 0.1), **options))
