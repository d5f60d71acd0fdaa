"""Exhaustive search: every set of a few units of a pool with every choice of values -1 and +1.

The truth that other methods are measured against, where it can be had: ``n`` units of a pool of
``P`` take ``C(P, n) 2^n`` evaluations, since a row is of one direction and so the best signs of
all directions are found in one pass over the ``2^n`` patterns. The pool holds the units that are
best alone, by linearisation. It is the truth about its own sample of rows, which is fixed for the
run: where few decisions flip, a small sample can mislead it about others.
"""

import itertools
import math
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmask.baselines import candidates
from jaxmask.baselines.candidates import Response
from jaxmask.intervention import DIRECTIONS, Intervention
from jaxmask.objective import Objective

_TIES = 1e-3  # among sets that flip as many decisions, the one with the fewest smoothed failures


class ExhaustiveConfig(flax.struct.PyTreeNode):
    """Settings of exhaustive search; all static.

    Attributes:
        units: how many units to intervene on.
        pool: how many units to choose them from.
        rows: rows that sets are judged on.

    Example:
        >>> from jaxmask.baselines.exhaustive import ExhaustiveConfig
        >>> ExhaustiveConfig(units=3).pool
        16
    """

    units: int = flax.struct.field(pytree_node=False, default=2)
    pool: int = flax.struct.field(pytree_node=False, default=16)
    rows: int = flax.struct.field(pytree_node=False, default=512)


class Trials(NamedTuple):
    """All sets that were tried, each with the best signs for each direction.

    Attributes:
        units: of each set, indices from 0.
        sign: values of these units, -1 or +1.
        accuracy: fraction of the sample's decisions flipped.
        failure: smoothed failure rate.
    """

    units: Int[Array, "sets size"]
    sign: Float[Array, "sets directions size"]
    accuracy: Float[Array, " sets"]
    failure: Float[Array, " sets"]


def run(
    key: Key[Array, ""], objective: Objective, config: ExhaustiveConfig
) -> tuple[Intervention, Trials]:
    """Tries all sets of a pool; the one that flips most decisions wins.

    Args:
        key: of the sample of rows.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and all sets that were tried.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import exhaustive
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = exhaustive.ExhaustiveConfig(units=1)
        >>> found, trials = jax.jit(exhaustive.run)(jax.random.key(0), objective, config)
        >>> units(found.mask), sorted(trials.accuracy.tolist())
        ([2], [0.0, 1.0])
    """
    k, directions = objective.n_units, DIRECTIONS
    batch = objective.sample(key, config.rows)
    nothing = jnp.zeros((directions, k))
    pool = candidates.screen(Intervention(nothing, nothing), objective, batch, min(config.pool, k))
    patterns = jnp.array(list(itertools.product((1.0, -1.0), repeat=config.units)))

    def judge(units: Int[Array, " size"]) -> Trials:
        mask = nothing.at[:, units].set(1.0)

        def at(signs: Array) -> Response:
            baseline = nothing.at[:, units].set(signs)
            return candidates.respond(Intervention(mask, baseline), objective, batch)

        response = jax.lax.map(at, patterns)  # patterns, directions
        best = _loss(response.flipped, response.failure).argmin(axis=0)
        flipped, failure = (jnp.take_along_axis(x, best[None], axis=0).sum() for x in response)
        return Trials(units, patterns[best], flipped, failure)

    trials = jax.lax.map(judge, pool[_sets(len(pool), config.units)])
    best = _loss(trials.accuracy, trials.failure).argmin()
    units, sign = trials.units[best], trials.sign[best]
    return Intervention(nothing.at[:, units].set(1.0), nothing.at[:, units].set(sign)), trials


def evaluations(config: ExhaustiveConfig, n_units: int) -> int:
    """How many interventions a run tries on all its rows: C(pool, units) 2^units.

    Args:
        config: settings.
        n_units: of the model.

    Example:
        >>> from jaxmask.baselines import exhaustive
        >>> exhaustive.evaluations(exhaustive.ExhaustiveConfig(units=2, pool=16), 1300)
        480
    """
    return math.comb(min(config.pool, n_units), config.units) * 2**config.units


def _loss(flipped: Array, failure: Array) -> Array:
    return _TIES * failure - flipped


def _sets(pool: int, size: int) -> Int[np.ndarray, "sets size"]:
    return np.array(list(itertools.combinations(range(pool), size)), np.int32)
