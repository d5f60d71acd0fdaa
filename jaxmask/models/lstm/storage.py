"""LSTM language models on disk: ``params.safetensors`` and ``vocab.txt`` beside ``config.json``."""

import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, param_shapes
from jaxmask.models.model_folder import (
    CONFIG,
    check_fields,
    check_files,
    not_a_configuration,
)
from jaxmask.models.weights import FILE, check_params, load_params, save_params, stored
from jaxmask.text.vocabulary import Vocabulary

VOCABULARY = "vocab.txt"
MAX_SIZE = 2**31 - 1
MAX_LAYERS = 50  # each takes time before it's known whether the weights are there


def check_sizes(config: LSTMConfig, source: str) -> None:
    """Checks the sizes of a model.

    Raises:
        ModelError: a size is impossible, or a tied decoder doesn't fit.

    Example:
        >>> check_sizes(LSTMConfig(vocabulary=5, embedding=2, hidden=0), "x")
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: x: hidden: expected a whole number from 1 to \
2147483647, found 0
    """
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


def load(folder: Path, fields: dict[str, Any], dtype: Any = np.float32) -> LSTMModel:
    """Reads an LSTM from a model folder; see `jaxmask.models.language_model.FAMILIES`.

    Raises:
        ModelError: a file is missing or ill-formed, or weights, sizes and vocabulary disagree, or
            ``dtype`` isn't float32.
    """
    if dtype != np.float32:
        raise ModelError(f"{folder}: an LSTM: expected the dtype float32, found {dtype}")
    check_files(folder, [FILE, VOCABULARY])
    file = folder / CONFIG
    try:
        check_fields(fields, ("name", *LSTMConfig._fields))
    except ValueError as fault:
        raise not_a_configuration(file, fault) from fault
    config = LSTMConfig(**{key: value for key, value in fields.items() if key != "name"})
    check_sizes(config, str(file))
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    if len(vocabulary) != config.vocabulary:
        raise ModelError(
            f"{folder / VOCABULARY}: expected {config.vocabulary} words, found {len(vocabulary)}"
        )
    params = load_params(folder / FILE, param_shapes(config))
    return LSTMModel(fields["name"], config, params, vocabulary)


def save(folder: Path, model: LSTMModel, dtype: Any) -> dict[str, Any]:
    """Writes weights and words of an LSTM; see `jaxmask.models.language_model.FAMILIES`.

    Raises:
        ModelError: the parameters don't fit the sizes or ``dtype``, or a size is impossible.
    """
    check_sizes(model.config, str(folder))
    flat = stored(model.params, dtype)
    check_params(flat, param_shapes(model.config), model.name)
    folder.mkdir(parents=True, exist_ok=True)
    save_params(folder / FILE, flat)
    model.vocabulary.save(folder / VOCABULARY)
    return model.config._asdict()
