"""The properties of a phenomenon that the package uses besides its stimuli."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from jaxmask.text.examples import Task


class Phenomenon(NamedTuple):
    """The properties of a task; each module of `jaxmask.tasks` with stimuli defines one.

    Attributes:
        read: reads the stimuli from a file or folder.
        generate: makes the stimuli without a file; None if that is impossible.
        evaluation: number of examples that the paper held out; None if the paper has no such task.
        shown: name of the group whose sentences make good figures; None if all groups do.
        patterns: for each group, its words; a word in capitals stands for several words.

    Example:
        >>> from jaxmask.tasks import gender_bias
        >>> gender_bias.PHENOMENON.evaluation
        200
    """

    read: Callable[[Path], Task]
    generate: Callable[[], Task] | None = None
    evaluation: int | None = None
    shown: str | None = None
    patterns: Mapping[str, str] = {}
