"""Attribution: units by what a gradient says they do when they are set to another value.

With the log-ratio ``r`` of a row, the state ``h`` of a unit and ``g = dr / dh``, setting the unit
to ``b`` changes ``r`` by about ``g (b - h)``. One linearisation predicts that for all units.

- *Edges*: ``b`` is the end of the unit's range that lowers the mean log-ratio of a direction more;
  the units that lower it most, over both directions, are set to these ends (`run`), or to values
  that are learned from there on (`run_learned`).
- *Middle*: ``b`` is the middle of the unit's range, whatever the direction, which is the unit's
  mean where values are ``free`` and nothing bounds them; the units with the largest absolute mean
  of ``g (b - h)`` are set to it (`run_middle`). This is what tools for attribution commonly do.

Source: Nanda, "Attribution patching", 2023; Syed et al., "Attribution patching outperforms
automated circuit discovery", 2023; the edges are ours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import DIRECTIONS, EDGE, Intervention
from jaxmask.objective import Objective
from jaxmask.products import exact
from jaxmask.search import masks, trials


class Edges(NamedTuple):
    """How units rank at the better ends of their ranges.

    Attributes:
        score: by how much a unit lowers the mean log-ratio, over both directions, in nats.
        baseline: the better end for each direction, -1 or 1.
    """

    score: Float[Array, " units"]
    baseline: Float[Array, "directions units"]


def at_edges(objective: Objective, batch: Any) -> Edges:
    """Units at the better ends of their ranges, by one linearisation of the untouched model.

    Args:
        objective: how the model responds.
        batch: rows to average over, with their weights.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> edges = attribution.at_edges(objective, objective.everything())
        >>> edges.score.round(3).tolist(), edges.baseline[:, 1].tolist()
        ([0.0, 3.0], [1.0, -1.0])
    """
    high, low = _of_directions(objective, batch)
    return Edges(-jnp.minimum(high, low).sum(axis=0), jnp.where(high <= low, 1.0, -1.0))


def in_middle(objective: Objective, batch: Any) -> Float[Array, " units"]:
    """By how much each unit changes the mean log-ratio in the middle of its range, in nats.

    Args:
        objective: how the model responds.
        batch: rows to average over, with their weights.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, -3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=0.5)
        >>> attribution.in_middle(objective, objective.everything()).round(3).tolist()
        [0.0, 1.5]
    """
    high, low = _of_directions(objective, batch)
    return (high + low).sum(axis=0) / 2.0


def _of_directions(
    objective: Objective, batch: Any
) -> tuple[Float[Array, "directions units"], Float[Array, "directions units"]]:
    """Parts of the mean change of the log-ratio, for rows of each direction: at 1, and at -1."""
    nothing = jnp.zeros((DIRECTIONS, objective.n_units))
    linear = trials.linearise(nothing, nothing, objective, batch)
    share = masks.by_direction(linear.direction) * linear.weight[None]
    return exact(share, linear.high), exact(share, linear.low)


def edges(key: Key[Array, ""], objective: Objective, config: SelectionConfig) -> Edges:
    """`at_edges` of a sample of rows.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig()
        >>> attribution.edges(jax.random.key(0), objective, config).score.round(3).tolist()
        [0.0, 3.0]
    """
    return at_edges(objective, objective.sample(key, config.rows))


def middle(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> Float[Array, " units"]:
    """The absolute values of `in_middle` on a sample of rows; arguments are those of `edges`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=0.5)
        >>> config = selection.SelectionConfig()
        >>> attribution.middle(jax.random.key(0), objective, config).round(3).tolist()
        [0.0, 1.5]
    """
    return jnp.abs(in_middle(objective, objective.sample(key, config.rows)))


def set_to_edges(
    key: Key[Array, ""], found: Edges, objective: Objective, config: SelectionConfig
) -> Intervention:
    """Sets the first ``floor(alpha k)`` units to the better ends of their ranges.

    Args:
        key: of no use here; as for `learned_from_edges`.
        found: by `edges`.
        objective: of no use here either.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> key, config = jax.random.key(0), selection.SelectionConfig(alpha=0.5)
        >>> edges = attribution.edges(key, objective, config)
        >>> attribution.set_to_edges(key, edges, objective, config).mask.tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    mask = selection.first(found.score, config)
    return Intervention(jnp.broadcast_to(mask, found.baseline.shape), found.baseline)


def learned_from_edges(
    key: Key[Array, ""], found: Edges, objective: Objective, config: SelectionConfig
) -> Intervention:
    """Learns values for the units of `set_to_edges`, which are where they begin.

    Args:
        key: of the batches.
        found: by `edges`.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> key, config = jax.random.key(0), selection.SelectionConfig(alpha=0.5, refit_steps=2)
        >>> edges = attribution.edges(key, objective, config)
        >>> learn = jax.jit(attribution.learned_from_edges)
        >>> bool(learn(key, edges, objective, config).baseline[0, 1] > 0.9)
        True
    """
    mask = selection.first(found.score, config)
    return selection.refitted(key, mask, EDGE * found.baseline, objective, config)


def set_to_middle(
    key: Key[Array, ""],
    score: Float[Array, " units"],
    objective: Objective,
    config: SelectionConfig,
) -> Intervention:
    """Sets the first ``floor(alpha k)`` units to the middle of their ranges.

    Args:
        key: of no use here; as for `jaxmask.baselines.selection.learned`.
        score: of each unit.
        objective: of no use here either.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> objective = LinearObjective(jnp.ones((2, 2)), direction=jnp.array([0, 1]))
        >>> key, config = jax.random.key(0), selection.SelectionConfig(alpha=0.5)
        >>> score = jnp.array([0.1, 0.7])
        >>> attribution.set_to_middle(key, score, objective, config).baseline[0].tolist()
        [0.0, 0.0]
    """
    mask = jnp.broadcast_to(selection.first(score, config), (DIRECTIONS, len(score)))
    return Intervention(mask, jnp.zeros_like(mask))


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Sets the units that lower the log-ratios most to the better ends of their ranges.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5)
        >>> found, _ = attribution.run(jax.random.key(0), objective, config)
        >>> found.baseline[:, 1].tolist()
        [1.0, -1.0]
    """
    return _from_edges(key, set_to_edges, objective, config)


def run_learned(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Learns values for the units that `run` takes with the same key, from its values on.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        See `learned_from_edges`.
    """
    return _from_edges(key, learned_from_edges, objective, config)


def _from_edges(
    key: Key[Array, ""], choose: Callable, objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """What `jaxmask.baselines.selection.run` does, for scores that come with their ends."""
    score_key, choose_key = jax.random.split(key)
    found = edges(score_key, objective, config)
    return choose(choose_key, found, objective, config), Selection(found.score)


def run_middle(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Sets the units with the largest attributions to the middle of their ranges.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import attribution, selection
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=0.5)
        >>> config = selection.SelectionConfig(alpha=0.5)
        >>> units(attribution.run_middle(jax.random.key(0), objective, config)[0].mask)
        [2]
    """
    return selection.run(key, middle, set_to_middle, objective, config)
