"""What Hugging Face's tensors are called and how they lie, for each family.

A table says of each leaf of the parameter tree (`jaxmask.models.transformer.forward`) which tensor
it comes from. Names are without what stands before them in files (`canonical`), and ``{}`` stands
for the number of a layer, from 0.
"""

import re
from typing import Literal, NamedTuple

import numpy as np

from jaxmask.models.transformer.config import TransformerConfig


class Source(NamedTuple):
    """The tensor that a leaf comes from.

    Attributes:
        name: of the tensor.
        arrangement: how the leaf, or its part of one layer, lies in it. ``same``; ``transposed``;
            ``third``: one of three blocks of columns, side by side; ``headed``: as ``transposed``,
            but of one of three blocks of rows *in each head*.
        part: which of the three.
    """

    name: str
    arrangement: Literal["same", "transposed", "third", "headed"] = "same"
    part: int = 0


_GPT2 = {
    "embedding": Source("wte.weight"),
    "positions": Source("wpe.weight"),
    "decoder/weight": Source("lm_head.weight"),
    "final_norm": Source("ln_f"),
    "attention_norm": Source("h.{}.ln_1"),
    "mlp_norm": Source("h.{}.ln_2"),
    "query": Source("h.{}.attn.c_attn", "third", 0),
    "key": Source("h.{}.attn.c_attn", "third", 1),
    "value": Source("h.{}.attn.c_attn", "third", 2),
    "output": Source("h.{}.attn.c_proj"),
    "up": Source("h.{}.mlp.c_fc"),
    "down": Source("h.{}.mlp.c_proj"),
}
_GPT_NEOX = {
    "embedding": Source("embed_in.weight"),
    "decoder/weight": Source("lm_head.weight"),
    "final_norm": Source("final_layer_norm"),
    "attention_norm": Source("layers.{}.input_layernorm"),
    "mlp_norm": Source("layers.{}.post_attention_layernorm"),
    "query": Source("layers.{}.attention.query_key_value", "headed", 0),
    "key": Source("layers.{}.attention.query_key_value", "headed", 1),
    "value": Source("layers.{}.attention.query_key_value", "headed", 2),
    "output": Source("layers.{}.attention.dense", "transposed"),
    "up": Source("layers.{}.mlp.dense_h_to_4h", "transposed"),
    "down": Source("layers.{}.mlp.dense_4h_to_h", "transposed"),
}
_LLAMA = {
    "embedding": Source("embed_tokens.weight"),
    "decoder/weight": Source("lm_head.weight"),
    "final_norm": Source("norm"),
    "attention_norm": Source("layers.{}.input_layernorm"),
    "mlp_norm": Source("layers.{}.post_attention_layernorm"),
    "query": Source("layers.{}.self_attn.q_proj", "transposed"),
    "key": Source("layers.{}.self_attn.k_proj", "transposed"),
    "value": Source("layers.{}.self_attn.v_proj", "transposed"),
    "query_norm": Source("layers.{}.self_attn.q_norm"),
    "key_norm": Source("layers.{}.self_attn.k_norm"),
    "output": Source("layers.{}.self_attn.o_proj", "transposed"),
    "gate": Source("layers.{}.mlp.gate_proj", "transposed"),
    "up": Source("layers.{}.mlp.up_proj", "transposed"),
    "down": Source("layers.{}.mlp.down_proj", "transposed"),
}
_GEMMA = _LLAMA | {
    "attention_post_norm": Source("layers.{}.post_attention_layernorm"),
    "mlp_norm": Source("layers.{}.pre_feedforward_layernorm"),
    "mlp_post_norm": Source("layers.{}.post_feedforward_layernorm"),
}
TABLES = {
    "gpt2": _GPT2,
    "gpt_neox": _GPT_NEOX,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "gemma3_text": _GEMMA,
}

# What may stand before a name: files of some programs have it, others don't.
_BEFORE = re.compile(
    r"^(?:language_model\.model\.|model\.language_model\.|language_model\.|"
    r"transformer\.|gpt_neox\.|model\.)"
)
# Masks and rotations that a model computes itself, and the eyes of a model that also sees.
_BUFFERS = re.compile(
    r"(?:(?:h|layers)\.\d+\.(?:attn|attention|self_attn)\.)?"
    r"(?:bias|masked_bias|rotary_emb\.inv_freq)"
)
_EYES = re.compile(r"(?:model\.)?(?:vision_tower|multi_modal_projector)\..*")


def canonical(family: str, name: str) -> str | None:
    """The name of a tensor without what stands before it; None if it isn't a parameter.

    Args:
        family: ``model_type`` of the configuration.
        name: as a file has it.

    Example:
        >>> canonical("gpt2", "transformer.h.0.ln_1.weight"), canonical("gpt2", "h.0.attn.bias")
        ('h.0.ln_1.weight', None)
        >>> canonical("gpt_neox", "embed_out.weight")
        'lm_head.weight'
    """
    if family == "gemma3" and _EYES.fullmatch(name):
        return None
    name = _BEFORE.sub("", name)
    if _BUFFERS.fullmatch(name):
        return None
    return "lm_head.weight" if name == "embed_out.weight" else name


def source(family: str, leaf: str) -> Source:
    """The tensor that a leaf comes from.

    Args:
        family: ``model_type`` of the configuration.
        leaf: its path in the parameter tree.

    Example:
        >>> source("llama", "blocks/up/kernel")
        Source(name='layers.{}.mlp.up_proj.weight', arrangement='transposed', part=0)
        >>> source("gpt_neox", "blocks/key/bias")
        Source(name='layers.{}.attention.query_key_value.bias', arrangement='headed', part=1)
    """
    table = TABLES[family]
    leaf = leaf.removeprefix("blocks/")
    if leaf in table:
        return table[leaf]
    module, kind = leaf.split("/")
    found = table[module]
    whole = f"{found.name}.{'bias' if kind == 'bias' else 'weight'}"
    if kind == "bias" and found.arrangement == "transposed":
        return Source(whole)
    return found._replace(name=whole)


def stored_shape(source: Source, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the tensor from which a leaf of a shape comes.

    Example:
        >>> stored_shape(Source("c_attn.weight", "third"), (4, 4))
        (4, 12)
        >>> stored_shape(Source("query_key_value.weight", "headed"), (4, 6))
        (18, 4)
    """
    if source.arrangement in ("third", "headed"):
        shape = (*shape[:-1], 3 * shape[-1])
    return shape[::-1] if source.arrangement in ("transposed", "headed") else shape


def arranged(source: Source, tensor: np.ndarray, config: TransformerConfig) -> np.ndarray:
    """The leaf, or its part of one layer, that a tensor holds; see `Source`.

    Example:
        >>> tiny = TransformerConfig(7, 4, 2, 2, 1, 8, (1.0,), (9,))
        >>> arranged(Source("", "headed", 1), np.arange(6), tiny).tolist()
        [1, 4]
        >>> arranged(Source("", "third", 1), np.arange(6), tiny).tolist()
        [2, 3]
    """
    if source.arrangement == "third":
        return np.split(tensor, 3, axis=-1)[source.part]
    if source.arrangement == "headed":
        headed = tensor.reshape(config.heads, 3, config.head_width, *tensor.shape[1:])
        tensor = headed[:, source.part].reshape(-1, *tensor.shape[1:])
    return tensor.T if source.arrangement in ("transposed", "headed") else tensor
