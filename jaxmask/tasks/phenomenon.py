"""What the package knows of a phenomenon, beside its stimuli."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from jaxmask.text.examples import Task


class Phenomenon(NamedTuple):
    """A task as the scripts know it; each file of `jaxmask.tasks` defines one.

    Attributes:
        read: reads the stimuli from a file or folder.
        generate: makes the stimuli without any file; None where that is impossible.
        evaluation: number of examples that the paper held out; None if the paper has no such task.
        shown: group whose sentences make good figures; None if all groups do.
        patterns: for each group, its words; a word in capitals stands for many words.
    """

    read: Callable[[Path], Task]
    generate: Callable[[], Task] | None = None
    evaluation: int | None = None
    shown: str | None = None
    patterns: Mapping[str, str] = {}
