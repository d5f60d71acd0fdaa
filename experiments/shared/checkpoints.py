"""States of long runs on disk. Orbax writes all of a state or, if the process is killed, nothing.

A run folder's checkpoints/ is there until the run is finished.
"""

import contextlib
import dataclasses
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from experiments.shared import hosts
from experiments.shared.console import console
from jaxmask.files.run_folder import RunFolderError

if TYPE_CHECKING:  # it takes a second to import: only those who need it wait
    import orbax.checkpoint as ocp

_FOLDER = "checkpoints"


def manager(folder: Path) -> "ocp.CheckpointManager":
    """The two latest states of something; of several processes, each for itself."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    if jax.process_count() > 1:
        here = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"process_{here}"
        )
        # Orbax makes no folder for one process of several.
        options = dataclasses.replace(options, create=False, multiprocessing_options=alone)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def save(saved: "ocp.CheckpointManager", step: int, state: Any) -> None:
    """Writes a tree of arrays as the latest state."""
    import orbax.checkpoint as ocp

    saved.save(step, args=ocp.args.StandardSave(state))


def restore(saved: "ocp.CheckpointManager", like: Any) -> Any | None:
    """The latest state, or None if there is none.

    Args:
        saved: see `manager`.
        like: arrays of the same shapes and types, or those shapes and types.

    Raises:
        ValueError: the state has another structure, or arrays of another shape.
    """
    import orbax.checkpoint as ocp

    if saved.latest_step() is None:
        return None
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    state = saved.restore(saved.latest_step(), args=ocp.args.StandardRestore(shapes))
    for wanted, found in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True):
        if wanted.shape != found.shape:  # Orbax wouldn't mind
            raise ValueError(f"expected an array of shape {wanted.shape}, found {found.shape}")
    return state


class Checkpoints:
    """A `jaxmask.runs.phases.Keeper`: each name has a folder in the checkpoints/ of a run folder.

    A state that can't be written is told, and the run goes on: perhaps there is space in the end,
    and what was written before counts.

    Args:
        folder: of the run.
        minutes: between two of them, and before the first; parts that are finished after that are
            kept at once.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder, self._wait = folder / _FOLDER, 60.0 * minutes
        self._started = self._saved = time.perf_counter()

    def restore(self, name: str, like: Any) -> Any | None:
        """See `jaxmask.runs.phases.Keeper`.

        Raises:
            RunFolderError: the state can't be read, or is of another shape.
        """
        folder = self._folder / name
        if not folder.is_dir():
            return None
        try:
            with manager(folder) as saved:
                state = restore(saved, jax.eval_shape(_numbers, like))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise RunFolderError(
                f"{folder}: expected a checkpoint of this run; delete {self._folder} to begin "
                f"again ({_first_line(fault)})"
            ) from fault
        return None if state is None else jax.tree.map(_as, like, state)

    def due(self, finished: bool) -> bool:
        """See `jaxmask.runs.phases.Keeper`."""
        now = time.perf_counter()
        since = self._started if finished else self._saved
        return hosts.as_first(now - since >= self._wait)

    def save(self, name: str, state: Any) -> None:
        """See `jaxmask.runs.phases.Keeper`."""
        if hosts.is_first():
            folder = self._folder / name
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with manager(folder) as saved:
                    save(saved, (saved.latest_step() or 0) + 1, jax.device_get(_numbers(state)))
            except (OSError, ValueError) as fault:
                console().print(
                    f"no checkpoint: {folder} can't be written ({_first_line(fault)}); going on",
                    soft_wrap=True,
                    markup=False,
                )
        self._saved = time.perf_counter()


def remove(folder: Path) -> None:
    """Deletes the checkpoints of a run, which is finished.

    They are all there or none, should the process be killed meanwhile.
    """
    if hosts.is_first():
        gone = folder / f"{_FOLDER}.finished"
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.replace(folder / _FOLDER, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _numbers(state: Any) -> Any:
    """A state with its keys as numbers: of several processes, Orbax takes no keys."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, state)


def _as(like: Any, numbers: Any) -> Any:
    return jax.random.wrap_key_data(numbers) if _is_key(like) else numbers


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0]
