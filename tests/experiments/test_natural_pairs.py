"""Pairs out of a text, and an intervention that is tried on them."""

import json

import jax
import numpy as np
import pytest

from experiments import evaluate, natural_pairs
from experiments.evaluate import EvaluateOptions
from experiments.natural_pairs import NaturalOptions
from experiments.shared import option_types
from experiments.shared.option_types import OptionError
from experiments.studies import tried
from jaxmask.files.importers import pairs
from jaxmask.files.intervention_file import SavedIntervention, apply, save_intervention
from jaxmask.intervention import Intervention, Kind
from jaxmask.models import model_folder
from jaxmask.tasks import minimal_pairs, number_agreement

TEXT = ["a boy and these boys", "a car and these cars"] * 5 + [
    "The boys near the car greet us",
    "The boy near the cars greets us",
    "The boy near the cars greet us",
    "The boy , who saw the car , greets us",
]


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("".join(line + " .\n" for line in TEXT))
    return file


def test_a_text_becomes_a_file_of_pairs(text, tmp_path, capsys):
    task = natural_pairs.work(NaturalOptions(text, tmp_path / "pairs.tsv"))
    assert [" ".join(one.words) for one in task.stimuli] == [
        "The boys near the car", "The boy near the cars"
    ]  # fmt: skip
    assert minimal_pairs.read(tmp_path / "pairs.tsv").directions == ("singular", "plural")
    printed = capsys.readouterr().out
    assert "2 nouns were found" in printed
    assert "left out: 1 verbs of another number" in printed


def test_a_text_without_such_sentences_is_an_error(tmp_path, text):
    file = tmp_path / "none.txt"
    file.write_text("The boy greets us .\n")
    with pytest.raises(OptionError, match="expected sentences with a verb whose subject"):
        natural_pairs.work(NaturalOptions(file, tmp_path / "pairs.tsv"))
    with pytest.raises(OptionError, match="which is there already"):
        option_types.check(NaturalOptions(text, text))


def saved(model, place="single", directions=("singular", "plural")):
    rng = np.random.default_rng(1)
    mask = np.zeros((2, model.config.units), np.float32)
    mask[:, [1, 7, 10]] = 1
    values = (mask * rng.choice([-1.0, 1.0], mask.shape)).astype(np.float32)
    settings = {"context": "eos", "intervention": place, "site": "hidden", "reach": "all",
                "values": "free"}  # fmt: skip
    return SavedIntervention(
        Intervention(mask, values), "number_agreement", directions, settings, {}
    )


@pytest.mark.parametrize("place", ["single", "every"])
def test_what_flips_is_what_applying_the_file_flips(model, tmp_path, capsys, place, monkeypatch):
    """Sentence by sentence, by the whole distributions; the file has its directions reversed."""
    monkeypatch.setattr(tried, "PART", 7)
    loaded = model_folder.load_model(model)
    one = saved(loaded, place)
    turned = one._replace(
        intervention=jax.tree.map(lambda x: x[::-1], one.intervention),
        directions=one.directions[::-1],
    )
    save_intervention(tmp_path / "found.json", turned, loaded)
    task = number_agreement.generate(0)
    # Backward, so that the tiny model prefers other forms after some of the paired sentences.
    task = task._replace(stimuli=[
        one._replace(counterfactual=(one.words[::-1],) * 2) for one in task.stimuli[::100]
    ])  # fmt: skip
    (tmp_path / "mine.tsv").write_text(pairs.write(task))
    found = evaluate.work(
        EvaluateOptions(str(model), file=tmp_path / "found.json", data=tmp_path / "mine.tsv")
    )
    words = loaded.vocabulary.index
    flipped, groups, swapped, kind = [], [], [], Kind(place=place)
    for stimulus in task.stimuli:
        p = np.asarray(loaded.log_probs(stimulus.words, kind, loaded.read_context("eos")))[-1]
        first, second = (p[words[form]] for form in stimulus.pair)
        toward = 1 if first > second else 0
        (other,) = set(stimulus.counterfactual) - {stimulus.words}
        r = np.asarray(loaded.log_probs(other, kind, loaded.read_context("eos")))[-1]
        swapped.append((r[words[stimulus.pair[0]]] > r[words[stimulus.pair[1]]]) != toward)
        position = stimulus.position if place == "single" else None
        q = np.asarray(
            apply(one, loaded, stimulus.words, toward=one.directions[toward], position=position)
        )[-1]
        flipped.append(q[words[stimulus.pair[toward]]] > q[words[stimulus.pair[1 - toward]]])
        groups.append(stimulus.group)
    assert found["all"]["flipped"] == pytest.approx(100 * np.mean(flipped))
    assert 0.0 < np.mean(flipped) < 1.0
    assert found["all"]["paired"] == pytest.approx(100 * np.mean(swapped))
    assert 0.0 < np.mean(swapped) < 1.0
    for group in set(groups):
        of_group = [flip for flip, name in zip(flipped, groups, strict=True) if name == group]
        assert found["by"][group]["flipped"] == pytest.approx(100 * np.mean(of_group))
        assert found["by"][group]["pairs"] == len(of_group)
    low, high = found["all"]["interval"]
    assert low < found["all"]["flipped"] < high
    json.dumps(found)
    assert "3 units, found on number_agreement; 0 pairs dropped" in capsys.readouterr().out


def test_other_directions_are_an_error(model, tmp_path):
    loaded = model_folder.load_model(model)
    save_intervention(tmp_path / "found.json", saved(loaded, directions=("he", "she")), loaded)
    task = number_agreement.generate(0)
    (tmp_path / "mine.tsv").write_text(pairs.write(task._replace(stimuli=task.stimuli[:2])))
    with pytest.raises(OptionError, match="expected the directions he and she"):
        evaluate.work(
            EvaluateOptions(str(model), file=tmp_path / "found.json", data=tmp_path / "mine.tsv")
        )
