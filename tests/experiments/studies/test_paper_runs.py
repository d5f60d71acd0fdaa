"""All settings of Table 4: what is run, where, and what is kept."""

import dataclasses
import json
from pathlib import Path

import pytest

from experiments.shared.option_types import OptionError
from experiments.studies import needed_units, paper_runs
from experiments.studies.paper_runs import PaperOptions
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import Kind
from jaxmask.models import model_folder
from jaxmask.objective import NoKL, SampledKL
from jaxmask.pipeline.prepare import SplitError
from jaxmask.report import paper


def paper_options(model, out, **changes):
    settings = {"alpha": 0.25, "seeds": 1, "steps": 10, "rounds": 1, **changes}
    return PaperOptions(model=(str(model),), out=out, **settings)


@pytest.mark.slow
def test_the_smallest_alpha_is_found_and_kept(model, tmp_path, monkeypatch):
    setting = ("number_agreement", "every", False)
    wanted = paper.Result((50.0, 0.0), (1.0, 0.0), (0.0, 0.0))
    monkeypatch.setattr(paper, "RESULTS", {setting: wanted})
    options, tiny = paper_options(model, tmp_path, alpha=None), model_folder.load_model(model)
    (run,) = paper_runs.run_all(options.request(), tiny)
    file = tmp_path / "tiny" / "number_agreement-every" / "alpha.json"
    kept = json.loads(file.read_text())
    units = round(kept["alpha"] * 12)
    assert run.summary["n_units"]["mean"] >= units
    assert run.folder.parent == file.parent
    reached = {probe["units"]: probe["accuracy"] for probe in kept["probes"]}
    wanted = 0.5 + needed_units.MARGIN
    assert kept["reached"] == (reached[units] >= wanted)
    assert all(accuracy < wanted for size, accuracy in reached.items() if size == units - 1)
    with pytest.raises(RunFolderError, match="other settings"):
        paper_runs.run_all(dataclasses.replace(options, steps=20).request(), tiny)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_regularised_settings_need_a_weight(model, tmp_path, weight):
    with pytest.raises(OptionError, match="--kl-weight: expected a number from 1e-06"):
        paper_options(model, tmp_path, kl_weight=weight).request()


def test_settings_have_plans_and_folders_of_their_own(model, tmp_path):
    options = paper_options(model, tmp_path, data=tmp_path, context="none", kl_weight=3.0)
    request, tiny = options.request(), model_folder.load_model(model)
    plain = request.plan_of(("gender_bias", "single", False))
    assert (plain.config.kl_weight, plain.config.kl) == (0.0, NoKL())
    assert (plain.config.alpha, plain.config.most_fractional) == (0.25, 0.25)
    assert plain.config.steps == 10
    assert plain.design.kind == Kind(place="single")
    assert (plain.design.context, plain.design.data) == ("none", "gender_bias")
    regularised = request.plan_of(("number_agreement", "every", True))
    assert (regularised.config.kl_weight, regularised.config.kl) == (3.0, SampledKL(8))
    assert regularised.design.kind == Kind(place="every")
    assert request.data_of("gender_bias") == tmp_path / "gender_bias"
    folders = {request.folder_of(tiny, setting) for setting in paper.RESULTS}
    assert len(folders) == len(paper.RESULTS)
    assert tmp_path / "tiny" / "number_agreement-every-kl" in folders
    open_alpha = dataclasses.replace(options, alpha=None).request()
    assert open_alpha.plan_of(("gender_bias", "single", False)).config.alpha == 0.02


def test_a_vocabulary_is_of_pt_files_only():
    options = PaperOptions(model=("m.pt", "folder"), vocab=Path("v.txt"))
    assert options.vocab_of("m.pt") == Path("v.txt")
    assert options.vocab_of("folder") is None


def test_what_would_end_a_later_run_is_found_before_the_first(model, tmp_path):
    request, tiny = paper_options(model, tmp_path).request(), model_folder.load_model(model)
    paper_runs.check_all(request, [tiny])
    assert not list(tmp_path.iterdir())
    split = request.plan.design.split._replace(evaluation=3000)
    design = request.plan.design._replace(split=split)
    many = request._replace(plan=request.plan._replace(design=design))
    with pytest.raises(SplitError, match=r"^evaluation: expected 1 to 2872 of 2873"):
        paper_runs.check_all(many, [tiny])  # of gender bias; number agreement has enough
    (tmp_path / "tiny").write_text("")
    with pytest.raises(RunFolderError, match="tiny: expected a folder to write to"):
        paper_runs.check_all(request, [tiny])
