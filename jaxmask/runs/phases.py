"""Takes the steps of many runs.

Runs are computed in parts that fit into memory, and the steps of a part in chunks. The state can be
saved between two chunks.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from jaxmask.objective import Objective
from jaxmask.runs import devices
from jaxmask.runs.programs import Programs, Step, steps

# Called after each chunk with the number of steps done, as a mean over all runs, and the
# observations of the last step, stacked over the runs of a part.
Observer = Callable[[int, Any], None]


class Keeper(Protocol):
    """Saves the state of an ensemble, so that it can continue after its process was killed.

    Example:
        >>> class Nothing:
        ...     def restore(self, name, like):
        ...         return None
        ...     def due(self, finished):
        ...         return False
        ...     def save(self, name, state):
        ...         pass
        >>> keeper: Keeper = Nothing()
    """

    def restore(self, name: str, like: Any) -> Any | None:
        """The state that was saved last under a name; None if there is none.

        Args:
            name: of the state.
            like: a tree of `jax.ShapeDtypeStruct` with the structure of the state.
        """

    def due(self, finished: bool) -> bool:
        """Whether the state should be saved now.

        Args:
            finished: whether it is the last state of a part; once saved, it isn't computed again.
        """

    def save(self, name: str, state: Any) -> None:
        """Saves a state in place of the earlier one with the same name.

        Args:
            name: of the state.
            state: a tree of numpy arrays and typed keys.
        """


class Phase(NamedTuple):
    """Steps of one kind.

    Attributes:
        name: of the phase.
        enter: (result of the phase before, objective, config) -> state before the first step.
        step: of a single run.
        total: number of steps.
        chunk: number of steps in a compiled chunk.
        ended: (observations of one step of all runs) -> for each run, whether further steps change
            neither its state nor its observations. Once that holds for every run, the phase ends
            before its last step.
        uneven: whether a step has loops that are longer for some runs than for others.

    Example:
        >>> def step(state, objective, config):
        ...     return state + 1, state
        >>> phase = Phase("count", lambda start, *_: start, step, total=10, chunk=4)
        >>> phase.ended is None
        True
    """

    name: str
    enter: Callable[[Any, Objective, Any], Any]
    step: Step
    total: int
    chunk: int
    ended: Callable[[Any], Bool[np.ndarray, " runs"]] | None = None
    uneven: bool = False


class Workload(NamedTuple):
    """The values that all phases of an ensemble share; see `jaxmask.runs.ensemble.run`.

    Attributes:
        objective: of all runs.
        config: whose numbers are shared by the runs, or have an axis that goes over them.
        mesh: see `jaxmask.runs.devices.mesh`.
        programs: compiles and calls.
        observe: called after each chunk.
        keeper: saves the state.

    Example:
        >>> config = {"alpha": np.array([0.01, 0.02]), "beta": np.array(0.1)}
        >>> Workload(None, config, None, Programs(), None, None).stacked
        {'alpha': True, 'beta': False}
    """

    objective: Objective
    config: Any
    mesh: Mesh | None
    programs: Programs
    observe: Observer | None
    keeper: Keeper | None

    @property
    def stacked(self) -> Any:
        """For each number of the config, whether it differs from run to run."""
        return jax.tree.map(lambda x: x.ndim > 0, self.config)

    def over_runs(self, function: Callable, *, uneven: bool = False) -> Callable:
        """Turns a function of a state, the objective and the config into one of stacked states.

        With ``uneven``, see `jaxmask.runs.devices.on_all`.
        """
        axes = jax.tree.map(lambda x: 0 if x.ndim else None, self.config)
        mapped = jax.vmap(function, in_axes=(0, None, axes))
        return devices.on_all(mapped, self.mesh, True, False, self.stacked, uneven=uneven)


class Progress(NamedTuple):
    """The state that is saved between chunks, for runs that are computed together.

    Attributes:
        done: number of steps done.
        seconds: that these steps took.
        states: after these steps.
        seen: observations of these steps, with space for those of the steps to come.

    Example:
        >>> Progress(np.array(4), np.array(0.1), np.zeros(2), np.zeros((2, 10))).done.item()
        4
    """

    done: Int[np.ndarray, ""]
    seconds: Float[np.ndarray, ""]
    states: Any
    seen: Any


def go_through(phase: Phase, first: Any, workload: Workload) -> tuple[Any, Any, float]:
    """Takes all steps of a phase, for all runs.

    Args:
        phase: to go through.
        first: results of the phase before, stacked over runs.
        workload: see `Workload`.

    Returns:
        The states after the phase, stacked over runs; the observations of all steps, stacked over
        runs and steps (None if there are no steps); and the seconds that the steps took, without
        compilation.

    Example:
        >>> def step(state, objective, config):
        ...     return state + 1, state
        >>> phase = Phase("count", lambda start, *_: start, step, total=3, chunk=2)
        >>> workload = Workload(None, np.array(0.0), None, Programs(), None, None)
        >>> states, seen, seconds = go_through(phase, np.array([0, 10]), workload)
        >>> np.asarray(states).tolist(), seen.tolist()
        ([3, 13], [[0, 1, 2], [10, 11, 12]])
    """
    runs = len(jax.tree.leaves(first)[0])
    size = devices.padded(runs, workload.mesh)
    if phase.total:
        size = devices.together(
            runs, lambda n: devices.memory(_compiled(phase, first, workload, n)), workload.mesh
        )
    whole = size == runs
    starts = range(0, runs, size)
    parts = []
    for number, start in enumerate(starts):
        stop = min(start + size, runs)

        def observe(done: int, info: Any, before: int = number * phase.total) -> None:
            if workload.observe is not None:
                workload.observe((before + done) // len(starts), info)

        # The last part is filled up with copies, so that all parts use the same program.
        rows = np.minimum(np.arange(start, start + size), runs - 1)
        config = jax.tree.map(lambda x: x[rows] if x.ndim else x, workload.config)  # noqa: B023
        of_part = workload._replace(
            config=devices.place(config, workload.mesh, workload.stacked), observe=observe
        )
        begin = first if whole else jax.tree.map(lambda x: x[rows], first)  # noqa: B023
        name = f"{phase.name}_{start + 1}_to_{stop}_of_{runs}"
        progress = _through_part(phase, begin, of_part, name, stop - start)
        parts.append(progress if whole else _first(progress, stop - start))
    if len(parts) == 1:
        (end,) = parts
        return end.states, end.seen, float(end.seconds)
    states, seen = (
        jax.tree.map(lambda *x: _concatenate(x), *(getattr(part, name) for part in parts))
        for name in ("states", "seen")
    )
    return states, seen, float(sum(part.seconds for part in parts))


def compile_ahead(phases: Sequence[Phase], first: Any, workload: Workload) -> None:
    """Begins to compile the programs of phases that follow one another, all at the same time.

    Args:
        phases: in their order.
        first: see `go_through`, of the first phase.
        workload: of all of them.

    Example:
        >>> def step(state, objective, config):
        ...     return state + 1, state
        >>> phase = Phase("count", lambda start, *_: start, step, total=3, chunk=2)
        >>> workload = Workload(None, np.array(0.0), None, Programs(), None, None)
        >>> compile_ahead([phase], np.array([0, 10]), workload)
        >>> states, _, _ = go_through(phase, np.array([0, 10]), workload)
    """
    size = devices.padded(len(jax.tree.leaves(first)[0]), workload.mesh)
    for phase in phases:
        first = _entered(phase, first, workload, size)
        if phase.total:
            workload.programs.begin(*_chunk(phase, first, workload, size))


def _through_part(phase: Phase, first: Any, workload: Workload, name: str, runs: int) -> Progress:
    """Takes the steps of runs that are computed together; only the first ``runs`` are reported."""
    objective, config, mesh, programs, _, keeper = workload
    done, seconds, states, seen = _begin(phase, first, workload, name)
    while done < phase.total:
        count = min(phase.chunk, phase.total - done)
        before = programs.running
        called, function = steps(phase.step, count)
        states, info = programs.call(
            called, workload.over_runs(function, uneven=phase.uneven), states, objective, config
        )
        seconds += programs.running - before
        info = devices.gather(info)
        for all_steps, chunk in zip(jax.tree.leaves(seen), jax.tree.leaves(info), strict=True):
            all_steps[:, done : done + count] = chunk
        done += count
        last = jax.tree.map(lambda x: x[:, -1], info)
        if phase.ended is not None and phase.ended(last).all():
            for all_steps in jax.tree.leaves(seen):
                all_steps[:, done:] = all_steps[:, done - 1 : done]
            done = phase.total
        if keeper is not None and keeper.due(done == phase.total):
            so_far = np.array(done, np.int32), np.array(seconds, np.float32)
            keeper.save(name, Progress(*so_far, devices.gather(states), seen))
        if workload.observe is not None:
            workload.observe(done, jax.tree.map(lambda x: x[:runs], last))
    if mesh is not None:
        states = devices.gather(states)
    return Progress(np.array(done), np.array(seconds), states, seen)


def _begin(phase: Phase, first: Any, workload: Workload, name: str) -> tuple[int, float, Any, Any]:
    """The fields of `Progress` at the start: those that were saved, or else those of step 0."""
    seen = None
    if phase.total:
        states, info = _compiled(phase, first, workload, len(jax.tree.leaves(first)[0])).out_info
        seen = jax.tree.map(
            lambda x: np.zeros((x.shape[0], phase.total, *x.shape[2:]), x.dtype), info
        )
        if workload.keeper is not None:
            like = Progress(np.zeros((), np.int32), np.zeros((), np.float32), states, seen)
            like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
            kept = workload.keeper.restore(name, like)
            if kept is not None:
                states = devices.place(kept.states, workload.mesh, True)
                seen = jax.tree.map(np.array, kept.seen)
                return int(kept.done), float(kept.seconds), states, seen
    states = workload.programs.call(
        f"enter {phase.step.__module__}.{phase.step.__name__}",
        workload.over_runs(phase.enter),
        devices.place(first, workload.mesh, True),
        workload.objective,
        workload.config,
    )
    return 0, 0.0, states, seen


def _compiled(phase: Phase, first: Any, workload: Workload, size: int) -> jax.stages.Compiled:
    """The program of a chunk for ``size`` runs."""
    entered = _entered(phase, first, workload, size)
    return workload.programs.compile(*_chunk(phase, entered, workload, size))


def _chunk(phase: Phase, entered: Any, workload: Workload, size: int) -> tuple:
    """A chunk for ``size`` runs that have entered: what `Programs` takes to compile it."""
    called, function = steps(phase.step, min(phase.chunk, phase.total))
    return (
        called,
        workload.over_runs(function, uneven=phase.uneven),
        devices.place(entered, workload.mesh, True),
        workload.objective,
        _config_shapes(workload, size),
    )


def _entered(phase: Phase, first: Any, workload: Workload, size: int) -> Any:
    """The shapes of the states of ``size`` runs that have entered a phase."""
    first = jax.tree.map(lambda x: _shape(x, size), first)
    config = _config_shapes(workload, size)
    return jax.eval_shape(workload.over_runs(phase.enter), first, workload.objective, config)


def _config_shapes(workload: Workload, size: int) -> Any:
    """The config of ``size`` runs, with shapes in place of numbers that differ between runs."""
    config = jax.tree.map(lambda x: _shape(x, size) if x.ndim else x, workload.config)
    return devices.place(config, workload.mesh, workload.stacked)


def _shape(stacked: Any, size: int) -> jax.ShapeDtypeStruct:
    """The shape of what is stacked over runs, for ``size`` of them."""
    # The type as JAX takes it: int64 of NumPy becomes int32.
    return jax.ShapeDtypeStruct((size, *stacked.shape[1:]), jax.typeof(stacked).dtype)


def _first(progress: Progress, runs: int) -> Progress:
    """The progress without the copies that fill up the last part."""
    states, seen = jax.tree.map(
        lambda x: x[:runs], devices.gather((progress.states, progress.seen))
    )
    return progress._replace(states=states, seen=seen)


def _concatenate(parts: tuple[Any, ...]) -> Any:
    return (np if isinstance(parts[0], np.ndarray) else jax.numpy).concatenate(parts)
