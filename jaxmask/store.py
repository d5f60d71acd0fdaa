"""Model folders on disk: ``params.safetensors``, ``config.json`` and ``vocab.txt``."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxmask.lstm import LSTMConfig, Params, param_shapes
from jaxmask.vocabulary import Vocabulary

# A small LSTM language model of English Wikipedia; its README.md is the model card.
BUNDLED_MODEL = Path(__file__).parent / "bundled_model"


class ModelError(ValueError):
    """A model folder or checkpoint that can't be used; says which file and tensor, and why."""


class LanguageModel(NamedTuple):
    """A frozen language model, as loaded from a folder."""

    name: str
    config: LSTMConfig
    params: Params
    vocabulary: Vocabulary

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a SHA-256 over sizes, vocabulary and float32 weights."""
        digest = hashlib.sha256(json.dumps(self.config._asdict(), sort_keys=True).encode())
        digest.update("\n".join(self.vocabulary.words).encode())
        for name, leaf in sorted(flatten(self.params).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(leaf, np.float32).tobytes())
        return digest.hexdigest()[:16]


def flatten(params: Params) -> dict[str, Any]:
    """The parameter tree as one dictionary with names like ``lstm/layer_1/bias``."""
    return flax.traverse_util.flatten_dict(params, sep="/")


def unflatten(flat: dict[str, Any]) -> Params:
    """The inverse of `flatten`."""
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def check_params(flat: dict[str, Any], config: LSTMConfig, source: str) -> None:
    """Checks names, shapes and finiteness of a flattened parameter tree against ``config``.

    Raises:
        ModelError: a tensor is missing, unknown, of another shape, or not finite; all such
            tensors are named.
    """
    expected = {name: leaf.shape for name, leaf in flatten(param_shapes(config)).items()}
    faults = [f"{name}: missing" for name in expected.keys() - flat.keys()]
    faults += [f"{name}: unknown" for name in flat.keys() - expected.keys()]
    for name in expected.keys() & flat.keys():
        found = tuple(flat[name].shape)
        if found != expected[name]:
            faults.append(f"{name}: expected shape {expected[name]}, found {found}")
        elif not np.all(np.isfinite(np.asarray(flat[name], np.float32))):
            faults.append(f"{name}: holds NaN or infinity")
    if faults:
        raise ModelError(f"{source}: " + "; ".join(sorted(faults)))


def save_model(folder: str | Path, model: LanguageModel, dtype: Any = np.float32) -> None:
    """Writes a model folder; ``dtype`` is the storage type (float16 halves it).

    Raises:
        ModelError: the parameters don't fit the configuration.
    """
    folder = Path(folder)
    flat = {name: np.asarray(leaf, np.float32) for name, leaf in flatten(model.params).items()}
    check_params(flat, model.config, model.name)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(leaf, dtype) for name, leaf in flat.items()},
        folder / "params.safetensors",
    )
    config = {"name": model.name, **model.config._asdict()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    model.vocabulary.save(folder / "vocab.txt")


def load_model(folder: str | Path) -> LanguageModel:
    """Reads a model folder; weights become float32 whatever they are stored as.

    Raises:
        ModelError: a file is missing or ill-formed, or weights, sizes and vocabulary disagree.
    """
    folder = Path(folder)
    for name in ("params.safetensors", "config.json", "vocab.txt"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing; a model folder holds this file")
    config_file = folder / "config.json"
    try:
        fields = json.loads(config_file.read_text(encoding="utf-8"))
        name = str(fields.pop("name"))
        config = LSTMConfig(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise ModelError(f"{config_file}: not a model configuration ({fault})") from fault
    sizes = (config.vocabulary, config.embedding, config.hidden, config.layers)
    if any(type(size) is not int or size < 1 for size in sizes) or type(config.tied) is not bool:
        raise ModelError(f"{config_file}: sizes must be whole numbers above 0, found {config}")
    vocabulary = Vocabulary.load(folder / "vocab.txt")
    if len(vocabulary) != config.vocabulary:
        raise ModelError(
            f"{folder / 'vocab.txt'}: expected {config.vocabulary} words, found {len(vocabulary)}"
        )
    weights = folder / "params.safetensors"
    try:
        flat = {key: np.asarray(leaf, np.float32) for key, leaf in load_file(weights).items()}
    except (SafetensorError, OSError, ValueError, TypeError) as fault:
        raise ModelError(f"{weights}: not a safetensors file ({fault})") from fault
    check_params(flat, config, str(weights))
    return LanguageModel(name, config, jax.tree.map(jnp.asarray, unflatten(flat)), vocabulary)
