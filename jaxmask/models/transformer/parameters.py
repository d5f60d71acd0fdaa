"""The parameter tree of a transformer: the shapes of its leaves, and random ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxmask.models.transformer.config import TransformerConfig

Params = dict  # see `jaxmask.models.transformer.forward`


def param_shapes(config: TransformerConfig) -> Params:
    """The parameter tree of a configuration as `jax.ShapeDtypeStruct` leaves of float32.

    Example:
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3, mlp_bias=True,
        ... )
        >>> shapes = param_shapes(tiny)
        >>> shapes["embedding"].shape, shapes["blocks"]["up"]["kernel"].shape
        ((7, 4), (3, 4, 8))
        >>> shapes["blocks"]["key"]["kernel"].shape, shapes["blocks"]["up"]["bias"].shape
        ((3, 4, 2), (3, 8))
    """
    width, heads = config.width, config.heads * config.head_width
    keys = config.kv_heads * config.head_width
    blocks = {
        "attention_norm": _norm(config, width),
        "query": _linear(width, heads, config.qkv_bias),
        "key": _linear(width, keys, config.qkv_bias),
        "value": _linear(width, keys, config.qkv_bias),
        "output": _linear(heads, width, config.output_bias),
        "mlp_norm": _norm(config, width),
        "up": _linear(width, config.mlp, config.mlp_bias),
        "down": _linear(config.mlp, width, config.mlp_bias),
    }
    if config.gated:
        blocks["gate"] = _linear(width, config.mlp, config.mlp_bias)
    if config.qk_norm:
        blocks |= {name: {"weight": (config.head_width,)} for name in ("query_norm", "key_norm")}
    if config.post_norms:
        posts = ("attention_post_norm", "mlp_post_norm")
        blocks |= {name: _norm(config, width) for name in posts}
    tree = {
        "embedding": (config.vocabulary, width),
        "blocks": _stacked(blocks, config.layers),
        "final_norm": _norm(config, width),
    }
    if config.positions:
        tree["positions"] = (config.positions, width)
    if not config.tied:
        tree["decoder"] = {"weight": (config.vocabulary, width)}
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32), tree, is_leaf=_is_shape
    )


def random_params(key: Key[Array, ""], config: TransformerConfig, scale: float = 0.3) -> Params:
    """Random parameters: all of them normal with a standard deviation of ``scale``.

    Weights of norms have 1 added where the configuration doesn't add it itself.

    Example:
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> params["blocks"]["attention_norm"]["weight"].shape
        (3, 4)
    """
    leaves, structure = jax.tree.flatten_with_path(param_shapes(config))
    keys = jax.random.split(key, len(leaves))
    drawn = []
    for (path, leaf), own in zip(leaves, keys, strict=True):
        name = jax.tree_util.keystr(path)
        offset = 1.0 - config.norm_offset if "norm" in name and "weight" in name else 0.0
        drawn.append(offset + scale * jax.random.normal(own, leaf.shape))
    return jax.tree.unflatten(structure, drawn)


def _norm(config: TransformerConfig, width: int) -> dict:
    weight = {"weight": (width,)}
    return weight | {"bias": (width,)} if config.norm == "layer" else weight


def _linear(inputs: int, outputs: int, bias: bool) -> dict:
    kernel = {"kernel": (inputs, outputs)}
    return kernel | {"bias": (outputs,)} if bias else kernel


def _stacked(blocks: dict, layers: int) -> dict:
    return jax.tree.map(lambda shape: (layers, *shape), blocks, is_leaf=_is_shape)


def _is_shape(node: object) -> bool:
    return isinstance(node, tuple)
