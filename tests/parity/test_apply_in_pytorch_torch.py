"""The documentation's recipe for PyTorch against `jaxmask.files.intervention_file.apply`."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support import doc_examples, small_model

from converters import to_torch
from jaxmask.files.intervention_file import (
    SavedIntervention,
    apply,
    load_intervention,
    save_intervention,
)
from jaxmask.intervention import Intervention, Kind
from jaxmask.models import model_folder
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig
from jaxmask.text.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
recipe = doc_examples.load("apply_in_pytorch")

TOLERANCE = 1e-4  # nats
SENTENCES = ["She saw the doctor", "It was the box", "The old river near her", "It"]


def tiny():
    words = ["<unk>", "<eos>", *sorted({word for s in SENTENCES for word in s.split()})]
    config = LSTMConfig(len(words), 5, 7, 3)
    return LSTMModel("tiny", config, small_model.model(config), Vocabulary(words))


def random_intervention(model, site="hidden"):
    """A few units of every layer, others toward one direction than toward the other."""
    random = np.random.default_rng(0)
    mask = (random.random((2, model.sites[site].units)) < 0.5).astype(np.float32)
    return Intervention(mask, random.uniform(-1, 1, mask.shape).astype(np.float32))


@pytest.fixture(params=["tiny", "bundled"])
def model(request):
    return (
        tiny() if request.param == "tiny" else model_folder.load_model(model_folder.BUNDLED_MODEL)
    )


@pytest.mark.parametrize("context", ["eos", "none"])
@pytest.mark.parametrize(
    "kind",
    [
        Kind(reach="time", place="single"),
        Kind(reach="time", place="every"),
        Kind(reach="all", place="every"),
        Kind("cell", reach="time", place="single"),
        Kind("hidden+cell", reach="all", place="last"),
    ],
)
def test_the_recipe_gives_the_same_predictions(model, tmp_path, kind, context):
    settings = {**kind.settings(), "context": context}
    file = tmp_path / "units.json"
    ours = random_intervention(model, kind.site)
    directions = ("person", "thing")
    save_intervention(file, SavedIntervention(ours, "x", directions, settings, {}), model)
    saved, found = load_intervention(file, model), json.loads(file.read_text())
    to_torch.save_state_dict(tmp_path / "m.pt", to_torch.state_dict(model.params))
    theirs = recipe.load(tmp_path / "m.pt")
    before = model.vocabulary.encode(["<eos>"] if context == "eos" else [])
    moved = dict.fromkeys(saved.directions, 0.0)
    for sentence in SENTENCES:
        words = sentence.split()
        tokens, position = model.vocabulary.encode(words), len(words) - 1
        untouched = recipe.log_probs(theirs, before, tokens)
        np.testing.assert_allclose(
            untouched, apply(saved, model, words, None), atol=TOLERANCE, rtol=0
        )
        for toward in saved.directions:
            rows = recipe.log_probs(theirs, before, tokens, found, toward, position // 2)
            expected = apply(saved, model, words, toward, position // 2)
            np.testing.assert_allclose(rows, expected, atol=TOLERANCE, rtol=0)
            moved[toward] = max(moved[toward], float((rows - untouched).abs().max()))
    assert min(moved.values()) > 1000 * TOLERANCE


def test_the_recipe_refuses_what_it_would_get_wrong(tmp_path):
    model = tiny()
    settings = {"intervention": "every", "context": "eos"}
    saved = SavedIntervention(random_intervention(model), "x", ("a", "b"), settings, {})
    save_intervention(tmp_path / "x.json", saved, model)
    found = json.loads((tmp_path / "x.json").read_text())
    other = recipe.RNNModel(9, 5, 8, 3)
    with pytest.raises(ValueError, match="is of another model"):
        recipe.log_probs(other, [], [1], found, "a")


def test_the_command(tmp_path):
    model = model_folder.load_model(model_folder.BUNDLED_MODEL)
    to_torch.save_state_dict(tmp_path / "m.pt", to_torch.state_dict(model.params))
    file = doc_examples.FOLDER / "animacy_every.json"
    done = subprocess.run(
        [sys.executable, doc_examples.FOLDER / "apply_in_pytorch.py", tmp_path / "m.pt",
         model_folder.BUNDLED_MODEL / "vocab.txt", file, "thing", "4", *["She", "saw", "the",
         "doctor"]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    saved = load_intervention(file, model)
    for line, toward in zip(done.stdout.splitlines(), (None, "thing"), strict=True):
        best = apply(saved, model, ["She", "saw", "the", "doctor"], toward)[-1].argmax()
        assert line.split(":")[1].split()[0] == model.vocabulary.words[best]
