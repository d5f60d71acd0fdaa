"""All rows of an objective at once, where what they share is computed once.

An intervention that depends on a row's direction only does the same to all rows of that direction
that have read the same words. Packed rows therefore form a tree: its entries on level s are the
distinct (direction, prefix, places of intervention, first s words of the suffix), and the states of
a level follow from those of the level above. Of a task's some thousand rows, each of a few steps,
a third of the steps remain; and the recurrent products, two thirds of a step's arithmetic with two
layers, depend on what was read before only: they are computed once for all that may follow.
"""

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention, Kind, intervene
from jaxmask.models.lstm import network, untouched
from jaxmask.models.lstm.forward import Action, read_token, recurrent_gates
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.packing import Packed
from jaxmask.runs import devices

# Each level is compiled on its own, and deep down little is shared.
DEEPEST = 12


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
        once: no entry below the first level is intervened on (static).
    """

    levels: tuple[Level, ...]
    prefix: Int[Array, " first_entries"]
    last: Int[Array, " rows"]
    node: Int[Array, " entries"]
    kl_weight: Float[Array, " entries"]
    once: bool = flax.struct.field(pytree_node=False)


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
        once=packed.once,
    )


def read(
    tree: Tree,
    params: Params,
    prefix_state: LSTMState,
    word_gates: Float[Array, "words gates"],
    intervention: Intervention,
    kind: Kind,
) -> Float[Array, "entries hidden"]:
    """States of the top layer at all entries, after the intervention.

    Args:
        tree: of the rows.
        params: of the model.
        prefix_state: after each distinct prefix, before any intervention; before its last word
            if `jaxmask.models.lstm.untouched.reads_again`.
        word_gates: layer 1's input gates of each distinct word.
        intervention: a row of mask and baseline for each direction.
        kind: of the intervention.
    """
    state = jax.tree.map(lambda x: x[tree.prefix], prefix_state)
    tops = []
    for step, level in enumerate(map(devices.spread, tree.levels)):
        here = intervention.toward(level.direction)
        if step or untouched.reads_again(kind):
            before = jax.tree.map(lambda x, level=level: x[level.parents], state)
            state = read_token(
                params,
                [x[level.parent] for x in recurrent_gates(params, before.hidden)],
                before.cell[level.parent],
                word_gates[level.word],
                None if step and tree.once else Action(here, level.where, kind),
            )
        else:
            mask = here.mask * level.where[:, None].astype(here.mask.dtype)
            state = state._replace(hidden=intervene(state.hidden, mask, here.baseline))
        tops.append(network.top_layer(params, state.hidden))
    return jnp.concatenate(tops)
