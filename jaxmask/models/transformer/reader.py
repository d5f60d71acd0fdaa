"""Weights of a Hugging Face folder as a parameter tree.

Names, shapes and types of all tensors are checked before any is read; then each leaf of the tree is
put together and given to the device before the next.
"""

import contextlib
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import read_json, some
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.names import arranged, canonical, source, stored_shape
from jaxmask.models.transformer.parameters import Params, param_shapes
from jaxmask.models.weights import flatten, unflatten
from jaxmask.text.vocabulary import shown

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}  # of safetensors, and ours


class _Tensor(NamedTuple):
    """A tensor of an open file."""

    file: Path
    opened: Any
    name: str

    def read(self) -> np.ndarray:
        """Its numbers, of the type that they are stored as."""
        try:
            return self.opened.get_tensor(self.name)
        except (SafetensorError, OSError, ValueError) as fault:
            raise _unreadable(self.file, fault) from fault


def read_params(
    folder: Path, family: str, config: TransformerConfig, dtype: Any = np.float32
) -> Params:
    """The parameter tree of a folder.

    Args:
        folder: with ``model.safetensors``, or with several such files and their index.
        family: ``model_type`` of the configuration.
        config: of the model.
        dtype: of matrices; vectors (biases and the weights of norms) are always float32.

    Raises:
        ModelError: a file is missing or ill-formed, a tensor is missing, unknown, there twice, of
            another shape, of another type than float32, float16 or bfloat16, or not finite, or the
            decoder's weight isn't the embedding though the configuration ties the two.

    Example:
        See `jaxmask.models.transformer.storage.load`.
    """
    with contextlib.ExitStack() as stack:
        tensors = _tensors(folder, family, stack)
        leaves = {path: leaf.shape for path, leaf in flatten(param_shapes(config)).items()}
        _check(folder, family, config, tensors)
        if config.tied and "lm_head.weight" in tensors:
            _check_tied(tensors["lm_head.weight"], tensors[source(family, "embedding").name])
        flat = {}
        for path, shape in leaves.items():
            vector = len(shape) - path.startswith("blocks/") == 1
            leaf = np.empty(shape, np.float32 if vector else dtype)
            _fill(leaf, path, family, config, tensors)
            flat[path] = jnp.asarray(leaf)
    return unflatten(flat)


def _fill(
    leaf: np.ndarray,
    path: str,
    family: str,
    config: TransformerConfig,
    tensors: Mapping[str, _Tensor],
) -> None:
    """Writes the numbers of a leaf, layer by layer."""
    found = source(family, path)
    for layer, part in enumerate(leaf if path.startswith("blocks/") else [leaf]):
        tensor = tensors[found.name.format(layer)]
        numbers = tensor.read()
        if not np.isfinite(numbers).all():
            raise ModelError(f"{tensor.file}: {shown(tensor.name)}: holds NaN or infinity")
        part[...] = arranged(found, numbers, config).astype(leaf.dtype)


def _check(
    folder: Path, family: str, config: TransformerConfig, tensors: Mapping[str, _Tensor]
) -> None:
    """Checks names, shapes and types of all tensors."""
    expected: dict[str, tuple[int, ...]] = {}
    for path, leaf in flatten(param_shapes(config)).items():
        found, stacked = source(family, path), path.startswith("blocks/")
        shape = stored_shape(found, leaf.shape[1:] if stacked else leaf.shape)
        for layer in range(config.layers if stacked else 1):
            expected[found.name.format(layer)] = shape
    optional = {"lm_head.weight"} if config.tied else set()
    faults = [f"{name}: missing" for name in expected.keys() - tensors.keys()]
    faults += [f"{shown(n)}: unknown" for n in tensors.keys() - expected.keys() - optional]
    if faults:
        raise ModelError(f"{folder}: {some(sorted(faults))}")
    for name, shape in expected.items():
        file, opened, own = tensors[name]
        stored = opened.get_slice(own)
        if tuple(stored.get_shape()) != shape:
            raise ModelError(
                f"{file}: {shown(own)}: expected shape {shape}, found {tuple(stored.get_shape())}"
            )
        if stored.get_dtype() not in _TYPES:
            raise ModelError(
                f"{file}: {shown(own)}: expected {' or '.join(_TYPES.values())}, found the type "
                f"{shown(str(stored.get_dtype()))}"
            )


def _check_tied(decoder: _Tensor, embedding: _Tensor) -> None:
    if not np.array_equal(decoder.read(), embedding.read()):
        raise ModelError(
            f"{decoder.file}: {decoder.name}: expected the numbers of {embedding.name}, to which "
            "the configuration ties it, found others"
        )


def _tensors(folder: Path, family: str, stack: contextlib.ExitStack) -> dict[str, _Tensor]:
    """The tensors of all files by their canonical names, without those that aren't parameters."""
    found: dict[str, _Tensor] = {}
    listed = _listed(folder)
    for file in listed if listed else [folder / WEIGHTS]:
        try:
            opened = stack.enter_context(safe_open(file, framework="numpy"))
            names = list(opened.keys())
        except (SafetensorError, OSError, ValueError, TypeError) as fault:
            raise _unreadable(file, fault) from fault
        if listed and (different := listed[file] ^ set(names)):
            one = min(different)
            raise ModelError(
                f"{file}: expected the tensors that {INDEX} lists for it, "
                f"found {'no' if one in listed[file] else 'another one,'} {shown(one)}"
            )
        for name in names:
            plain = canonical(family, name)
            if plain in found:
                raise ModelError(
                    f"{file}: {shown(name)}: there twice, the first time as "
                    f"{shown(found[plain].name)}"
                )
            if plain is not None:
                found[plain] = _Tensor(file, opened, name)
    return found


def _listed(folder: Path) -> dict[Path, set[str]]:
    """The files that the index lists, each with its tensors; empty if there is a single file."""
    if (folder / WEIGHTS).is_file():
        return {}
    index = folder / INDEX
    if not index.is_file():
        raise ModelError(f"{folder / WEIGHTS}: missing, and so is {INDEX}")
    try:
        listed = read_json(index).get("weight_map")
    except (OSError, ValueError) as fault:
        raise ModelError(f"{index}: expected an index of tensors ({shown(str(fault))})") from fault
    if not isinstance(listed, dict) or not listed:
        raise ModelError(f"{index}: weight_map: expected an object, found {reprlib.repr(listed)}")
    files: dict[Path, set[str]] = {}
    for name, file in listed.items():
        plain = isinstance(file, str) and file.endswith(".safetensors") and file.isprintable()
        if not plain or {"/", "\\"} & set(file):
            raise ModelError(
                f"{index}: {shown(name)}: expected the name of a safetensors file in this folder, "
                f"found {shown(reprlib.repr(file))}"
            )
        files.setdefault(folder / file, set()).add(name)
    for path in files:
        if not path.is_file():
            raise ModelError(f"{path}: missing; {INDEX} lists it")
    return files


def _unreadable(file: Path, fault: Exception) -> ModelError:
    return ModelError(f"{file}: not a safetensors file that can be read ({shown(str(fault), 300)})")
