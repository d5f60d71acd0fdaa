"""A found set and the examples that it is tried on; what several measures ask of both."""

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmask.intervention import Intervention, Kind, from_arrays, units
from jaxmask.models.language_model import Reading
from jaxmask.pipeline.prepare import Prepared, split_rows
from jaxmask.text.examples import Examples, Stimulus, Task, TaskDataError


@dataclasses.dataclass(frozen=True)
class Subject:
    """A found set, and held-out examples to try it on.

    Attributes:
        prepared: model and examples.
        found: the set; its baselines are places in the range of each unit.
        most: number of examples that are read at most, spread evenly over those held out.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    prepared: Prepared
    found: Intervention
    most: int = 1000

    @property
    def kind(self) -> Kind:
        """Of the intervention."""
        return self.prepared.design.kind

    @functools.cached_property
    def own(self) -> Intervention:
        """The set with the model's own values."""
        return self.found.within(self.prepared.value_range)

    @functools.cached_property
    def units(self) -> list[int]:
        """Numbers, from 1, of the units of the set."""
        return units(self.found.mask)

    @property
    def chosen(self) -> Bool[np.ndarray, " units"]:
        """Whether each unit of the site is one of the set."""
        return np.isin(np.arange(self.prepared.site.units) + 1, self.units)

    @functools.cached_property
    def examples(self) -> Examples:
        """The held-out examples that are read."""
        return self.prepared.evaluation.take(self._rows)

    @functools.cached_property
    def stimuli(self) -> list[Stimulus]:
        """The same as text."""
        held_out = self._stimuli[1]
        return [held_out[row] for row in self._rows]

    @functools.cached_property
    def train_stimuli(self) -> list[Stimulus]:
        """All examples that were searched on, as text."""
        return self._stimuli[0]

    @functools.cached_property
    def clusters(self) -> tuple[Int[np.ndarray, " examples"], Int[np.ndarray, " examples"]]:
        """Numbers of the word at the position, and of the pair, of each example."""
        words = [stimulus.words[stimulus.position] for stimulus in self.stimuli]
        pairs = ["\t".join(stimulus.pair) for stimulus in self.stimuli]
        return numbered(words), numbered(pairs)

    @functools.cached_property
    def flips(self) -> Bool[np.ndarray, " examples"]:
        """Whether the set flips the decision of each example."""
        return flips(self.prepared, self.examples, self.own)

    @functools.cached_property
    def right(self) -> Bool[np.ndarray, " examples"]:
        """Whether the untouched model prefers the right form; False where no form is right."""
        return 1 - self.examples.direction == self.examples.correct

    @functools.cached_property
    def train_reading(self) -> tuple[Examples, Reading]:
        """Some examples that were searched on, and what the untouched model did while reading."""
        train = self.prepared.train
        some = train.take(evenly_spread(train.size, self.most))
        return some, self.prepared.model.read(some, self.kind, self.prepared.context)

    @functools.cached_property
    def _rows(self) -> Int[np.ndarray, " examples"]:
        return evenly_spread(self.prepared.evaluation.size, self.most)

    @functools.cached_property
    def _stimuli(self) -> tuple[list[Stimulus], list[Stimulus]]:
        """The stimuli of the two parts of the split."""
        prepared = self.prepared
        kept = [prepared.task.stimuli[row] for row in kept_stimuli(prepared)]
        parts = split_rows(prepared.encoded.examples, prepared.design.split, prepared.task.name)
        train, held_out = ([kept[row] for row in part] for part in parts)
        return train, held_out


def evenly_spread(size: int, most: int) -> Int[np.ndarray, " rows"]:
    """At most ``most`` rows of ``size``, evenly spread.

    Example:
        >>> evenly_spread(10, 3).tolist(), evenly_spread(2, 3).tolist()
        ([1, 5, 8], [0, 1])
    """
    count = min(size, most)
    return ((np.arange(count) + 0.5) * size / max(count, 1)).astype(int)


def numbered(names: list[str]) -> Int[np.ndarray, " names"]:
    """A number for each name, the same for equal ones.

    Example:
        >>> numbered(["b", "a", "b"]).tolist()
        [1, 0, 1]
    """
    return np.unique(np.array(names), return_inverse=True)[1]


def kept_stimuli(prepared: Prepared) -> Int[np.ndarray, " examples"]:
    """The row of the task's stimulus that each encoded example is.

    A model drops stimuli that its vocabulary can't express, each family by rules of its own. The
    stimuli are encoded once more, each as a group of its own, and the examples tell by it.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    return encode_rows(prepared, prepared.task.stimuli)[1]


def encode_rows(prepared: Prepared, stimuli: Any) -> tuple[Examples, Int[np.ndarray, " examples"]]:
    """Stimuli as examples of the model, and the row of the stimulus that each of them is.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    tagged = [stimulus._replace(group=f"{row:09}") for row, stimulus in enumerate(stimuli)]
    try:
        encoded = prepared.model.encode(Task(prepared.task.name, prepared.task.directions, tagged))
    except TaskDataError:  # not one of them can be expressed
        return prepared.evaluation.take(np.zeros(0, int)), np.zeros(0, int)
    rows = np.array([int(name) for name in encoded.groups])
    return encoded.examples, rows[encoded.examples.group]


def log_ratios(
    log_odds: Float[np.ndarray, " examples"], direction: Int[np.ndarray, " examples"]
) -> Float[np.ndarray, " examples"]:
    """Log p(d) - log p(t) of each example, from log p(pair[0]) - log p(pair[1]).

    Args:
        log_odds: of each example.
        direction: index in the pair of the form ``t``.

    Example:
        >>> log_ratios(np.array([2.0, 2.0]), np.array([0, 1])).tolist()
        [-2.0, 2.0]
    """
    return np.where(direction == 1, log_odds, -log_odds)


def flips(
    prepared: Prepared, examples: Examples, own: Intervention, kind: Kind | None = None
) -> Bool[np.ndarray, " examples"]:
    """Whether an intervention flips the decision of each example.

    Args:
        prepared: with the model.
        examples: with their directions.
        own: with the model's own values.
        kind: of the intervention; that of the design if not given.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    reading = prepared.model.read(examples, kind or prepared.design.kind, prepared.context, own)
    return log_ratios(reading.log_odds, examples.direction) < 0


def flips_one_by_one(
    prepared: Prepared,
    examples: Examples,
    mask: Bool[np.ndarray, " units"],
    values: Float[np.ndarray, "examples units"],
    kind: Kind,
) -> Bool[np.ndarray, " examples"]:
    """The same as `flips`, with values of each example's own.

    A model takes the row of an intervention that the direction of an example names; here each
    example has a direction to itself.

    Args:
        prepared: with the model.
        examples: with their directions.
        mask: of all examples.
        values: of each example, the model's own.
        kind: of the intervention.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    rows = np.arange(examples.size, dtype=np.int32)
    each = from_arrays(np.broadcast_to(mask, values.shape), values)
    reading = prepared.model.read(examples._replace(direction=rows), kind, prepared.context, each)
    return log_ratios(reading.log_odds, examples.direction) < 0
