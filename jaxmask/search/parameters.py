"""What a relaxed search learns, how it begins and how a step changes it.

The parameters are the ``location`` of each gate (of each coin, for REINFORCE), the ``values``
(baselines before `jaxmask.intervention.to_baseline`) and the ``multipliers`` of the constraints.
The search and `jaxmask.baselines.reinforce` share all of this.
"""

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from jaxmask.intervention import DIRECTIONS, EDGE
from jaxmask.search import minmax
from jaxmask.search.minmax import Multipliers

INITIAL_VALUE_SCALE = 0.1
USUALLY_LOWEST = -8.0  # of the locations


class RelaxedConfig(Protocol):
    """The settings that relaxed searches have in common; see `jaxmask.search.SearchConfig`."""

    alpha: float
    value_rate: float
    multiplier_rate: float
    multiplier_decay: float
    initial_alpha: float
    warmup: float
    lowest: float | None
    highest: float
    steps: int


def shrinking_target(
    step: int | Array, limit: float | Array, config: RelaxedConfig
) -> Float[Array, ""]:
    """The limit of a constraint at a step, which shrinks geometrically to the final one.

    ``start (limit / start) ^ min(1, (step + 1) / ramp)`` with ``ramp = warmup * steps`` and
    ``start = max(initial_alpha, limit)``.

    Args:
        step: from 0.
        limit: the final one.
        config: with ``initial_alpha``, ``warmup`` and ``steps``.

    Example:
        >>> from jaxmask.search import SearchConfig, shrinking_target
        >>> config = SearchConfig(initial_alpha=0.16, warmup=0.5, steps=100)
        >>> [round(float(shrinking_target(step, 0.01, config)), 3) for step in (24, 49, 99)]
        [0.04, 0.01, 0.01]
    """
    ramp = jnp.maximum(config.warmup * config.steps, 1.0)
    start = jnp.maximum(config.initial_alpha, limit)
    return start * (limit / start) ** jnp.clip(
        (jnp.asarray(step, jnp.float32) + 1) / ramp, 0.0, 1.0
    )


def first_location(config: RelaxedConfig, shift: float | Array = 0.0) -> Float[Array, ""]:
    """The location at which a unit is intervened on with the probability of the first target.

    Args:
        config: settings.
        shift: logit of that probability at the location 0.

    Example:
        >>> from jaxmask.search import SearchConfig, parameters
        >>> location = parameters.first_location(SearchConfig(initial_alpha=0.15, steps=10**6))
        >>> round(float(jax.nn.sigmoid(location)), 3)
        0.15
    """
    first = shrinking_target(jnp.zeros(()), config.alpha, config)
    logit = jnp.log(first) - jnp.log1p(-jnp.minimum(first, 1.0 - 1e-6))
    return jnp.clip(logit - shift, lowest_location(config), config.highest)


def lowest_location(config: RelaxedConfig) -> Any:
    """Where the locations end: ``lowest``, or ``min(-8, logit(alpha / 10))`` if it isn't set.

    Closed gates stay near enough to open again. A gate at -8 still opens with a probability of
    0.0003 to 0.0007, which is more than an ``alpha`` of 8 in 46,080 units allows in the mean:
    there, gates have to be able to close further.

    It is a number, or an array where a setting is one.

    Args:
        config: settings.

    Example:
        >>> from jaxmask.search import SearchConfig, parameters
        >>> parameters.lowest_location(SearchConfig(alpha=0.02))
        -8.0
        >>> round(parameters.lowest_location(SearchConfig(alpha=8 / 46080)), 2)
        -10.96
    """
    if config.lowest is not None:
        return config.lowest
    if isinstance(config.alpha, int | float):
        return min(USUALLY_LOWEST, math.log(config.alpha / (10.0 - config.alpha)))
    return jnp.minimum(USUALLY_LOWEST, jnp.log(config.alpha / (10.0 - config.alpha)))


def first_values(key: Key[Array, ""], n_units: int) -> Float[Array, "directions {n_units}"]:
    """Small random values: baselines near 0 that differ between directions.

    Args:
        key: used once.
        n_units: of the model.

    Example:
        >>> from jaxmask.search import parameters
        >>> parameters.first_values(jax.random.key(0), 3).shape
        (2, 3)
    """
    return INITIAL_VALUE_SCALE * jax.random.normal(key, (DIRECTIONS, n_units))


def optimizer(location_rate: float | Array, config: RelaxedConfig) -> optax.GradientTransformation:
    """Adam on locations and values, plain ascent on the multipliers.

    Args:
        location_rate: learning rate of the locations.
        config: with the other rates.
    """
    descent = {
        "location": optax.adam(location_rate),
        "values": optax.adam(config.value_rate),
    }
    return minmax.descent_ascent(descent, config.multiplier_rate)


def update(
    params: dict[str, Any],
    moments: optax.OptState,
    gradient: dict[str, Any],
    violations: Multipliers,
    transformation: optax.GradientTransformation,
    config: RelaxedConfig,
) -> tuple[dict[str, Any], optax.OptState]:
    """One step of descent and ascent; locations and values stay within their bounds.

    Args:
        params: ``location``, ``values`` and ``multipliers``.
        moments: state of the optimiser.
        gradient: in all of ``params``.
        violations: of the constraints that are known exactly, by name.
        transformation: from `optimizer`.
        config: settings.

    Returns:
        The parameters and the state of the optimiser after the step.
    """
    updates, moments = transformation.update(gradient, moments, params)
    params = optax.apply_updates(params, updates)
    return {
        "location": jnp.clip(params["location"], lowest_location(config), config.highest),
        "values": jnp.clip(params["values"], -EDGE, EDGE),
        "multipliers": minmax.project(params["multipliers"], violations, config.multiplier_decay),
    }, moments
