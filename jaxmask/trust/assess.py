"""All measures of one found set, in their order, with progress."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxmask import search
from jaxmask.intervention import Intervention, from_arrays, units
from jaxmask.pipeline.measure import Results
from jaxmask.pipeline.plan import Plan, Split
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.pipeline.search_all import search_all
from jaxmask.trust.accuracy import accuracy
from jaxmask.trust.controls import controls, same_values
from jaxmask.trust.harm import harm
from jaxmask.trust.interchange import interchange
from jaxmask.trust.manifold import manifold
from jaxmask.trust.measure import Measure, not_measured
from jaxmask.trust.minimality import dose, minimality
from jaxmask.trust.necessity import necessity
from jaxmask.trust.place import place
from jaxmask.trust.selectivity import selectivity
from jaxmask.trust.stability import search_end, stability
from jaxmask.trust.subject import Subject
from jaxmask.trust.unseen import RULE as UNSEEN_RULE
from jaxmask.trust.unseen import unseen

Level = Literal["fast", "all"]
Observer = Callable[[int, str], None]  # number of measures done, name of the last


class Effort(NamedTuple):
    """How much a level of the report reads.

    Attributes:
        sentences: examples that are read one at a time.
        windows: of ordinary text.
        ablated: examples read with units at their mean.

    Example:
        >>> EFFORTS["fast"].sentences < EFFORTS["all"].sentences
        True
    """

    sentences: int
    windows: int
    ablated: int


EFFORTS: dict[Level, Effort] = {"fast": Effort(60, 24, 200), "all": Effort(300, 100, 1000)}
MEASURES = (
    "accuracy", "unseen", "controls", "place", "interchange", "harm", "selectivity", "manifold",
    "necessity", "minimality", "dose", "stability", "search",
)  # fmt: skip


def assess(
    results: Results,
    prepared: Prepared,
    plan: Plan,
    level: Level = "fast",
    observe: Observer | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json["trust"]``: thirteen measures of the best search's set.

    Args:
        results: what the searches found.
        prepared: model and examples.
        plan: of the searches.
        level: ``fast`` leaves out what needs further searches; ``all`` also reads more.
        observe: is called after each measure.

    Example:
        See `jaxmask.trust.accuracy.accuracy` for one of them.
    """
    started = time.perf_counter()
    run = best_run(results)
    stack = results.search.interventions
    subject = Subject(prepared, from_arrays(stack.mask[run], stack.baseline[run]))
    measures = []
    for one in _measures(subject, results, plan, run, level):
        measures.append(one.content())
        if observe is not None:
            observe(len(measures), one.name)
    return {
        "level": level,
        "seed": run,
        "n_units": len(subject.units),
        "units": subject.units,
        "measures": measures,
        "seconds": time.perf_counter() - started,
    }


def best_run(results: Results) -> int:
    """The run whose set flips most training decisions; of equal ones, that of the least loss.

    Args:
        results: what the searches found.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    history = results.search.history
    observed = history.steps if history.rounds is None else history.rounds
    loss = np.asarray(observed.loss)[:, -1]
    return int(np.lexsort((np.nan_to_num(loss, nan=np.inf), -results.train_accuracy))[0])


def _measures(
    subject: Subject, results: Results, plan: Plan, run: int, level: Level
) -> Iterator[Measure]:
    """One measure after the other."""
    prepared, effort = subject.prepared, EFFORTS[level]
    further = Further(prepared, plan, [])
    yield accuracy(subject)
    if level == "all":
        yield unseen(subject, further.on)
        yield controls(subject, float(plan.config.kl_weight))
    else:
        why = "Needs searches without some words and constructions: --trust all runs them."
        yield not_measured("unseen", why, UNSEEN_RULE)
        yield same_values(subject)
    yield place(subject, effort.sentences)
    yield interchange(subject)
    yield harm(subject, effort.sentences)
    text = None if plan.text is None else plan.text.sentences
    yield selectivity(subject, text, effort.windows)
    yield manifold(subject)
    yield necessity(subject, effort.ablated)
    yield minimality(subject)
    yield dose(subject)
    seeds = _sets(results.search.interventions)
    first = [seeds[run], *(one for number, one in enumerate(seeds) if number != run)]
    yield stability(first, further.sets, prepared.site.units)
    one: Results = jax.tree.map(lambda x: x[run] if np.ndim(x) else x, results)
    met = search.convergence(one.search.interventions, one.search.history, plan.config)
    yield search_end(
        met, one.search.history.steps, one.relaxations, plan.config, prepared.site.units
    )


class Further(NamedTuple):
    """Further searches like those of a plan, one each.

    Attributes:
        prepared: model and examples.
        plan: of the searches.
        sets: unit numbers of the sets that were found; grows.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    prepared: Prepared
    plan: Plan
    sets: list[list[int]]

    def on(self, split: Split) -> tuple[Prepared, Intervention]:
        """What a search on another split of the examples finds."""
        design = self.prepared.design._replace(split=split)
        prepared = prepare(self.prepared.model, self.prepared.task, design)
        plan = self.plan._replace(design=design, seeds=1)
        found = search_all(prepared, plan).interventions
        one = from_arrays(found.mask[0], found.baseline[0])
        self.sets.append(units(one.mask))
        return prepared, one


def _sets(interventions: Intervention) -> list[list[int]]:
    """Unit numbers of each of a stack of interventions."""
    return [units(mask) for mask in np.asarray(interventions.mask)]
