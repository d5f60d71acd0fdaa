"""An objective small enough to try every set of units: `jaxmask.objective.LinearObjective`.

Every unit has one good sign for each direction, so the best values of a set are known and the best
set of a given size is found by trying all of them.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmask.intervention import Intervention
from jaxmask.objective import ExactKL, LinearObjective, NoKL, Outcome
from jaxmask.runs import devices
from jaxmask.search import losses


class Toy(LinearObjective):
    """Each row has a second pair, which is padding: it has no weight."""

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        calls.append(intervention.mask.shape)
        batch, intervention = devices.spread((batch, intervention))
        log_ratio, weight, *costs = super().__call__(intervention, batch, key, kl)
        return Outcome(
            jnp.concatenate([log_ratio, jnp.full_like(log_ratio, 99.0)], axis=1),
            jnp.concatenate([weight, jnp.zeros_like(weight)], axis=1),
            *costs,
        )


calls = []  # grows when `Toy` is called from Python: by tracing, not by running what was compiled


def toy(seed=0, units=10, rows=24, cost=0.0):
    """Rows that overlap in the units that flip them, so that the best units alone aren't best."""
    random = np.random.default_rng(seed)
    direction = np.arange(rows) % 2
    polarity = random.choice([-1.0, 1.0], (2, units))
    size = random.uniform(1.0, 5.0, (rows, units)) * (random.random((rows, units)) < 0.35)
    hidden = 0.3 * random.standard_normal((rows, units)).clip(-2, 2)
    return Toy(
        effect=jnp.asarray(-size * polarity[direction], jnp.float32),
        direction=jnp.asarray(direction, jnp.int32),
        margin=jnp.asarray(random.uniform(1.0, 3.0, rows), jnp.float32),
        hidden=jnp.asarray(hidden, jnp.float32),
        cost=jnp.full(units, cost, jnp.float32),
    )


def start(objective, size, masks=1, seed=0):
    """A mask of random units, and small values."""
    keys = jax.random.split(jax.random.key(seed))
    noise = jax.random.uniform(keys[0], (masks, objective.n_units))
    rank = jnp.argsort(jnp.argsort(noise, axis=1), axis=1)
    values = 0.1 * jax.random.normal(keys[1], (2, objective.n_units))
    return (rank < size).astype(jnp.float32), values


def good_values(objective):
    """The sign of the best value of each unit, ``directions units``; 1 for one without effect."""
    total = [objective.effect[objective.direction == way].sum(axis=0) for way in (0, 1)]
    return jnp.where(jnp.stack(total) > 0, -1.0, 1.0)


def failures(objective, masks, values, directions=(0, 1)):
    """Smoothed failures of stacks of masks, summed over the rows of some directions."""

    def one(mask):
        batch = objective.everything()
        intervention = Intervention(jnp.stack([mask, mask]), values).toward(batch.direction)
        outcome = objective(intervention, batch, None, NoKL())
        here = jnp.isin(batch.direction, jnp.asarray(directions))[:, None]
        return (losses.failure(outcome.log_ratio) * outcome.weight * here.astype(float)).sum()

    return np.asarray(jax.vmap(one)(masks))


def all_masks(units, size):
    """Every set of that many units, ``sets units``."""
    sets = np.array(list(itertools.combinations(range(units), size)))
    masks = np.zeros((len(sets), units), np.float32)
    masks[np.arange(len(sets))[:, None], sets] = 1
    return jnp.asarray(masks)
