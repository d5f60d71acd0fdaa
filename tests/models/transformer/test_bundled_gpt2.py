"""The bundled transformer: what its card says of it."""

import numpy as np
import pytest

from jaxmask.intervention import Intervention, Kind
from jaxmask.models.model_folder import BUNDLED, BUNDLED_GPT2, load_model
from jaxmask.tasks import gender_bias, number_agreement


@pytest.fixture(scope="module")
def model():
    return load_model(BUNDLED["demo-gpt2"])


def test_it_is_small_and_knows_the_words_of_the_tasks(model):
    assert sum(file.stat().st_size for file in BUNDLED_GPT2.iterdir()) < 10_000_000
    assert (model.config.layers, model.sites["mlp"].units) == (4, 3072)
    assert model.beginning("own") == model.beginning("bos") == ("<|endoftext|>",)
    words = {*number_agreement.WORDS, *gender_bias.PROFESSIONS, *gender_bias.DIRECTIONS}
    several = [word for word in words if len(model.vocabulary.tokens(("The", word)).ids) != 2]
    assert several == []


def test_it_prefers_right_forms(model):
    examples = model.encode(number_agreement.generate(0)).examples
    some = examples.take(np.random.default_rng(0).permutation(examples.size)[:300])
    odds = model.log_odds(some, model.read_context("own"))
    assert np.mean(np.where(some.correct == 0, odds, -odds) > 0) > 0.99


def test_an_intervention_changes_it(model):
    words, context = ("The", "boys"), model.read_context("own")
    some = Intervention(np.float32(np.arange(3072) < 8), np.full(3072, 3.0, np.float32))
    kind = Kind("mlp", place="single")
    before = model.log_probs(words, kind, context)
    after = model.log_probs(words, kind, context, some, np.array([False, True]))
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    assert np.abs(after[1] - before[1]).max() > 0.01
