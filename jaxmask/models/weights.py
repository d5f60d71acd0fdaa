"""Trees of weights: their names, what is checked of them, their file and their fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import some
from jaxmask.text.vocabulary import shown

FLOATING = ("float16", "bfloat16", "float32", "float64")  # what weights may be stored as
FILE = "params.safetensors"


def flatten(params: dict) -> dict[str, Any]:
    """The parameter tree as one dictionary with names like ``lstm/layer_1/bias``.

    Example:
        >>> flatten({"decoder": {"bias": 0, "weight": 1}})
        {'decoder/bias': 0, 'decoder/weight': 1}
    """
    return flax.traverse_util.flatten_dict(params, sep="/")


def unflatten(flat: dict[str, Any]) -> dict:
    """The inverse of `flatten`.

    Example:
        >>> unflatten({"decoder/bias": 0, "decoder/weight": 1})
        {'decoder': {'bias': 0, 'weight': 1}}
    """
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def check_params(flat: Mapping[str, Any], shapes: dict, source: str) -> None:
    """Checks names, shapes, types and finiteness of a flattened parameter tree.

    Args:
        flat: arrays by name, see `flatten`.
        shapes: the tree that is expected, with leaves that have a ``shape``.
        source: where the arrays come from, for the message.

    Raises:
        ModelError: a tensor is missing, unknown, of another shape, of another type than
            `FLOATING`, or not finite in float32; the first of such tensors are named.

    Example:
        >>> check_params({"bias": np.zeros(3)}, {"bias": np.zeros(2)}, "params.safetensors")
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: params.safetensors: bias: expected shape (2,), \
found (3,)
    """
    expected = {name: leaf.shape for name, leaf in flatten(shapes).items()}
    faults = [f"{name}: missing" for name in expected.keys() - flat.keys()]
    faults += [f"{shown(name)}: unknown" for name in flat.keys() - expected.keys()]
    for name in expected.keys() & flat.keys():
        found = tuple(flat[name].shape)
        if found != expected[name]:
            faults.append(f"{name}: expected shape {expected[name]}, found {found}")
        elif flat[name].dtype.name not in FLOATING:
            types = ", ".join(FLOATING)
            faults.append(f"{name}: expected one of {types}, found {flat[name].dtype.name}")
        elif not np.all(np.isfinite(_float32(flat[name]))):
            faults.append(f"{name}: holds NaN or infinity, or numbers that are too large")
    if faults:
        raise ModelError(f"{source}: {some(sorted(faults))}")


def load_params(file: Path, shapes: dict) -> dict:
    """Reads a tree of weights from a safetensors file; all become float32.

    Args:
        file: to read.
        shapes: the tree that is expected, with leaves that have a ``shape``.

    Raises:
        ModelError: the file can't be read as safetensors, or see `check_params`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> params = {"decoder": {"bias": np.ones(2)}}
        >>> with TemporaryDirectory() as folder:
        ...     save_params(Path(folder) / FILE, stored(params, np.float16))
        ...     load_params(Path(folder) / FILE, params)
        {'decoder': {'bias': Array([1., 1.], dtype=float32)}}
    """
    try:
        flat = load_file(file)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        # The last two are for types that numpy hasn't.
        raise ModelError(
            f"{file}: not a safetensors file that can be read ({shown(str(fault), 300)})"
        ) from fault
    check_params(flat, shapes, str(file))
    return unflatten({key: jnp.asarray(_float32(leaf)) for key, leaf in flat.items()})


def stored(params: dict, dtype: Any) -> dict[str, np.ndarray]:
    """A flattened tree as it is stored: numpy arrays of ``dtype``; what overflows is infinite.

    Example:
        >>> stored({"decoder": {"bias": np.array([1.0, 1e6])}}, np.float16)
        {'decoder/bias': array([ 1., inf], dtype=float16)}
    """
    with np.errstate(over="ignore"):
        return {
            name: np.ascontiguousarray(np.asarray(leaf, np.float32), dtype)
            for name, leaf in flatten(params).items()
        }


def save_params(file: Path, flat: dict[str, np.ndarray]) -> None:
    """Writes a flattened tree as a safetensors file.

    Example:
        See `load_params`.
    """
    save_file(flat, file)


def fingerprint(sizes: Mapping[str, Any], words: tuple[str, ...], params: dict) -> str:
    """16 hexadecimal digits of a SHA-256 over sizes, vocabulary and float32 weights.

    Example:
        >>> fingerprint({"hidden": 1}, ("<unk>", "<eos>"), {"bias": np.zeros(1)})
        '9be0db75ed36bff8'
    """
    digest = hashlib.sha256(json.dumps(dict(sizes), sort_keys=True).encode())
    digest.update("\n".join(words).encode())
    for name, leaf in sorted(flatten(params).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaf, np.float32).tobytes())
    return digest.hexdigest()[:16]


def _float32(leaf: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(leaf, np.float32)
