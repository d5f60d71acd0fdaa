"""Whole sequences read with an intervention, and nothing saved on the way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention, intervene
from jaxmask.models.transformer import forward
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params

_AT_ONCE = 32  # sequences: memory doesn't grow with their number


class Action(NamedTuple):
    """An intervention on some sequences.

    Attributes:
        intervention: mask and the model's own values, a row for each sequence.
        where: the tokens that are intervened on.
    """

    intervention: Intervention
    where: Bool[Array | np.ndarray, "sequences time"]


def read(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array, "sequences time"],
    site: str,
    action: Action | None = None,
) -> tuple[Float[Array, "sequences time width"], Float[Array, "layers sequences time units"]]:
    """Reads whole sequences, padded at their ends, with or without an intervention.

    Args:
        params: the parameter tree.
        config: of the model.
        tokens: their indices.
        site: name of the states that are replaced and returned.
        action: the intervention, if there is one.

    Returns:
        The normalised states that the decoder reads, and the states of the site, as they go on.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params, tokens = random_params(jax.random.key(0), tiny), jnp.array([[0, 1, 2]])
        >>> to_half = Intervention(jnp.ones((1, 24)), jnp.full((1, 24), 0.5))
        >>> action = Action(to_half, jnp.array([[False, True, False]]))
        >>> state, units = read(params, tiny, tokens, "mlp", action)
        >>> units[0, 0, 1, :3].tolist()
        [0.5, 0.5, 0.5]
    """
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    over: dict[str, Any] = {"layer": forward.layers(params, config)}
    if action is not None:
        of_layers = (len(tokens), config.layers, config.site_width(site))
        mask, baseline = (x.reshape(of_layers).swapaxes(0, 1) for x in action.intervention)
        over |= {"mask": mask, "baseline": baseline}

    def step(residual: Array, over: dict) -> tuple[Array, Array]:
        layer, kept = over["layer"], {}
        seen = forward.visible(positions, positions, layer["window"])

        def attend(q: Array, k: Array, v: Array) -> Array:
            return forward.attention(config, q, k, v, seen)

        def alter(name: str, states: Array) -> Array:
            if name != site:
                return states
            if action is not None:
                at = over["mask"][:, None] * action.where[..., None].astype(states.dtype)
                states = intervene(states, at, over["baseline"][:, None])
            kept["states"] = states
            return states

        residual = forward.block(config, layer, residual, positions, attend, alter)
        return residual, kept["states"]

    residual = forward.embed(params, config, tokens, positions)
    residual, states = jax.lax.scan(step, residual, over)
    return forward.final(params, config, residual), states


def read_in_parts(
    params: Params,
    config: TransformerConfig,
    tokens: Int[np.ndarray, "sequences time"],
    site: str,
    action: Action | None = None,
) -> tuple[Float[np.ndarray, "sequences time width"], Float[np.ndarray, "sequences time units"]]:
    """As `read`, a few sequences at a time; the units of all layers are side by side.

    Args:
        params: the parameter tree.
        config: of the model.
        tokens: their indices.
        site: name of the states that are replaced and returned.
        action: the intervention, if there is one.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> read_in_parts(params, tiny, np.array([[0, 1, 2]]), "mlp")[1].shape
        (1, 3, 24)
    """
    size, time = tokens.shape
    state = np.empty((size, time, config.width), np.float32)
    units = np.empty((size, time, config.layers * config.site_width(site)), np.float32)
    at_once = min(_AT_ONCE, size)
    for start in range(0, size, at_once):
        # The last part begins earlier, so that one program serves all.
        part = slice(min(start, size - at_once), min(start, size - at_once) + at_once)
        some = jax.tree.map(lambda x, part=part: x[part], action)
        found, of_layers = _read(params, config, tokens[part], site, some)
        state[part] = found
        units[part] = np.moveaxis(np.asarray(of_layers), 0, 2).reshape(at_once, time, -1)
    return state, units


_read = jax.jit(read, static_argnames=("config", "site"))
