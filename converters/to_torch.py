"""Writes a model folder as a state dict that PyTorch loads; needs no torch itself.

    python -m converters.to_torch MODEL_DIR OUT.pt

``torch.load("OUT.pt")`` gives float32 tensors that fit an ``RNNModel`` of the
``word_language_model`` example. PyTorch adds two biases where jaxmask has one: that one becomes
``bias_ih``, and ``bias_hh`` is zero. With a tied decoder, ``encoder.weight`` and
``decoder.weight`` share storage.
"""

import argparse
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import Params, decoder_weight
from jaxmask.models.model_folder import load_model
from jaxmask.text.vocabulary import VocabularyError

TOP = "archive"  # the folder within the zip file; PyTorch takes any name
ALIGNMENT = 64  # of the data within the file, as PyTorch has it, so that it can be mapped


def state_dict(params: Params) -> dict[str, np.ndarray]:
    """The parameters under PyTorch's names and in PyTorch's shapes, as float32.

    With a tied decoder, ``encoder.weight`` and ``decoder.weight`` are the same array.
    """
    encoder = np.asarray(params["encoder"]["embedding"], np.float32)
    tensors = {"encoder.weight": encoder}
    for index, layer in enumerate(params["lstm"].values()):
        bias = np.asarray(layer["bias"], np.float32)
        tensors[f"rnn.weight_ih_l{index}"] = np.asarray(layer["input_kernel"], np.float32).T
        tensors[f"rnn.weight_hh_l{index}"] = np.asarray(layer["recurrent_kernel"], np.float32).T
        tensors[f"rnn.bias_ih_l{index}"] = bias
        tensors[f"rnn.bias_hh_l{index}"] = np.zeros_like(bias)
    tied = "weight" not in params["decoder"]
    tensors["decoder.weight"] = encoder if tied else np.asarray(decoder_weight(params), np.float32)
    tensors["decoder.bias"] = np.asarray(params["decoder"]["bias"], np.float32)
    return tensors


def save_state_dict(file: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes float32 tensors in PyTorch's zip format; an array with two names is stored once."""
    distinct = {id(tensor): tensor for tensor in tensors.values()}
    keys = {identity: str(number) for number, identity in enumerate(distinct)}
    described = {name: (keys[id(tensor)], tensor.shape) for name, tensor in tensors.items()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        add_member(archive, "data.pkl", pickle_state_dict(described))
        add_member(archive, "byteorder", b"little")
        for identity, tensor in distinct.items():
            add_member(archive, f"data/{keys[identity]}", tensor.astype("<f4").tobytes())
        add_member(archive, "version", b"3\n")


def add_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Adds an uncompressed member whose data starts at a multiple of `ALIGNMENT`."""
    info = zipfile.ZipInfo(f"{TOP}/{name}")
    start = archive.start_dir + 30 + len(info.filename) + 4
    padding = -start % ALIGNMENT
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(info, data)


def pickle_state_dict(described: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """The pickle of a state dict, from each tensor's storage key and shape.

    Written opcode by opcode, since `pickle` can only name functions that it can import.
    """
    items = [value(name) + pickle_tensor(*about) for name, about in described.items()]
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + marked(items, pickle.SETITEMS) + pickle.STOP


def pickle_tensor(key: str, shape: tuple[int, ...]) -> bytes:
    """``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    count = int(np.prod(shape))
    stride = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    storage = [value("storage"), named("torch", "FloatStorage"), *map(value, (key, "cpu", count))]
    no_hooks = named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = [
        marked(storage, pickle.TUPLE) + pickle.BINPERSID,
        *map(value, (0, shape, stride, False)),
        no_hooks,
    ]
    function = named("torch._utils", "_rebuild_tensor_v2")
    return function + marked(arguments, pickle.TUPLE) + pickle.REDUCE


def value(plain: Any) -> bytes:
    """A number, text, or tuple of them, as `pickle` writes it between its first and last bytes."""
    return pickle.dumps(plain, protocol=2)[2:-1]


def named(module: str, name: str) -> bytes:
    """A global."""
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def marked(parts: list[bytes], opcode: bytes) -> bytes:
    """Some objects from a mark on, and the opcode that takes them."""
    return pickle.MARK + b"".join(parts) + opcode


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m converters.to_torch",
        description="Write a model folder as a PyTorch state dict. Needs no torch.",
    )
    parser.add_argument("model", metavar="MODEL_DIR", help="a converted or trained model's folder")
    parser.add_argument("out", metavar="OUT.pt", help="file to write, for torch.load")
    options = parser.parse_args(arguments)
    if Path(options.out).is_dir():
        sys.exit(f"error: {options.out}: expected a file to write, found a folder")
    try:
        check_writable(Path(options.out).parent)
        model = load_model(options.model)
        if not isinstance(model, LSTMModel):
            raise ModelError(f"{options.model}: expected an LSTM, found the family {model.family}")
        tensors = state_dict(model.params)
        save_state_dict(options.out, tensors)
    except (ModelError, VocabularyError, RunFolderError, OSError) as fault:
        sys.exit(f"error: {fault}")
    for name, tensor in tensors.items():
        print(f"{name:<16}  {' x '.join(map(str, tensor.shape))}")
    c = model.config
    sizes = f"{c.vocabulary}, {c.embedding}, {c.hidden}, {c.layers}, tie_weights={c.tied}"
    print(f'{model.name}: state dict for RNNModel("LSTM", {sizes}); in {options.out}')


if __name__ == "__main__":
    main()
