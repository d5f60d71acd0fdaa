"""A family that joins by one folder and one line in the registry is served by all scripts.

Nothing in the package knows it: it is searched, evaluated, drawn, reported, saved and applied by
the code that serves the LSTM.
"""

import json

import jax
import numpy as np
import pytest
from support.gru_family.model import GRUModel, random_params

from experiments import check_data, compare_methods, figures, pareto, search, single_unit_ablation
from jaxmask.files.intervention_file import apply, load_intervention
from jaxmask.models.language_model import FAMILIES, LanguageModel
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.pipeline.prepare import prepare
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.vocabulary import Vocabulary

WORDS = Vocabulary(sorted({*number_agreement.WORDS, "<unk>", "<eos>"}))
QUICK = {"seeds": 2, "steps": 30, "rounds": 1, "evaluation": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder of the family, which joins by one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "gru", "support.gru_family.storage")
        model = GRUModel("toy-gru", random_params(jax.random.key(3), len(WORDS)), WORDS)
        assert isinstance(model, LanguageModel)
        place = tmp_path_factory.mktemp("models") / "toy-gru"
        save_model(place, model)
        yield place


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A file of pairs, in two groups."""
    rng = np.random.default_rng(0)
    stimuli = [s for s in number_agreement.generate(0).stimuli if s.group in ("adv", "nounpp")]
    lines = ["sentence\tposition\tsingular\tplural\tgroup\tright"]
    for row in sorted(rng.choice(len(stimuli), 80, replace=False)):
        one = stimuli[row]
        right = number_agreement.DIRECTIONS[one.correct]
        lines.append("\t".join((" ".join(one.words), "2", *one.pair, one.group, right)))
    file = tmp_path_factory.mktemp("data") / "agreement.tsv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def run(folder, pairs, tmp_path_factory):
    """The options of a finished search, and its summary."""
    out = tmp_path_factory.mktemp("run") / "run"
    text = out.parent / "text.txt"
    text.write_text("The boy probably greets Mary\nThe cats near the desk\n")
    options = search.SearchScriptOptions(
        model=str(folder), data=pairs, alpha=0.25, text=text, out=out, **QUICK
    )
    return options, search.work(options)


def test_it_is_searched_evaluated_drawn_reported_and_saved(folder, pairs, run):
    options, summary = run
    assert json.loads((options.out / "summary.json").read_text()) == summary
    assert summary["model"]["name"] == "toy-gru"
    assert all(one["n_units"] == 2 for one in summary["runs"])  # a quarter of 8
    assert all(one["text_kl"]["every"] for one in summary["runs"])
    assert summary["prevalence"][0]["layer"] == 1
    drawn = {file.name for file in (options.out / "figures").iterdir()}
    assert drawn == {
        "activations.png", "search.png", "trust_accuracy.png", "trust_dose.png", "trust_harm.png",
        "trust_place.png",
    }  # fmt: skip
    verdicts = {one["name"]: one["verdict"] for one in summary["trust"]["measures"]}
    absent = {name for name, verdict in verdicts.items() if verdict == "not measured"}
    assert absent == {"unseen", "interchange", "selectivity"}  # the text's sentences are short
    assert "Accuracy: " in (options.out / "trust.md").read_text()
    again = figures.work(figures.FigureOptions(run=options.out, model=str(folder), data=pairs))
    assert {file.name for file in again} >= {"heat_map_adv.png", "heat_map_nounpp.png"}


def test_what_is_reported_is_what_the_model_does(folder, pairs, run):
    """Accuracy by the summary, against each held-out sentence with the saved file applied."""
    options, summary = run
    model = load_model(folder)
    saved = load_intervention(options.out / "interventions" / "seed_1.json", model)
    prepared = prepare(model, minimal_pairs.read(pairs), options.plan().design)
    part, flipped = prepared.evaluation, []
    for row in range(part.size):
        words = [WORDS.words[token] for token in part.tokens[row, : part.length[row]]]
        direction = part.direction[row]
        toward = prepared.task.directions[direction]
        last = apply(saved, model, words, toward, int(part.position[row]))[-1]
        flipped.append(last[part.pair[row, direction]] > last[part.pair[row, 1 - direction]])
    assert summary["runs"][1]["accuracy"] == pytest.approx(100 * np.mean(flipped))


@pytest.mark.slow
def test_the_other_scripts_serve_it_too(folder, pairs, tmp_path, capsys):
    shared = {"model": str(folder), "data": pairs}
    check_data.work(check_data.CheckOptions(**shared))
    assert "80 pairs" in capsys.readouterr().out
    compared = compare_methods.work(
        compare_methods.CompareOptions(
            task="minimal_pairs", methods=("hard_concrete", "greedy", "ig_learned", "reinforce"),
            alpha=(), units=(2,), seeds=1, steps=20, rounds=1, evaluation=20,
            out=tmp_path / "compare", **shared,
        )
    )  # fmt: skip
    assert {entry["method"] for entry in compared["methods"]} == {
        "hard_concrete", "greedy", "ig_learned", "reinforce",
    }  # fmt: skip
    swept = pareto.work(
        pareto.ParetoOptions(
            task="minimal_pairs", alpha=(0.125, 0.25), out=tmp_path / "pareto", **shared, **QUICK
        )
    )
    assert [one["allowed"] for one in swept["settings"]] == [1, 2]
    single_unit_ablation.work(
        single_unit_ablation.AblationOptions(
            model=str(folder), examples=4, out=tmp_path / "ablation"
        )
    )
    found = json.loads((tmp_path / "ablation" / "ablation.json").read_text())
    assert all(len(one["drop"]) == 8 for one in found["conditions"].values())
