"""Data of tasks that are damaged or mean harm: how they are read, and what is promised of it.

What is never to happen is that a line, a pair or a profession is lost without a word.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from jaxmask.tasks import gender_bias, number_agreement
from jaxmask.text.examples import Encoded, Task, TaskDataError
from jaxmask.text.vocabulary import Vocabulary
from support.watched import attempt, checked

MEMORY = 2e6
MULTIPLE = 30
ALL = Vocabulary(sorted({"<unk>", "<eos>", *number_agreement.WORDS, *gender_bias.WORDS}))

DAMAGES = st.sampled_from(
    ["drop", "repeat", "swap", "no column", "new column", "id", "word", "verdict", "empty", "end"]
)


class Reader:
    """Reads a task from files of which some are replaced, and checks all that is promised."""

    def __init__(
        self, folder: Path, task: Any, files: dict[str, str], multiple: int = MULTIPLE
    ) -> None:
        self.folder, self.task, self.multiple = folder, task, multiple
        self.files = {name: text.encode() for name, text in files.items()}
        for codec in ("utf-8-sig", "utf-16", "latin-1"):
            "".encode(codec)  # Python imports it when it's first asked for
        self({})

    def __call__(self, replaced: dict[str, bytes], case: str = "") -> Task | str:
        """The task, or the error's message without the folder."""
        files = self.files | replaced
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        paths = [self.folder / name for name in files]
        outcome = attempt(lambda: self.task.read(self.folder), *paths)
        most = MEMORY + self.multiple * sum(map(len, files.values()))
        found = checked(outcome, case, most, (TaskDataError,), self.folder)
        return found.removeprefix(f"{self.folder}/") if isinstance(found, str) else found


def matches(found: Any, message: str) -> None:
    with pytest.raises(TaskDataError, match=message):
        raise found if isinstance(found, Exception) else TaskDataError(found)


def knowing(*unknown: str) -> Vocabulary:
    return Vocabulary([word for word in ALL.words if word not in unknown])


def counts(encoded: Encoded) -> tuple[int, int, int, int]:
    dropped = encoded.dropped
    return encoded.examples.size, dropped.pair, dropped.position_word, encoded.unknown
