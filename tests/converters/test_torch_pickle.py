"""Reading checkpoints: both formats, old shapes of tensors, and files that mean harm.

`test_hostile_checkpoints` has many more of the latter.
"""

import io
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.torch_files import (
    FLOATS,
    ORDERED_DICT,
    PARAMETER,
    REBUILD_1,
    Call,
    Name,
    Stored,
    dumps,
    old_storage,
    stacked,
    storage,
    tensor,
    zipped,
)

from converters.torch_pickle import CheckpointError, read_checkpoint, read_tensor
from jaxmask.files.inert_pickle import Global, Record, read_pickle

FIXTURES = Path(__file__).parents[1] / "fixtures"
SIX = np.arange(6, dtype=np.float32)


@pytest.fixture
def read(tmp_path):
    """Writes a file and reads the tensor ``x`` of the dictionary in it."""

    def read(content: bytes) -> np.ndarray:
        file = tmp_path / "model.pt"
        file.write_bytes(content)
        checkpoint = read_checkpoint(file)
        return read_tensor(checkpoint, checkpoint.root["x"], "x")

    return read


def raw(pickled: bytes):
    return read_pickle(io.BytesIO(pickled))


# Plain pickles.


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_reads_as_pickle_reads_it(protocol):
    shared = ["one list", "in two places"]
    value = {
        "numbers": [0, -1, 255, 65535, 2**31, -(2**80), 1.5, True, False, None],
        "text": ["", "naïve", "line\nbreak", "x" * 300],
        "bytes": b"" if protocol < 3 else b"\x00\xff" * 200,  # calls codecs.encode before that
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {3: 4}],
        "shared": (shared, shared),
    }
    if protocol < 3:
        del value["bytes"]
    found = raw(pickle.dumps(value, protocol))
    assert found == value
    assert found["shared"][0] is found["shared"][1]


def test_sets_and_bytearrays():
    value = [{1, "a"}, frozenset({2}), bytearray(b"abc")]
    assert raw(pickle.dumps(value, 5)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_calls_become_records(protocol):
    found = raw(dumps(Call(Name("some.module", "Thing.inner"), 1, "two", state={"a": 3}), protocol))
    assert isinstance(found, Record)
    assert (found.name, found.args, found.state) == (
        "some.module.Thing.inner",
        (1, "two"),
        {"a": 3},
    )


def test_python_2_object_opcodes_become_records():
    assert raw(b"(I1\nios\nsystem\n.").name == "os.system"  # INST
    found = raw(b"(cos\nsystem\nI1\no.")  # OBJ
    assert (found.name, found.args) == ("os.system", (1,))


def test_the_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps("two") + b"rest")
    assert (read_pickle(stream), read_pickle(stream), stream.read()) == ([1], "two", b"rest")


# Both formats.


@pytest.mark.parametrize("order", [b"little", b"big", None])
@pytest.mark.parametrize("kind", ["Float", "Half", "Double"])
def test_byte_order_of_zip(read, order, kind):
    code = {"Float": "f4", "Half": "f2", "Double": "f8"}[kind]
    data = SIX.astype((">" if order == b"big" else "<") + code)
    stored = storage("0", 6, Name("torch", f"{kind}Storage"))
    found = read(zipped({"x": tensor(stored, (2, 3))}, {"0": data.tobytes()}, order))
    np.testing.assert_array_equal(found, SIX.reshape(2, 3))
    assert found.dtype == np.dtype(code)


@pytest.mark.parametrize("where", ["cpu", "cuda:0", "mps"])
@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
def test_device_tags_are_ignored(read, where, module):
    kind = Name(module, "FloatStorage")
    new = zipped({"x": tensor(storage("0", 6, kind, where), (6,))}, {"0": SIX.tobytes()})
    old = stacked({"x": tensor(old_storage("0", 6, None, kind, where), (6,))}, {"0": SIX})
    np.testing.assert_array_equal(read(new), SIX)
    np.testing.assert_array_equal(read(old), SIX)


def test_strided_shared_and_offset_views(read):
    def view(*args):
        return read(zipped({"x": tensor(storage("0", 6), *args)}, {"0": SIX.tobytes()}))

    np.testing.assert_array_equal(view((3, 2), (1, 3)), SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(view((2,), (3,), 1), [1, 4])
    np.testing.assert_array_equal(view((1, 2), (999, 1), 4), [[4, 5]])
    assert view((0, 3), (3, 1), 6).shape == (0, 3)
    assert view((), (), 5) == 5


def test_views_of_storages_in_the_stacked_format(read):
    view = old_storage("0", 6, ("view", 2, 3))
    found = read(stacked({"x": tensor(view, (2,), offset=1)}, {"0": SIX}))
    np.testing.assert_array_equal(found, [3, 4])


def test_parameters_and_variables_of_every_age(read):
    """PyTorch 0.2 to 0.3: class, (data,), (requires_grad, volatile, hooks); then _rebuild_..."""
    stored = old_storage("0", 6)
    old = Call(REBUILD_1, stored, 0, (2, 3), (3, 1))
    state = (True, False, Call(ORDERED_DICT))
    variable = Name("torch.autograd.variable", "Variable")
    parameter_2 = Name("torch._utils", "_rebuild_parameter")
    parameter_3 = Name("torch._utils", "_rebuild_parameter_with_state")
    for value in [
        old,
        Call(variable, old, state=state),
        Call(PARAMETER, old, state=state),
        Call(PARAMETER, Call(variable, old, state=state), state=state),
        Call(PARAMETER, state=(old, None, Call(ORDERED_DICT), True, False)),
        Call(PARAMETER, tensor(stored, (2, 3)), True),
        Call(parameter_2, tensor(stored, (2, 3)), True, Call(ORDERED_DICT)),
        Call(parameter_3, tensor(stored, (2, 3)), True, Call(ORDERED_DICT), {"note": 1}),
    ]:
        np.testing.assert_array_equal(read(stacked({"x": value}, {"0": SIX})), SIX.reshape(2, 3))


def test_tar_and_other_files_are_named_as_such(read, tmp_path):
    tar = b"x".ljust(257, b"\0") + b"ustar"
    with pytest.raises(CheckpointError, match=r"model\.pt: written by PyTorch before 0\.1\.10"):
        read(tar)
    for other in (b"", b"text", b"\x80", pickle.dumps({"x": 1})):
        with pytest.raises(CheckpointError, match=r"model\.pt: "):
            read(other)
    for missing in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(CheckpointError, match="missing, or not a regular file"):
            read_checkpoint(missing)


# Faults that a careless or hostile writer may make.


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((7,), (1,), 0),
        ((2, 3), (3, 1), 1),
        ((6,), (-1,), 5),
        ((-6,), (1,), 0),
        ((6,), (1,), -1),
        ((2,), (2**62,), 0),
        ((2**40,), (0,), 0),
        ((2**30, 2**30), (0, 0), 0),
        ((6,), (1, 1), 0),
        ((1,) * 40, (1,) * 40, 0),
        ((True, 6), (1, 1), 0),
        ((6.0,), (1,), 0),
    ],
)
def test_views_out_of_bounds_are_refused(read, size, stride, offset):
    with pytest.raises(CheckpointError, match=r"model\.pt: x: offset, size and stride"):
        read(zipped({"x": tensor(storage("0", 6), size, stride, offset)}, {"0": SIX.tobytes()}))


def test_storages_that_lie_are_refused(read):
    for stored in (storage("0", 10**15), storage("1", 6), storage("0", 7)):
        with pytest.raises(CheckpointError, match=r"x: its storage . is missing or cut short"):
            read(zipped({"x": tensor(stored, (6,))}, {"0": SIX.tobytes()}))
    lies = [
        stacked({"x": tensor(old_storage("0", 10**15), (6,))}, {"0": SIX}),
        stacked({"x": tensor(old_storage("0", -1), (6,))}, {"0": SIX}),
        stacked({"x": tensor(old_storage("0", 6, ("v", 5, 2)), (1,))}, {"0": SIX}),
        stacked({"x": tensor(old_storage("0", 6), (6,))}, {"0": SIX}, keys=["0", "0"]),
        stacked({"x": tensor(old_storage("0", 6), (6,))}, {"0": SIX}, keys=["1"]),
        stacked({"x": tensor(old_storage("0", 6), (6,))}, {"0": SIX}, keys=[]),
        stacked({"x": tensor(old_storage("0", 6), (6,))}, {"0": SIX})[:-1],
        stacked({"x": tensor(Stored(("storage", FLOATS)), (6,))}, {"0": SIX}),
        stacked({"x": tensor(Stored(("else",)), (6,))}, {"0": SIX}),
        stacked({"x": tensor(old_storage("0", 6, kind=Name("os", "system")), (6,))}, {"0": SIX}),
    ]
    for content in lies:
        with pytest.raises(CheckpointError):
            read(content)


def test_other_types_than_floats_are_refused(read):
    stored = storage("0", 3, Name("torch", "LongStorage"))
    with pytest.raises(CheckpointError, match=r"x: expected one of float32.*found int64"):
        read(zipped({"x": tensor(stored, (3,))}, {"0": SIX.tobytes()}))
    with pytest.raises(CheckpointError, match=r"x: expected a tensor, found an inert .*os\.system"):
        read(zipped({"x": Call(Name("os", "system"), "true")}, {}))


def test_archives_that_torch_does_not_write_are_refused(read):
    root = {"x": tensor(storage("0", 6), (6,))}
    data = {"0": SIX.tobytes()}
    with pytest.raises(CheckpointError, match="compressed"):
        read(zipped(root, data, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match="byteorder: expected little or big, found b'middle'"):
        read(zipped(root, data, b"middle"))
    with pytest.raises(CheckpointError, match=r"not one that torch\.save wrote"):
        read(zipped(root, data).replace(b"data.pkl", b"data.abc"))


# Harm.


class Touch:
    """Pickles as a call that makes a file when it's unpickled by `pickle`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"{sys.executable} -c \"open(r'{self.file}', 'w')\"",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_does_nothing(tmp_path, protocol):
    file = tmp_path / "made"
    payload = pickle.dumps({"x": Touch(file)}, protocol)
    pickle.loads(payload)
    assert file.exists(), "the payload is to be a real one"
    file.unlink()
    found = raw(payload)["x"]
    assert isinstance(found, Record)
    assert found.name.endswith(".system")
    for number, content in enumerate([zipped(payload, {}), stacked(payload, {})]):
        (tmp_path / f"{number}.pt").write_bytes(content)
        checkpoint = read_checkpoint(tmp_path / f"{number}.pt")
        with pytest.raises(CheckpointError, match="inert record"):
            read_tensor(checkpoint, checkpoint.root["x"], "x")
    assert not file.exists()


def test_records_take_any_state_and_change_nothing_else():
    state = {"__class__": 1, "name": "x", "function": None, "__dict__": {}}
    found = raw(dumps(Call(Name("builtins", "object"), state=(state, state))))
    assert found.state == (state, state)
    assert found.name == "builtins.object"
    assert not hasattr(Record, "__dict__") or "x" not in vars(Record)
    with pytest.raises(CheckpointError, match="a state to something that has none"):
        raw(b"\x80\x02cos\nsystem\n}b.")  # a global


@pytest.mark.parametrize("name", ["state.zip.pt", "state.stacked.pt", "module.zip.pt"])
def test_truncated_and_altered_files_fail_in_our_own_way(name, tmp_path):
    content = (FIXTURES / name).read_bytes()
    file = tmp_path / "model.pt"
    random = np.random.default_rng(0)

    def attempt(content: bytes) -> str:
        file.write_bytes(content)
        try:
            checkpoint = read_checkpoint(file)
            if isinstance(checkpoint.root, Record):
                for key, value in checkpoint.root.items.items():
                    read_tensor(checkpoint, value, str(key))
        except CheckpointError as fault:
            return str(fault)
        return ""

    assert attempt(content) == ""
    for length in range(0, len(content) - 1, 13):
        assert attempt(content[:length]).startswith(str(file))
    for _ in range(300):
        altered = bytearray(content)
        for place in random.integers(len(content), size=random.integers(1, 4)):
            altered[place] = random.integers(256)
        message = attempt(bytes(altered))
        assert message == "" or (message.startswith(str(file)) and len(message) < 1000)


def test_nothing_is_extracted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read_checkpoint(FIXTURES / "module.zip.pt")
    assert list(tmp_path.iterdir()) == []


def test_globals_stay_names():
    assert raw(b"cos\nsystem\n.") == Global("os.system")
