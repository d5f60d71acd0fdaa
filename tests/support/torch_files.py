"""Writes checkpoints by hand, so that tests can say what old or hostile files hold.

`Name` stands for a class or function that needn't exist, `Call` for an object rebuilt by calling
one, `Stored` for a storage; `dumps` pickles them, `stacked` and `zipped` make files of either
format, `state_file` and `old_module` make language models.
"""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Name:
    """A global, by module and name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("names are never called; pickle wants a callable, that's all")


class Call:
    """An object that is rebuilt as ``function(*args)``, then given ``state`` if there is one."""

    def __init__(self, function: Name, *args: Any, state: Any = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self):
        return self.function, self.args, self.state


class Stored(NamedTuple):
    """A persistent id."""

    pid: tuple

    __call__ = Name.__call__


class _Writer(pickle._Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, Stored) else None

    def save_name(self, obj: Name) -> None:
        if self.proto >= 4:
            self.save(obj.module)
            self.save(obj.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, Name: save_name}


def dumps(value: Any, protocol: int = 2) -> bytes:
    """Pickles `Name`, `Call`, `Stored` and plain data."""
    stream = io.BytesIO()
    _Writer(stream, protocol).dump(value)
    return stream.getvalue()


ORDERED_DICT = Name("collections", "OrderedDict")
REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
REBUILD_1 = Name("torch._utils", "_rebuild_tensor")
PARAMETER = Name("torch.nn.parameter", "Parameter")
FLOATS = Name("torch", "FloatStorage")


def storage(key: str, count: int, kind: Name = FLOATS, where: str = "cpu") -> Stored:
    """A storage's persistent id in the zip format."""
    return Stored(("storage", kind, key, where, count))


def old_storage(key: str, count: int, view: Any = None, kind: Name = FLOATS, where="cpu") -> Stored:
    """A storage's persistent id in the stacked format."""
    return Stored(("storage", kind, key, where, count, view))


def tensor(stored: Stored, size: tuple, stride: tuple | None = None, offset: int = 0) -> Call:
    """A tensor; contiguous if no stride is given."""
    if stride is None:
        stride = tuple(int(np.prod(size[axis + 1 :])) for axis in range(len(size)))
    return Call(REBUILD, stored, offset, size, stride, False, Call(ORDERED_DICT))


def zipped(root: Any, data: dict[str, bytes], order: bytes | None = b"little", **how: Any) -> bytes:
    """A file in the zip format; ``root`` may be ready pickled."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **how) as archive:
        archive.writestr("top/data.pkl", root if isinstance(root, bytes) else dumps(root))
        if order is not None:
            archive.writestr("top/byteorder", order)
        for key, content in data.items():
            archive.writestr(f"top/data/{key}", content)
        archive.writestr("top/version", b"3\n")
    return stream.getvalue()


def stacked(root: Any, data: dict[str, np.ndarray], keys: list | None = None) -> bytes:
    """A file in the stacked format; ``root`` may be ready pickled."""
    head = [MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    parts = [dumps(item) for item in head]
    parts.append(root if isinstance(root, bytes) else dumps(root))
    parts.append(dumps(sorted(data) if keys is None else keys))
    for key in sorted(data):
        parts.append(struct.pack("<q", data[key].size) + data[key].tobytes())
    return b"".join(parts)


def state_file(file: Path, state: dict[str, np.ndarray]) -> Path:
    """Writes a state dict in the zip format, every tensor with a storage of its own."""
    root = {
        name: tensor(storage(str(key), value.size), value.shape)
        for key, (name, value) in enumerate(state.items())
    }
    data = {str(key): value.astype("<f4").tobytes() for key, value in enumerate(state.values())}
    file.write_bytes(zipped(root, data))
    return file


def old_module(state: dict[str, np.ndarray], **changes: Any) -> bytes:
    """A whole ``model.RNNModel`` as PyTorch 0.2 wrote it on a GPU, in the stacked format.

    The weights of the LSTM share one storage, as cuDNN wants it. ``changes`` are settings, by
    ``MODULE__NAME`` or, of the model itself, by ``NAME``.
    """
    recurrent = [name for name in state if name.startswith("rnn.")]
    storages = {"encoder.weight": "2", "decoder.weight": "3", "decoder.bias": "4"}
    data = {key: state[name].ravel() for name, key in storages.items()}
    data["1"] = np.concatenate([state[name].ravel() for name in recurrent])
    ends = np.cumsum([state[name].size for name in recurrent]).tolist()
    starts = dict(zip(recurrent, [0, *ends[:-1]], strict=True))
    cuda = Name("torch.cuda", "FloatStorage")

    def parameter(name: str) -> Call:
        key = storages.get(name, "1")
        stored = old_storage(key, data[key].size, None, cuda, "cuda:0")
        inner = tensor(stored, state[name].shape, offset=starts.get(name, 0))
        inner = Call(REBUILD_1, *inner.args[:4])
        return Call(PARAMETER, inner, state=(True, False, Call(ORDERED_DICT)))

    def child(name: str, kind: str, **settings: Any) -> Call:
        own = {full.split(".")[1]: parameter(full) for full in state if full.startswith(f"{name}.")}
        start = f"{name}__"
        changed = {k.removeprefix(start): v for k, v in changes.items() if k.startswith(start)}
        return _module(Name(f"torch.nn.modules.{kind}", kind_name[kind]), own, settings | changed)

    kind_name = {"dropout": "Dropout", "sparse": "Embedding", "rnn": "LSTM", "linear": "Linear"}
    words, width = state["encoder.weight"].shape
    hidden, layers = state["decoder.weight"].shape[1], len(recurrent) // 4
    sizes = {"input_size": width, "hidden_size": hidden, "num_layers": layers}
    flags = {"mode": "LSTM", "bidirectional": False, "batch_first": False}
    cudnn = {"desc_0": Call(Name("torch.backends.cudnn.rnn", "Unserializable"))}
    children = {
        "drop": child("drop", "dropout", p=0.2, inplace=False),
        "encoder": child("encoder", "sparse", num_embeddings=words, max_norm=None),
        "rnn": child("rnn", "rnn", **sizes, **flags, dropout_state=cudnn, _data_ptrs=[]),
        "decoder": child("decoder", "linear", out_features=words),
    }
    settings = {"rnn_type": "LSTM", "nhid": hidden, "nlayers": layers}
    settings["_modules"] = Call(ORDERED_DICT, [list(pair) for pair in children.items()])
    settings |= {key: value for key, value in changes.items() if "__" not in key}
    container = Stored(("module", Name("model", "RNNModel"), "model.py", "class RNNModel: ..."))
    return stacked(_module(container, {}, settings), {} if "_modules" in changes else data)


def _module(container: Any, parameters: dict, settings: dict) -> Call:
    empty = ("_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    own = {"_parameters": parameters, **{key: Call(ORDERED_DICT) for key in empty}}
    return Call(container, state=own | settings)
