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

    Example:
        A GPT-2 of one layer, whose weights are zero:

        >>> import json
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> import tokenizers
        >>> from safetensors.numpy import save_file
        >>> from jaxmask.models.transformer.names import source, stored_shape
        >>> from jaxmask.models.transformer.parameters import param_shapes
        >>> from jaxmask.models.weights import flatten
        >>> fields = {"model_type": "gpt2", "vocab_size": 3, "n_embd": 2, "n_head": 1}
        >>> fields |= {"n_layer": 1, "n_positions": 8}
        >>> tensors = {}
        >>> for path, leaf in flatten(param_shapes(read_config(fields, "config.json"))).items():
        ...     found = source("gpt2", path)
        ...     shape = leaf.shape[1:] if path.startswith("blocks/") else leaf.shape
        ...     tensors[found.name.format(0)] = np.zeros(stored_shape(found, shape), np.float32)
        >>> words = tokenizers.models.WordLevel({"The": 0, "boys": 1, "?": 2}, "?")
        >>> with TemporaryDirectory() as folder:
        ...     save_file(tensors, f"{folder}/model.safetensors")
        ...     tokenizers.Tokenizer(words).save(f"{folder}/{TOKENIZER}")
        ...     model = load(Path(folder), {"name": "zeros", **fields}, np.float32)
        >>> model.name, model.sites["mlp"].units
        ('zeros', 8)
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
