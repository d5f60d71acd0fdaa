"""Our forward pass and tokens against those of transformers; needs torch and transformers."""

import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.transformer_cases import CASES, golden, tokens, write_tokenizer

from jaxmask.models.model_folder import BUNDLED_GPT2, load_model
from jaxmask.models.transformer import forward

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))
import make_transformers  # noqa: E402


def error(found, expected):
    """The largest difference, as a share of the largest logit."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def logits_of(folder, ids):
    model = load_model(folder)
    state, _ = jax.jit(forward.read, static_argnums=1)(model.params, model.config, jnp.asarray(ids))
    return np.asarray(forward.logits(model.params, model.config, state))


@pytest.mark.parametrize("case", CASES)
def test_all_logits_of_every_family(case, tmp_path):
    theirs = make_transformers.model_of(case)
    theirs.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    expected = make_transformers.logits_of(theirs)
    assert error(logits_of(tmp_path, tokens()), expected) < 1e-4
    assert error(np.array(golden(case)["logits"]), expected) < 1e-5


@pytest.mark.parametrize("case", ["gpt2", "gpt_neox", "llama", "gemma3"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_shards_of_16_bits(case, dtype, tmp_path):
    theirs = make_transformers.model_of(case).to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path, max_shard_size="4KB")
    write_tokenizer(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    # Read again, as its rotations were rounded to 16 bits too.
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    expected = make_transformers.logits_of(theirs)
    assert error(logits_of(tmp_path, tokens()), expected) < 1e-4


def test_a_model_that_also_sees_is_read_as_one_of_text(tmp_path):
    family, settings = CASES["gemma3"]
    assert family == "gemma3_text"
    text = transformers.AutoConfig.for_model(family, bos_token_id=0, eos_token_id=0, **settings)
    eyes = transformers.SiglipVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        image_size=8, patch_size=4,
    )  # fmt: skip
    config = transformers.Gemma3Config(
        text_config=text, vision_config=eyes, mm_tokens_per_image=4,
        image_token_index=1, boi_token_index=2, eoi_token_index=3,
    )  # fmt: skip
    theirs = transformers.Gemma3ForConditionalGeneration._from_config(
        config, attn_implementation="eager"
    ).eval()
    theirs.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    ids = np.where(tokens() < 4, 5, tokens())  # no image
    with torch.no_grad():
        expected = theirs(input_ids=torch.from_numpy(ids)).logits.numpy()
    assert error(logits_of(tmp_path, ids), expected) < 1e-4


def test_the_bundled_model_is_a_gpt2_of_hugging_face():
    theirs = transformers.AutoModelForCausalLM.from_pretrained(BUNDLED_GPT2).float().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(BUNDLED_GPT2)
    ids = tokenizer("The farmers near the car", return_tensors="np").input_ids
    with torch.no_grad():
        expected = theirs(input_ids=torch.from_numpy(ids)).logits.numpy()
    assert error(logits_of(BUNDLED_GPT2, ids), expected) < 1e-4


@pytest.fixture(params=["bundled", "stand-in"])
def folder(request):
    if request.param == "bundled":
        return BUNDLED_GPT2
    return request.getfixturevalue("shared") / "checkpoints" / "standin-gpt2"


def test_tokens_of_a_gpt2(folder):
    ours = load_model(folder).vocabulary
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in ("The boys near the car", "He said that extraordinarinesses don't matter ."):
        expected = theirs(text).input_ids
        assert [*ours.own_beginning, *ours.encode(text.split())] == expected
        ends = ours.tokens(text.split()).ends
        text_tokens = expected[len(ours.own_beginning) :]
        pieces = [theirs.decode(text_tokens[: end + 1]) for end in ends]
        assert [piece.split()[-1] for piece in pieces] == text.split()


@pytest.mark.skipif("SMOLLM2" not in os.environ, reason="SMOLLM2: a folder of tools/smollm2.py")
def test_a_pretrained_model_of_the_llama_family(shared):
    reference = np.load(shared / "checkpoints" / "smollm2_reference.npz")
    model = load_model(os.environ["SMOLLM2"])
    for number, text in enumerate(reference["texts"]):
        ids = reference[f"ids_{number}"]
        assert model.vocabulary.encode(text.split()) == ids.tolist()
        logits = logits_of(os.environ["SMOLLM2"], ids[None])[0, -1]
        found, expected = jax.nn.log_softmax(logits), reference[f"log_probs_{number}"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-3)
