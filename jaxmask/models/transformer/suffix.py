"""The tokens that an intervention may change, read with it: from the first intervened one on."""

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmask.intervention import Intervention, intervene
from jaxmask.models.transformer import forward
from jaxmask.models.transformer.config import NO_WINDOW, TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.layout import Branches, Rows
from jaxmask.models.transformer.untouched import Past

NOWHERE = NO_WINDOW  # the position of a key that no query sees: behind all of them


class Suffix(flax.struct.PyTreeNode):
    """Flat tokens, and what attention has to know of them; queries that read together are a group.

    Attributes:
        layout: how flat tokens are found from groups.
        token: index of each token.
        position: of each token in its sequence.
        prefix: what stands before each group.
        keys: positions of the keys of each group; `NOWHERE` where there is none.
        where: 1 where the tokens at the first few positions are intervened on, 0 elsewhere.
        altered: number of these positions (static).
    """

    layout: Rows | Branches
    token: Int[Array, " tokens"]
    position: Int[Array, " tokens"]
    prefix: Int[Array, " groups"]
    keys: Int[Array, "groups keys"]
    where: Float[Array, " first"]
    altered: int = flax.struct.field(pytree_node=False)


def read(
    params: Params,
    config: TransformerConfig,
    site: str,
    past: Past,
    suffix: Suffix,
    intervention: Intervention,
) -> Float[Array, "tokens width"]:
    """The normalised states that the decoder reads, after the intervention.

    Args:
        params: the parameter tree.
        config: of the model.
        site: name of the states that are replaced.
        past: keys and values of what stands before.
        suffix: the tokens.
        intervention: the model's own values, for each row or direction of the layout.
    """
    layout, first = suffix.layout, len(suffix.where)
    path, length = past.path[suffix.prefix], past.length[suffix.prefix][:, None]
    before = jnp.broadcast_to(jnp.arange(path.shape[1]), path.shape)
    before = jnp.where(before < length, before, NOWHERE)
    queries, keys = layout.queries(suffix.position), jnp.concatenate([before, suffix.keys], axis=1)

    def by_layer(x: Float[Array, "rows units"]) -> Float[Array, "layers rows width"]:
        return x.reshape(len(x), config.layers, -1).swapaxes(0, 1)

    def step(residual: Array, of_layer: tuple) -> tuple[Array, None]:
        layer, past_keys, past_values, mask, baseline = of_layer
        seen = forward.visible(queries, keys, layer["window"])

        def attend(q: Array, k: Array, v: Array) -> Array:
            k = jnp.concatenate([past_keys[path], layout.keys(k)], axis=1)
            v = jnp.concatenate([past_values[path], layout.keys(v)], axis=1)
            return layout.flat(forward.attention(config, layout.queries(q), k, v, seen))

        def alter(name: str, activations: Array) -> Array:
            if name != site:
                return activations
            at = layout.first(suffix.altered, mask) * suffix.where[:, None]
            new = intervene(activations[:first], at, layout.first(suffix.altered, baseline))
            return jax.lax.dynamic_update_slice(activations, new, (0, 0))

        return forward.block(config, layer, residual, suffix.position, attend, alter), None

    residual = forward.embed(params, config, suffix.token, suffix.position)
    over = (
        forward.layers(params, config),
        past.keys,
        past.values,
        by_layer(intervention.mask),
        by_layer(intervention.baseline),
    )
    # A gradient keeps what products gave, and computes all else again: it takes half the memory,
    # and no longer, because it is the memory that what lies between products waits for.
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    step = jax.checkpoint(step, prevent_cse=False, policy=policy)
    residual, _ = jax.lax.scan(step, residual, over)
    return forward.final(params, config, residual)
