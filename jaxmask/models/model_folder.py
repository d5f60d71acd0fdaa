"""Model folders on disk: ``params.safetensors``, ``config.json`` and ``vocab.txt``."""

import hashlib
import json
import reprlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxmask.models.lstm.network import LSTMConfig, Params, param_shapes
from jaxmask.text.vocabulary import Vocabulary, shown

# A small LSTM language model of English Wikipedia; its README.md is the model card.
BUNDLED_MODEL = Path(__file__).parents[1] / "bundled_model"

FLOATING = ("float16", "bfloat16", "float32", "float64")  # what weights may be stored as
MAX_SIZE = 2**31 - 1
MAX_LAYERS = 50  # each takes time before it's known whether the weights are there
MAX_NAME = 100


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
    """Checks names, shapes, types and finiteness of a flattened parameter tree against ``config``.

    Raises:
        ModelError: a tensor is missing, unknown, of another shape, of another type than
            `FLOATING`, or not finite in float32; the first of such tensors are named.
    """
    expected = {name: leaf.shape for name, leaf in flatten(param_shapes(config)).items()}
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


def some(faults: list[str], limit: int = 10) -> str:
    """The first few of a list of faults, as one text."""
    more = [f"and {len(faults) - limit} more"] if len(faults) > limit else []
    return "; ".join(faults[:limit] + more)


def _float32(leaf: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(leaf, np.float32)


def check_config(name: Any, config: LSTMConfig, source: str) -> None:
    """Checks a model's name, which becomes part of the names of folders, and its sizes.

    Raises:
        ModelError: the name can't be one folder's, a size is impossible, or a tied decoder
            doesn't fit.
    """
    usable = isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable()
    if not usable or name in (".", "..") or {"/", "\\"} & set(name):
        raise ModelError(
            f"{source}: name: expected at most {MAX_NAME} printable characters, none of them / or "
            f"\\, and not . or .., found {reprlib.repr(name)}"
        )
    limits = dict.fromkeys(("vocabulary", "embedding", "hidden"), MAX_SIZE) | {"layers": MAX_LAYERS}
    for key, limit in limits.items():
        size = getattr(config, key)
        if type(size) is not int or not 1 <= size <= limit:
            raise ModelError(
                f"{source}: {key}: expected a whole number from 1 to {limit}, "
                f"found {reprlib.repr(size)}"
            )
    if type(config.tied) is not bool:
        raise ModelError(
            f"{source}: tied: expected true or false, found {reprlib.repr(config.tied)}"
        )
    if config.tied and config.embedding != config.hidden:
        raise ModelError(
            f"{source}: expected as many embedding columns as hidden units in a layer, as the "
            f"decoder is tied, found {config.embedding} and {config.hidden}"
        )


def save_model(folder: str | Path, model: LanguageModel, dtype: Any = np.float32) -> None:
    """Writes a model folder; ``dtype`` is the storage type (float16 halves it).

    Raises:
        ModelError: the parameters don't fit the configuration or ``dtype``, or `load_model`
            wouldn't take name or sizes.
    """
    folder = Path(folder)
    check_config(model.name, model.config, str(folder))
    with np.errstate(over="ignore"):  # told below
        flat = {
            name: np.ascontiguousarray(np.asarray(leaf, np.float32), dtype)
            for name, leaf in flatten(model.params).items()
        }
    check_params(flat, model.config, model.name)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(flat, folder / "params.safetensors")
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
        fields = read_json(config_file)
        check_fields(fields, ("name", *LSTMConfig._fields))
    except (OSError, ValueError) as fault:
        raise ModelError(f"{config_file}: not a model configuration ({fault})") from fault
    name = fields.pop("name")
    config = LSTMConfig(**fields)
    check_config(name, config, str(config_file))
    vocabulary = Vocabulary.load(folder / "vocab.txt")
    if len(vocabulary) != config.vocabulary:
        raise ModelError(
            f"{folder / 'vocab.txt'}: expected {config.vocabulary} words, found {len(vocabulary)}"
        )
    weights = folder / "params.safetensors"
    try:
        flat = load_file(weights)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        # The last two are for types that numpy hasn't.
        raise ModelError(
            f"{weights}: not a safetensors file that can be read ({shown(str(fault), 300)})"
        ) from fault
    check_params(flat, config, str(weights))
    params = unflatten({key: jnp.asarray(_float32(leaf)) for key, leaf in flat.items()})
    return LanguageModel(name, config, params, vocabulary)


def read_json(file: str | Path) -> dict[str, Any]:
    """Reads a JSON object, UTF-8.

    Raises:
        OSError: the file can't be read.
        ValueError: it isn't such an object, is nested too deeply, has a name twice in an object,
            or holds NaN or Infinity; says what was found.
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, value in pairs:
            if name in fields:
                raise ValueError(f"'{shown(name)}' is there twice")
            fields[name] = value
        return fields

    def refuse(number: str) -> float:
        raise ValueError(f"{number} is no number in JSON")

    text = Path(file).read_text(encoding="utf-8")
    try:
        fields = json.loads(text, object_pairs_hook=distinct, parse_constant=refuse)
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object, found {reprlib.repr(fields)}")
    return fields


def check_fields(fields: Collection[str], expected: Collection[str]) -> None:
    """Checks that an object has just the expected fields.

    Raises:
        ValueError: names those that are missing or unknown.
    """
    faults = [f"{name}: missing" for name in expected if name not in fields]
    faults += [f"{shown(name)}: unknown" for name in fields if name not in expected]
    if faults:
        raise ValueError(some(faults))
