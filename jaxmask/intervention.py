"""Interventions: replace a few hidden units of a network by given values (Eq. 1).

An intervention is data, a pytree that a forward pass takes as an argument: a mask that says which
units are replaced, and a baseline that says by what. Nothing here knows of language models.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

DIRECTIONS = 2  # in which a decision can be turned: to either form of a pair
EDGE = 4.0  # where searches clip values; far enough for the tanh, near enough for its gradient


class Intervention(NamedTuple):
    """Which hidden units to replace, and by what, for each direction of a task.

    Attributes:
        mask: 1 where a unit is replaced, 0 where it is left alone; fractions in between occur only
            while searching. With a shared mask the rows are equal.
        baseline: the values given to the replaced units, in [-1, 1] for an LSTM.
    """

    mask: Float[Array, "directions units"]
    baseline: Float[Array, "directions units"]

    def toward(self, direction: int | Int[Array, "*batch"]) -> "Intervention":
        """The rows of mask and baseline that each example needs, by its direction."""
        return Intervention(self.mask[direction], self.baseline[direction])


def intervene(
    hidden: Float[Array, "*batch units"],
    mask: Float[Array, "*#batch units"],
    baseline: Float[Array, "*#batch units"],
) -> Float[Array, "*batch units"]:
    """Eq. 1: ``(1 - mask) * hidden + mask * baseline``.

    A mask of zeros returns ``hidden`` bit for bit (for a finite baseline), a mask of ones returns
    ``baseline`` bit for bit.

    Args:
        hidden: hidden states, units of all layers side by side, layer 1 first.
        mask: in [0, 1]; broadcasts against ``hidden``.
        baseline: finite values; broadcasts against ``hidden``.

    Returns:
        The altered hidden states.

    Source: De Cao et al., "Sparse Interventions in Language Models with Differentiable Masking",
    Eq. 1.
    """
    return (1.0 - mask) * hidden + mask * baseline


def to_baseline(values: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
    """``b = tanh(v) / tanh(EDGE)``: what searches learn by gradient, as baselines.

    A hidden state of an LSTM is in (-1, 1). Values clipped to [-EDGE, EDGE] give baselines in
    [-1, 1] that reach both ends, where those of the most effective interventions are.
    """
    return jnp.tanh(values) / jnp.tanh(EDGE)


def from_values(
    mask: Float[Array, "*masks units"], values: Float[Array, "directions units"]
) -> Intervention:
    """The intervention of what searches learn.

    Args:
        mask: one that directions share, with or without an axis for it, or a row each.
        values: baselines before `to_baseline`.
    """
    return Intervention(jnp.broadcast_to(mask, values.shape), to_baseline(values))


def single_step(
    position: Int[np.ndarray, " examples"], length: Int[np.ndarray, " examples"]
) -> Bool[np.ndarray, "examples time"]:
    """Where a single-step intervention acts: at ``position`` of each sentence only.

    Args:
        position: index of the word that the intervention acts on, from 0.
        length: number of words of each sentence up to, not including, the target word.

    Raises:
        ValueError: a position lies outside its sentence.
    """
    if np.any(position < 0) or np.any(position >= length):
        row = int(np.flatnonzero((position < 0) | (position >= length))[0])
        raise ValueError(
            f"example {row}: position {position[row]} is outside its sentence of "
            f"{length[row]} words"
        )
    return np.arange(np.max(length, initial=0))[None, :] == position[:, None]


def every_step(length: Int[np.ndarray, " examples"]) -> Bool[np.ndarray, "examples time"]:
    """Where an every-step intervention acts: at all words of each sentence (not its context)."""
    return np.arange(np.max(length, initial=0))[None, :] < length[:, None]


def unit_number(layer: int, column: int, hidden: int) -> int:
    """The number, from 1, shown to people for a unit: ``(layer - 1) * hidden + column``.

    Layers and columns are numbered from 1 too: unit 776 of a network with 650 units a layer is
    column 126 of layer 2.
    """
    return (layer - 1) * hidden + column


def unit_place(number: int, hidden: int) -> tuple[int, int]:
    """The (layer, column), both from 1, of a unit number: the inverse of `unit_number`."""
    layer, column = divmod(number - 1, hidden)
    return layer + 1, column + 1


def units(mask: Float[Array | np.ndarray, "directions units"]) -> list[int]:
    """Numbers, from 1, of the units that a mask replaces in any direction."""
    return [int(unit) + 1 for unit in np.flatnonzero(np.any(np.asarray(mask) > 0, axis=0))]
