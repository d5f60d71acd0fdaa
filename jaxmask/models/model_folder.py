"""Model folders on disk: ``config.json``, and the files of the model's family.

``config.json`` holds the model's name, its family (an LSTM's if it says none) and what the family
needs to know of it; `jaxmask.models.language_model.FAMILIES` says which module reads the rest.
"""

import json
import reprlib
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jaxmask.models.language_model import FAMILIES, LanguageModel, ModelError
from jaxmask.text.vocabulary import shown

# Small models of English: an LSTM and a transformer. README.md in each folder is its model card.
BUNDLED_MODEL = Path(__file__).parents[1] / "bundled_model"
BUNDLED_GPT2 = Path(__file__).parents[1] / "bundled_gpt2"
BUNDLED = {"demo": BUNDLED_MODEL, "demo-gpt2": BUNDLED_GPT2}  # by their names on the command line

CONFIG = "config.json"
NOT_DOWNLOADED = "models are read from this machine, none is downloaded"
MAX_NAME = 100
_WITHOUT_FAMILY = "lstm"  # of a configuration from before there were families


def load_model(folder: str | Path, dtype: Any = np.float32) -> LanguageModel:
    """Reads a model folder of jaxmask, or one of Hugging Face with a transformer.

    A folder of Hugging Face is known by the ``model_type`` of its configuration; the name of the
    model is then that of the folder.

    Args:
        folder: to read.
        dtype: what matrices become whatever they are stored as: float32 or, for large transformers,
            bfloat16.

    Raises:
        ModelError: a file is missing or ill-formed, the family is unknown, or the files disagree.
        VocabularyError: the vocabulary or tokenizer can't be used.

    Example:
        >>> load_model(BUNDLED_MODEL).sites["hidden"].units
        600
    """
    folder = Path(folder)
    file = folder / CONFIG
    check_files(folder, [CONFIG])
    try:
        fields = read_json(file)
    except (OSError, ValueError) as fault:
        raise not_a_configuration(file, fault) from fault
    if "family" not in fields and "model_type" in fields:
        fields |= {"family": "transformer", "name": folder.resolve().name}
    family = fields.pop("family", _WITHOUT_FAMILY)
    if not isinstance(family, str) or family not in FAMILIES:
        raise ModelError(
            f"{file}: family: expected {' or '.join(FAMILIES)}, found {reprlib.repr(family)}"
        )
    if "name" not in fields:
        raise not_a_configuration(file, "name: missing")
    check_name(fields["name"], str(file))
    return import_module(FAMILIES[family]).load(folder, fields, np.dtype(dtype))


def save_model(folder: str | Path, model: LanguageModel, dtype: Any = np.float32) -> None:
    """Writes a model folder.

    Args:
        folder: to write; it is made if missing.
        model: of any family.
        dtype: the type that weights are stored as; float16 halves the file.

    Raises:
        ModelError: the model's parts don't fit each other or ``dtype``, or `load_model` wouldn't
            take its name or sizes.

    Example:
        >>> import jax
        >>> from tempfile import TemporaryDirectory
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> words = Vocabulary(("<unk>", "<eos>", "the", "dog", "dogs"))
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, words)
        >>> with TemporaryDirectory() as folder:
        ...     save_model(folder, model)
        ...     again = load_model(folder)
        >>> again.name, again.family, again.fingerprint == model.fingerprint
        ('tiny', 'lstm', True)
    """
    folder = Path(folder)
    check_name(model.name, str(folder))
    fields = import_module(FAMILIES[model.family]).save(folder, model, dtype)
    config = {"name": model.name, "family": model.family, **fields}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def check_files(folder: Path, names: Collection[str]) -> None:
    """Checks that a model folder holds the files of these names.

    Raises:
        ModelError: the folder is missing, or the first file that is.

    Example:
        >>> check_files(BUNDLED_MODEL, ["none.txt"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: ...none.txt: missing; a model folder ...
    """
    if not folder.exists():
        raise ModelError(f"expected a model folder, found none at {folder}; {NOT_DOWNLOADED}")
    for name in names:
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing; a model folder holds this file")


def not_a_configuration(file: Path, fault: object) -> ModelError:
    """The error for a ``config.json`` with missing, unknown or ill-formed fields."""
    return ModelError(f"{file}: not a model configuration ({fault})")


def check_name(name: Any, source: str) -> None:
    r"""Checks a model's name, which becomes part of the names of folders.

    Raises:
        ModelError: no folder can have the name.

    Example:
        >>> check_name("demo", "config.json")
        >>> check_name("../demo", "config.json")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: config.json: name: expected ... found '../demo'
    """
    usable = isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable()
    if not usable or name in (".", "..") or {"/", "\\"} & set(name):
        raise ModelError(
            f"{source}: name: expected at most {MAX_NAME} printable characters, none of them / or "
            f"\\, and not . or .., found {reprlib.repr(name)}"
        )


def some(faults: list[str], limit: int = 10) -> str:
    """The first few of a list of faults, as one text.

    Example:
        >>> some(["a: missing", "b: missing", "c: missing"], limit=2)
        'a: missing; b: missing; and 1 more'
    """
    more = [f"and {len(faults) - limit} more"] if len(faults) > limit else []
    return "; ".join(faults[:limit] + more)


def read_json(file: str | Path) -> dict[str, Any]:
    """Reads a JSON object, UTF-8.

    Raises:
        OSError: the file can't be read.
        ValueError: it isn't such an object, is nested too deeply, has a name twice in an object,
            or holds NaN or Infinity; says what was found.

    Example:
        >>> read_json(BUNDLED_MODEL / "config.json")["layers"]
        2
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

    Example:
        >>> check_fields({"hidden": 3, "depth": 2}, ("hidden", "layers"))
        Traceback (most recent call last):
        ValueError: layers: missing; depth: unknown
    """
    faults = [f"{name}: missing" for name in expected if name not in fields]
    faults += [f"{shown(name)}: unknown" for name in fields if name not in expected]
    if faults:
        raise ValueError(some(faults))
