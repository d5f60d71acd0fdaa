"""All measures of one found set, in their order, with progress; none is made twice."""

import hashlib
import time
from collections.abc import Callable
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
from jaxmask.trust.unseen import gap, unseen

Level = Literal["fast", "all"]
Observer = Callable[[int, str], None]  # number of measures done, name of the next
Measured = dict[str, dict[str, Any]]  # contents of measures, by name


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
SPLIT_SEEDS = 2  # further splits of the same kind on which stability is tried
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
    kept: Measured | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json["trust"]``: thirteen measures of the best search's set.

    Args:
        results: what the searches found.
        prepared: model and examples.
        plan: of the searches.
        level: ``fast`` leaves out what needs further searches; ``all`` also reads more.
        observe: is called before each measure, and after the last one with an empty name.
        kept: measures that were made before, see `identity`; what is made now is added to it.

    Example:
        See `jaxmask.trust.accuracy.accuracy` for one of them.
    """
    run = best_run(results)
    stack = results.search.interventions
    subject = Subject(prepared, from_arrays(stack.mask[run], stack.baseline[run]))
    kept = {} if kept is None else kept
    observe = observe or (lambda done, name: None)
    measures = _measures(subject, results, plan, level, kept)
    for number, name in enumerate(MEASURES):
        observe(number, name)
        if name not in kept:
            started = time.perf_counter()
            content = measures[name]().content()
            kept[name] = content | {"seconds": time.perf_counter() - started}
    observe(len(MEASURES), "")
    return {
        "level": level,
        "seed": run,
        "n_units": len(subject.units),
        "units": subject.units,
        "measures": [kept[name] for name in MEASURES],
        "seconds": sum(kept[name].get("seconds", 0.0) for name in MEASURES),
    }


def identity(results: Results, level: Level) -> str:
    """Tells apart what is measured: sets, the best of them, and how much is measured of it.

    Measures that are kept are those of one identity, one design and one plan.

    Args:
        results: what the searches found.
        level: of the report.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    parts = [np.asarray(part) for part in results.search.interventions]
    content = b"".join(part.astype(np.float32).tobytes() for part in parts)
    return hashlib.sha256(f"{level} {best_run(results)} ".encode() + content).hexdigest()[:16]


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
    subject: Subject, results: Results, plan: Plan, level: Level, kept: Measured
) -> dict[str, Callable[[], Measure]]:
    """How each measure is made; those that come later find earlier ones in ``kept``."""
    prepared, effort = subject.prepared, EFFORTS[level]
    further = Further(prepared, plan)
    everything = level == "all"
    why = "Needs searches without some words and constructions: --trust all runs them."
    run = best_run(results)
    seeds = _sets(results.search.interventions)
    first = [seeds[run], *(one for number, one in enumerate(seeds) if number != run)]

    def over_splits() -> Measure:
        splits = further.split_seeds() if everything and len(seeds) > 1 else {}
        return stability(first, {**kept["unseen"]["details"], **splits}, prepared.site.units)

    def end() -> Measure:
        one: Results = jax.tree.map(lambda x: x[run] if np.ndim(x) else x, results)
        met = search.convergence(one.search.interventions, one.search.history, plan.config)
        steps = one.search.history.steps
        return search_end(met, steps, one.relaxations, plan.config, prepared.site.units)

    text = None if plan.text is None else plan.text.sentences
    return {
        "accuracy": lambda: accuracy(subject),
        "unseen": lambda: (
            unseen(subject, further.on) if everything else not_measured("unseen", why, UNSEEN_RULE)
        ),
        "controls": lambda: (
            controls(subject, float(plan.config.kl_weight)) if everything else same_values(subject)
        ),
        "place": lambda: place(subject, effort.sentences),
        "interchange": lambda: interchange(subject),
        "harm": lambda: harm(subject, effort.sentences),
        "selectivity": lambda: selectivity(subject, text, effort.windows),
        "manifold": lambda: manifold(subject),
        "necessity": lambda: necessity(subject, effort.ablated),
        "minimality": lambda: minimality(subject),
        "dose": lambda: dose(subject),
        "stability": over_splits,
        "search": end,
    }


class Further(NamedTuple):
    """Further searches like those of a plan, one each.

    Attributes:
        prepared: model and examples.
        plan: of the searches.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """

    prepared: Prepared
    plan: Plan

    def on(self, split: Split) -> tuple[Prepared, Intervention]:
        """What a search on another split of the examples finds."""
        design = self.prepared.design._replace(split=split)
        prepared = prepare(self.prepared.model, self.prepared.task, design)
        plan = self.plan._replace(design=design, seeds=1)
        found = search_all(prepared, plan).interventions
        return prepared, from_arrays(found.mask[0], found.baseline[0])

    def split_seeds(self) -> dict[str, dict[str, Any]]:
        """What searches find with other held-out examples, see `jaxmask.trust.unseen.gap`."""
        split = self.prepared.design.split
        seeds = [split.seed + 1 + number for number in range(SPLIT_SEEDS)]
        return {f"split seed {seed}": gap(*self.on(split._replace(seed=seed))) for seed in seeds}


def _sets(interventions: Intervention) -> list[list[int]]:
    """Unit numbers of each of a stack of interventions."""
    return [units(mask) for mask in np.asarray(interventions.mask)]
