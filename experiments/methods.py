"""The methods that are compared: their settings, and how each is run from a seed at an alpha."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments import convergence
from experiments.convergence import Phase, Run, Watch
from experiments.setup import Options, search_config
from jaxmask import search
from jaxmask.baselines import (
    ablation,
    exhaustive,
    greedy,
    integrated_gradients,
    random_masks,
    reinforce,
)
from jaxmask.baselines.exhaustive import ExhaustiveConfig
from jaxmask.baselines.greedy import Additions, GreedyConfig
from jaxmask.baselines.reinforce import ReinforceConfig
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.ensemble import Programs
from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.protocol import Objective
from jaxmask.search import HardState, SearchConfig, SearchState

EXHAUSTIVE_MOST = 3  # units; the sets of four are too many
PATIENT = 3  # a method that doesn't converge goes on for that many times its own steps


class Bench(NamedTuple):
    """What a method is run on.

    Attributes:
        objective: training examples.
        watch: evaluations on the way, not part of the method's time.
        programs: the method's.
        most: the largest number of units that is asked for.
        additions: of greedy selection, by seed: one run gives all sizes.
    """

    objective: Objective
    watch: Watch
    programs: Programs
    most: int
    additions: dict[int, tuple[Additions, float]]


class Method(NamedTuple):
    """A way to choose units.

    Attributes:
        label: shown to people.
        config: (options, of one alpha and, for the searches, ``method``; number of units) ->
            settings.
        run: (bench, seed, settings) -> what was found.
        paper: what Table 6 calls it.
        most: units up to which it can be run; None for any number.
    """

    label: str
    config: Callable[[Options, int], Any]
    run: Callable[[Bench, int, Any], Run]
    paper: str | None = None
    most: int | None = None


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
            return evaluate(first, evaluation, kl_rows=0).accuracy

        return jax.lax.map(accuracy, 1 + jnp.arange(len(additions.unit)))

    additions, _ = _additions(bench, seed, config)
    return np.asarray(bench.watch.programs.call("curve", accuracies, additions, evaluation))


def _search_config(options: Options, n_units: int) -> SearchConfig:
    return search_config(options)


def _reinforce_config(options: Options, n_units: int) -> ReinforceConfig:
    config = ReinforceConfig(alpha=options.alpha, kl_weight=options.kl_weight)
    if options.kl_weight == 0.0:
        config = config.replace(kl_rows=0)
    return config if options.steps is None else config.replace(steps=options.steps)


def _selection_config(options: Options, n_units: int) -> SelectionConfig:
    config = SelectionConfig(alpha=options.alpha, kl_weight=options.kl_weight)
    if options.kl_weight == 0.0:
        config = config.replace(kl_rows=0)
    return config if options.steps is None else config.replace(refit_steps=options.steps)


def _greedy_config(options: Options, n_units: int) -> GreedyConfig:
    return GreedyConfig(alpha=options.alpha)


def _exhaustive_config(options: Options, n_units: int) -> ExhaustiveConfig:
    return ExhaustiveConfig(units=int(search.budget(n_units, options.alpha)))


def _search(bench: Bench, seed: int, config: SearchConfig) -> Run:
    every = bench.watch.rule.every
    longest = config.steps if config.exchange_rounds else PATIENT * config.steps
    phases = [Phase(search.step, _unchanged, _of_relaxed, every, longest)]
    if config.exchange_rounds:
        rounds = PATIENT * config.exchange_rounds
        phases.append(Phase(search.refine, search.harden, _of_hard, 1, rounds, config.refit_steps))
    return _watched(bench, seed, search.init, phases, config)


def _reinforce(bench: Bench, seed: int, config: ReinforceConfig) -> Run:
    every = bench.watch.rule.every
    phase = Phase(reinforce.step, _unchanged, reinforce.found, every, PATIENT * config.steps)
    return _watched(bench, seed, reinforce.init, [phase], config)


def _watched(bench: Bench, seed: int, init: Callable, phases: list[Phase], config: Any) -> Run:
    return convergence.run(
        key_of(seed), init, phases, bench.objective, _traced(config), bench.programs, bench.watch
    )


def _at_once(run: Callable, steps: Callable[[Any, Objective], int | None]) -> Callable:
    """A method that is one program and ends by itself."""

    def of_seed(bench: Bench, seed: int, config: Any) -> Run:
        before = bench.programs.running
        args = key_of(seed), bench.objective, _traced(config)
        found, _ = bench.programs.call(run.__qualname__, run, *args)
        seconds = bench.programs.running - before
        return Run(found, seconds, steps(config, bench.objective), True)

    return of_seed


def _greedy(bench: Bench, seed: int, config: GreedyConfig) -> Run:
    """The first units of a run that adds as many as the largest size needs, and their share of it.

    All additions take the same time.
    """
    additions, seconds = _additions(bench, seed, config)
    n_units = bench.objective.n_units
    count = int(search.budget(n_units, config.alpha))
    found = greedy.first(additions, count, n_units)
    return Run(found, seconds * count / len(additions.unit), count, True)


def _additions(bench: Bench, seed: int, config: GreedyConfig) -> tuple[Additions, float]:
    if seed not in bench.additions:
        before = bench.programs.running
        args = key_of(seed), bench.objective, _traced(config.replace(most=bench.most))
        _, additions = bench.programs.call("greedy", greedy.run, *args)
        bench.additions[seed] = additions, bench.programs.running - before
    return bench.additions[seed]


def _traced(config: Any) -> Any:
    """All numbers as arguments of a program, so that one serves all alphas."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32), config)


def _unchanged(state: Any, config: Any) -> Any:
    return state


def _of_relaxed(state: SearchState, config: SearchConfig) -> Intervention:
    return search.found(search.harden(state, config))


def _of_hard(state: HardState, config: SearchConfig) -> Intervention:
    return search.found(state)


def _refit_steps(config: SelectionConfig, objective: Objective) -> int:
    return config.refit_steps


def _no_steps(config: SelectionConfig, objective: Objective) -> None:
    return None


def _tried(config: ExhaustiveConfig, objective: Objective) -> int:
    return exhaustive.evaluations(config, objective.n_units)


METHODS = {
    "hard_concrete": Method("Hard Concrete", _search_config, _search, "Hard Concrete"),
    "hard_concrete_paper": Method("paper's search", _search_config, _search, "Hard Concrete"),
    "reinforce": Method("REINFORCE", _reinforce_config, _reinforce, "SFE / REINFORCE"),
    "ig_zeroed": Method(
        "IG, zeroed",
        _selection_config,
        _at_once(integrated_gradients.run, _no_steps),
        "Integrated Gradients",
    ),
    "ig_learned": Method(
        "IG, learned", _selection_config, _at_once(integrated_gradients.run_learned, _refit_steps)
    ),
    "ablation_zeroed": Method(
        "ablation, zeroed", _selection_config, _at_once(ablation.run, _no_steps)
    ),
    "ablation_learned": Method(
        "ablation, learned", _selection_config, _at_once(ablation.run_learned, _refit_steps)
    ),
    "greedy": Method("greedy", _greedy_config, _greedy),
    "random": Method("random", _selection_config, _at_once(random_masks.run, _refit_steps)),
    "exhaustive": Method(
        "exhaustive",
        _exhaustive_config,
        _at_once(exhaustive.run, _tried),
        most=EXHAUSTIVE_MOST,
    ),
}
