"""Greedy forward selection: the unit that helps most, then the one that helps most beside it, ...

Units get the values -1 or +1, whichever is better for each direction. For each addition all units
are ranked by a linearisation at the present set; the first of them are judged exactly, with either
sign, on a sample of rows that is fixed for the run. Best is what leaves the fewest smoothed
failures (`jaxmask.search.losses.failure`): in trials on training examples this did as well as
counting flipped decisions or better, since a single unit flips few. One run gives a set of every
size (`first`).
"""

from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmask.baselines import candidates
from jaxmask.baselines.candidates import Response
from jaxmask.intervention import DIRECTIONS, Intervention
from jaxmask.objective import Objective
from jaxmask.search import masks


class GreedyConfig(flax.struct.PyTreeNode):
    """Settings of greedy forward selection; all but the static ones (last) may be traced.

    Attributes:
        alpha: largest fraction of units to intervene on, in (0, 1].
        most: units are added up to this number, for the curve; ``run`` takes the first of them.
        screened: units judged exactly for each addition.
        rows: rows that additions are judged on.

    Example:
        >>> from jaxmask.baselines.greedy import GreedyConfig
        >>> GreedyConfig(alpha=0.01).most
        32
    """

    alpha: float = 0.02
    most: int = flax.struct.field(pytree_node=False, default=32)
    screened: int = flax.struct.field(pytree_node=False, default=16)
    rows: int = flax.struct.field(pytree_node=False, default=512)


class Additions(NamedTuple):
    """What was added, in this order.

    Attributes:
        unit: index from 0.
        sign: its value for each direction, -1 or +1.
        accuracy: fraction of the sample's decisions flipped after the addition.
        failure: the smoothed failure rate after it.
    """

    unit: Int[Array, " additions"]
    sign: Float[Array, "additions directions"]
    accuracy: Float[Array, " additions"]
    failure: Float[Array, " additions"]


def run(
    key: Key[Array, ""], objective: Objective, config: GreedyConfig
) -> tuple[Intervention, Additions]:
    """Adds ``most`` units, and takes the first ``floor(alpha k)`` of them.

    Args:
        key: of the sample of rows.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention with at most ``floor(alpha k)`` units, and all additions.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import greedy
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = greedy.GreedyConfig(alpha=0.5)
        >>> found, additions = jax.jit(greedy.run)(jax.random.key(0), objective, config)
        >>> units(found.mask), found.baseline[:, 1].tolist()
        ([2], [1.0, -1.0])
        >>> additions.unit.tolist(), additions.accuracy.tolist()
        ([1, 0], [1.0, 1.0])
    """
    units = objective.n_units
    nothing = jnp.zeros((DIRECTIONS, units))
    _, additions = extend(key, Intervention(nothing, nothing), objective, config)
    return first(additions, masks.budget(units, config.alpha), units), additions


def extend(
    key: Key[Array, ""], present: Intervention, objective: Objective, config: GreedyConfig
) -> tuple[Intervention, Additions]:
    """Adds ``most`` further units to an intervention, whatever ``alpha``.

    With the key of `run`, whose sample it gives again, that run goes on.

    Args:
        key: of the sample of rows.
        present: the units so far, or none; a shared mask.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention with the units added, and what was added.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import greedy
        >>> from jaxmask.intervention import Intervention, units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> unit_1 = Intervention(jnp.array([[1, 0.0], [1, 0]]), jnp.array([[1, 0.0], [1, 0]]))
        >>> config = greedy.GreedyConfig(most=1)
        >>> extend = jax.jit(greedy.extend)
        >>> found, additions = extend(jax.random.key(0), unit_1, objective, config)
        >>> units(found.mask), additions.unit.tolist()
        ([1, 2], [1])
    """
    units = objective.n_units
    batch = objective.sample(key, config.rows)

    def add(present: Intervention, _: None) -> tuple[Intervention, Additions]:
        units_screened = candidates.screen(present, objective, batch, min(config.screened, units))

        def judge(unit: Array) -> Response:
            def at(sign: Array) -> Response:
                return candidates.respond(_with(present, unit, sign), objective, batch)

            return jax.vmap(at)(jnp.array([1.0, -1.0]))

        response = jax.lax.map(judge, units_screened)  # screened, signs, directions
        inside = present.mask[0, units_screened] > 0
        best_sign = response.failure.argmin(axis=1)
        loss = jnp.where(inside, jnp.inf, response.failure.min(axis=1).sum(axis=1))
        best = loss.argmin()
        unit, sign = units_screened[best], 1.0 - 2.0 * best_sign[best].astype(jnp.float32)
        accuracy, failure = (
            jnp.take_along_axis(x[best], best_sign[best][None], axis=0).sum() for x in response
        )
        return _with(present, unit, sign), Additions(unit, sign, accuracy, failure)

    return jax.lax.scan(add, present, None, length=min(config.most, units))


def first(additions: Additions, count: int | Float[Array, ""], n_units: int) -> Intervention:
    """The intervention on the first units of a run.

    Args:
        additions: of the run.
        count: how many units; may be traced.
        n_units: of the model.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import greedy
        >>> signs = jnp.array([[1.0, -1.0], [1.0, 1.0]])
        >>> additions = greedy.Additions(jnp.array([3, 0]), signs, jnp.zeros(2), jnp.zeros(2))
        >>> greedy.first(additions, 1, 4).baseline.tolist()
        [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, -1.0]]
    """
    added = (jnp.arange(len(additions.unit), dtype=jnp.float32) < count).astype(jnp.float32)
    mask = jnp.zeros(n_units).at[additions.unit].set(added)
    baseline = (
        jnp.zeros((additions.sign.shape[1], n_units))
        .at[:, additions.unit]
        .set(additions.sign.T * added[None])
    )
    return Intervention(jnp.broadcast_to(mask, baseline.shape), baseline)


def _with(intervention: Intervention, unit: Array, sign: Array) -> Intervention:
    """Adds a unit, with one value for all directions or one each."""
    mask, baseline = intervention
    return Intervention(mask.at[:, unit].set(1.0), baseline.at[:, unit].set(sign))
