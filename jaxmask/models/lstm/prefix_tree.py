"""All rows of an objective at once, where what they share is computed once.

An intervention that depends on a row's direction only does the same to all rows of that direction
that have read the same words. Packed rows therefore form a tree: its entries on level s are the
distinct (direction, prefix, places of intervention, first s words of the suffix), and the states of
a level follow from those of the level above. Of a task's some thousand rows, each of a few steps,
a third of the steps remain; and the recurrent products, two thirds of a step's arithmetic with two
layers, depend on what was read before only: they are computed once for all that may follow.
"""

from collections.abc import Callable

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention, intervene
from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.lstm.packing import Packed
from jaxmask.runs import devices

# Each level is compiled on its own, and deep down little is shared.
DEEPEST = 12


class Level(flax.struct.PyTreeNode):
    """Entries that have read the same number of words after their prefix.

    Attributes:
        row: one of the rows that pass here.
        parents: entries of the level above that are followed by any; on the first, all states that
            it is given.
        parent: of each entry, as a place in ``parents``.
    """

    row: Int[Array, " entries"]
    parents: Int[Array, " parents"]
    parent: Int[Array, " entries"]


class Tree(flax.struct.PyTreeNode):
    """The levels, and how rows and entries belong together; entries are counted level by level.

    Attributes:
        levels: the first is the end of the prefixes.
        last: where each row ends.
        node: of the untouched model, see `jaxmask.models.lstm.packing.Packed`.
        kl_weight: of an entry in the mean of the KL over examples and positions.
    """

    levels: tuple[Level, ...]
    last: Int[Array, " rows"]
    node: Int[Array, " entries"]
    kl_weight: Float[Array, " entries"]


def grow(packed: Packed) -> Tree | None:
    """The tree of packed rows; None if it would be deeper than `DEEPEST`."""
    if packed.steps.max() >= DEEPEST:
        return None
    examples = packed.pair_weight.sum(axis=1)
    share = examples / examples.sum() * packed.kl_share / (packed.steps + 1)
    levels, node, weight = [], [], []
    last = np.zeros(len(packed.prefix), np.int32)
    above = np.zeros(len(packed.prefix), np.int32)  # each row's entry on the level above
    count = 0
    for step in range(packed.steps.max() + 1):
        rows = np.flatnonzero(packed.steps >= step)
        read = packed.suffix[rows, step - 1] if step else packed.prefix[rows]
        # A suffix knows its parent; the first level is keyed by direction and prefix.
        keys = np.stack(
            [above[rows] if step else packed.direction[rows], read, packed.where[rows, step]]
        )
        _, first, entry = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        entry = entry.reshape(-1)
        before = above[rows[first]] if step else np.arange(len(first))
        parents, parent = np.unique(before, return_inverse=True)
        levels.append(
            Level(*(jnp.asarray(x.reshape(-1), jnp.int32) for x in (rows[first], parents, parent)))
        )
        node.append(packed.node[rows[first], step])
        weight.append(np.bincount(entry, share[rows], len(first)))
        above[rows] = entry
        ends = packed.steps[rows] == step
        last[rows[ends]] = count + entry[ends]
        count += len(first)
    return Tree(
        levels=tuple(levels),
        last=jnp.asarray(last),
        node=jnp.asarray(np.concatenate(node)),
        kl_weight=jnp.asarray(np.concatenate(weight).astype(np.float32)),
    )


def read(
    tree: Tree,
    params: Params,
    state: LSTMState,
    gates: Callable[[Level, int], Float[Array, "entries gates"]],
    intervention: Intervention,
    direction: Int[Array, " rows"],
    where: Bool[Array, "rows steps"],
    once: bool,
    upward: bool,
) -> Float[Array, "entries hidden"]:
    """States of the top layer at all entries, after the intervention.

    Args:
        tree: of the rows.
        params: of the model.
        state: of the first level's entries, before any intervention; if upward, before the last
            word of the prefix.
        gates: layer 1's input gates of the word that entries on a level have read last.
        intervention: of each direction.
        direction: of each row.
        where: is the state after the prefix, and after each word of the suffix, intervened on?
        once: no word of a suffix is.
        upward: see `jaxmask.models.lstm.network.unroll`.
    """
    tops = []
    for step, level in enumerate(map(devices.spread, tree.levels)):
        here = intervention.toward(direction[level.row])
        at = where[level.row, step]
        if step or upward:
            before = jax.tree.map(lambda x, level=level: x[level.parents], state)
            recurrent = network.recurrent_gates(params, before.hidden)
            state = network.read_token(
                params,
                [x[level.parent] for x in recurrent],
                before.cell[level.parent],
                gates(level, step),
                None if step and once else here,
                at,
                upward=upward,
            )
        else:
            mask = here.mask * at[:, None]
            state = state._replace(hidden=intervene(state.hidden, mask, here.baseline))
        tops.append(network.top_layer(params, state.hidden))
    return jnp.concatenate(tops)
