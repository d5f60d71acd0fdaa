"""The scripts that run all of the paper, on a model of a few units."""

import dataclasses
import json

import numpy as np
import pytest
from experiments.shared.setup import OptionError

from experiments import reproduce_paper, single_unit_ablation, variants
from experiments.studies import needed_units, paper_runs
from jaxmask.files.run_folder import RunFolderError, read_summary
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.report import paper
from jaxmask.tasks import number_agreement
from jaxmask.text import examples


def paper_options(model, out, **changes):
    settings = {"alpha": 0.25, "seeds": 1, "steps": 10, "rounds": 1, **changes}
    return paper_runs.PaperOptions(model=(str(model),), out=out, **settings)


@pytest.mark.slow
def test_the_whole_paper_in_one_report(model, tmp_path, capsys, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("The doctor said that the nurse ran .\n" * 3, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["reproduce_paper", "--model", "a b", "--seeds", "1"])
    out = tmp_path / "paper"
    options = paper_options(model, out, text=text)
    reproduce_paper.work(options)
    page, markdown = (out / "report.html").read_text(), (out / "REPORT.md").read_text()
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5"):
        assert title in page
        assert title in markdown
    assert "data:image/png;base64," in page
    assert "--model 'a b' \\" in markdown
    for setting in paper.RESULTS:
        summary = read_summary(paper_runs._folder(options, model_folder.load_model(model), setting))
        assert (summary["kl_weight"] > 0) == setting[2]
        assert summary["runs"][0]["text_kl"]["every"]
    # A second start runs nothing again.
    capsys.readouterr()
    reproduce_paper.work(options)
    assert "searching" not in capsys.readouterr().out
    with pytest.raises(RunFolderError, match="alpha"):
        reproduce_paper.work(dataclasses.replace(options, alpha=0.5))


@pytest.mark.slow
def test_the_smallest_alpha_is_found_and_kept(model, tmp_path, monkeypatch):
    setting = ("number_agreement", "every", False)
    wanted = paper.Result((50.0, 0.0), (1.0, 0.0), (0.0, 0.0))
    monkeypatch.setattr(paper, "RESULTS", {setting: wanted})
    options = paper_options(model, tmp_path, alpha=None)
    _, (run,) = paper_runs.run_all(options, str(model))
    file = tmp_path / "tiny" / "number_agreement-every" / "alpha.json"
    kept = json.loads(file.read_text())
    units = round(kept["alpha"] * 12)
    assert run.summary["n_units"]["mean"] >= units
    reached = {probe["units"]: probe["accuracy"] for probe in kept["probes"]}
    wanted = 0.5 + needed_units.MARGIN
    assert kept["reached"] == (reached[units] >= wanted)
    assert all(accuracy < wanted for size, accuracy in reached.items() if size == units - 1)
    with pytest.raises(RunFolderError, match="other settings"):
        paper_runs.run_all(dataclasses.replace(options, steps=20), str(model))


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([0.2, 0.8, 0.9], 2), ([0.8, 0.6, 0.9], 3), ([0.1, 0.2], None), ([0.9], 1)],
)
def test_greedy_needs_as_many_units_as_reach_it_for_good(curve, expected):
    assert needed_units.GreedyCurve([], curve, []).needed(0.7) == expected


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_regularised_settings_need_a_weight(model, tmp_path, weight):
    with pytest.raises(OptionError, match="--kl-weight: expected a number from 1e-06"):
        paper_runs.run_all(paper_options(model, tmp_path, kl_weight=weight), str(model))


@pytest.mark.slow
def test_ablation_is_the_fall_of_the_accuracy_without_a_unit(model):
    options = single_unit_ablation.AblationOptions(model=str(model), examples=10**6)
    tiny = model_folder.load_model(model)
    found = single_unit_ablation.ablate(options, tiny)
    assert found.drop.shape == (14, 12)
    task = number_agreement.generate(0)
    encoded = examples.encode(task, tiny.vocabulary)
    context = read_context(tiny.params, tiny.vocabulary.encode(["<eos>"]))
    odds = log_odds(tiny.params, encoded.examples, context)
    for name, untouched in zip(found.conditions, found.untouched, strict=True):
        group, number = name.split(", ")
        rows = (encoded.examples.group == encoded.groups.index(group)) & (
            encoded.examples.correct == task.directions.index(number)
        )
        right = (odds[rows] > 0) == (number == "singular")
        assert untouched == pytest.approx(100 * right.mean(), abs=0.01)
    content = json.loads(json.dumps(single_unit_ablation.content(found)))
    again = single_unit_ablation.from_content(content)
    np.testing.assert_allclose(again.drop, found.drop, atol=1e-3)
    assert again.found == found.found


@pytest.mark.slow
def test_variants_change_one_thing_each(model, tmp_path, capsys):
    options = variants.VariantOptions(
        model=str(model), out=tmp_path, alpha=0.25, seeds=1, steps=10, rounds=1
    )
    variants.work(options)
    default = json.loads((tmp_path / "default" / "config.json").read_text())
    separate = json.loads((tmp_path / "separate_masks" / "config.json").read_text())
    assert {key for key in default if default[key] != separate[key]} == {"shared_mask", "search"}
    assert "no constraint (7)" in capsys.readouterr().out
