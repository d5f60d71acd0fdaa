"""From checkpoints to model folders and back; the checkpoints in fixtures/ were made by PyTorch."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.torch_files import (
    Call,
    Name,
    old_module,
    state_file,
    storage,
    tensor,
    zipped,
)

from converters import gulordava, to_torch
from converters.gulordava import convert
from converters.torch_pickle import CheckpointError
from jaxmask.models.lstm.forward import forward
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.models.weights import flatten
from jaxmask.text.vocabulary import Vocabulary, VocabularyError

FIXTURES = Path(__file__).parents[1] / "fixtures"
VOCABULARY = FIXTURES / "vocab.txt"
EXPECTED = np.load(FIXTURES / "expected.npz")
NAMES = sorted(set(EXPECTED) - {"tokens"})
UNTIED = LSTMConfig(11, 4, 3, 2, False)


def weights(config: LSTMConfig = UNTIED, seed: int = 0) -> dict[str, np.ndarray]:
    """A random state dict."""
    return to_torch.state_dict(init_params(jax.random.key(seed), config))


# What PyTorch wrote.


@pytest.mark.parametrize("form", ["zip", "stacked"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_pytorchs(name, form):
    model = convert(FIXTURES / f"{name}.{form}.pt", VOCABULARY)
    tokens = jnp.asarray(EXPECTED["tokens"])
    logits, _ = forward(model.params, zero_state(model.config, (2,)), tokens)
    np.testing.assert_allclose(logits, EXPECTED[name], atol=1e-6)
    assert model.config.tied == name.endswith("_tied")
    assert ("weight" in model.params["decoder"]) != model.config.tied
    assert model.name == f"{name}.{form}"
    assert model.vocabulary.words[-1] == "word10"


def test_both_formats_and_both_ways_of_saving_are_one_model():
    prints = {
        convert(FIXTURES / f"{name}.{form}.pt", VOCABULARY).fingerprint
        for name in ("module", "state", "views", "parameters", "float64")
        for form in ("zip", "stacked")
    }
    assert len(prints) == 1


def test_every_number_is_where_it_belongs(tmp_path):
    state = weights()
    for index, name in enumerate(state):
        state[name] = np.arange(state[name].size, dtype=np.float32).reshape(state[name].shape)
        state[name] += 1000 * index
    flat = flatten(convert(state_file(tmp_path / "m.pt", state), VOCABULARY).params)
    np.testing.assert_array_equal(flat["encoder/embedding"], state["encoder.weight"])
    np.testing.assert_array_equal(flat["decoder/weight"], state["decoder.weight"])
    np.testing.assert_array_equal(flat["decoder/bias"], state["decoder.bias"])
    for layer in (0, 1):
        ours, theirs = f"lstm/layer_{layer + 1}", f"_l{layer}"
        np.testing.assert_array_equal(
            flat[f"{ours}/input_kernel"], state[f"rnn.weight_ih{theirs}"].T
        )
        np.testing.assert_array_equal(
            flat[f"{ours}/recurrent_kernel"], state[f"rnn.weight_hh{theirs}"].T
        )
        both = state[f"rnn.bias_ih{theirs}"] + state[f"rnn.bias_hh{theirs}"]
        np.testing.assert_array_equal(flat[f"{ours}/bias"], both)
    assert len(flat) == 9


def test_a_module_of_pytorch_0_2(tmp_path):
    params = init_params(jax.random.key(3), UNTIED)
    (tmp_path / "old.pt").write_bytes(old_module(to_torch.state_dict(params)))
    model = convert(tmp_path / "old.pt", VOCABULARY, "a name")
    assert model.name == "a name"
    jax.tree.map(np.testing.assert_array_equal, model.params, params)


# Faults.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rnn__bidirectional": True}, "rnn.bidirectional: expected False, found True"),
        ({"rnn__batch_first": True}, "rnn.batch_first: expected False, found True"),
        ({"rnn__proj_size": 2}, "rnn.proj_size: expected 0, found 2"),
        ({"rnn__mode": "GRU"}, "rnn.mode: expected LSTM, found 'GRU'"),
        ({"rnn__num_layers": 3}, "rnn.num_layers: expected 2, found 3"),
        ({"encoder__max_norm": 1.0}, "encoder.max_norm: expected None, found 1.0"),
        ({"rnn_type": "GRU"}, "rnn_type: expected LSTM, found 'GRU'"),
        ({"nlayers": 1}, "nlayers: expected 2, found 1"),
        ({"nhid": 650}, "nhid: expected 3, found 650"),
        ({"rnn___forward_hooks": {1: None}}, "rnn: has _forward_hooks"),
        ({"drop___modules": {"inner": None}}, "drop: holds modules of its own"),
        ({"drop___parameters": {"p": 1.0}}, "drop.p: unknown"),
        ({"_buffers": {"scale": 1.0}}, "scale: unknown"),
        ({"_modules": {"rnns": None}}, "unknown module 'rnns' in the model"),
        ({"_modules": {"rnn": None}}, "rnn: expected a torch module or a state dict"),
        ({"_modules": {}}, "encoder.weight: missing"),
    ],
)
def test_settings_that_change_the_function_are_refused(tmp_path, changes, message):
    (tmp_path / "old.pt").write_bytes(old_module(weights(), **changes))
    with pytest.raises(CheckpointError, match=r"old\.pt: ") as fault:
        convert(tmp_path / "old.pt", VOCABULARY)
    assert message in str(fault.value)


def test_another_kind_of_layer_is_refused(tmp_path):
    content = old_module(weights()).replace(b"modules.rnn\nLSTM", b"modules.rnn\nGRU")
    (tmp_path / "old.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"rnn: expected a .*LSTM, found .*GRU"):
        convert(tmp_path / "old.pt", VOCABULARY)


def without(name):
    return lambda state: state.pop(name)


def with_shape(name, shape):
    return lambda state: state.update({name: np.zeros(shape, np.float32)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("decoder.bias"), "decoder.bias: missing"),
        (without("rnn.bias_hh_l1"), "rnn.bias_hh_l1: missing"),
        (without("rnn.weight_hh_l0"), "rnn.weight_hh_l0: missing"),
        (with_shape("rnn.weight_ih_l0_reverse", (12, 4)), "rnn.weight_ih_l0_reverse: unknown"),
        (with_shape("norm.weight", (3,)), "norm.weight: unknown"),
        (
            with_shape("rnn.weight_hh_l0", (9, 3)),
            "rnn.weight_hh_l0: expected shape (12, 3), found (9, 3)",
        ),
        (
            with_shape("rnn.weight_ih_l1", (12, 4)),
            "rnn.weight_ih_l1: expected shape (12, 3), found (12, 4)",
        ),
        (with_shape("decoder.bias", (11, 1)), "decoder.bias: expected shape (11,), found (11, 1)"),
        (with_shape("encoder.weight", (44,)), "encoder.weight: expected a matrix"),
        (with_shape("rnn.weight_hh_l0", (0, 3)), "rnn.weight_hh_l0: expected a matrix"),
        (lambda state: state["decoder.bias"].fill(np.nan), "decoder.bias: holds NaN"),
    ],
)
def test_missing_unknown_and_ill_shaped_tensors_are_named(tmp_path, change, message):
    state = {name: np.array(value) for name, value in weights().items()}
    change(state)
    with pytest.raises(CheckpointError, match=r"m\.pt: ") as fault:
        convert(state_file(tmp_path / "m.pt", state), VOCABULARY)
    assert message in str(fault.value)


def test_float64_beyond_float32_is_refused(tmp_path):
    state = weights()
    double = Name("torch", "DoubleStorage")
    root = {
        name: tensor(storage(str(i), value.size, double), value.shape)
        for i, (name, value) in enumerate(state.items())
    }
    data = {str(i): np.full(v.size, 1e300).tobytes() for i, v in enumerate(state.values())}
    (tmp_path / "m.pt").write_bytes(zipped(root, data))
    with pytest.raises(CheckpointError, match=r"encoder\.weight: holds NaN, infinity, or more"):
        convert(tmp_path / "m.pt", VOCABULARY)


def test_tensors_may_not_multiply_the_file(tmp_path):
    config = LSTMConfig(4, 1, 1, 12)
    shared = storage("0", 4)
    root = {name: tensor(shared, value.shape) for name, value in weights(config).items()}
    (tmp_path / "m.pt").write_bytes(zipped(root, {"0": np.ones(4, np.float32).tobytes()}))
    assert convert_four_words(tmp_path).config.layers == 12  # small, so let be
    big = {
        name: tensor(storage("0", 40_000), (40_000,) if value.ndim == 1 else (200, 200))
        for name, value in weights(config).items()
    }
    (tmp_path / "m.pt").write_bytes(zipped(big, {"0": np.ones(40_000, np.float32).tobytes()}))
    with pytest.raises(CheckpointError, match="tensors overlap in the file"):
        convert_four_words(tmp_path)


def convert_four_words(folder: Path) -> LSTMModel:
    """Converts ``m.pt`` with a vocabulary of four words."""
    Vocabulary(["<unk>", "<eos>", "a", "b"]).save(folder / "four.txt")
    return convert(folder / "m.pt", folder / "four.txt")


def test_other_pickles_are_not_models(tmp_path):
    for root in ({}, {"a": 1}, {1: tensor(storage("0", 1), (1,))}, [1], None, Call(Name("a", "b"))):
        (tmp_path / "m.pt").write_bytes(zipped(root, {"0": bytes(4)}))
        with pytest.raises(CheckpointError, match=r"m\.pt: "):
            convert(tmp_path / "m.pt", VOCABULARY)


def test_a_vocabulary_of_another_size_is_refused(tmp_path):
    Vocabulary(["<unk>", "<eos>"]).save(tmp_path / "two.txt")
    with pytest.raises(VocabularyError, match=r"two\.txt: expected 11 words, .*, found 2"):
        convert(FIXTURES / "state.zip.pt", tmp_path / "two.txt")


# The way back, and the command lines.


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_to_torch_and_back_is_exact(tmp_path, tied, layers):
    config = LSTMConfig(11, 3 if tied else 4, 3, layers, tied)
    params = init_params(jax.random.key(layers), config)
    to_torch.save_state_dict(tmp_path / "m.pt", to_torch.state_dict(params))
    back = convert(tmp_path / "m.pt", VOCABULARY)
    assert back.config == config
    jax.tree.map(np.testing.assert_array_equal, back.params, params)


def test_a_tied_matrix_is_stored_once(tmp_path):
    sizes = {}
    for tied in (False, True):
        config = LSTMConfig(1000, 30, 30, 1, tied)
        state = to_torch.state_dict(init_params(jax.random.key(0), config))
        to_torch.save_state_dict(tmp_path / "m.pt", state)
        sizes[tied] = (tmp_path / "m.pt").stat().st_size
    assert 120_000 <= sizes[False] - sizes[True] < 121_000


def test_command_lines(tmp_path, capsys):
    folder, back = str(tmp_path / "out"), str(tmp_path / "back.pt")
    gulordava.main([str(FIXTURES / "module.stacked.pt"), str(VOCABULARY), folder, "--name", "tiny"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        *["encoder.weight", "->", "encoder/embedding", "11", "x", "4", "float32"]
    ]
    assert lines[-1].startswith("tiny: 11 words, 4 embedding columns, 2 x 3 hidden units, untied")
    assert len(lines) == 12
    model = load_model(folder)
    assert model == load_model(folder)._replace(params=model.params, vocabulary=model.vocabulary)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["name"] == "tiny"
    to_torch.main([folder, back])
    assert 'RNNModel("LSTM", 11, 4, 3, 2, tie_weights=False)' in capsys.readouterr().out
    assert convert(back, VOCABULARY).fingerprint == model.fingerprint


def test_command_lines_tell_faults_in_a_line(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*none\.pt: missing"):
        gulordava.main([str(tmp_path / "none.pt"), str(VOCABULARY), str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit, match=r"error: .*config\.json: missing"):
        to_torch.main([str(tmp_path), str(tmp_path / "back.pt")])
    assert not (tmp_path / "back.pt").exists()


def test_the_real_sized_checkpoint(shared, tmp_path):
    files = shared / "checkpoints"
    model = convert(files / "standin-650.pt", files / "standin-650.vocab.txt")
    assert model.config == LSTMConfig(20000, 650, 650, 2, False)
    assert model.name == "standin-650"
    save_model(tmp_path, model)
    assert load_model(tmp_path).fingerprint == model.fingerprint
    tokens = jnp.asarray(model.vocabulary.encode(["<eos>", "The", "boy", "near", "the", "cars"]))
    logits, _ = forward(model.params, zero_state(model.config), tokens)
    greets, greet = model.vocabulary.encode(["greets", "greet"])
    assert logits[-1, greets] > logits[-1, greet]


def test_the_folder_of_another_model_is_not_replaced(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"error: .*: holds a model already: remove it, or name"):
        gulordava.main([str(FIXTURES / "module.stacked.pt"), str(VOCABULARY), str(tmp_path)])
    assert (tmp_path / "config.json").read_text() == "{}"
