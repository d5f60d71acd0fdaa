import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params, param_shapes
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.models.weights import check_params, flatten, unflatten
from jaxmask.text.vocabulary import Vocabulary, VocabularyError

WORDS = ("<unk>", "<eos>", "the", "dog", "dogs")
UNTIED = LSTMConfig(len(WORDS), 2, 3)
TIED = LSTMConfig(len(WORDS), 3, 3, layers=1, tied=True)


def language_model(config=UNTIED, seed=0):
    return LSTMModel("tiny", config, init_params(jax.random.key(seed), config), Vocabulary(WORDS))


MODEL = language_model()
FLAT = {name: np.asarray(leaf) for name, leaf in flatten(MODEL.params).items()}


@pytest.mark.parametrize("config", [UNTIED, TIED])
def test_a_model_comes_back_bit_for_bit(config, tmp_path):
    model = language_model(config)
    save_model(tmp_path / "new" / "folder", model)
    found = load_model(tmp_path / "new" / "folder")
    jax.tree.map(np.testing.assert_array_equal, found.params, model.params)
    assert (found.name, found.config, found.vocabulary.words) == ("tiny", config, WORDS)
    assert found.fingerprint == model.fingerprint
    files = {file.name for file in (tmp_path / "new" / "folder").iterdir()}
    assert files == {"params.safetensors", "config.json", "vocab.txt"}


def test_the_family_is_written_and_is_lstm_where_it_is_missing(tmp_path):
    save_model(tmp_path, MODEL)
    file = tmp_path / "config.json"
    fields = json.loads(file.read_text())
    assert fields == {"name": "tiny", "family": "lstm", **UNTIED._asdict()}
    del fields["family"]
    file.write_text(json.dumps(fields))
    found = load_model(tmp_path)
    assert (found.family, found.fingerprint) == ("lstm", MODEL.fingerprint)


@pytest.mark.parametrize("family", ["gru", "", None, ["lstm"], 5])
def test_an_unknown_family_is_an_error(family, tmp_path):
    save_model(tmp_path, MODEL)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"family": family}))
    expected = r"config\.json: family: expected lstm or transformer, found "
    with pytest.raises(ModelError, match=expected):
        load_model(tmp_path)


def test_half_precision_is_storage_only(tmp_path):
    save_model(tmp_path, MODEL, np.float16)
    stored = load_file(tmp_path / "params.safetensors")
    assert {leaf.dtype for leaf in stored.values()} == {np.dtype(np.float16)}
    found = flatten(load_model(tmp_path).params)
    for name, leaf in FLAT.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], leaf.astype(np.float16).astype(np.float32))


def test_fingerprints_tell_models_apart():
    others = [
        language_model(seed=1),
        MODEL._replace(vocabulary=Vocabulary((*WORDS[:-1], "cats"))),
        language_model(TIED),
    ]
    assert len({model.fingerprint for model in [MODEL, *others]}) == 4
    assert MODEL._replace(name="other").fingerprint == MODEL.fingerprint
    assert len(MODEL.fingerprint) == 16
    assert int(MODEL.fingerprint, 16) >= 0


def test_flat_names_are_those_of_the_tree():
    assert "lstm/layer_2/recurrent_kernel" in FLAT
    assert jax.tree.structure(unflatten(flatten(MODEL.params))) == jax.tree.structure(MODEL.params)


BIAS, KERNEL = "lstm/layer_1/bias", "lstm/layer_2/input_kernel"
FAULTS = [
    ({BIAS: None}, f"{BIAS}: missing"),
    ({"lstm/layer_3/bias": np.zeros(12)}, "lstm/layer_3/bias: unknown"),
    ({KERNEL: np.zeros((12, 3))}, rf"{KERNEL}: expected shape \(3, 12\), found \(12, 3\)"),
    ({BIAS: np.full(12, np.nan)}, f"{BIAS}: holds NaN"),
    ({BIAS: np.full(12, -np.inf)}, f"{BIAS}: holds NaN or infinity"),
    ({BIAS: None, KERNEL: np.zeros(2)}, f"{BIAS}: missing; {KERNEL}: expected"),
]


def changed(changes):
    flat = {name: np.asarray(leaf, np.float32) for name, leaf in (FLAT | changes).items()
            if leaf is not None}  # fmt: skip
    return flat


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_tensors_that_do_not_fit_are_named(changes, message, tmp_path):
    with pytest.raises(ModelError, match=f"somewhere: {message}"):
        check_params(changed(changes), param_shapes(UNTIED), "somewhere")
    save_model(tmp_path, MODEL)
    save_file(changed(changes), tmp_path / "params.safetensors")
    with pytest.raises(ModelError, match=f"params.safetensors: {message}"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match=f"tiny: {message}"):
        save_model(tmp_path / "not", MODEL._replace(params=unflatten(changed(changes))))
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("name", ["params.safetensors", "config.json", "vocab.txt"])
def test_a_missing_file_is_named(name, tmp_path):
    save_model(tmp_path, MODEL)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: missing"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 0},
        {"hidden": "3"},
        {"layers": 1.0},
        {"tied": 1},
        {"hidden": True},
        {"surprise": 1},
        {"vocabulary": None},
    ],
)
def test_an_ill_formed_configuration_is_an_error(change, tmp_path):
    save_model(tmp_path, MODEL)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"name": "x"}', "\x00"])
def test_a_file_that_is_no_configuration_is_an_error(text, tmp_path):
    save_model(tmp_path, MODEL)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json: not a model configuration"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a tensor", b"\xff" * 64])
def test_a_file_that_holds_no_tensors_is_an_error(content, tmp_path):
    save_model(tmp_path, MODEL)
    (tmp_path / "params.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(tmp_path)


def test_vocabulary_and_sizes_must_agree(tmp_path):
    save_model(tmp_path, MODEL)
    with (tmp_path / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("cats\n")
    with pytest.raises(ModelError, match="expected 5 words, found 6"):
        load_model(tmp_path)
    (tmp_path / "vocab.txt").write_text("<unk>\n<eos>\na\na\nb\n")
    with pytest.raises(VocabularyError, match="line 4"):
        load_model(tmp_path)
