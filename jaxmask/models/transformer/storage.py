"""Transformers on disk: folders of Hugging Face, as they come from the hub.

config.json, model.safetensors or shards with model.safetensors.index.json, tokenizer.json,
tokenizer_config.json if there is one
"""

from pathlib import Path
from typing import Any

from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import CONFIG
from jaxmask.models.transformer.families import read_config
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.models.transformer.reader import read_params
from jaxmask.text.tokenizer import TOKENIZER, Tokenizer


def load(folder: Path, fields: dict[str, Any], dtype: Any) -> TransformerModel:
    """Reads a transformer from a folder; see `jaxmask.models.language_model.FAMILIES`.

    Nothing is downloaded, and no code of the folder is run.

    Raises:
        ModelError: a file is missing or ill-formed, or weights, configuration and tokenizer
            disagree.
        VocabularyError: the tokenizer is missing or can't be used.
    """
    name = fields.pop("name")
    family = fields.get("model_type")
    config = read_config(fields, str(folder / CONFIG))
    tokenizer = Tokenizer.load(folder)
    if tokenizer.highest >= config.vocabulary:
        raise ModelError(
            f"{folder / TOKENIZER}: expected tokens below {config.vocabulary}, the vocab_size of "
            f"the configuration, found {tokenizer.highest}"
        )
    return TransformerModel(
        name, config, read_params(folder, str(family), config, dtype), tokenizer
    )


def save(folder: Path, model: TransformerModel, dtype: Any) -> dict[str, Any]:
    """Transformers aren't written: they stay in the folders that they came in.

    Raises:
        ModelError: always.
    """
    raise ModelError(
        f"{folder}: expected a model that jaxmask writes; a transformer ({model.name}) is kept as "
        "the Hugging Face folder that it was read from"
    )
