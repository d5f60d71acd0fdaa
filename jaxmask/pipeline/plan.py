"""What an experiment is to do, as values: everything that decides its results."""

from typing import Any, Literal, NamedTuple, get_args

from jaxmask import search
from jaxmask.intervention import Kind
from jaxmask.models.language_model import LanguageModel
from jaxmask.search import SearchConfig
from jaxmask.tasks.registry import phenomenon
from jaxmask.text.examples import Task

HELD_OUT = 0.2  # of the examples that the vocabulary has, where the paper doesn't say how many


HeldOut = Literal["example", "word", "group"]


class Split(NamedTuple):
    """Which examples are held out of the search; results are reported on these.

    Attributes:
        evaluation: number of examples held out; if None, as many as the paper held out of the task,
            or a fifth of the examples that the model's vocabulary has where the paper has no such
            task.
        by: ``example`` holds out examples, as the paper did; ``word`` holds out words, so that no
            subject (profession) is in both parts; ``group`` holds out constructions (templates).
        seed: of the random choice.
        development: number of further examples that are held out, to choose settings by: results
            are then reported on these, and those of ``evaluation`` are neither searched nor read.
            None for as many as these; 0 for none.

    Example:
        See `Split.size`.
    """

    evaluation: int | None = None
    by: HeldOut = "example"
    seed: int = 0
    development: int | None = 0

    def check(self) -> None:
        """Checks the numbers, and what is held out.

        Raises:
            ValueError: one is impossible.

        Example:
            >>> Split(by="words").check()
            Traceback (most recent call last):
            ValueError: split: expected by example, word or group, found 'words'
        """
        if self.by not in get_args(HeldOut):
            raise ValueError(f"split: expected by example, word or group, found {self.by!r}")
        for name, least in (("evaluation", 1), ("development", 0)):
            number = getattr(self, name)
            if number is not None and not (isinstance(number, int) and number >= least):
                raise ValueError(
                    f"split: {name}: expected None or a number from {least} on, found {number!r}"
                )

    def size(self, task: str, known: int) -> int:
        """The number of examples of a task that are held out.

        Args:
            task: its name.
            known: number of its examples that are left after encoding.

        Example:
            >>> Split().size("gender_bias", 700), Split().size("animacy", 240)
            (200, 48)
            >>> Split(evaluation=50).size("animacy", 240)
            50
        """
        return self.fixed(task) or max(1, int(HELD_OUT * known))

    def fixed(self, task: str) -> int | None:
        """The number of examples held out, where it doesn't depend on the model's vocabulary.

        Example:
            >>> Split().fixed("number_agreement"), Split().fixed("animacy")
            (1000, None)
        """
        return self.evaluation or phenomenon(task).evaluation


class TextSample(NamedTuple):
    """Ordinary text on which the KL is measured too.

    Attributes:
        name: of the file, for the record.
        sentences: the words of each sentence that was drawn.
        limit: number of sentences that were asked for.
    """

    name: str
    sentences: list[list[str]]
    limit: int


class Design(NamedTuple):
    """How the examples of a task are read, intervened on and split.

    Attributes:
        kind: what an intervention is.
        context: name of what the model reads before each sentence, one of its ``contexts``.
        split: which examples are held out.
        data: where the stimuli are from, for the record.

    Example:
        See `jaxmask.pipeline.prepare.prepare`.
    """

    kind: Kind = Kind()
    context: str = "eos"
    split: Split = Split()
    data: str = "generated"

    def settings(self, task: Task, model: LanguageModel) -> dict[str, Any]:
        """All that decides the examples and their objective, in JSON's types.

        Raises:
            TaskDataError: the vocabulary can't express any example.
        """
        split = self.split
        known = 0 if split.fixed(task.name) else model.encode(task).examples.size
        evaluation = split.size(task.name, known)
        development = evaluation if split.development is None else split.development
        return {
            "task": task.name,
            "model": model.name,
            "fingerprint": model.fingerprint,
            "data": self.data,
            **self.kind.settings(),
            "context": self.context,
            "evaluation": evaluation,
            **({"development": development} if development else {}),  # runs of before had none
            "split": split.by,
            "split_seed": split.seed,
        }


class Plan(NamedTuple):
    """What is searched for and how, apart from the model and the task.

    Attributes:
        config: settings of the search.
        design: how the examples are read, intervened on and split.
        method: name of the method for the record, ``hard_concrete`` or ``hard_concrete_paper``.
        seeds: number of searches; seed n gives the same search whatever the number of seeds.
        text: ordinary text; None to leave it out.
        prune: take units away while training accuracy stays within half a point.

    Example:
        See `jaxmask.pipeline.search_all.search_all`.
    """

    config: SearchConfig = SearchConfig()
    design: Design = Design()
    method: str = "hard_concrete"
    seeds: int = 10
    text: TextSample | None = None
    prune: bool = False

    def settings(self, task: Task, model: LanguageModel) -> dict[str, Any]:
        """Everything that decides the results, and nothing else, in JSON's types.

        This is the content of a run's ``config.json``.
        """
        return {
            **self.design.settings(task, model),
            "method": self.method,
            "seeds": self.seeds,
            **({"prune": True} if self.prune else {}),  # runs of before had no such setting
            "text": None if self.text is None else self.text.name,
            **({} if self.text is None else {"text_sentences": self.text.limit}),
            "search": search.settings(self.config),
        }
