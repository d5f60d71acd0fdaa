"""One rule for when a method has converged, and the runs that it ends.

The hard mask is evaluated on a fixed training sample every few steps. A run has converged when its
constraint holds and that accuracy has not risen by more than 0.2 points for a few evaluations.
Time is what the method's own programs take: evaluations and compilation are not in it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Key

from jaxmask import search
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective
from jaxmask.runs.programs import Programs, Step, advance
from jaxmask.search import ExchangeInfo, losses


class Rule(NamedTuple):
    """When a run has converged.

    Attributes:
        every: gradient steps from one evaluation to the next; a round of exchange is followed by
            one, however many steps it has.
        patience: evaluations without a rise.
        rise: of the accuracy over these evaluations; only what rises by more counts as a rise.
        slack: relative to its limit, by how much the expected number of units may be above it:
            descent and ascent keep it close, on either side.
    """

    every: int = 50
    patience: int = 3
    rise: float = 0.002
    slack: float = 0.05


class Phase(NamedTuple):
    """A part of a run: steps of one kind.

    Attributes:
        step: of the method.
        enter: (what the phase before left, config) -> the first state.
        found: (state, config) -> its hard intervention, with a shared mask.
        size: steps from one evaluation to the next.
        most: steps after which the phase ends in any case.
        gradients: gradient steps in each of its steps.
    """

    step: Step
    enter: Callable[[Any, Any], Any]
    found: Callable[[Any, Any], Intervention]
    size: int
    most: int
    gradients: int = 1


class Procedure(NamedTuple):
    """What a method does from a seed to its end.

    Attributes:
        init: makes the state before the first phase.
        phases: at least one.
    """

    init: Callable[[Key[Array, ""], Objective, Any], Any]
    phases: Sequence[Phase]


class Seen(NamedTuple):
    """An evaluation on the way.

    Attributes:
        steps: gradient steps before it.
        seconds: the method's time before it.
        accuracy: fraction of the sample's decisions that the hard mask flips.
        units: of the hard mask.
        expected_l0: of the relaxed mask; None where there is none.
        holds: does the constraint hold?
    """

    steps: int
    seconds: float
    accuracy: float
    units: int
    expected_l0: float | None
    holds: bool


class Run(NamedTuple):
    """What a method found from one seed.

    Attributes:
        intervention: the hard one at the end.
        seconds: the method's time.
        steps: gradient steps, or what else the method counts; None if nothing.
        converged: was it the rule that ended it, or the method itself?
        seen: all evaluations; none for methods that end by themselves.
    """

    intervention: Intervention
    seconds: float
    steps: int | None
    converged: bool
    seen: tuple[Seen, ...] = ()


class Watch(NamedTuple):
    """How runs are watched.

    Attributes:
        rule: that ends them.
        sample: training rows that hard masks are evaluated on.
        programs: of these evaluations.
    """

    rule: Rule
    sample: Any
    programs: Programs


def converged(accuracies: Sequence[float], holds: Sequence[bool], rule: Rule) -> bool:
    """Has a run converged at the last of its evaluations?

    Args:
        accuracies: of the hard mask, an evaluation each.
        holds: whether the constraint held; evaluations where it didn't are passed over, as masks
            that are too large say nothing.
        rule: of convergence.
    """
    reference, without_rise = -float("inf"), 0
    for accuracy, held in zip(accuracies, holds, strict=True):
        if held and accuracy > reference + rule.rise:
            reference, without_rise = accuracy, 0
        elif held:
            without_rise += 1
    return bool(holds) and holds[-1] and without_rise >= rule.patience


def holds(units: int, expected_l0: float | None, alpha: float, n_units: int, rule: Rule) -> bool:
    """Does the constraint hold, on the hard mask and, if there is one, on the relaxed one?

    A mask without units has no more units than it may have, but it doesn't count.
    """
    relaxed = expected_l0 is None or expected_l0 <= (1.0 + rule.slack) * alpha * n_units
    return 1 <= units <= search.budget(n_units, alpha) and relaxed


def run(
    key: Key[Array, ""],
    procedure: Procedure,
    objective: Objective,
    config: Any,
    programs: Programs,
    watch: Watch,
) -> Run:
    """Goes through the phases, and through the last only until the rule holds.

    Evaluations of all phases count as one row of them.

    Args:
        key: of the run.
        procedure: of the method.
        objective: training examples.
        config: with ``alpha``.
        programs: of the method; their time is the run's.
        watch: evaluations and rule.
    """
    before, phases = programs.running, procedure.phases
    state, seen, steps = programs.call("init", procedure.init, key, objective, config), [], 0
    for number, phase in enumerate(phases):
        state = programs.call(f"enter {number}", phase.enter, state, config)
        for done in range(0, phase.most, phase.size):
            count = min(phase.size, phase.most - done)
            state, info = advance(programs, phase.step, state, objective, config, count)
            steps += count * phase.gradients
            accuracy, units = _evaluate(watch, phase, state, objective, config)
            # Rounds of exchange keep the number of units: nothing is relaxed any more.
            expected = None if isinstance(info, ExchangeInfo) else float(info.expected_l0[-1])
            held = holds(units, expected, float(config.alpha), objective.n_units, watch.rule)
            seconds = programs.running - before
            seen.append(Seen(steps, seconds, accuracy, units, expected, held))
            last = number + 1 == len(phases)
            finite = bool(info.finite[-1])  # otherwise the run has stopped: no step is taken
            end = finite and converged(
                [s.accuracy for s in seen], [s.holds for s in seen], watch.rule
            )
            if not finite or (last and end):
                break
    found = watch.programs.call(_name(phase.found), phase.found, state, config)
    return Run(found, programs.running - before, steps, end, tuple(seen))


def _evaluate(
    watch: Watch, phase: Phase, state: Any, objective: Objective, config: Any
) -> tuple[float, int]:
    """The accuracy of the hard mask on the sample, and how many units it has."""

    def evaluate(
        state: Any, objective: Objective, config: Any, batch: Any
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        found = phase.found(state, config)
        outcome = objective(found.toward(batch.direction), batch, None, NoKL())
        return losses.flipped(outcome).sum(), found.mask[0].sum()

    name = f"evaluate {_name(phase.found)}"
    accuracy, units = watch.programs.call(name, evaluate, state, objective, config, watch.sample)
    return float(accuracy), int(units)


def _name(function: Callable) -> str:
    return f"{function.__module__}.{function.__qualname__}"
