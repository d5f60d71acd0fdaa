"""Hostile, damaged and hand-edited folders of transformers: refused in a line, or read rightly.

As with folders of LSTMs (`tests/models/test_hostile_folders.py`): nothing runs, nothing is written,
nothing takes long, and an error names file and key or tensor, what was expected and found.
"""

import json
import random
import struct

import numpy as np
import pytest
import tokenizers
from safetensors.numpy import save
from support.transformer_cases import golden, weights
from support.watched import attempt, checked, unwatched

from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import load_model
from jaxmask.models.transformer import reader
from jaxmask.models.transformer.parameters import param_shapes
from jaxmask.models.weights import check_params, flatten
from jaxmask.text.vocabulary import VocabularyError

CASE = "llama_biases"
CONFIG, INDEX, TOKENIZER = "config.json", "model.safetensors.index.json", "tokenizer.json"
SETTINGS, SHARDS = "tokenizer_config.json", ("model-1.safetensors", "model-2.safetensors")
FIELDS, WEIGHTS = golden(CASE)["config"], weights(CASE)
MEMORY = 20e6
VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 16, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-40, 1e300, "",
    "a", "gpt2", "\x1b[2J", "../x", [], [1], {}, {"a": 1}, [[]], ["full_attention"],
)  # fmt: skip


def tokenizer() -> tokenizers.Tokenizer:
    """Subwords of bytes, as most of these models have."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocab={x: n for n, x in enumerate([*"abcdefghĠ?", "ab", "Ġa", "Ġab"])},
        merges=[("Ġ", "a"), ("Ġa", "b"), ("a", "b")], unk_token="?",
    ))  # fmt: skip
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(["<s>"])
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    return inner


def as_json(value) -> bytes:
    return json.dumps(value).encode()


def sound_files() -> dict[str, bytes]:
    names = sorted(WEIGHTS)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    files = {
        file: save({name: WEIGHTS[name] for name in half})
        for file, half in zip(SHARDS, halves, strict=True)
    }
    listed = {name: file for file, half in zip(SHARDS, halves, strict=True) for name in half}
    return files | {
        CONFIG: as_json(FIELDS),
        INDEX: as_json({"metadata": {"total_size": 1}, "weight_map": listed}),
        TOKENIZER: tokenizer().to_str().encode(),
        SETTINGS: as_json({"bos_token": {"content": "<s>"}, "add_bos_token": True}),
    }


SOUND = sound_files()


class Reader:
    """Loads a sound folder with some files replaced, and checks all that is promised."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.write({})
        self.model = self.read()  # what is imported or compiled once is, now

    def write(self, replaced):
        for name, content in (SOUND | replaced).items():
            (self.folder / name).unlink(missing_ok=True)
            if content is not None:
                (self.folder / name).write_bytes(content)

    def read(self):
        model = load_model(self.folder)
        model.vocabulary.encode(["ab", "a"])
        return model

    def __call__(self, replaced, case=""):
        """The model, or the error's message without the folder."""
        self.write(replaced)
        outcome = attempt(self.read, *(self.folder / name for name in SOUND | replaced))
        found = checked(outcome, case, MEMORY, (ModelError, VocabularyError), self.folder)
        if isinstance(found, str):
            return found.removeprefix(f"{self.folder}").removeprefix("/")
        check_params(flatten(found.params), param_shapes(found.config), case)
        return found


@pytest.fixture
def read(tmp_path, monkeypatch):
    # It gets sizes alone, and in tests jaxtyping compiles its checks there.
    monkeypatch.setattr(reader, "param_shapes", unwatched(reader.param_shapes))
    return Reader(tmp_path)


def test_a_sound_folder_is_a_model(read):
    found = read({})
    for name, leaf in flatten(found.params).items():
        np.testing.assert_array_equal(leaf, flatten(read.model.params)[name])
    assert found.fingerprint == read.model.fingerprint
    assert found.read_context("own") == found.read_context("bos") == (13,)
    assert found.vocabulary.encode(["ab", "ab"]) == [10, 12]


def config(**changes):
    return {CONFIG: as_json(FIELDS | changes)}


ROPE = FIELDS["rope_parameters"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gptj"}, "model_type: expected gemma2, .* or qwen3, found 'gptj'"),
        ({"model_type": ["llama"]}, r"model_type: expected .* found \['llama'\]"),
        ({"hidden_size": None}, "hidden_size: missing"),
        ({"hidden_size": -1}, "hidden_size: expected a whole number from 1 to .*, found -1"),
        ({"hidden_size": 16.0}, "hidden_size: expected a whole number .* found 16.0"),
        ({"hidden_size": 10**400}, "hidden_size: expected a whole number .* found 1000"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers: .* from 1 to 1000, found 1000000"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor of 4, found 3"),
        ({"head_dim": 5}, "rotated components of a head: expected .* found 5"),
        ({"hidden_act": "mish"}, "hidden_act: expected gelu or .* or swish, found 'mish'"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps: expected a positive number, found -1e-06"),
        ({"attention_bias": "yes"}, "attention_bias: expected true or false, found 'yes'"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings: expected true or false, found 1"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters: rope_type: .* found 'yarn'"),
        ({"rope_scaling": {"type": "dynamic"}}, "rope_scaling: type: .* found 'dynamic'"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: factor: missing"),
        ({"rope_scaling": 2}, "rope_scaling: expected an object, found 2"),
        ({"rope_parameters": ROPE | {"beta_fast": 32}}, "rope_parameters: beta_fast: unknown"),
        ({"rope_parameters": ROPE | {"high_freq_factor": 1.0}}, "high_freq_factor: expected a num"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: expected null, found"),
        ({"add_cross_attention": True}, "add_cross_attention: expected False, found True"),
        ({"surprise": 1}, "surprise: unknown, and may change what the model computes"),
        ({"\x1b[2J" * 999: 1}, r"\\x1b\[2J.*: unknown"),
        ({"layer_types": ["full_attention"] * 3}, "layer_types: unknown"),
        ({"vocab_size": 5}, "tokenizer.json: expected tokens below 5, the vocab_size .* found 12"),
    ],
)
def test_a_configuration_that_can_not_be_is_refused(read, changes, message):
    found = read(config(**changes))
    assert isinstance(found, str)
    with pytest.raises(ModelError, match=message):
        raise ModelError(found)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "layer_types: expected a list of 3"),
        ("qwen3", {"layer_types": ["chunked"] * 3}, "layer_types: expected full_attention, found"),
        ("gemma2", {"sliding_window": None}, "sliding_window: expected a whole number, as layers"),
        ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention: expected"),
        ("gemma3", {"attn_logit_softcapping": 2.0}, "attn_logit_softcapping: expected null"),
    ],
)
def test_switches_of_other_families(read, family, settings, message):
    found = read({CONFIG: as_json(golden(family)["config"] | settings)})
    assert isinstance(found, str)
    with pytest.raises(ModelError, match=message):
        raise ModelError(found)


def shard(change):
    """The second shard, with its tensors changed."""
    tensors = {name: WEIGHTS[name] for name in listed(SHARDS[1])}
    change(tensors)
    return {SHARDS[1]: save(tensors)}


def listed(file):
    weight_map = json.loads(SOUND[INDEX])["weight_map"]
    return [name for name, place in weight_map.items() if place == file]


def index(change):
    content = json.loads(SOUND[INDEX])
    change(content)
    return {INDEX: as_json(content)}


ONE = listed(SHARDS[1])[0]
SHAPE = WEIGHTS[ONE].shape


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (shard(lambda x: x.pop(ONE)), f"{SHARDS[1]}: expected the tensors .* lists .* no {ONE}"),
        (shard(lambda x: x.update(more=x[ONE])), "lists for it, found another one, more"),
        (shard(lambda x: x.update({ONE: x[ONE][..., :-1]})), rf"{ONE}: expected shape .* found"),
        (shard(lambda x: x.update({ONE: np.zeros(SHAPE, np.int32)})), f"{ONE}: .* type I32"),
        (shard(lambda x: x.update({ONE: np.full(SHAPE, np.nan, np.float32)})), "holds NaN"),
        ({SHARDS[1]: None}, f"{SHARDS[1]}: missing; model.safetensors.index.json lists it"),
        ({SHARDS[1]: b"\0" * 99}, f"{SHARDS[1]}: not a safetensors file that can be read"),
        ({INDEX: None}, "model.safetensors: missing, and so is model.safetensors.index.json"),
        ({INDEX: b"[" * 10**5}, "index.json: expected an index of tensors .nested too deeply"),
        (index(lambda x: x.pop("weight_map")), "weight_map: expected an object, found None"),
        (
            index(lambda x: x["weight_map"].update({ONE: "../x.safetensors"})),
            f"{ONE}: expected the",
        ),
        (index(lambda x: x["weight_map"].update({ONE: 5})), f"{ONE}: expected the name .* found 5"),
        (index(lambda x: x["weight_map"].pop(ONE)), f"found another one, {ONE}"),
    ],
)
def test_weights_that_are_not_the_model_s_are_refused(read, replaced, message):
    found = read(replaced)
    assert isinstance(found, str)
    with pytest.raises(ModelError, match=message):
        raise ModelError(found)


def test_names_with_and_without_what_stands_before_them(read):
    bare = {name.removeprefix("model."): array for name, array in WEIGHTS.items()}
    alone = dict.fromkeys(SHARDS) | {INDEX: None}
    assert read(alone | {"model.safetensors": save(bare)}).fingerprint == read.model.fingerprint
    harmless = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(3, np.float32)}
    assert read({"model.safetensors": save(bare | harmless)}).fingerprint == read.model.fingerprint
    twice = {"model.norm.weight": bare["norm.weight"]}
    assert "norm.weight: there twice" in read({"model.safetensors": save(bare | twice)})
    decoder = {"lm_head.weight": bare["embed_tokens.weight"]}
    assert read({"model.safetensors": save(bare | decoder)}).fingerprint == read.model.fingerprint
    other = {"lm_head.weight": bare["embed_tokens.weight"] + 1}
    found = read({"model.safetensors": save(bare | other)})
    assert "expected the numbers of embed_tokens.weight, to which" in found
    found = read({"model.safetensors": save({n: a for n, a in bare.items() if n != "norm.weight"})})
    assert found == "norm.weight: missing" or found.endswith("norm.weight: missing")


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({TOKENIZER: None}, r"tokenizer\.json: missing; .*save_pretrained\(FOLDER\)"),
        ({TOKENIZER: b""}, "tokenizer.json: not a tokenizer that can be used"),
        ({TOKENIZER: b"\xff"}, "tokenizer.json: can't be read .*can't decode"),
        ({TOKENIZER: b"[" * 10**5}, "tokenizer.json: not a tokenizer that can be used"),
        ({TOKENIZER: SOUND[TOKENIZER][:-9]}, "tokenizer.json: not a tokenizer that can be used"),
        ({TOKENIZER: SOUND[TOKENIZER].replace(b'"dropout":null', b'"dropout":0.1')}, "dropout"),
        ({SETTINGS: b"[]"}, "tokenizer_config.json: expected an object"),
        ({SETTINGS: b"{"}, "tokenizer_config.json: can't be read"),
    ],
)
def test_what_is_no_tokenizer_is_refused(read, replaced, message):
    found = read(replaced)
    assert isinstance(found, str)
    with pytest.raises(VocabularyError, match=message):
        raise VocabularyError(found)


# All of them, damaged at random.


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A file with some of its bytes changed, lost, or there twice."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 9])):
        at = rng.randrange(len(content))
        kind = rng.randrange(4)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[at : at + rng.choice([1, 1, 7, 99])]
        elif kind == 2:
            content[at:at] = content[at : at + rng.choice([1, 5, 40])]
        else:
            content[at] = rng.randrange(256)
        content = content or bytearray(b"0")
    return bytes(content)


def edited(rng: random.Random, value):
    """A JSON value with one part of it replaced, lost, or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        value, name = dict(value), rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            del value[name]
        elif kind == 1:
            value[rng.choice([name + "x", "", "\x1b[2J", "model_type"])] = value.pop(name)
        else:
            value[name] = edited(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        value, at = list(value), rng.randrange(len(value))
        value[at] = edited(rng, value[at])
        return value if rng.random() < 0.8 else value[:at]
    return rng.choice(VALUES)


def mutation(rng: random.Random) -> dict[str, bytes]:
    """One of the files, damaged or edited."""
    name = rng.choice([CONFIG, CONFIG, INDEX, TOKENIZER, TOKENIZER, SETTINGS, *SHARDS])
    if name in SHARDS:
        content = SOUND[name]
        size = struct.unpack("<Q", content[:8])[0]
        header, data = content[8 : 8 + size], content[8 + size :]
        if rng.random() < 0.3:
            return {name: damaged(rng, content[: 8 + size]) + data}
        text = as_json(edited(rng, json.loads(header)))
        return {name: struct.pack("<Q", len(text)) + text + data}
    if rng.random() < 0.5:
        return {name: damaged(rng, SOUND[name])}
    return {name: as_json(edited(rng, json.loads(SOUND[name])))}


def survive(read, numbers) -> int:
    """Reads mutations; how many were refused."""
    refused = 0
    for number in numbers:
        replaced = mutation(random.Random(number))
        found = read(replaced, f"mutation {number}")
        refused += isinstance(found, str)
        if not isinstance(found, str) and not {CONFIG, *SHARDS} & set(replaced):
            for name, leaf in flatten(found.params).items():
                same = np.array_equal(leaf, flatten(read.model.params)[name])
                assert same, f"mutation {number}: {name}"
    return refused


def test_some_mutations_are_refused_or_models(read):
    assert 60 <= survive(read, range(150)) < 150


@pytest.mark.slow
def test_two_thousand_mutations_are_refused_or_models(read):
    assert survive(read, range(2000)) > 1000
