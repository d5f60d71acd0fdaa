"""From a file of minimal pairs to the units that carry its phenomenon, in one call.

    found = jaxmask.find("mine.tsv", alpha=0.01)
    print(found)

The steps are those of `jaxmask.pipeline`; what is found is what ``experiments.search`` finds with
the same settings. Progress is reported to the logger ``jaxmask``, at the level INFO, which
``logging.basicConfig(level="INFO")`` shows.
"""

import dataclasses
import functools
import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxmask import report, search
from jaxmask.evaluate import Evaluation
from jaxmask.files import intervention_file
from jaxmask.files.intervention_file import SavedIntervention, save_intervention
from jaxmask.intervention import Intervention, Kind
from jaxmask.models.language_model import LanguageModel, site_of
from jaxmask.models.model_folder import BUNDLED, BUNDLED_MODEL, load_model
from jaxmask.pipeline.measure import Results, measure
from jaxmask.pipeline.plan import Design, Plan, Split
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.pipeline.search_all import search_all
from jaxmask.pipeline.summarise import separate, summarise
from jaxmask.report import to_markdown
from jaxmask.runs.ensemble import Session
from jaxmask.tasks import minimal_pairs
from jaxmask.tasks.registry import PHENOMENA
from jaxmask.text.examples import Task, TaskDataError
from jaxmask.trust.assess import best_run

_METRICS = ("accuracy", "accuracy_by_direction", "n_units", "kl", "kl_elsewhere")
_LOG = logging.getLogger("jaxmask")


@dataclasses.dataclass(frozen=True, repr=False)
class Found:
    """What `find` found; printed, it is the tables of units and of what they do.

    Attributes:
        prepared: model and examples.
        plan: of the searches.
        results: what the searches found, and what was measured of it, stacked over runs.
        summary: the content of the ``summary.json`` of a run, see
            `jaxmask.pipeline.summarise.summarise`.

    Example:
        See `find`.
    """

    prepared: Prepared
    plan: Plan
    results: Results
    summary: dict[str, Any]

    def __repr__(self) -> str:
        return self._repr_markdown_()

    def _repr_markdown_(self) -> str:
        """The tables as a notebook shows them."""
        tables = report.unit_table(self.summary), report.summary_row(self.summary)
        shown = (report.shorten(table, rest='.summary["prevalence"]') for table in tables)
        notes = (*report.stops(self.summary), *report.unconverged(self.summary))
        return "\n".join([*map(to_markdown, shown), *notes])

    @property
    def evaluations(self) -> Evaluation:
        """The effect of each run's intervention on the held-out examples, stacked over runs."""
        return self.results.evaluations

    @functools.cached_property
    def best(self) -> int:
        """Number of the run whose set flips most of the decisions that were searched on.

        The held-out decisions have no part in this choice.
        """
        return best_run(self.results)

    @property
    def units(self) -> list[int]:
        """The units of the best run, numbered from 1."""
        return list(self.summary["runs"][self.best]["units"])

    def saved(self, run: int | None = None) -> SavedIntervention:
        """The intervention of a run, as an intervention file holds it.

        Args:
            run: number of the run, from 0; the best one if not given.

        Raises:
            IndexError: there is no such run.
        """
        prepared, run = self.prepared, self.best if run is None else run
        one = separate(self.results.interventions)[run]
        settings = self.plan.settings(prepared.task, prepared.model)
        return saved_run(one, self.summary["runs"][run], prepared, settings)

    def save(self, file: str | Path, run: int | None = None) -> None:
        """Writes the intervention of a run to an intervention file.

        Args:
            file: to write; see `jaxmask.files.intervention_file`.
            run: number of the run, from 0; the best one if not given.

        Raises:
            IndexError: there is no such run.
        """
        save_intervention(file, self.saved(run), self.prepared.model)

    def apply(
        self, words: str | Sequence[str], toward: str | None, position: int | None = None
    ) -> Float[Array, "words vocabulary"]:
        """What the model expects after each word of a sentence, with the best run's intervention.

        Args:
            words: a sentence, or its beginning; of a text, the words between its spaces.
            toward: the direction; None leaves the model untouched.
            position: index, from 0, of the word at which a single-step intervention acts.

        Returns:
            Log-probabilities, in nats, of the next word.

        Raises:
            InterventionFileError: see `jaxmask.files.intervention_file.apply`.
        """
        saved, model = self.saved(), self.prepared.model
        return intervention_file.apply(saved, model, words, toward, position)

    def draw(self) -> list[Any]:
        """The activations of units over a held-out sentence that flips, and how the searches went.

        Returns:
            Figures of matplotlib, the first one only if a decision flips. A notebook shows them by
            ``display(*found.draw())``; `jaxmask.report.figures.save` writes one to a file.

        Raises:
            ImportError: matplotlib isn't installed; the message says how to install it.
        """
        from jaxmask.report.figures import run

        best = separate(self.results.interventions)[self.best]
        example = run.example_figure(self.prepared, best, self.summary["prevalence"])
        curves = run.search_figure(self.results.search.history)
        return [curves] if example is None else [example, curves]


def find(
    data: str | Path | Task,
    model: str | Path | LanguageModel = BUNDLED_MODEL,
    *,
    alpha: float | None = None,
    units: int | None = None,
    kind: Kind | None = None,
    plan: Plan = Plan(),
) -> Found:
    """Finds the few units of a model that carry a phenomenon, and measures what they do.

    Args:
        data: file of minimal pairs, see `jaxmask.tasks.minimal_pairs`, or a task.
        model: a model folder, a loaded model, or ``demo`` or ``demo-gpt2`` for a bundled one.
        alpha: largest fraction of all units to intervene on.
        units: largest number of units, in place of ``alpha``.
        kind: what an intervention is; of a transformer it has to name one of its sites.
        plan: everything else: the number of searches, what is held out, all settings. ``alpha``,
            ``units`` and ``kind`` are used in place of those of the plan.

    Where the plan has the default kind and context, those that are usual for the model are used, as
    on the command line.

    Raises:
        TaskDataError: the file can't be used, or the vocabulary can't express any pair.
        SplitError: there are too few pairs.
        ModelError: the folder can't be used, or the model has no such site.
        ValueError: a setting is impossible.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import jax
        >>> import jaxmask
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text.examples import Stimulus
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> words = ("<unk>", "<eos>", "The", "boy", "girl", "runs", "run")
        >>> config = LSTMConfig(vocabulary=7, embedding=2, hidden=2, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, Vocabulary(words))
        >>> pairs = [Stimulus(("The", n), 1, ("runs", "run"), 0, "g") for n in ("boy", "girl")]
        >>> task = Task("mine", ("singular", "plural"), pairs)
        >>> config = jaxmask.SearchConfig(steps=2, exchange_rounds=0, kl=jaxmask.NoKL())
        >>> plan = jaxmask.Plan(config, jaxmask.Design(split=jaxmask.Split(evaluation=1)), seeds=1)
        >>> found = find(task, model, units=1, plan=plan)
        >>> found.plan.config.alpha, found.evaluations.accuracy.shape, len(found.draw())
        (0.5, (1,), 1)
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/mine.json")
        ...     again = jaxmask.load_intervention(f"{folder}/mine.json", model)
        >>> jaxmask.units(again.intervention.mask) == found.units
        True
        >>> found.apply("The boy", toward="plural", position=1).shape
        (2, 7)
    """
    started = time.perf_counter()
    if isinstance(model, str | Path):
        model = load_model(BUNDLED.get(str(model), model))
    plan = _plan(plan, model, alpha, units, kind)
    task = data
    if not isinstance(task, Task):
        if not isinstance(task, str | Path):
            raise TaskDataError(f"data: expected a file of pairs or a Task, found {task!r}")
        plan = plan._replace(design=plan.design._replace(data=data_name(Path(task))))
        task = _read(Path(task))
    search.check(plan.config)
    prepared = prepare(model, task, plan.design)
    most = int(search.budget(prepared.site.units, plan.config.alpha))
    _LOG.info(
        "%s: %d searches on %d pairs, for at most %d of %d units; compiling comes first",
        task.name, plan.seeds, prepared.train.size, most, prepared.site.units,
    )  # fmt: skip
    found = search_all(prepared, plan, Session(observe=_progress(plan)))
    results = measure(found, prepared, plan)
    seconds = {"total": time.perf_counter() - started, "compile": found.compile_seconds}
    return Found(prepared, plan, results, summarise(results, prepared, plan, seconds))


def saved_run(
    one: Intervention, of_run: dict[str, Any], prepared: Prepared, settings: dict[str, Any]
) -> SavedIntervention:
    """The intervention of a run, as an intervention file holds it.

    Args:
        one: what the run found.
        of_run: the entry of the run in ``runs`` of its summary.
        prepared: model and examples.
        settings: what decides the results.

    Example:
        See `find`, whose result calls it in ``save``.
    """
    metrics = {name: of_run[name] for name in _METRICS}
    return SavedIntervention(one, prepared.task.name, prepared.task.directions, settings, metrics)


def data_name(file: Path) -> str:
    """What the record of a run says of a file of pairs: its name and its hash.

    Raises:
        TaskDataError: the file can't be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "mine.tsv"
        ...     written = file.write_text("The boy")
        ...     data_name(file)
        'mine.tsv, sha256 2cf284c3df0de394'
    """
    try:
        content = file.read_bytes()
    except OSError as fault:
        raise TaskDataError(f"{file}: expected a file of pairs ({fault.strerror})") from fault
    return f"{file.name}, sha256 {hashlib.sha256(content).hexdigest()[:16]}"


def _read(file: Path) -> Task:
    """The task of a file of pairs, whose name can't be that of another task."""
    if file.stem in PHENOMENA:
        raise TaskDataError(
            f"{file}: expected a file that isn't called like a task ({file.stem}), as its results "
            "would be"
        )
    return minimal_pairs.read(file)


def _plan(
    plan: Plan, model: LanguageModel, alpha: float | None, units: int | None, kind: Kind | None
) -> Plan:
    """The plan with what is asked for beside it, and what is usual for the model."""
    if not isinstance(kind, Kind | None):
        raise ValueError(
            f"kind: expected a jaxmask.Kind, such as Kind(place='every'), found {kind!r}"
        )
    if not isinstance(plan, Plan):
        raise ValueError(f"plan: expected a jaxmask.Plan, found {plan!r}")
    design = plan.design
    if not isinstance(design.split, Split):
        raise ValueError(f"split: expected a jaxmask.Split, found {design.split!r}")
    design.split.check()
    if kind is None and design.kind == Kind():
        kind = Kind(next(iter(model.sites)), values=model.usual_values)
    design = design._replace(kind=design.kind if kind is None else kind)
    design.kind.check()
    if design.context == Design().context and design.context not in model.contexts:
        design = design._replace(context=model.contexts[0])
    if units is not None:
        if alpha is not None:
            raise ValueError(f"units: expected no alpha beside it, found alpha {alpha}")
        most = site_of(model, design.kind).units
        if not isinstance(units, int) or not 1 <= units <= most:
            raise ValueError(f"units: expected 1 to {most}, found {units}")
        alpha = units / most
    config = plan.config if alpha is None else plan.config.replace(alpha=alpha)
    return plan._replace(config=config, design=design)


def _progress(plan: Plan) -> Any:
    """Reports each chunk of steps to the logger."""

    def observe(done: int, info: Any) -> None:
        going = info.finite if info.finite.any() else ...
        relaxing = isinstance(info, search.SearchInfo)
        _LOG.info(
            "%s %d of %d: %.0f%% of the decisions flip",
            "step" if relaxing else "round of exchange",
            done,
            plan.config.steps if relaxing else plan.config.exchange_rounds,
            100 * np.mean(info.accuracy[going]),
        )

    return observe
