"""The methods that are compared: their settings, and how each is run from a seed at an alpha."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.shared.options import search_config, weighted
from experiments.studies import convergence
from experiments.studies.convergence import Phase, Procedure, Run, Watch
from jaxmask import search
from jaxmask.baselines import (
    ablation,
    attribution,
    exhaustive,
    greedy,
    integrated_gradients,
    random_masks,
    reinforce,
    selection,
    unembedding,
)
from jaxmask.baselines.exhaustive import ExhaustiveConfig
from jaxmask.baselines.greedy import Additions, GreedyConfig
from jaxmask.baselines.reinforce import ReinforceConfig
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective
from jaxmask.runs.programs import Programs
from jaxmask.search import HardState, SearchConfig, SearchState

EXHAUSTIVE_MOST = 3  # units; the sets of four are too many
PATIENT = 3  # a method that doesn't converge goes on for that many times its own steps


class Size(NamedTuple):
    """What a method is asked for.

    Attributes:
        alpha: largest fraction of units to intervene on.
        kl_weight: weight of the KL, where values are learned.
        steps: gradient steps; the method's own number if None.
        rounds: rounds of exchange of the search; its own number if None.
    """

    alpha: float
    kl_weight: float = 0.0
    steps: int | None = None
    rounds: int | None = None


class Bench(NamedTuple):
    """What a method is run on.

    Attributes:
        objective: training examples.
        watch: evaluations on the way, not part of the method's time.
        programs: the method's.
        most: the largest number of units that is asked for.
        kept: what serves all sizes, by seed, and the seconds it took: scores of units, or greedy
            selection's additions.
        last: training examples with interventions at the last word only, for methods that score
            units there.
    """

    objective: Objective
    watch: Watch
    programs: Programs
    most: int
    kept: dict[int, tuple[Any, float]]
    last: Objective | None = None


class Method(NamedTuple):
    """A way to choose units.

    Attributes:
        config: (what is asked for, number of units) -> settings.
        run: (bench, seed, settings) -> what was found.
        paper: what Table 6 calls it.
        most: units up to which it can be run; None for any number.
        score: what it ranks units by, if it does: methods of the same score share a `Bench`.
        at_last_word: does it score units at the last word only?
    """

    config: Callable[[Size, int], Any]
    run: Callable[[Bench, int, Any], Run]
    paper: str | None = None
    most: int | None = None
    score: Callable | None = None
    at_last_word: bool = False


def key_of(seed: int) -> Key[Array, ""]:
    """The key of a run: the same whatever other seeds there are."""
    return jax.random.fold_in(jax.random.key(0), seed)


def greedy_curve(
    bench: Bench, seed: int, config: GreedyConfig, evaluation: Objective
) -> Float[np.ndarray, " sizes"]:
    """Accuracy on other examples of the first 1, 2, ... units of a greedy run."""

    def accuracies(additions: Additions, evaluation: Objective) -> Float[Array, " sizes"]:
        def accuracy(count: Array) -> Float[Array, ""]:
            first = greedy.first(additions, count, evaluation.n_units)
            return evaluate(first, evaluation, NoKL()).accuracy

        counts = 1.0 + jnp.arange(len(additions.unit), dtype=jnp.float32)
        return jax.lax.map(accuracy, counts)

    additions, _ = _kept(bench, seed, _additions, config.replace(most=bench.most))
    return np.asarray(bench.watch.programs.call("curve", accuracies, additions, evaluation))


def _search_config(size: Size, n_units: int) -> SearchConfig:
    return _of_search("hard_concrete", size)


def _paper_config(size: Size, n_units: int) -> SearchConfig:
    """The paper's search exchanges no units."""
    return _of_search("hard_concrete_paper", size._replace(rounds=None))


def _of_search(method: str, size: Size) -> SearchConfig:
    config = weighted(search_config(method), size.kl_weight)
    return _with(
        config.replace(alpha=size.alpha),
        steps=size.steps,
        exchange_rounds=size.rounds,
    )


def _reinforce_config(size: Size, n_units: int) -> ReinforceConfig:
    config = ReinforceConfig(alpha=size.alpha, kl_weight=size.kl_weight)
    return _with(_without_kl(config, size), steps=size.steps)


def _selection_config(size: Size, n_units: int) -> SelectionConfig:
    config = SelectionConfig(alpha=size.alpha, kl_weight=size.kl_weight)
    return _with(_without_kl(config, size), refit_steps=size.steps)


def _without_kl(config: Any, size: Size) -> Any:
    """Settings in which a KL of weight 0 isn't computed."""
    return config if size.kl_weight else config.replace(kl=NoKL())


def _with(config: Any, **values: int | None) -> Any:
    """Settings with the values that are given."""
    return config.replace(**{name: x for name, x in values.items() if x is not None})


def _greedy_config(size: Size, n_units: int) -> GreedyConfig:
    return GreedyConfig(alpha=size.alpha)


def _exhaustive_config(size: Size, n_units: int) -> ExhaustiveConfig:
    return ExhaustiveConfig(units=int(search.budget(n_units, size.alpha)))


def _search(bench: Bench, seed: int, config: SearchConfig) -> Run:
    every = bench.watch.rule.every
    longest = config.steps if config.exchange_rounds else PATIENT * config.steps
    phases = [Phase(search.step, _unchanged, _of_relaxed, every, longest)]
    if config.exchange_rounds:
        rounds = PATIENT * config.exchange_rounds
        phases.append(Phase(search.refine, search.harden, _of_hard, 1, rounds, config.refit_steps))
    return _watched(bench, seed, Procedure(search.init, phases), config)


def _reinforce(bench: Bench, seed: int, config: ReinforceConfig) -> Run:
    every = bench.watch.rule.every
    phase = Phase(reinforce.step, _unchanged, reinforce.found, every, PATIENT * config.steps)
    return _watched(bench, seed, Procedure(reinforce.init, [phase]), config)


def _watched(bench: Bench, seed: int, procedure: Procedure, config: Any) -> Run:
    return convergence.run(
        key_of(seed), procedure, bench.objective, _traced(config), bench.programs, bench.watch
    )


def _scored(
    score: Callable, choose: Callable, steps: Callable[[SelectionConfig], int | None]
) -> Callable[[Bench, int, SelectionConfig], Run]:
    """A method that takes the units of the highest scores; those are computed once for all sizes.

    Args:
        score: of each unit, or more that ``choose`` needs of them.
        choose: from scores to an intervention.
        steps: gradient steps of that.
    """

    def scores(key: Key[Array, ""], objective: Objective, config: SelectionConfig) -> Any:
        return score(jax.random.split(key)[0], objective, config)

    def intervention(
        key: Key[Array, ""], scores: Any, objective: Objective, config: SelectionConfig
    ) -> Intervention:
        return choose(jax.random.split(key)[1], scores, objective, config)

    def run(bench: Bench, seed: int, config: SelectionConfig) -> Run:
        scored_on = bench if bench.last is None else bench._replace(objective=bench.last)
        computed, seconds = _kept(scored_on, seed, scores, config)
        before, config = bench.programs.running, _traced(config)
        args = key_of(seed), computed, bench.objective, config
        found = bench.programs.call(choose.__name__, intervention, *args)
        return Run(found, seconds + bench.programs.running - before, steps(config), True)

    return run


def _greedy(bench: Bench, seed: int, config: GreedyConfig) -> Run:
    """The first units of a run that adds as many as the largest size needs, and their share of it.

    All additions take the same time.
    """
    additions, seconds = _kept(bench, seed, _additions, config.replace(most=bench.most))
    n_units = bench.objective.n_units
    count = int(search.budget(n_units, config.alpha))
    found = greedy.first(additions, count, n_units)
    return Run(found, seconds * count / len(additions.unit), count, True)


def _additions(key: Key[Array, ""], objective: Objective, config: GreedyConfig) -> Additions:
    return greedy.run(key, objective, config)[1]


def _exhaustive(bench: Bench, seed: int, config: ExhaustiveConfig) -> Run:
    before = bench.programs.running
    args = key_of(seed), bench.objective, config
    found, _ = bench.programs.call("run", exhaustive.run, *args)
    tried = exhaustive.evaluations(config, bench.objective.n_units)
    return Run(found, bench.programs.running - before, tried, True)


def _kept(bench: Bench, seed: int, compute: Callable, config: Any) -> tuple[Any, float]:
    """What a seed's runs of all sizes share, and the seconds it took, whoever computed it."""
    if seed not in bench.kept:
        before = bench.programs.running
        args = key_of(seed), bench.objective, _traced(config)
        computed = bench.programs.call("compute", compute, *args)
        bench.kept[seed] = computed, bench.programs.running - before
    return bench.kept[seed]


def _traced(config: Any) -> Any:
    """All numbers as arguments of a program, so that one serves all alphas."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32), config)


def _unchanged(state: Any, config: Any) -> Any:
    return state


def _of_relaxed(state: SearchState, config: SearchConfig) -> Intervention:
    return search.found(search.harden(state, config))


def _of_hard(state: HardState, config: SearchConfig) -> Intervention:
    return search.found(state)


def _refit_steps(config: SelectionConfig) -> int:
    return config.refit_steps


def _no_steps(config: SelectionConfig) -> None:
    return None


def _selection(
    score: Callable, choose: Callable = selection.learned, paper: str | None = None
) -> Method:
    learns = choose in (selection.learned, attribution.learned_from_edges)
    run = _scored(score, choose, _refit_steps if learns else _no_steps)
    return Method(_selection_config, run, paper, score=score)


# By the name that options, tables and figures have for each.
METHODS = {
    "hard_concrete": Method(_search_config, _search, "Hard Concrete"),
    "hard_concrete_paper": Method(_paper_config, _search, "Hard Concrete"),
    "reinforce": Method(_reinforce_config, _reinforce, "SFE / REINFORCE"),
    "ig_zeroed": _selection(
        integrated_gradients.score, selection.zeroed, paper="Integrated Gradients"
    ),
    "ig_learned": _selection(integrated_gradients.score),
    "ablation_zeroed": _selection(ablation.score, selection.zeroed),
    "ablation_learned": _selection(ablation.score),
    "attribution_edges": _selection(attribution.edges, attribution.set_to_edges),
    "attribution_learned": _selection(attribution.edges, attribution.learned_from_edges),
    "attribution_middle": _selection(attribution.middle, attribution.set_to_middle),
    "unembedding": _selection(unembedding.score)._replace(at_last_word=True),
    "greedy": Method(_greedy_config, _greedy),
    "random": _selection(random_masks.score),
    "exhaustive": Method(_exhaustive_config, _exhaustive, most=EXHAUSTIVE_MOST),
}
