"""A model that doesn't fit on one device: its weights divided over several.

Each device has some heads of attention and some neurons of the MLP, of every layer. The compiler
divides what follows, and adds up over devices what the heads and the neurons write.

Source: Shoeybi et al., "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model
Parallelism", 2019.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.models.weights import flatten, unflatten

_AXIS = "model"


def sharded(
    model: TransformerModel, devices: Sequence[jax.Device] | None = None
) -> TransformerModel:
    """The same model with its weights divided over devices.

    All that is computed with it follows: predictions and objectives equal those of the whole model
    but for rounding. Heads are divided if the number of devices divides their number, and so are
    the key and value heads, and the neurons. Embedding, decoder and norms are on every device.

    A model that one device can't hold is read into the memory of the host, and divided from there:

        with jax.default_device(jax.devices("cpu")[0]):
            model = load_model(folder, "bfloat16")
        model = sharded(model)

    Args:
        model: to divide.
        devices: to divide it over; all devices, if none are named.

    Raises:
        ModelError: the number of devices divides neither that of the heads nor that of the neurons.

    Example:
        >>> import tokenizers
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> from jaxmask.text.tokenizer import Tokenizer
        >>> words = tokenizers.models.WordLevel({"The": 0, "boys": 1, "?": 2}, "?")
        >>> config = TransformerConfig(
        ...     vocabulary=3, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), config)
        >>> model = TransformerModel(
        ...     "tiny", config, params, Tokenizer(tokenizers.Tokenizer(words).to_str())
        ... )
        >>> kernel = sharded(model, jax.devices()[:1]).params["blocks"]["up"]["kernel"]
        >>> tuple(kernel.sharding.spec)
        (None, None, 'model')
    """
    mesh = Mesh(np.array(jax.devices() if devices is None else devices), (_AXIS,))
    config, parts = model.config, mesh.size
    if config.heads % parts and config.mlp % parts:
        raise ModelError(
            f"{model.name}: expected a number of devices that divides that of the heads, "
            f"{config.heads}, or of the neurons of a layer, {config.mlp}, found {parts}"
        )
    flat = {
        path: jax.device_put(leaf, NamedSharding(mesh, spec(path, config, parts)))
        for path, leaf in flatten(model.params).items()
    }
    return dataclasses.replace(model, params=unflatten(flat))


def spec(path: str, config: TransformerConfig, parts: int) -> PartitionSpec:
    """Which axis of a leaf of the parameter tree is divided.

    Args:
        path: of the leaf, see `jaxmask.models.transformer.forward`.
        config: of the model.
        parts: number of devices.

    Example:
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=4, kv_heads=2, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> tuple(spec("blocks/query/kernel", tiny, 4)), tuple(spec("blocks/key/kernel", tiny, 4))
        ((None, None, 'model'), ())
        >>> tuple(spec("blocks/output/kernel", tiny, 4)), tuple(spec("embedding", tiny, 4))
        ((None, 'model', None), ())
    """
    written = {"query": config.heads, "key": config.kv_heads, "value": config.kv_heads}
    written |= {"up": config.mlp, "gate": config.mlp}
    read = {"output": config.heads, "down": config.mlp}
    name, kind = path.split("/")[-2:] if path.startswith("blocks/") else ("", "")
    if name in written and written[name] % parts == 0:
        layer = (None,) if kind == "bias" else (None, None)
        return PartitionSpec(*layer, _AXIS)
    if name in read and read[name] % parts == 0 and kind == "kernel":
        return PartitionSpec(None, _AXIS, None)
    return PartitionSpec()
