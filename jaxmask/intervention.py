"""Interventions: replace a few hidden units of a network by given values (Eq. 1).

An intervention is data, a pytree that a forward pass takes as an argument: a mask that says which
units are replaced, and a baseline that says by what. `Kind` says what the units are and where they
are replaced. Nothing here knows of language models.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

DIRECTIONS = 2  # in which a decision can be turned: to either form of a pair
EDGE = 4.0  # where searches clip values; far enough for the tanh, near enough for its gradient

Reach = Literal["all", "time"]
Place = Literal["single", "every"]


class Kind(NamedTuple):
    """What an intervention replaces, and where.

    Attributes:
        site: name of the states that are replaced, see `Site`.
        reach: which part of the network reads the replaced state. ``time``: the recurrence of the
            same layer at the next word, and the decoder; the layer above reads the original state.
            ``all``: the layer above too, at the same word.
        place: ``single`` replaces the state after one word of a sentence, ``every`` the states
            after all of its words; see `places`.

    Example:
        >>> Kind(place="every")
        Kind(site='hidden', reach='time', place='every')
    """

    site: str = "hidden"
    reach: Reach = "time"
    place: Place = "single"


class Site(NamedTuple):
    """States of a model that can be replaced, and how their units are numbered.

    Units are numbered from 1, layer by layer, wherever a person or another program reads the
    numbers; layers and columns are numbered from 1 too.

    Attributes:
        name: of the site, such as ``hidden``.
        layers: how many layers have such a state.
        width: units of a layer.

    Example:
        >>> site = Site("hidden", layers=2, width=650)
        >>> site.units, site.number(layer=2, column=126), site.place(776)
        (1300, 776, (2, 126))
    """

    name: str
    layers: int
    width: int

    @property
    def units(self) -> int:
        """Units of all layers together (``k`` in the paper)."""
        return self.layers * self.width

    def number(self, layer: int, column: int) -> int:
        """The number of a unit: ``(layer - 1) * width + column``."""
        return (layer - 1) * self.width + column

    def place(self, number: int) -> tuple[int, int]:
        """The (layer, column) of a unit's number: the inverse of `number`."""
        layer, column = divmod(number - 1, self.width)
        return layer + 1, column + 1


class Intervention(NamedTuple):
    """Which hidden units to replace, and by what, for each direction of a task.

    Attributes:
        mask: 1 where a unit is replaced, 0 where it is left alone; fractions in between occur only
            while searching. With a shared mask the rows are equal.
        baseline: the values given to the replaced units, in [-1, 1] for an LSTM.

    Example:
        >>> both = Intervention(jnp.ones((2, 3)), jnp.array([[0.5] * 3, [-0.5] * 3]))
        >>> both.toward(1).baseline
        Array([-0.5, -0.5, -0.5], dtype=float32)
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

    Example:
        >>> intervene(jnp.array([0.25, 0.5]), jnp.array([0.0, 1.0]), jnp.array([-1.0, -1.0]))
        Array([ 0.25, -1.  ], dtype=float32)

    Source: De Cao et al., "Sparse Interventions in Language Models with Differentiable Masking",
    Eq. 1.
    """
    return (1.0 - mask) * hidden + mask * baseline


def to_baseline(values: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
    """``b = tanh(v) / tanh(EDGE)``: what searches learn by gradient, as baselines.

    A hidden state of an LSTM is in (-1, 1). Values clipped to [-EDGE, EDGE] give baselines in
    [-1, 1] that reach both ends, where those of the most effective interventions are.

    Example:
        >>> to_baseline(jnp.array([-EDGE, 0.0, EDGE]))
        Array([-1.,  0.,  1.], dtype=float32)
    """
    return jnp.tanh(values) / jnp.tanh(EDGE)


def from_values(
    mask: Float[Array, "*masks units"], values: Float[Array, "directions units"]
) -> Intervention:
    """The intervention that a mask and the values that a search has learned describe.

    Args:
        mask: one that all directions share, with or without an axis of directions, or a row each.
        values: baselines before `to_baseline`.

    Example:
        >>> from_values(jnp.array([1.0, 0.0]), jnp.zeros((2, 2))).mask
        Array([[1., 0.],
               [1., 0.]], dtype=float32)
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

    Example:
        >>> single_step(np.array([1, 0]), np.array([3, 2])).tolist()
        [[False, True, False], [True, False, False]]
    """
    if np.any(position < 0) or np.any(position >= length):
        row = int(np.flatnonzero((position < 0) | (position >= length))[0])
        raise ValueError(
            f"example {row}: position {position[row]} is outside its sentence of "
            f"{length[row]} words"
        )
    return np.arange(np.max(length, initial=0))[None, :] == position[:, None]


def every_step(length: Int[np.ndarray, " examples"]) -> Bool[np.ndarray, "examples time"]:
    """Where an every-step intervention acts: at all words of each sentence, not of its context.

    Args:
        length: number of words of each sentence up to, not including, the target word.

    Example:
        >>> every_step(np.array([3, 2])).tolist()
        [[True, True, True], [True, True, False]]
    """
    return np.arange(np.max(length, initial=0))[None, :] < length[:, None]


def places(
    place: Place, position: Int[np.ndarray, " examples"], length: Int[np.ndarray, " examples"]
) -> Bool[np.ndarray, "examples time"]:
    """Where an intervention acts: `single_step` or `every_step`, whichever ``place`` names.

    Args:
        place: ``single`` or ``every``.
        position: index of the word at which a single-step intervention acts, from 0.
        length: number of words of each sentence up to, not including, the target word.

    Raises:
        ValueError: ``place`` is ``single`` and a position lies outside its sentence.

    Example:
        >>> places("single", np.array([1]), np.array([3])).tolist()
        [[False, True, False]]
        >>> places("every", np.array([1, 0]), np.array([3, 2])).tolist()
        [[True, True, True], [True, True, False]]
    """
    return single_step(position, length) if place == "single" else every_step(length)


def units(mask: Float[Array | np.ndarray, "directions units"]) -> list[int]:
    """Numbers, from 1, of the units that a mask replaces in any direction.

    Example:
        >>> units(np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
        [2, 4]
    """
    return [int(unit) + 1 for unit in np.flatnonzero(np.any(np.asarray(mask) > 0, axis=0))]
