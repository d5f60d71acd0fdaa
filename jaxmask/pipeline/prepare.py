"""From a model and a task to examples that can be searched: encode, find directions, split."""

import dataclasses
import functools
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from jaxmask.intervention import Place, Range, Site
from jaxmask.models.language_model import LanguageModel, site_of
from jaxmask.objective import Objective
from jaxmask.pipeline.plan import Design, Split
from jaxmask.text import examples, splits
from jaxmask.text.examples import Encoded, Examples, Task

Part = Literal["train", "evaluation"]


class SplitError(ValueError):
    """Examples that can't be split as asked; says what was expected and what was found."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A model and a task, ready to be searched; objectives are built when they are first needed.

    Attributes:
        model: the frozen model.
        task: the phenomenon.
        design: how the examples are read, intervened on and split.
        context: the model's state before each sentence.
        encoded: all examples that the model's vocabulary can express, with their directions, and
            what was dropped.
        train: the examples to search on.
        evaluation: the examples held out, on which results are reported.
        both_directions: give each sentence a row for both directions, so that models of one size
            share compiled programs.

    Example:
        See `prepare`.
    """

    model: LanguageModel
    task: Task
    design: Design
    context: Any
    encoded: Encoded
    train: Examples
    evaluation: Examples
    both_directions: bool = False

    @property
    def site(self) -> Site:
        """The units that are searched."""
        return site_of(self.model, self.design.kind)

    @functools.cached_property
    def value_range(self) -> Range:
        """What each unit can be set to; the examples to search on decide."""
        return self.model.value_range(self.train, self.design.kind, self.context)

    @functools.cached_property
    def train_objective(self) -> Objective:
        """The objective on the examples to search on."""
        return self._objective(self.train)

    @functools.cached_property
    def evaluation_objective(self) -> Objective:
        """The objective on the examples held out."""
        return self._objective(self.evaluation)

    @functools.cached_property
    def last_word_objective(self) -> Objective:
        """The objective on the examples to search on, of interventions at their last word only."""
        return self._objective(self.train, "last")

    def _objective(self, part: Examples, place: Place | None = None) -> Objective:
        return self.model.objective(
            part,
            self.design.kind._replace(place=place or self.design.kind.place),
            self.context,
            self.value_range,
            both_directions=self.both_directions,
        )

    @property
    def model_accuracy(self) -> float | None:
        """Percentage of examples in which the untouched model prefers the right form.

        It is over all examples that have a right form; None if none has.
        """
        known = self.encoded.examples
        right = known.correct >= 0
        if not right.any():
            return None
        return 100.0 * float(np.mean(1 - known.direction[right] == known.correct[right]))

    def examples_toward(self, direction: int, part: Part) -> int:
        """The number of examples of a part whose decision is to be turned to a direction."""
        chosen = self.train if part == "train" else self.evaluation
        return int(np.sum(chosen.direction == direction))


def prepare(
    model: LanguageModel, task: Task, design: Design, *, both_directions: bool = False
) -> Prepared:
    """Encodes a task for a model, finds the direction of each example, and splits.

    Args:
        model: the frozen model.
        task: the phenomenon.
        design: how the examples are read, intervened on and split.
        both_directions: see `Prepared`.

    Raises:
        TaskDataError: the vocabulary can't express any example.
        SplitError: one of the two parts would be empty.
        ModelError: the model has no such site, or its log-odds of the two forms aren't finite.

    Example:
        >>> import jaxmask
        >>> from jaxmask.tasks import gender_bias
        >>> model = jaxmask.load_model(jaxmask.BUNDLED_MODEL)
        >>> task = gender_bias.generate()
        >>> task = task._replace(stimuli=task.stimuli[:20])
        >>> prepared = jaxmask.prepare(model, task, jaxmask.Design(split=jaxmask.Split(5)))
        >>> prepared.train.size, prepared.evaluation.size, prepared.train_objective.n_units
        (12, 5, 600)
    """
    encoded, rows = encode_and_split(model, task, design)  # before any computation
    context = model.read_context(design.context)
    known = examples.directed(encoded.examples, model.log_odds(encoded.examples, context))
    train, evaluation = map(known.take, rows)
    encoded = encoded._replace(examples=known)
    return Prepared(model, task, design, context, encoded, train, evaluation, both_directions)


def encode_and_split(
    model: LanguageModel, task: Task, design: Design
) -> tuple[Encoded, tuple[Int[np.ndarray, " train"], Int[np.ndarray, " evaluation"]]]:
    """The first part of `prepare`, which computes nothing: what a model can't do is an error here.

    Args:
        model: to be searched.
        task: with the stimuli.
        design: of the experiment.

    Returns:
        The encoded examples, and the rows of those that are searched on and held out.

    Raises:
        ModelError: the model has no such site, reach or context.
        TaskDataError: no example can be encoded.
        SplitError: the examples can't be split as the design says.

    Example:
        >>> from jaxmask.models.model_folder import BUNDLED_MODEL, load_model
        >>> from jaxmask.tasks import gender_bias
        >>> bundled = load_model(BUNDLED_MODEL)
        >>> _, (train, held_out) = encode_and_split(bundled, gender_bias.generate(), Design())
        >>> len(held_out)
        200
    """
    site_of(model, design.kind)
    model.beginning(design.context)
    encoded = model.encode(task)
    return encoded, split_rows(encoded.examples, design.split, task.name)


def split_rows(
    encoded: Examples, split: Split, task: str
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " evaluation"]]:
    """Rows of the examples to search on, and rows of the examples that results are reported on.

    Args:
        encoded: the examples of the task that are left after encoding.
        split: which of them are held out.
        task: its name.

    Raises:
        SplitError: one of the two parts would be empty.
    """
    together = {
        "example": None, "word": splits.position_words(encoded), "group": encoded.group
    }  # fmt: skip
    size, numbers = split.size(task, encoded.size), together[split.by]
    try:
        train, held_out = splits.split_rows(encoded, size, split.seed, numbers)
    except ValueError as fault:
        raise SplitError(str(fault)) from fault
    if split.development == 0:
        return train, held_out
    further = size if split.development is None else split.development
    of_train = None if numbers is None else numbers[train]
    try:
        parts = splits.split_rows(encoded.take(train), further, split.seed, of_train)
    except ValueError as fault:
        raise SplitError(str(fault).replace("evaluation", "development", 1)) from fault
    return train[parts[0]], train[parts[1]]
