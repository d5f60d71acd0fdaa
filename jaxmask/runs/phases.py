"""Steps of many runs: in parts that fit into memory, in chunks between which the state is kept."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from jaxmask.objective import Objective
from jaxmask.runs import devices
from jaxmask.runs.programs import Programs, Step, steps

# Called after each chunk with the number of steps done, of runs on average, and what the last one
# observed, stacked over the runs of a part.
Observer = Callable[[int, Any], None]


class Keeper(Protocol):
    """Keeps the state of an ensemble that may be killed, so that it goes on where it was."""

    def restore(self, name: str, like: Any) -> Any | None:
        """What was kept last under a name, with ``like``'s structure; None if nothing was.

        ``like`` is a tree of `jax.ShapeDtypeStruct`.
        """

    def due(self, finished: bool) -> bool:
        """Is the state to be kept? One that is finished is not computed again if it is."""

    def save(self, name: str, state: Any) -> None:
        """Keeps a tree of numpy arrays and typed keys, instead of what there was under its name."""


class Phase(NamedTuple):
    """Steps of one kind.

    Attributes:
        name: of the phase.
        enter: (what the phase before left, objective, config) -> the state before the first step.
        step: of a single run.
        total: number of steps.
        chunk: steps a compiled chunk.
        ended: (what a step of all runs observed) -> the runs that no further step changes, and that
            observe the same from then on. Where that is all of them, the phase ends before its
            last step.
    """

    name: str
    enter: Callable[[Any, Objective, Any], Any]
    step: Step
    total: int
    chunk: int
    ended: Callable[[Any], Bool[np.ndarray, " runs"]] | None = None


class Setting(NamedTuple):
    """What all phases of an ensemble have in common; see `jaxmask.runs.ensemble.run`."""

    objective: Objective
    config: Any
    mesh: Mesh | None
    programs: Programs
    observe: Observer | None
    keeper: Keeper | None

    @property
    def stacked(self) -> Any:
        """Which settings differ from run to run."""
        return jax.tree.map(lambda x: x.ndim > 0, self.config)

    def over_runs(self, function: Callable) -> Callable:
        """A function of state, objective and config, for stacks of states."""
        axes = jax.tree.map(lambda x: 0 if x.ndim else None, self.config)
        mapped = jax.vmap(function, in_axes=(0, None, axes))
        return devices.on_all(mapped, self.mesh, True, False, self.stacked)


class Progress(NamedTuple):
    """What is kept between chunks, of runs that are computed together.

    Attributes:
        done: steps.
        seconds: that they took.
        states: after them.
        seen: what they observed, with room for the steps to come.
    """

    done: Int[np.ndarray, ""]
    seconds: Float[np.ndarray, ""]
    states: Any
    seen: Any


def go_through(phase: Phase, first: Any, setting: Setting) -> tuple[Any, Any, float]:
    """A phase of all runs.

    Args:
        phase: its steps.
        first: what it begins with, stacked over runs.
        setting: what else it needs.

    Returns:
        The states after it, stacked over runs; what each step observed, stacked over runs and steps
        (None if there are no steps); and the seconds that these took, without compilation.
    """
    runs = len(jax.tree.leaves(first)[0])
    size = devices.padded(runs, setting.mesh)
    if phase.total:
        size = devices.together(
            runs, lambda n: devices.memory(_compiled(phase, first, setting, n)), setting.mesh
        )
    whole = size == runs
    starts = range(0, runs, size)
    parts = []
    for number, start in enumerate(starts):
        stop = min(start + size, runs)

        def observe(done: int, info: Any, before: int = number * phase.total) -> None:
            if setting.observe is not None:
                setting.observe((before + done) // len(starts), info)

        # The last part is filled up, so that one program serves all.
        rows = np.minimum(np.arange(start, start + size), runs - 1)
        config = jax.tree.map(lambda x: x[rows] if x.ndim else x, setting.config)  # noqa: B023
        of_part = setting._replace(
            config=devices.place(config, setting.mesh, setting.stacked), observe=observe
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


def _through_part(phase: Phase, first: Any, setting: Setting, name: str, runs: int) -> Progress:
    """A phase of runs that are computed together, the first ``runs`` of which count."""
    objective, config, mesh, programs, _, keeper = setting
    done, seconds, states, seen = _begin(phase, first, setting, name)
    while done < phase.total:
        count = min(phase.chunk, phase.total - done)
        before = programs.running
        called, function = steps(phase.step, count)
        states, info = programs.call(called, setting.over_runs(function), states, objective, config)
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
        if setting.observe is not None:
            setting.observe(done, jax.tree.map(lambda x: x[:runs], last))
    if mesh is not None:
        states = devices.gather(states)
    return Progress(np.array(done), np.array(seconds), states, seen)


def _begin(phase: Phase, first: Any, setting: Setting, name: str) -> tuple[int, float, Any, Any]:
    """What `Progress` has, before the first step or where an earlier start came to."""
    seen = None
    if phase.total:
        states, info = _compiled(phase, first, setting, len(jax.tree.leaves(first)[0])).out_info
        seen = jax.tree.map(
            lambda x: np.zeros((x.shape[0], phase.total, *x.shape[2:]), x.dtype), info
        )
        if setting.keeper is not None:
            like = Progress(np.zeros((), np.int32), np.zeros((), np.float32), states, seen)
            like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
            kept = setting.keeper.restore(name, like)
            if kept is not None:
                states = devices.place(kept.states, setting.mesh, True)
                seen = jax.tree.map(np.array, kept.seen)
                return int(kept.done), float(kept.seconds), states, seen
    states = setting.programs.call(
        f"enter {phase.step.__module__}.{phase.step.__name__}",
        setting.over_runs(phase.enter),
        devices.place(first, setting.mesh, True),
        setting.objective,
        setting.config,
    )
    return 0, 0.0, states, seen


def _compiled(phase: Phase, first: Any, setting: Setting, size: int) -> jax.stages.Compiled:
    """The program of a chunk, for so many runs."""

    def shape(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype)

    config = jax.tree.map(lambda x: shape(x) if x.ndim else x, setting.config)
    config = devices.place(config, setting.mesh, setting.stacked)
    states = jax.eval_shape(
        setting.over_runs(phase.enter), jax.tree.map(shape, first), setting.objective, config
    )
    called, function = steps(phase.step, min(phase.chunk, phase.total))
    return setting.programs.compile(
        called,
        setting.over_runs(function),
        devices.place(jax.tree.map(shape, states), setting.mesh, True),
        setting.objective,
        config,
    )


def _first(progress: Progress, runs: int) -> Progress:
    """Without runs that only fill up."""
    states, seen = jax.tree.map(
        lambda x: x[:runs], devices.gather((progress.states, progress.seen))
    )
    return progress._replace(states=states, seen=seen)


def _concatenate(parts: tuple[Any, ...]) -> Any:
    return (np if isinstance(parts[0], np.ndarray) else jax.numpy).concatenate(parts)
