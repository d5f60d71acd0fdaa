"""All rows of an objective at once, where what they share is computed once.

An intervention that depends on a row's direction only does the same to all rows of that direction
that have read the same words. Packed rows therefore form a tree: its entries on level s are the
distinct (direction, prefix, places of intervention, first s words of the suffix), and the states of
a level follow from those of the levels above. Of a task's some thousand rows, each of a few steps,
a third of the steps remain.
"""

import flax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.models.packing import Packed


class Level(flax.struct.PyTreeNode):
    """Entries that have read the same number of words after their prefix.

    Attributes:
        direction: of the rows that pass through each entry.
        where: is the state of an entry intervened on?
        word: that each entry has read last, an index into the words of the packed examples.
        parents: those entries of the level above that are parents; on the first level, all of its
            own entries, with the states that they are given.
        parent: of each entry, as a place in ``parents``.
    """

    direction: Int[Array, " entries"]
    where: Bool[Array, " entries"]
    word: Int[Array, " entries"]
    parents: Int[Array, " parents"]
    parent: Int[Array, " entries"]


class Tree(flax.struct.PyTreeNode):
    """The levels, and how rows and entries belong together; entries are counted level by level.

    Attributes:
        levels: the first is the end of the prefixes.
        prefix: of each entry of the first level.
        last: the entry at which each row ends.
        node: of the untouched model, see `jaxmask.models.packing.Packed`.
        kl_weight: of an entry in the mean of the KL over examples and positions.
        elsewhere: the fraction of this weight that the positions of targets don't give.
        once: no entry below the first level is intervened on (static).
    """

    levels: tuple[Level, ...]
    prefix: Int[Array, " first_entries"]
    last: Int[Array, " rows"]
    node: Int[Array, " entries"]
    kl_weight: Float[Array, " entries"]
    elsewhere: Float[Array, " entries"]
    once: bool = flax.struct.field(pytree_node=False)


def grow(packed: Packed, deepest: int) -> Tree | None:
    """The tree of packed rows; None if it would have more than ``deepest`` levels."""
    if packed.steps.max() >= deepest:
        return None
    examples = packed.pair_weight.sum(axis=1)
    share = examples / examples.sum() * packed.kl_share / (packed.steps + 1)
    levels, node, weight, elsewhere = [], [], [], []
    last = np.zeros(len(packed.prefix), np.int32)
    above = np.zeros(len(packed.prefix), np.int32)  # each row's entry on the level above
    count = 0
    for step in range(packed.steps.max() + 1):
        rows = np.flatnonzero(packed.steps >= step)
        word = packed.suffix[rows, step - 1] if step else packed.first[rows]
        # A suffix knows its parent; the first level is keyed by direction and prefix.
        begin = (above[rows], word) if step else (packed.direction[rows], packed.prefix[rows])
        keys = np.stack([*begin, packed.where[rows, step]])
        _, first, entry = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        entry = entry.reshape(-1)
        before = above[rows[first]] if step else np.arange(len(first))
        parents, parent = np.unique(before, return_inverse=True)
        one = rows[first]  # of the rows that pass through each entry
        levels.append(
            Level(
                direction=jnp.asarray(packed.direction[one]),
                where=jnp.asarray(packed.where[one, step]),
                word=jnp.asarray(word[first]),
                parents=jnp.asarray(parents.reshape(-1), jnp.int32),
                parent=jnp.asarray(parent.reshape(-1), jnp.int32),
            )
        )
        if not step:
            prefix = packed.prefix[one]
        node.append(packed.node[one, step])
        weight.append(np.bincount(entry, share[rows], len(first)))
        inside = np.bincount(entry, share[rows] * (packed.steps[rows] > step), len(first))
        elsewhere.append(inside / np.maximum(weight[-1], np.finfo(np.float64).tiny))
        above[rows] = entry
        ends = packed.steps[rows] == step
        last[rows[ends]] = count + entry[ends]
        count += len(first)
    return Tree(
        levels=tuple(levels),
        prefix=jnp.asarray(prefix),
        last=jnp.asarray(last),
        node=jnp.asarray(np.concatenate(node)),
        kl_weight=jnp.asarray(np.concatenate(weight).astype(np.float32)),
        elsewhere=jnp.asarray(np.concatenate(elsewhere).astype(np.float32)),
        once=packed.once,
    )
