"""All rows of an objective read at once, what they share once: level by level of their tree.

The recurrent products, two thirds of a step's arithmetic with two layers, depend on what was read
before only: they are computed once for all that may follow.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmask.intervention import Intervention, Kind, intervene
from jaxmask.models.lstm import network, untouched
from jaxmask.models.lstm.forward import Action, read_token, recurrent_gates
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.prefix_tree import Tree
from jaxmask.runs import devices

# Each level is compiled on its own, and deep down little is shared.
DEEPEST = 12


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
