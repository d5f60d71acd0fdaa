"""From a ``config.json`` of Hugging Face to our configuration: a function for each family.

Sizes are required, as files have them, except those of Gemma 3, which leaves them out. Other fields
have the defaults of transformers.
"""

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer.config import (
    NO_WINDOW,
    Activation,
    TransformerConfig,
)
from jaxmask.models.transformer.fields import Fields
from jaxmask.models.transformer.ignored import IGNORED, ONLY
from jaxmask.models.transformer.rotary import read_rotary, scaling
from jaxmask.text.vocabulary import shown

MAX_LAYERS = 1000  # each takes time before it's known whether the weights are there

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_FULL, _SLIDING = "full_attention", "sliding_attention"

# Gemma 3 leaves sizes out that are as follows.
_GEMMA3_SIZES = {
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_attention_heads": 8,
    "num_hidden_layers": 26,
    "num_key_value_heads": 4,
    "vocab_size": 262_208,
}
_IMAGE_TOKENS = [f"{x}_token_{y}" for x in ("boi", "eoi", "image") for y in ("id", "index")]


def read_config(values: Mapping[str, Any], source: str) -> TransformerConfig:
    """The configuration that a ``config.json`` describes.

    Args:
        values: its fields.
        source: its name, for error messages.

    Raises:
        ModelError: the family is unknown, a field is ill-formed, missing, or unknown and so may
            change what the model computes, or asks for something that isn't supported, such as an
            unknown type of rotary positions or quantised weights.

    Example:
        >>> sizes = {"vocab_size": 9, "n_embd": 4, "n_head": 2, "n_layer": 3, "n_positions": 8}
        >>> read_config({"model_type": "gpt2", **sizes}, "config.json").site_width("mlp")
        16
        >>> read_config({"model_type": "gptj"}, "config.json")
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: config.json: model_type: expected gemma2, \
gemma3, gemma3_text, gpt2, gpt_neox, llama, mistral, qwen2 or qwen3, found 'gptj'
    """
    family = values.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        *first, last = sorted(FAMILIES)
        raise ModelError(
            f"{source}: model_type: expected {', '.join(first)} or {last}, "
            f"found {shown(reprlib.repr(family))}"
        )
    fields = Fields(values, source)
    config = FAMILIES[family](fields)
    _finish(fields)
    return config


def _finish(fields: Fields) -> None:
    for name, expected in ONLY.items():
        fields.unused(name, expected)
    fields.finish(IGNORED)


def _gpt2(fields: Fields) -> TransformerConfig:
    layers = fields.whole("n_layer", most=MAX_LAYERS)
    width, heads = fields.whole("n_embd"), fields.whole("n_head")
    head_width = _part(fields, "n_embd", width, heads)
    scale = head_width**-0.5 if fields.truth("scale_attn_weights", True) else 1.0
    by_layer = fields.truth("scale_attn_by_inverse_layer_idx", False)
    return TransformerConfig(
        vocabulary=fields.whole("vocab_size"),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_width=head_width,
        mlp=fields.whole("n_inner", 4 * width),
        query_scale=tuple(scale / (number if by_layer else 1) for number in range(1, layers + 1)),
        windows=(NO_WINDOW,) * layers,
        positions=fields.whole("n_positions"),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        activation=_activation(fields, "activation_function", "gelu_new"),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=fields.truth("tie_word_embeddings", True),
    )


def _gpt_neox(fields: Fields) -> TransformerConfig:
    layers = fields.whole("num_hidden_layers", most=MAX_LAYERS)
    width, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    head_width = _part(fields, "hidden_size", width, heads)
    base, share = fields.number("rotary_emb_base", 1e4), fields.number("rotary_pct", 0.25)
    biased = fields.truth("attention_bias", True)
    return TransformerConfig(
        vocabulary=fields.whole("vocab_size"),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_width=head_width,
        mlp=fields.whole("intermediate_size"),
        query_scale=(head_width**-0.5,) * layers,
        windows=(NO_WINDOW,) * layers,
        rotary=(read_rotary(fields, scaling(fields), head_width, base, share),) * layers,
        norm_eps=fields.number("layer_norm_eps", 1e-5),
        activation=_activation(fields, "hidden_act", "gelu"),
        parallel=fields.truth("use_parallel_residual", True),
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=True,
        tied=fields.truth("tie_word_embeddings", False),
    )


def _llama(fields: Fields) -> TransformerConfig:
    biased = fields.truth("attention_bias", False)
    return dataclasses.replace(
        _rotated(fields, _with_rms(fields)),
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=fields.truth("mlp_bias", False),
    )


def _mistral(fields: Fields) -> TransformerConfig:
    config = _rotated(fields, _with_rms(fields))
    window = fields.whole_or_null("sliding_window", 4096, NO_WINDOW) or NO_WINDOW
    return dataclasses.replace(config, windows=(window,) * config.layers)


def _qwen2(fields: Fields) -> TransformerConfig:
    config = _rotated(fields, _with_rms(fields))
    return dataclasses.replace(config, windows=_windows_of_qwen(fields, config), qkv_bias=True)


def _qwen3(fields: Fields) -> TransformerConfig:
    config = _rotated(fields, _with_rms(fields, head_width=128))
    biased = fields.truth("attention_bias", False)
    return dataclasses.replace(
        config,
        windows=_windows_of_qwen(fields, config),
        qkv_bias=biased,
        output_bias=biased,
        qk_norm=True,
    )


def _gemma2(fields: Fields) -> TransformerConfig:
    config = _rotated(fields, _gemma(fields, attention_cap=50.0, logit_cap=30.0))
    types = [(_SLIDING, _FULL)[layer % 2] for layer in range(config.layers)]
    return dataclasses.replace(config, windows=_windows(fields, types))


def _gemma3_text(fields: Fields) -> TransformerConfig:
    fields.fill(_GEMMA3_SIZES)
    fields.unused("attn_logit_softcapping", ())  # transformers has the field and doesn't use it
    config = _gemma(fields, attention_cap=0.0, logit_cap=0.0)
    pattern = fields.whole("sliding_window_pattern", fields.whole("_sliding_window_pattern", 6))
    types = [_SLIDING if layer % pattern else _FULL for layer in range(1, config.layers + 1)]
    windows = _windows(fields, types)
    bases = {
        _FULL: fields.number("rope_theta", 1e6),
        _SLIDING: fields.number("rope_local_base_freq", 1e4),
    }
    scaled = {_FULL: fields.inner("rope_scaling"), _SLIDING: None}
    if (nested := fields.inner("rope_parameters")) is not None:
        scaled = {name: nested.inner(name) or scaled[name] for name in scaled}
        nested.finish(())
    rotary = {
        name: read_rotary(fields, scaled[name], config.head_width, base)
        for name, base in bases.items()
    }
    return dataclasses.replace(
        config,
        windows=windows,
        rotary=tuple(rotary[_FULL if window == NO_WINDOW else _SLIDING] for window in windows),
        qk_norm=True,
    )


def _gemma3(fields: Fields) -> TransformerConfig:
    """A model of text and images, of which the text model is read."""
    text = fields.inner("text_config")
    if text is None:
        raise ModelError(f"{fields.source}: text_config: missing")
    text.choice("model_type", ("gemma3_text",), "gemma3_text")
    config = _gemma3_text(text)
    _finish(text)
    tied = fields.truth("tie_word_embeddings", config.tied)
    if tied != config.tied:
        raise fields.refuse("tie_word_embeddings", f"{config.tied}, as in text_config", tied)
    for name in ("mm_tokens_per_image", "vision_config", *_IMAGE_TOKENS):
        fields.get(name)
    return config


FAMILIES: dict[str, Callable[[Fields], TransformerConfig]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma3_text": _gemma3_text,
}


def _with_rms(
    fields: Fields,
    head_width: int | None = None,
    activation: tuple[str, str] = ("hidden_act", "silu"),
    tied: bool = False,
) -> TransformerConfig:
    """What Llama, Mistral, Qwen and Gemma share, without their positions.

    Args:
        fields: of the configuration.
        head_width: the default; None for the model's width divided by the number of heads.
        activation: name of its field, and the default.
        tied: the default.
    """
    layers = fields.whole("num_hidden_layers", most=MAX_LAYERS)
    width, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    if head_width is None and fields.get("head_dim") is None:
        head_width = _part(fields, "hidden_size", width, heads)
    else:
        head_width = fields.whole("head_dim", head_width)
    kv_heads = fields.whole("num_key_value_heads", heads)
    if heads % kv_heads:
        raise fields.refuse("num_key_value_heads", f"a divisor of {heads}", kv_heads)
    return TransformerConfig(
        vocabulary=fields.whole("vocab_size"),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        mlp=fields.whole("intermediate_size"),
        query_scale=(head_width**-0.5,) * layers,
        windows=(NO_WINDOW,) * layers,
        norm="rms",
        norm_eps=fields.number("rms_norm_eps", 1e-6),
        activation=_activation(fields, *activation),
        gated=True,
        tied=fields.truth("tie_word_embeddings", tied),
    )


def _rotated(fields: Fields, config: TransformerConfig) -> TransformerConfig:
    """The configuration with the same rotary positions in all layers."""
    base = fields.number("rope_theta", 1e4)
    rotary = read_rotary(fields, scaling(fields), config.head_width, base)
    return dataclasses.replace(config, rotary=(rotary,) * config.layers)


def _gemma(fields: Fields, attention_cap: float, logit_cap: float) -> TransformerConfig:
    """What Gemma 2 and 3 share, without positions and windows; the caps are the defaults."""
    fields.get("hidden_act")  # old files have it beside the one that is used
    config = _with_rms(fields, 256, ("hidden_activation", "gelu_pytorch_tanh"), tied=True)
    biased = fields.truth("attention_bias", False)
    scale = fields.number("query_pre_attn_scalar", 256.0) ** -0.5
    return dataclasses.replace(
        config,
        query_scale=(scale,) * config.layers,
        norm_offset=1.0,
        post_norms=True,
        qkv_bias=biased,
        output_bias=biased,
        attention_cap=fields.number_or_null("attn_logit_softcapping", attention_cap) or 0.0,
        logit_cap=fields.number_or_null("final_logit_softcapping", logit_cap) or 0.0,
        embedding_scale=config.width**0.5,
    )


def _windows(fields: Fields, types: list[str]) -> tuple[int, ...]:
    """Windows of layers by their types, of which those given are the default."""
    types = fields.names("layer_types", (_FULL, _SLIDING), types)
    if _SLIDING not in types:
        return (NO_WINDOW,) * len(types)
    window = fields.whole_or_null("sliding_window", 4096, NO_WINDOW - 1)
    if window is None:
        raise fields.refuse("sliding_window", "a whole number, as layers have a window", None)
    return tuple(window if name == _SLIDING else NO_WINDOW for name in types)


def _windows_of_qwen(fields: Fields, config: TransformerConfig) -> tuple[int, ...]:
    if not fields.truth("use_sliding_window", False):
        fields.names("layer_types", (_FULL,), [_FULL] * config.layers)
        return config.windows
    first = fields.whole("max_window_layers", 28)
    if fields.whole_or_null("sliding_window", 4096) is None:
        first = config.layers
    return _windows(fields, [_SLIDING if i >= first else _FULL for i in range(config.layers)])


def _part(fields: Fields, name: str, width: int, heads: int) -> int:
    if width % heads:
        raise fields.refuse(name, f"a multiple of {heads}, the number of heads", width)
    return width // heads


def _activation(fields: Fields, name: str, default: str) -> Activation:
    return _ACTIVATIONS[fields.choice(name, _ACTIVATIONS, default)]
