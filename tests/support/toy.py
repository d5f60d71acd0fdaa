"""An objective small enough to try every set of units.

A row's log-ratio is linear in the altered states, ``margin + effect . (h' - h)``, and every unit
has one good sign for each direction, so the best values of a set are known and the best set of a
given size is found by trying all of them.
"""

import itertools

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxmask.intervention import Intervention, intervene
from jaxmask.objective import ExactKL, NoKL, Outcome
from jaxmask.runs import devices
from jaxmask.search import losses


class ToyBatch(flax.struct.PyTreeNode):
    row: jax.Array
    direction: jax.Array
    weight: jax.Array


class Toy(flax.struct.PyTreeNode):
    """``cost`` weighs the units in a stand-in for the KL; two pairs a row, the second padding."""

    hidden: jax.Array  # rows x units
    effect: jax.Array  # rows x units
    margin: jax.Array  # rows
    direction: jax.Array  # rows
    cost: jax.Array  # units

    @property
    def n_units(self):
        return self.hidden.shape[1]

    def everything(self, by_direction=False):
        return self._batch(jnp.arange(len(self.margin)))

    def sample(self, key, size):
        rows = len(self.margin)
        return (
            self.everything()
            if size >= rows
            else self._batch(jax.random.randint(key, (size,), 0, rows))
        )

    def _batch(self, row):
        weight = jnp.stack([jnp.full(len(row), 1 / len(row)), jnp.zeros(len(row))], axis=1)
        return ToyBatch(row, self.direction[row], weight)

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        calls.append(intervention.mask.shape)
        row, intervention = devices.spread((batch.row, intervention))
        hidden = self.hidden[row]
        moved = intervene(hidden, *intervention) - hidden
        log_ratio = self.margin[row] + jnp.sum(self.effect[row] * moved, axis=1)
        cost = jnp.zeros(()) if kl == NoKL() else jnp.mean(moved**2 @ self.cost)
        return Outcome(
            jnp.stack([log_ratio, jnp.full_like(log_ratio, 99.0)], 1), batch.weight, cost
        )


calls = []  # grows when `Toy` is called from Python: by tracing, not by running what was compiled


def toy(seed=0, units=10, rows=24, cost=0.0):
    """Rows that overlap in the units that flip them, so that the best units alone aren't best."""
    random = np.random.default_rng(seed)
    direction = np.arange(rows) % 2
    polarity = random.choice([-1.0, 1.0], (2, units))
    size = random.uniform(1.0, 5.0, (rows, units)) * (random.random((rows, units)) < 0.35)
    hidden = 0.3 * random.standard_normal((rows, units)).clip(-2, 2)
    arrays = hidden, -size * polarity[direction], random.uniform(1.0, 3.0, rows)
    return Toy(
        *(jnp.asarray(x, jnp.float32) for x in arrays),
        jnp.asarray(direction, jnp.int32),
        jnp.full(units, cost, jnp.float32),
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
        return (losses.failure(outcome.log_ratio) * outcome.weight * here).sum()

    return np.asarray(jax.vmap(one)(masks))


def all_masks(units, size):
    """Every set of that many units, ``sets units``."""
    sets = np.array(list(itertools.combinations(range(units), size)))
    masks = np.zeros((len(sets), units), np.float32)
    masks[np.arange(len(sets))[:, None], sets] = 1
    return jnp.asarray(masks)
