"""Interventions: replace a few hidden units of a network by given values (Eq. 1).

An intervention is data, a pytree that a forward pass takes as an argument: a mask that says which
units are replaced, and a baseline that says by what. `Kind` says what the units are and where they
are replaced. Nothing here knows of language models.
"""

import reprlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

DIRECTIONS = 2  # in which a decision can be turned: to either form of a pair
EDGE = 4.0  # where searches clip values; far enough for the tanh, near enough for its gradient

Reach = Literal["all", "time"]
Values = Literal["free", "natural"]
Place = Literal["single", "every", "last"]


class Kind(NamedTuple):
    """What an intervention is: what it replaces, who reads that, by what values, and where.

    Attributes:
        site: name of the states that are replaced, see `Site`.
        reach: who reads the replaced state. ``all``: everything that reads the state, as in
            do(h = b). ``time``: the recurrence at the next word and the decoder, but not the layer
            above at the same word, which reads the original state.
        values: what a unit can be set to. ``free``: any value of the state, or within 3 standard
            deviations of its mean where nothing bounds it. ``natural``: between the 1st and the
            99th percentile of what the unit does. Both are taken over the training examples at the
            words where the intervention acts.
        place: ``single`` replaces the state after one word of a sentence, ``every`` the states
            after all of its words, ``last`` the state after its last word; see `places`.

    Example:
        >>> Kind(place="every").label
        'every'
        >>> Kind("hidden+cell", reach="time", values="natural").label
        'single-hidden+cell-time-natural'
        >>> Kind("cell", values="natural").title
        'single-step, cell states, natural values'
    """

    site: str = "hidden"
    reach: Reach = "all"
    values: Values = "free"
    place: Place = "single"

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that are replaced: the site's, between its plus signs."""
        return tuple(self.site.split("+"))

    def settings(self) -> dict[str, str]:
        """The four as files have them: the place is called ``intervention``."""
        return {
            "intervention": self.place,
            "site": self.site,
            "reach": self.reach,
            "values": self.values,
        }

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> "Kind":
        """The inverse of `settings`; what old files don't name was the only one at their time.

        Raises:
            ValueError: a name isn't one of those possible, or the place is missing.
        """
        found = {**cls("hidden", "time", "free").settings(), "intervention": None, **settings}
        for name, expected in (("intervention", Place), ("reach", Reach), ("values", Values)):
            _check_choice(name, found[name], expected)
        return cls(found["site"], found["reach"], found["values"], found["intervention"])

    def check(self) -> None:
        """Checks that reach, values and place are among those possible.

        Raises:
            ValueError: one isn't.

        Example:
            >>> Kind(place="evry").check()
            Traceback (most recent call last):
            ValueError: expected place single or every or last, found 'evry'
        """
        for name, expected in (("reach", Reach), ("values", Values), ("place", Place)):
            _check_choice(name, getattr(self, name), expected)

    @property
    def label(self) -> str:
        """The place, and what isn't the default: a part of the names of folders."""
        return "-".join([self.place, *self._unusual().values()])

    @property
    def title(self) -> str:
        """The place, and what isn't the default, for titles of tables and figures."""
        named = {"site": "{} states", "reach": "reach {}", "values": "{} values"}
        unusual = (named[name].format(mine) for name, mine in self._unusual().items())
        return ", ".join([f"{self.place}-step", *unusual])

    def _unusual(self) -> dict[str, str]:
        default = Kind(place=self.place)._asdict()
        return {name: mine for name, mine in self._asdict().items() if mine != default[name]}


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(
            f"expected {name} {' or '.join(get_args(choices))}, found {reprlib.repr(value)}"
        )


class Site(NamedTuple):
    """States of a model that can be replaced, and how their units are numbered.

    Units are numbered from 1, layer by layer, wherever a person or another program reads the
    numbers; layers and columns are numbered from 1 too. A site of several states has the units of
    all layers of the first state before those of the second.

    Attributes:
        name: of the site, such as ``hidden``.
        layers: number of layers that have such a state.
        width: number of units of a layer.
        states: names of its states.
        bound: largest absolute value of the states; infinity if nothing bounds them.

    Example:
        >>> site = Site("hidden", layers=2, width=650)
        >>> site.units, site.number(layer=2, column=126), site.place(776)
        (1300, 776, (2, 126))
        >>> both = Site("hidden+cell", layers=2, width=650, states=("hidden", "cell"))
        >>> both.units, both.place(2076), both.state(2076)
        (2600, (2, 126), 'cell')
    """

    name: str
    layers: int
    width: int
    states: tuple[str, ...] = ("hidden",)
    bound: float = float("inf")

    @property
    def units(self) -> int:
        """Number of units of all layers and states together (``k`` in the paper)."""
        return len(self.states) * self.layers * self.width

    def number(self, layer: int, column: int, state: str | None = None) -> int:
        """The number of a unit; of the first state if none is named."""
        before = 0 if state is None else self.states.index(state) * self.layers
        return (before + layer - 1) * self.width + column

    def place(self, number: int) -> tuple[int, int]:
        """The (layer, column) of a unit's number."""
        layer, column = divmod(number - 1, self.width)
        return layer % self.layers + 1, column + 1

    def state(self, number: int) -> str:
        """The name of the state of a unit's number."""
        return self.states[(number - 1) // (self.layers * self.width)]


class Range(NamedTuple):
    """What each unit can be set to, from ``low`` to ``high``.

    Searches and baselines know values by their place in this range: -1 is ``low``, 1 is ``high``.

    Attributes:
        low: least value of each unit.
        high: largest value of each unit.

    Example:
        >>> values = Range(jnp.array([-1.0, 0.0]), jnp.array([1.0, 4.0]))
        >>> values.own(jnp.array([-1.0, 0.5])).tolist()
        [-1.0, 3.0]
        >>> values.relative(jnp.array([-1.0, 3.0])).tolist()
        [-1.0, 0.5]
    """

    low: Float[Array, " units"]
    high: Float[Array, " units"]

    @classmethod
    def same(cls, units: int) -> "Range":
        """From -1 to 1, where a value is its own place."""
        return cls(-jnp.ones(units), jnp.ones(units))

    @property
    def zero(self) -> Float[Array, " units"]:
        """The places of the value 0, which may lie outside the range."""
        return self.relative(jnp.zeros_like(self.low))

    def own(self, baseline: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
        """The model's own values of baselines in [-1, 1]: ``low + (high - low) (b + 1) / 2``."""
        centre, half = self._centre_and_half(baseline)
        return centre + half * baseline

    def relative(self, values: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
        """The inverse of `own`; 0 where a unit can be set to one value only."""
        centre, half = self._centre_and_half(values)
        return jnp.where(half > 0.0, (values - centre) / jnp.where(half > 0.0, half, 1.0), 0.0)

    def _centre_and_half(self, like: Array) -> tuple[Array, Array]:
        axes = (1,) * (like.ndim - 1)
        centre, half = (self.low + self.high) / 2.0, (self.high - self.low) / 2.0
        return centre.reshape(*axes, -1), half.reshape(*axes, -1)


class Intervention(NamedTuple):
    """Which hidden units to replace, and by what, for each direction of a task.

    Attributes:
        mask: 1 where a unit is replaced, 0 where it is left alone; fractions in between occur only
            while searching. With a shared mask the rows are equal.
        baseline: the values given to the replaced units. An objective takes them by their place in
            each unit's `Range`, in [-1, 1]; a model takes its own values.

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

    def within(self, value_range: Range) -> "Intervention":
        """With the model's own values, which are at the baseline's places in their range."""
        return Intervention(self.mask, value_range.own(self.baseline))


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

    Values clipped to [-EDGE, EDGE] give baselines in [-1, 1] that reach both ends of a unit's
    `Range`, where those of the most effective interventions are.

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


def from_arrays(mask: ArrayLike, baseline: ArrayLike) -> Intervention:
    """The intervention of a mask and a baseline in arrays of any kind, or a stack of interventions.

    Args:
        mask: ``*stack directions units``.
        baseline: of the same shape, or one that broadcasts to it.

    Example:
        >>> from_arrays(np.ones((3, 2, 4)), np.zeros((2, 4))).baseline.shape
        (3, 2, 4)
    """
    mask = jnp.asarray(mask, jnp.float32)
    values = np.broadcast_to(np.asarray(baseline, np.float32), mask.shape)
    return Intervention(mask, jnp.asarray(values))


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


def last_step(length: Int[np.ndarray, " examples"]) -> Bool[np.ndarray, "examples time"]:
    """Where an intervention acts that replaces the state after the last word before the target.

    Args:
        length: number of words of each sentence up to, not including, the target word.

    Example:
        >>> last_step(np.array([3, 2])).tolist()
        [[False, False, True], [False, True, False]]
    """
    return single_step(length - 1, length)


def places(
    place: Place, position: Int[np.ndarray, " examples"], length: Int[np.ndarray, " examples"]
) -> Bool[np.ndarray, "examples time"]:
    """Where an intervention acts: `single_step`, `every_step` or `last_step`, as ``place`` says.

    Args:
        place: ``single``, ``every`` or ``last``.
        position: index of the word at which a single-step intervention acts, from 0.
        length: number of words of each sentence up to, not including, the target word.

    Raises:
        ValueError: ``place`` is ``single`` and a position lies outside its sentence.

    Example:
        >>> places("single", np.array([1]), np.array([3])).tolist()
        [[False, True, False]]
        >>> places("every", np.array([1, 0]), np.array([3, 2])).tolist()
        [[True, True, True], [True, True, False]]
        >>> places("last", np.array([1]), np.array([3])).tolist()
        [[False, False, True]]
    """
    if place == "single":
        return single_step(position, length)
    return every_step(length) if place == "every" else last_step(length)


def units(mask: Float[Array | np.ndarray, "directions units"]) -> list[int]:
    """Numbers, from 1, of the units that a mask replaces in any direction.

    Example:
        >>> units(np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
        [2, 4]
    """
    return [int(unit) + 1 for unit in np.flatnonzero(np.any(np.asarray(mask) > 0, axis=0))]
