"""The forward pass of all transformer families, in pieces that work on any batch of tokens.

The parameter tree, with V tokens, width d, H query heads and K key heads of width w, and M neurons;
all below ``blocks`` have a first axis of layers, and biases are there if the configuration says so:

    embedding                           V x d
    positions                           P x d      (learned positions)
    blocks/attention_norm/{weight,bias} d          (no biases with ``rms``)
    blocks/{query,key,value}/kernel     d x Hw, d x Kw, d x Kw
    blocks/{query,key}_norm/weight      w          (``qk_norm``)
    blocks/output/kernel                Hw x d
    blocks/attention_post_norm/weight   d          (``post_norms``)
    blocks/mlp_norm/{weight,bias}       d
    blocks/gate/kernel                  d x M      (``gated``)
    blocks/up/kernel, blocks/down/kernel    d x M, M x d
    blocks/mlp_post_norm/weight         d          (``post_norms``)
    final_norm/{weight,bias}            d
    decoder/weight                      V x d      (absent when tied to the embedding)

Weights may be of lower precision than float32: products then have operands of the weights' type and
float32 sums, and all else (residual stream, norms, scores, softmax, logits) is float32.
"""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.models.transformer.config import TransformerConfig

Params = dict  # the tree above
Layer = dict  # what `layers` gives, of one layer
Attend = Callable[[Array, Array, Array], Array]
Alter = Callable[[str, Array], Array]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
}


def layers(params: Params, config: TransformerConfig) -> dict[str, Any]:
    """What a scan over the blocks runs over: their parameters, and the numbers of each layer.

    Added are ``window`` (tokens that attention sees), ``query_scale`` and, with rotary positions,
    ``frequencies``.

    Example:
        See `read`.
    """
    of_layers = {
        "window": jnp.array(config.windows, jnp.int32),
        "query_scale": jnp.array(config.query_scale, jnp.float32),
    }
    if config.rotary:
        of_layers["frequencies"] = jnp.array([r.frequencies() for r in config.rotary])
    return {**params["blocks"], **of_layers}


def embed(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array | np.ndarray, "*batch"],
    positions: Int[Array | np.ndarray, "*batch"],
) -> Float[Array, "*batch width"]:
    """The residual stream that enters the first block.

    Args:
        params: the parameter tree.
        config: of the model.
        tokens: their indices.
        positions: of the tokens in their sequences, from 0; below ``config.positions`` if positions
            are learned, which isn't checked here.

    Example:
        See `read`.
    """
    residual = params["embedding"][tokens].astype(jnp.float32) * config.embedding_scale
    if config.positions:
        residual = residual + params["positions"][positions].astype(jnp.float32)
    return residual


def block(
    config: TransformerConfig,
    layer: Layer,
    residual: Float[Array, "*batch width"],
    positions: Int[Array | np.ndarray, "*batch"],
    attend: Attend,
    alter: Alter,
) -> Float[Array, "*batch width"]:
    """One block, for any number of tokens.

    Args:
        config: of the model.
        layer: one layer of what `layers` gives.
        residual: the residual stream that enters the block.
        positions: of the tokens in their sequences.
        attend: from queries ``*batch heads w``, keys and values ``*batch kv_heads w`` of the tokens
            to what the heads read, ``*batch heads w``. Queries and keys are normalised and rotated,
            and queries are scaled, see `attention`.
        alter: from the name of a site and its activations, ``*batch units``, to those that go on.
            It is called at ``attention`` (what the heads read, side by side, before the output
            projection), at ``mlp`` (the neurons' activations, multiplied by their gates if there
            are any, before the down-projection) and at ``residual`` (after the block), in this
            order.

    Example:
        See `read`.
    """
    read = _attention(
        config, layer, norm(config, layer["attention_norm"], residual), positions, attend, alter
    )
    after = residual + _post(config, layer, "attention_post_norm", read)
    into_mlp = norm(config, layer["mlp_norm"], residual if config.parallel else after)
    written = _mlp(config, layer, into_mlp, alter)
    return alter("residual", after + _post(config, layer, "mlp_post_norm", written))


def attention(
    config: TransformerConfig,
    q: Float[Array, "*batch queries heads w"],
    k: Float[Array, "*batch keys kv_heads w"],
    v: Float[Array, "*batch keys kv_heads w"],
    mask: Bool[Array, "*#batch queries keys"],
) -> Float[Array, "*batch queries heads w"]:
    """What heads read: ``softmax(cap(q k^T)) v`` over the keys that the mask shows.

    Args:
        config: of the model.
        q: scaled queries.
        k: keys; query head ``h`` reads key head ``h // (heads / kv_heads)``.
        v: values.
        mask: true where a query sees a key, which it does for one key at least; see `visible`.

    Example:
        See `read`.
    """
    q = q.reshape(*q.shape[:-2], config.kv_heads, -1, config.head_width)
    scores = jnp.einsum("...qgnw,...kgw->...gnqk", q, k, precision="highest")
    scores = cap(config.attention_cap, scores)
    seen = jnp.broadcast_to(jnp.expand_dims(mask, (-4, -3)), scores.shape)
    probability = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
    out = jnp.einsum("...gnqk,...kgw->...qgnw", probability, v, precision="highest")
    return out.reshape(*out.shape[:-3], config.heads, config.head_width)


def visible(
    queries: Int[Array | np.ndarray, "*batch queries"],
    keys: Int[Array | np.ndarray, "*batch keys"],
    window: Int[Array, ""] | int,
) -> Bool[Array, "*batch queries keys"]:
    """Which keys a query sees by their positions: itself and the ``window - 1`` before it.

    Args:
        queries: positions of the queries.
        keys: positions of the keys.
        window: ``window`` of a layer, see `layers`.

    Example:
        >>> visible(jnp.arange(3), jnp.arange(3), 2).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    shape = (*queries.shape, keys.shape[-1])
    distance = jnp.broadcast_to(queries[..., :, None], shape) - jnp.broadcast_to(
        keys[..., None, :], shape
    )
    return (distance >= 0) & (distance < window)


def final(
    params: Params, config: TransformerConfig, residual: Float[Array, "*batch width"]
) -> Float[Array, "*batch width"]:
    """The normalised state that the decoder reads.

    Example:
        See `read`.
    """
    return norm(config, params["final_norm"], residual)


def decoder(
    params: Params, config: TransformerConfig
) -> tuple[Float[Array, "vocabulary width"], Float[Array, " vocabulary"]]:
    """Weight and bias of the decoder; logits are ``cap(logit_cap, state W^T + b)``.

    No family has a bias: it is zero.

    Example:
        See `read`.
    """
    weight = params["embedding"] if config.tied else params["decoder"]["weight"]
    return weight, jnp.zeros(len(weight), jnp.float32)


def logits(
    params: Params, config: TransformerConfig, state: Float[Array, "*batch width"]
) -> Float[Array, "*batch vocabulary"]:
    """Logits of all tokens after normalised states, see `final`.

    Example:
        See `read`.
    """
    weight, _ = decoder(params, config)
    return cap(config.logit_cap, product(state, weight.T))


def read(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array | np.ndarray, "*batch time"],
    keep: Collection[str] = (),
) -> tuple[Float[Array, "*batch time width"], dict[str, Float[Array, "layers ..."]]]:
    """Reads whole sequences, padded at their ends, with the untouched model.

    Args:
        params: the parameter tree.
        config: of the model.
        tokens: their indices; what stands behind the end of a sequence changes nothing before it.
        keep: names of what is returned of every layer: ``entry`` (the residual stream that enters
            the block), ``keys``, ``values`` (as `attention` reads them), ``mlp``, ``attention``,
            ``residual`` (see `block`).

    Returns:
        The normalised states that the decoder reads, and what is kept.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> state, kept = read(params, tiny, jnp.array([[5, 1, 2], [5, 3, 0]]), keep=("mlp",))
        >>> state.shape, kept["mlp"].shape, logits(params, tiny, state).shape
        ((2, 3, 4), (3, 2, 3, 8), (2, 3, 7))
    """
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[-1]), tokens.shape)

    def step(residual: Array, layer: Layer) -> tuple[Array, dict[str, Array]]:
        kept = {"entry": residual}

        def attend(q: Array, k: Array, v: Array) -> Array:
            kept.update(keys=k, values=v)
            return attention(config, q, k, v, visible(positions, positions, layer["window"]))

        def alter(site: str, activations: Array) -> Array:
            kept[site] = activations
            return activations

        residual = block(config, layer, residual, positions, attend, alter)
        return residual, {name: kept[name] for name in keep}

    residual = embed(params, config, tokens, positions)
    residual, kept = jax.lax.scan(step, residual, layers(params, config))
    return final(params, config, residual), kept


def norm(
    config: TransformerConfig, weights: dict[str, Array], x: Float[Array, "*batch width"]
) -> Float[Array, "*batch width"]:
    """``x / sqrt(mean(x^2) + eps) * (offset + weight) + bias``, of ``x - mean(x)`` with ``layer``.

    Args:
        config: of the model.
        weights: ``weight`` and, where there is one, ``bias``.
        x: in float32.

    Example:
        >>> tiny = TransformerConfig(7, 2, 1, 1, 2, 8, (1.0,), (9,), norm="rms")
        >>> norm(tiny, {"weight": jnp.array([1.0, 2.0])}, jnp.array([3.0, -3.0])).round(3)
        Array([ 1., -2.], dtype=float32)
    """
    if config.norm == "layer":
        x = x - x.mean(axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + config.norm_eps)
    weight = weights["weight"].astype(jnp.float32) + config.norm_offset
    return _add_bias(x * jnp.broadcast_to(weight, x.shape), weights)


def cap(most: float, x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """``most tanh(x / most)``; ``x`` itself if ``most`` is 0.

    Example:
        >>> cap(2.0, jnp.array([0.0, 100.0])).tolist(), cap(0.0, jnp.array([100.0])).tolist()
        ([0.0, 2.0], [100.0])
    """
    return most * jnp.tanh(x / most) if most else x


def product(x: Float[Array, "*batch m"], kernel: Float[Array, "m n"]) -> Float[Array, "*batch n"]:
    """``x W`` in float32; of operands of the weights' type where that is another one.

    Example:
        >>> product(jnp.ones(2), jnp.ones((2, 3), jnp.bfloat16))
        Array([2., 2., 2.], dtype=float32)
    """
    exact = kernel.dtype == jnp.float32
    return jnp.matmul(
        x.astype(kernel.dtype),
        kernel,
        precision=jax.lax.Precision.HIGHEST if exact else None,
        preferred_element_type=jnp.float32,
    )


def _project(layer: Layer, name: str, x: Array) -> Array:
    return _add_bias(product(x, layer[name]["kernel"]), layer[name])


def _add_bias(x: Array, weights: dict[str, Array]) -> Array:
    if "bias" not in weights:
        return x
    return x + jnp.broadcast_to(weights["bias"].astype(jnp.float32), x.shape)


def _attention(
    config: TransformerConfig,
    layer: Layer,
    x: Array,
    positions: Array | np.ndarray,
    attend: Attend,
    alter: Alter,
) -> Array:
    q, k, v = (
        _project(layer, name, x).reshape(*x.shape[:-1], heads, config.head_width)
        for name, heads in (
            ("query", config.heads),
            ("key", config.kv_heads),
            ("value", config.kv_heads),
        )
    )
    if config.qk_norm:
        q, k = norm(config, layer["query_norm"], q), norm(config, layer["key_norm"], k)
    if config.rotary:
        q, k = (_rotate(layer["frequencies"], positions, heads) for heads in (q, k))
    heads = attend(q * layer["query_scale"], k, v)
    return _project(layer, "output", alter("attention", heads.reshape(*x.shape[:-1], -1)))


def _rotate(
    frequencies: Float[Array, " pairs"],
    positions: Int[Array | np.ndarray, "*batch"],
    x: Float[Array, "*batch heads w"],
) -> Float[Array, "*batch heads w"]:
    """Rotates pairs of components: the i-th and the one half the rotated width after it."""
    pairs = len(frequencies)
    turned = jnp.asarray(positions)[..., None, None].astype(jnp.float32)
    shape = (*x.shape[:-1], pairs)
    angle = jnp.broadcast_to(turned, shape) * jnp.broadcast_to(frequencies, shape)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second, rest = jnp.split(x, [pairs, 2 * pairs], axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin, rest], axis=-1)


def _mlp(config: TransformerConfig, layer: Layer, x: Array, alter: Alter) -> Array:
    activation = _ACTIVATIONS[config.activation]
    up = _project(layer, "up", x)
    neurons = activation(_project(layer, "gate", x)) * up if config.gated else activation(up)
    return _project(layer, "down", alter("mlp", neurons))


def _post(config: TransformerConfig, layer: Layer, name: str, x: Array) -> Array:
    return norm(config, layer[name], x) if config.post_norms else x
