"""Checkpoints as training programs wrap and name them."""

import jax
import numpy as np
import pytest
from support.torch_files import old_module, state_file, storage, tensor, zipped

from converters import gulordava, to_torch
from converters.gulordava import Foreign, convert, convert_with_account
from converters.state_dict import parse_names, suggested_names
from converters.torch_pickle import CheckpointError
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.models.model_folder import load_model

CONFIG = LSTMConfig(5, 4, 3, 2, False)
NAMES = {"encoder": "embedding", "rnn": "lstm", "decoder": "fc"}


@pytest.fixture
def vocabulary(tmp_path):
    file = tmp_path / "vocab.txt"
    file.write_text("<unk>\n<eos>\nthe\nboy\nboys\n")
    return file


@pytest.fixture
def state():
    return to_torch.state_dict(init_params(jax.random.key(0), CONFIG))


@pytest.fixture
def fingerprint(state, vocabulary, tmp_path):
    return convert(state_file(tmp_path / "plain.pt", state), vocabulary).fingerprint


def under(state, names):
    """The same tensors under other names of modules."""
    renamed = {}
    for key, value in state.items():
        module, _, part = key.partition(".")
        renamed[f"{names[module]}.{part}"] = value
    return renamed


def entries(state, start=0):
    return {
        name: tensor(storage(str(start + key), value.size), value.shape)
        for key, (name, value) in enumerate(state.items())
    }


def nested_file(file, state, wrap):
    data = {str(key): v.astype("<f4").tobytes() for key, v in enumerate(state.values())}
    file.write_bytes(zipped(wrap(entries(state)), data))
    return file


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_prefixes_are_left_away(tmp_path, state, vocabulary, fingerprint, prefix):
    file = state_file(tmp_path / "m.pt", {f"{prefix}{name}": x for name, x in state.items()})
    model, table, notes = convert_with_account(file, vocabulary)
    assert model.fingerprint == fingerprint
    assert [mapped.source for mapped in table] == list(state)
    assert len(notes) == prefix.count(".")
    assert notes[0].startswith(f"{file}: all names begin with {prefix.split('.')[0]}., which is")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"epoch": 3, "model_state_dict": state, "loss": 1.0},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {"checkpoint": {"model": state}, "args": None},
        lambda state: {"optimizer": {"state": {0: {"exp_avg": 1.0}}}, "net": state},
        lambda state: {"ema": state, "model": state},
    ],
)
def test_a_state_dict_inside_a_checkpoint(tmp_path, state, vocabulary, fingerprint, wrap):
    file = nested_file(tmp_path / "m.pt", state, wrap)
    model, _, notes = convert_with_account(file, vocabulary)
    assert model.fingerprint == fingerprint
    assert "the weights are in the entry" in notes[0]


def test_a_dictionary_without_weights_is_refused(tmp_path, state, vocabulary):
    file = nested_file(tmp_path / "m.pt", state, lambda state: {"epoch": 3, "loss": {"a": 1.0}})
    with pytest.raises(CheckpointError, match="a dictionary, but not a state dict"):
        convert(file, vocabulary)


@pytest.mark.parametrize("copy", [None, "before", "after"])
def test_the_weight_without_dropout_counts(tmp_path, vocabulary, copy):
    state = to_torch.state_dict(init_params(jax.random.key(0), CONFIG._replace(embedding=3)))
    plain = convert(state_file(tmp_path / "plain.pt", state), vocabulary)
    dropped = {}
    for name, value in state.items():
        module, part, layer = name.rpartition("_l")[0], name, name[-1]
        if not module.startswith("rnn"):
            dropped[name] = value
            continue
        part = f"{module.removeprefix('rnn.')}_l0"
        derived = {f"rnns.{layer}.module.{part}": 0 * value}
        if "weight_hh" in part:
            raw = {f"rnns.{layer}.{part}_raw": value}
            order = {None: raw, "before": derived | raw, "after": raw | derived}[copy]
            dropped |= order
        else:
            dropped |= {f"rnns.{layer}.module.{part}": value}
    model, _, notes = convert_with_account(state_file(tmp_path / "m.pt", dropped), vocabulary)
    assert model.fingerprint == plain.fingerprint
    assert sum("the weight without dropout" in note for note in notes) == 2


def test_modules_of_other_names(tmp_path, state, vocabulary, fingerprint):
    file = state_file(tmp_path / "m.pt", under(state, NAMES))
    with pytest.raises(CheckpointError) as fault:
        convert(file, vocabulary)
    option = "--names encoder=embedding rnn=lstm decoder=fc"
    assert str(fault.value).endswith(option)
    names = parse_names(option.split()[1:])
    assert names == NAMES
    assert convert(file, vocabulary, foreign=Foreign(names)).fingerprint == fingerprint
    deep = state_file(tmp_path / "deep.pt", under(state, {**NAMES, "rnn": "core.lstm"}))
    with pytest.raises(CheckpointError, match=r"--names .* rnn=core\.lstm decoder=fc$"):
        convert(deep, vocabulary)
    names |= {"rnn": "core.lstm"}
    assert convert(deep, vocabulary, foreign=Foreign(names)).fingerprint == fingerprint


@pytest.mark.parametrize("names", [["rnn"], ["rnn="], ["cell=x"], ["rnn=a", "rnn=b"]])
def test_names_that_name_nothing(names):
    with pytest.raises(CheckpointError, match="--names: expected encoder=NAME rnn=NAME decoder="):
        parse_names(names)


def test_no_names_are_suggested_where_it_is_not_plain():
    assert not suggested_names(["a.weight", "b.weight", "c.weight_ih_l0"])
    assert not suggested_names(["encoder.weight", "rnn.weight_ih_l0", "decoder.weight"])
    assert not suggested_names(["weight_ih_l0", "weight", "a.weight", "b.weight", "b.bias"])


@pytest.mark.parametrize(
    ("gates", "words"), [(3, "found 9 rows, 3 gates: a GRU"), (1, "1 gate: a plain RNN")]
)
def test_other_cells_are_named(tmp_path, state, vocabulary, gates, words):
    other = {
        name: value[: gates * 3] if name.startswith("rnn") else value
        for name, value in state.items()
    }
    with pytest.raises(CheckpointError, match=f"{words}; only LSTMs can be converted"):
        convert(state_file(tmp_path / "m.pt", other), vocabulary)


def test_a_whole_module_is_still_read(tmp_path, state, vocabulary, fingerprint):
    (tmp_path / "m.pt").write_bytes(old_module(state))
    model, _, notes = convert_with_account(tmp_path / "m.pt", vocabulary)
    assert (model.fingerprint, notes) == (fingerprint, [])


def test_the_command_line_says_what_it_did(tmp_path, state, capsys):
    words = tmp_path / "words.txt"
    words.write_text("<UNK>\n</s>\nthe\nboy\nthe\n")
    renamed = {f"module.{name}": value for name, value in under(state, NAMES).items()}
    file = state_file(tmp_path / "m.pt", renamed)
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="--duplicates"):
        gulordava.main([str(file), str(words), str(out)])
    gulordava.main([
        str(file), str(words), str(out), "--names", "encoder=embedding", "rnn=lstm", "decoder=fc",
        "--unknown", "<UNK>", "--end", "</s>", "--duplicates", "last",
    ])  # fmt: skip
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{file}: all names begin with module., which is left away"
    model = load_model(out)
    assert model.vocabulary.words == ("<unk>", "<eos>", "<line-3-the>", "boy", "the")
    np.testing.assert_array_equal(model.params["encoder"]["embedding"], state["encoder.weight"])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("dp.pt", Foreign()), ("nest.pt", Foreign()), ("names.pt", Foreign(NAMES)),
    ],
)  # fmt: skip
def test_checkpoints_that_people_met(shared, name, how):
    cases = shared / "cases"
    vocabulary = cases / "vocabularies" / "v.txt"
    plain = convert(cases / "checkpoints" / "plain.pt", vocabulary)
    model = convert(cases / "checkpoints" / name, vocabulary, foreign=how)
    shapes = jax.tree.map(np.shape, plain.params)
    assert jax.tree.map(np.shape, model.params) == shapes
    assert convert(cases / "checkpoints" / "awd.pt", vocabulary).config.layers == 1
    with pytest.raises(CheckpointError, match="3 gates: a GRU"):
        convert(cases / "checkpoints" / "gru.pt", vocabulary)


@pytest.mark.parametrize("name", ["v.txt", "count.txt", "v.json"])
def test_vocabularies_that_people_met(shared, name):
    cases = shared / "cases"
    model = convert(cases / "checkpoints" / "plain.pt", cases / "vocabularies" / name)
    assert model.vocabulary.words == ("<unk>", "<eos>", "the", "boy", "boys", "sees", "see")
