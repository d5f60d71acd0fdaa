"""The documentation's recipes for transformers and nnsight against jaxmask's `apply`."""

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from support import doc_examples
from support.transformer_cases import write

from jaxmask.files.intervention_file import (
    SavedIntervention,
    apply,
    load_intervention,
    save_intervention,
)
from jaxmask.intervention import Intervention, Kind
from jaxmask.models.model_folder import load_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]
recipe = doc_examples.load("apply_in_transformers")

TOLERANCE = 1e-4  # nats
SITES = ("mlp", "residual", "attention")
CASES = [
    *((case, site) for case in ("gpt2", "gpt_neox", "llama", "gemma2") for site in SITES),
    ("mistral", "attention"),
    ("qwen2", "mlp"),
    ("qwen3", "attention"),
    ("gemma3", "residual"),
]
KINDS = [("single", "bos"), ("every", "none"), ("last", "own")]  # places and contexts
WORDS = ["bad", "feed", "cage"]  # of several tokens


def letters(folder, beginning):
    """A tokenizer whose tokens are letters, and which may put the last of them before a text."""
    known = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvw?")}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(known, [], unk_token="?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if beginning:
        inner.post_processor = tokenizers.processors.TemplateProcessing(
            single="w $A", special_tokens=[("w", known["w"])]
        )
    inner.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "w"}))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token="w"
    )


@functools.cache
def models(case):
    """A tiny model in jaxmask and in transformers, and its tokenizer there."""
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name), case)
        tokenizer = letters(folder, beginning=case != "gpt2")
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager"
        )
        return load_model(folder), theirs.eval(), tokenizer


def saved_file(file, model, site, place, context):
    """A file of a few units of every layer, others toward one direction than toward the other."""
    random = np.random.default_rng(0)
    mask = (random.random((2, model.sites[site].units)) < 0.2).astype(np.float32)
    found = Intervention(mask, random.uniform(-2, 2, mask.shape).astype(np.float32))
    settings = {**Kind(site, "all", "natural", place).settings(), "context": context}
    saved = SavedIntervention(found, "x", ("singular", "plural"), settings, {})
    save_intervention(file, saved, model)
    return load_intervention(file, model), json.loads(file.read_text())


@pytest.mark.parametrize(("case", "site"), CASES)
def test_the_recipe_gives_the_same_predictions(tmp_path, case, site):
    model, theirs, tokenizer = models(case)
    for place, context in KINDS:
        saved, found = saved_file(tmp_path / "units.json", model, site, place, context)
        untouched = recipe.log_probs(theirs, tokenizer, WORDS, found)
        compare(untouched, apply(saved, model, WORDS, None))
        for toward in saved.directions:
            rows = recipe.log_probs(theirs, tokenizer, WORDS, found, toward, 1)
            compare(rows, apply(saved, model, WORDS, toward, 1))
            assert float((rows - untouched).abs().max()) > 1000 * TOLERANCE
    again = recipe.log_probs(theirs, tokenizer, WORDS, found)
    compare(again, untouched)  # no hook is left behind


def compare(rows, expected):
    np.testing.assert_allclose(rows, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("case", "site", "blocks", "reader"),
    [
        ("gpt2", "mlp", "transformer.h", "mlp.c_proj"),
        ("gpt_neox", "attention", "gpt_neox.layers", "attention.dense"),
        ("llama", "residual", "model.layers", None),
    ],
)
def test_the_recipe_for_nnsight(tmp_path, case, site, blocks, reader):
    pytest.importorskip("nnsight")
    model, theirs, tokenizer = models(case)
    saved, found = saved_file(tmp_path / "units.json", model, site, "single", "bos")
    ids, _, last = recipe.read_words(tokenizer, WORDS, "bos")
    nnsight = doc_examples.load("apply_in_nnsight")
    for toward in saved.directions:
        logits = nnsight.logits(theirs, ids, last[1], found, toward, blocks, reader)
        rows = torch.log_softmax(logits[last], dim=-1).detach()
        compare(rows, apply(saved, model, WORDS, toward, 1))


def test_the_first_token_is_never_intervened_on(tmp_path):
    model, theirs, tokenizer = models("llama")
    _, found = saved_file(tmp_path / "units.json", model, "mlp", "every", "none")
    ids, first, last = recipe.read_words(tokenizer, WORDS, "none")
    assert (ids[:3], first, last) == ([1, 0, 3], 0, [2, 6, 10])
    rows = recipe.log_probs(theirs, tokenizer, ["b"], found, "plural")
    compare(rows, recipe.log_probs(theirs, tokenizer, ["b"], found))


def test_text_can_be_generated_while_the_hooks_are_there(tmp_path):
    model, theirs, tokenizer = models("llama")
    _, found = saved_file(tmp_path / "units.json", model, "residual", "last", "bos")
    ids, _, last = recipe.read_words(tokenizer, WORDS, "bos")
    hooks = recipe.set_units(theirs, found, "plural", [last[-1]])
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    written = theirs.generate(torch.tensor([ids]), use_cache=False, **options)[0].tolist()
    text = ids
    for _ in range(6):
        with torch.no_grad():
            text = [*text, int(theirs(torch.tensor([text])).logits[0, -1].argmax())]
    for hook in hooks:
        hook.remove()
    assert written == text
    assert theirs.generate(torch.tensor([ids]), **options)[0].tolist() != text


def test_the_recipe_refuses_another_model(tmp_path):
    model, theirs, tokenizer = models("llama")
    _, found = saved_file(tmp_path / "units.json", model, "mlp", "every", "none")
    for size in ("layers", "hidden"):
        other = found | {"model": found["model"] | {size: 25}}
        with pytest.raises(ValueError, match="is of another model: expected"):
            recipe.log_probs(theirs, tokenizer, WORDS, other, "plural")
    compare(*(recipe.log_probs(theirs, tokenizer, WORDS, found) for _ in range(2)))


def test_the_command(shared, tmp_path):
    folder = shared / "checkpoints" / "standin-gpt2"
    model, words = load_model(folder), ["The", "farmer", "near", "the", "cars"]
    saved, _ = saved_file(tmp_path / "units.json", model, "mlp", "single", "bos")
    done = subprocess.run(
        [sys.executable, doc_examples.FOLDER / "apply_in_transformers.py", folder,
         tmp_path / "units.json", "plural", "2", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line, toward in zip(done.stdout.splitlines(), (None, "plural"), strict=True):
        best = apply(saved, model, words, toward, 1)[-1].argmax()
        assert line.split(": ")[1].split(" 0.")[0] == repr(model.vocabulary.words[best])
