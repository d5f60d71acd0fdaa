"""Every family, with every switch of its configuration, gives the logits that transformers gives.

They were written down once (`tests/fixtures/make_transformers.py`); `tests/parity` asks
transformers again.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.transformer_cases import CASES, golden, tokens, write

from jaxmask.intervention import Kind
from jaxmask.models.model_folder import load_model
from jaxmask.models.transformer import forward


def logits_of(model):
    state, _ = jax.jit(forward.read, static_argnums=1)(
        model.params, model.config, jnp.asarray(tokens())
    )
    return np.asarray(forward.logits(model.params, model.config, state))


def error(found, expected):
    """The largest difference, as a share of the largest logit."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("case", CASES)
def test_all_logits_are_those_of_transformers(case, tmp_path):
    model = load_model(write(tmp_path / case, case))
    assert model.name == case
    found = logits_of(model)
    assert error(found, np.array(golden(case)["logits"])) < 1e-4
    assert found.std() > 0.1


def test_weights_of_16_bits_are_float32_in_memory(tmp_path):
    model = load_model(write(tmp_path, "gpt_neox", np.float16))
    assert {leaf.dtype for leaf in jax.tree.leaves(model.params)} == {jnp.dtype("float32")}
    assert 1e-5 < error(logits_of(model), np.array(golden("gpt_neox")["logits"])) < 1e-2


def test_matrices_can_be_bfloat16_in_memory(tmp_path):
    exact = load_model(write(tmp_path, "gemma2"))
    model = load_model(tmp_path, jnp.bfloat16)
    assert model.params["blocks"]["up"]["kernel"].dtype == jnp.bfloat16
    dtypes = [one.description()["dtype"] for one in (model, exact)]
    assert dtypes == ["bfloat16", "float32"]
    assert model.params["blocks"]["mlp_norm"]["weight"].dtype == jnp.float32
    found = logits_of(model)
    assert found.dtype == np.float32
    assert 1e-4 < error(found, np.array(golden("gemma2")["logits"])) < 0.1
    assert model.fingerprint != exact.fingerprint == load_model(tmp_path).fingerprint


def test_log_probs_are_those_after_each_word(tmp_path):
    model = load_model(write(tmp_path, "gpt2"))
    words = tuple("abcdefghijklmnopqrstuvw"[token] for token in tokens()[0, 1:])
    assert model.beginning("bos") == (" a",)
    first = (int(tokens()[0, 0]),)
    found = model.log_probs(words, Kind("mlp", "all"), first)
    expected = jax.nn.log_softmax(np.array(golden("gpt2")["logits"], np.float32)[0, 1:])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_model_as_large_as_real_ones(shared):
    folder = shared / "checkpoints" / "standin-gpt2"
    model, reference = load_model(folder), np.load(folder / "reference.npz")
    for number, text in enumerate(reference["texts"]):
        ids = reference[f"ids_{number}"]
        assert (*model.read_context("bos"), *model.vocabulary.encode(text.split())) == tuple(ids)
        found = model.log_probs(tuple(text.split()), Kind("mlp", "all"), model.read_context("bos"))
        expected = reference[f"log_probs_{number}"][1:]
        ends = model.vocabulary.tokens(text.split()).ends
        np.testing.assert_allclose(found, expected[ends], rtol=1e-4)
