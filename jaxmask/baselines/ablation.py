"""Single-unit ablation: what zeroing each unit alone does, for all units at once.

An objective whose directions are the ungrammatical forms gives the drop of accuracy when a unit is
set to 0: ``flipped`` is then the error.

Source: Lakretz et al., "The emergence of number and syntax units in LSTM language models", 2019,
who find number units in this way.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective
from jaxmask.search import losses

CHUNK = 8  # units at once; more are no faster on a CPU


class Effects(NamedTuple):
    """What zeroing each unit alone does to a batch.

    Attributes:
        flipped: fraction of decisions turned to the other form, with the unit at 0.
        change: of the mean log-ratio, in nats; below 0 where zeroing helps to flip.
        untouched: fraction of decisions that count as turned without any intervention; 0 where
            directions are those of Eq. 2.
    """

    flipped: Float[Array, " units"]
    change: Float[Array, " units"]
    untouched: Float[Array, ""]


def effects(objective: Objective, batch: Any) -> Effects:
    """Zeroes each unit alone, wherever the objective intervenes.

    Args:
        objective: how the model responds.
        batch: rows to average over, with their weights.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import ablation
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> effects = jax.jit(ablation.effects)(objective, objective.everything())
        >>> effects.flipped.tolist(), effects.change.tolist()
        ([0.0, 1.0], [0.0, -2.0])
    """
    rows, units = len(batch.direction), objective.n_units
    zero = jnp.broadcast_to(objective.value_range.zero, (rows, units))

    def respond(mask: Float[Array, " units"]) -> tuple[Array, Array]:
        mask = jnp.broadcast_to(mask, (rows, units))
        outcome = objective(Intervention(mask, zero), batch, None, NoKL())
        return losses.flipped(outcome).sum(), (outcome.log_ratio * outcome.weight).sum()

    untouched, before = respond(jnp.zeros(units))
    flipped, after = jax.lax.map(
        lambda unit: respond(jax.nn.one_hot(unit, units)), jnp.arange(units), batch_size=CHUNK
    )
    return Effects(flipped, after - before, untouched)


def score(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> Float[Array, " units"]:
    """The `ranking` of units on a sample of rows; the highest are taken first.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import ablation, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> ablation.score(jax.random.key(0), objective, selection.SelectionConfig()).tolist()
        [0.0, 1.0]
    """
    return ranking(effects(objective, objective.sample(key, config.rows)))


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Sets the ``floor(alpha k)`` units that flip most decisions alone to 0.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import ablation, selection
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> found, _ = ablation.run(jax.random.key(0), objective, config)
        >>> units(found.mask), found.baseline[0].tolist()
        ([2], [0.0, 0.0])
    """
    return selection.run(key, score, selection.zeroed, objective, config)


def run_learned(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Learns values for the units that `run` takes with the same key.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import ablation, selection
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, 2.0], [0.0, 2.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]), hidden=1.0)
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> run = jax.jit(ablation.run_learned)
        >>> found, _ = run(jax.random.key(0), objective, config)
        >>> units(found.mask), bool((found.baseline[:, 1] < 0).all())
        ([2], True)
    """
    return selection.run(key, score, selection.learned, objective, config)


def ranking(effects: Effects) -> Float[Array, " units"]:
    """A score to rank units by: the fraction flipped; among equals, the fall of the log-ratio.

    Most units flip no decision alone, so ties are the rule. The score is the place in that order,
    0 for the least.

    Args:
        effects: of all units.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import ablation
        >>> flipped, change = jnp.array([0.0, 0.2, 0.0]), jnp.array([-0.1, 0.3, 0.1])
        >>> ablation.ranking(ablation.Effects(flipped, change, jnp.zeros(()))).tolist()
        [1.0, 2.0, 0.0]
    """
    order = jnp.lexsort((-effects.change, effects.flipped))
    return jnp.argsort(order).astype(effects.flipped.dtype)
