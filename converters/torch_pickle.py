"""Reads what ``torch.save`` wrote, without torch and without executing anything from the file.

Two formats: the zip format (PyTorch 1.6 on: ``data.pkl`` and one member a storage, uncompressed)
and the stacked one before it (five things in a row: a magic number, a protocol number, system
information, the object, the list of storage keys, each a pickle; then, storage by storage, an
int64 count and the raw data). `read_checkpoint` gives the pickled object as inert data
(`jaxmask.files.inert_pickle`); `read_tensor` finds the array that such a piece of data describes.
"""

import io
import math
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from converters.zip_members import cut, read_members
from jaxmask.files.inert_pickle import CheckpointError, Global, Record, brief, read_pickle
from jaxmask.text.vocabulary import shown

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint", "read_tensor"]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 2**52  # of a storage

DTYPES = {
    "Float": np.dtype(np.float32),
    "Half": np.dtype(np.float16),
    "BFloat16": np.dtype(jnp.bfloat16),
    "Double": np.dtype(np.float64),
    "Long": np.dtype(np.int64),
    "Int": np.dtype(np.int32),
    "Short": np.dtype(np.int16),
    "Char": np.dtype(np.int8),
    "Byte": np.dtype(np.uint8),
    "Bool": np.dtype(np.bool_),
}
FLOATING = ("float32", "float16", "bfloat16", "float64")

# Calls whose first argument is the tensor itself.
WRAPPERS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.autograd.variable.Variable",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
}
# Calls with (storage, offset, size, stride, ...).
BUILDERS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}


class Storage(NamedTuple):
    """A flat array in the file, or a stretch of one.

    Attributes:
        key: names the storage in the file.
        dtype: type of its elements, in the machine's byte order.
        elements: how many the whole storage has.
        start: first element of the stretch.
        length: number of elements of the stretch.
    """

    key: str
    dtype: np.dtype
    elements: int
    start: int
    length: int


class Checkpoint(NamedTuple):
    """A checkpoint as inert data.

    Attributes:
        source: the file, for errors.
        root: the pickled object.
        data: raw bytes by storage key.
        swapped: is the order of an element's bytes the opposite of the machine's?
        size: of the file, in bytes.
    """

    source: str
    root: Any
    data: Mapping[str, memoryview]
    swapped: bool
    size: int


def read_checkpoint(file: str | Path) -> Checkpoint:
    """Reads a file of either format.

    Raises:
        CheckpointError: the file is missing, of another format, cut short or broken.
    """
    path = Path(file)
    try:
        if not path.is_file():
            raise CheckpointError("missing, or not a regular file")
        content = path.read_bytes()
        if content[:4] == b"PK\x03\x04":
            return _read_zip(str(file), content)
        if content[257:262] == b"ustar":
            raise CheckpointError(
                "written by PyTorch before 0.1.10 (a tar archive); "
                "load it with an old PyTorch and save it again"
            )
        return _read_stacked(str(file), content)
    except (CheckpointError, OSError) as fault:
        raise CheckpointError(f"{file}: {fault}") from fault


def _read_stacked(source: str, content: bytes) -> Checkpoint:
    """The format before PyTorch 1.6; its numbers are little-endian on every machine."""
    stream = io.BytesIO(content)
    if content[:1] != b"\x80" or read_pickle(stream) != MAGIC:
        raise CheckpointError("not a PyTorch checkpoint")
    protocol = read_pickle(stream)
    if protocol != PROTOCOL:
        raise CheckpointError(f"expected protocol {PROTOCOL}, found {brief(protocol)}")
    read_pickle(stream)  # system information: the byte order in it isn't that of the data
    storages: dict[str, Storage] = {}
    root = read_pickle(stream, _persistent_load(storages))
    keys = read_pickle(stream)
    if not isinstance(keys, list):
        raise CheckpointError("expected a list of storage keys")
    data, at, view = {}, stream.tell(), memoryview(content)
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in data:
            raise CheckpointError(f"storage {brief(key)} is listed twice or belongs to no tensor")
        (count,) = struct.unpack("<q", cut(view, at, 8, key))
        if count != storage.elements:
            raise CheckpointError(
                f"storage {shown(key)}: expected {storage.elements} elements, found {count}"
            )
        data[key] = cut(view, at + 8, count * storage.dtype.itemsize, key)
        at += 8 + count * storage.dtype.itemsize
    return Checkpoint(source, root, data, _swapped("little"), len(content))


def _read_zip(source: str, content: bytes) -> Checkpoint:
    """The format of PyTorch 1.6 and later; members are read in place, nothing is extracted."""
    members = read_members(content)
    tops = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(tops) != 1 or f"{tops[0]}constants.pkl" in members:
        raise CheckpointError("a zip archive, but not one that torch.save wrote")
    top = tops[0]
    records = {
        name.removeprefix(top): member for name, member in members.items() if name.startswith(top)
    }
    order = bytes(records.get("byteorder", b"little"))
    if order not in (b"little", b"big"):
        raise CheckpointError(f"byteorder: expected little or big, found {order[:20]!r}")
    root = read_pickle(io.BytesIO(records["data.pkl"]), _persistent_load({}))
    data = {
        name.removeprefix("data/"): record
        for name, record in records.items()
        if name.startswith("data/")
    }
    return Checkpoint(source, root, data, _swapped(order.decode()), len(content))


def _swapped(order: str) -> bool:
    return order != sys.byteorder


def _persistent_load(storages: dict[str, Storage]) -> Callable[[Any], Any]:
    """A reader of torch's persistent ids that notes every storage it meets in ``storages``."""

    def load(pid: Any) -> Any:
        match pid:
            case ("module", container, _, _):  # a module's class, with its source text
                return container
            case ("storage", Global(name), str(key), _, int(count), *view):
                storage = _storage(name, key, count, *view)
                known = storages.setdefault(key, storage)
                if (known.dtype, known.elements) != (storage.dtype, storage.elements):
                    raise CheckpointError(f"storage {shown(key)} is described in two ways")
                return storage
        raise CheckpointError("the pickle holds an unknown persistent id")

    return load


def _storage(name: str, key: str, count: int, view: Any = None, *rest: Any) -> Storage:
    """The storage of a persistent id; ``view`` is (key, start, length) in the stacked format."""
    kind = name.removeprefix("torch.").removeprefix("cuda.").removesuffix("Storage")
    if kind not in DTYPES or rest:
        raise CheckpointError(f"storage {shown(key)} is of an unknown type, {shown(name)}")
    match view:
        case None:
            start, length = 0, count
        case (_, int(start), int(length)):
            pass
        case _:
            raise CheckpointError(f"storage {shown(key)} has an ill-formed view")
    if start < 0 or length < 0 or not start + length <= count < MAX_ELEMENTS:
        raise CheckpointError(f"storage {shown(key)} has impossible bounds")
    return Storage(key, DTYPES[kind], count, start, length)


def describes_tensor(value: Any) -> bool:
    """Does a piece of a checkpoint describe a tensor, a parameter or a variable?"""
    return isinstance(value, Record) and value.name in WRAPPERS | BUILDERS


def read_tensor(checkpoint: Checkpoint, value: Any, name: str) -> np.ndarray:
    """The array that a piece of a checkpoint describes, in its own type and contiguous.

    Args:
        checkpoint: what the piece comes from.
        value: a tensor, parameter or variable, as found in ``checkpoint.root``.
        name: of the tensor, for errors.

    Raises:
        CheckpointError: ``value`` isn't a floating-point tensor, or reaches out of its storage.
    """

    def fault(text: str) -> CheckpointError:
        return CheckpointError(f"{checkpoint.source}: {name}: {text}")

    for _ in range(4):  # a parameter around a variable around a tensor, and one to spare
        if isinstance(value, Record) and value.name in WRAPPERS:
            value = _wrapped(value)
    if not isinstance(value, Record) or value.name not in BUILDERS:
        raise fault(f"expected a tensor, found {brief(value)}")
    match value.args:
        case (Storage() as storage, int(offset), tuple(size), tuple(stride), *_):
            pass
        case _:
            raise fault("ill-formed arguments of its tensor")
    if storage.dtype.name not in FLOATING:
        raise fault(f"expected one of {', '.join(FLOATING)}, found {storage.dtype.name}")
    if not _fits(storage, offset, size, stride):
        raise fault("offset, size and stride reach out of its storage, or elements repeat")
    raw = checkpoint.data.get(storage.key)
    if raw is None or len(raw) < storage.elements * storage.dtype.itemsize:
        raise fault(f"its storage {shown(storage.key)} is missing or cut short")
    return _strided(raw, storage, offset, size, stride, checkpoint.swapped)


def _wrapped(record: Record) -> Any:
    """The tensor in a parameter or variable, which the oldest ones keep in their state."""
    if isinstance(record.args, tuple) and record.args:
        return record.args[0]
    return record.state[0] if isinstance(record.state, tuple) and record.state else None


def _fits(storage: Storage, offset: int, size: tuple, stride: tuple) -> bool:
    """Does a view lie within its storage, without being larger?"""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        return False
    if not all(type(number) is int and 0 <= number < MAX_ELEMENTS for number in numbers):
        return False
    if math.prod(size) == 0:
        return math.prod(filter(None, size)) < MAX_ELEMENTS  # numpy multiplies them, too
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    return math.prod(size) <= storage.length and last < storage.length


def _strided(
    raw: memoryview, storage: Storage, offset: int, size: tuple, stride: tuple, swapped: bool
) -> np.ndarray:
    """A contiguous copy of a view that `_fits`."""
    width = storage.dtype.itemsize
    flat = np.frombuffer(raw, f"u{width}", count=storage.elements)
    if math.prod(size) == 0:
        return np.zeros(size, storage.dtype)
    steps = [step * width if n > 1 else 0 for n, step in zip(size, stride, strict=True)]
    view = np.lib.stride_tricks.as_strided(flat[storage.start + offset :], size, steps)
    copy = np.array(view, order="C")
    return (copy.byteswap() if swapped else copy).view(storage.dtype)
