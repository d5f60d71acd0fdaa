"""Saves the states of long runs on disk.

Orbax writes a state completely or, if the process is killed, not at all. The folder ``checkpoints``
in a run folder exists until the run is finished.
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

if TYPE_CHECKING:  # importing Orbax takes a second, so that only functions that need it do
    import orbax.checkpoint as ocp

_FOLDER = "checkpoints"


def manager(folder: Path) -> "ocp.CheckpointManager":
    """Opens the two latest states in a folder; each of several processes has its own."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    if jax.process_count() > 1:
        process = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=process,
            active_processes={process},
            barrier_sync_key_prefix=f"process_{process}",
        )
        # Orbax doesn't make the folder for a single process out of several.
        options = dataclasses.replace(options, create=False, multiprocessing_options=alone)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def save(saved: "ocp.CheckpointManager", step: int, state: Any) -> None:
    """Writes a tree of arrays as the latest state."""
    import orbax.checkpoint as ocp

    saved.save(step, args=ocp.args.StandardSave(state))


def restore(saved: "ocp.CheckpointManager", like: Any) -> Any | None:
    """The latest state; None if there is none.

    Args:
        saved: see `manager`.
        like: a tree of arrays, or of their shapes and types, with the structure of the state.

    Raises:
        ValueError: the state has another structure, or arrays of another shape.
    """
    import orbax.checkpoint as ocp

    if saved.latest_step() is None:
        return None
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    state = saved.restore(saved.latest_step(), args=ocp.args.StandardRestore(shapes))
    for wanted, found in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True):
        if wanted.shape != found.shape:  # Orbax doesn't check this
            raise ValueError(f"expected an array of shape {wanted.shape}, found {found.shape}")
    return state


class Checkpoints:
    """A `jaxmask.runs.phases.Keeper` that saves states in the folder ``checkpoints`` of a run.

    Each name has a folder of its own. If a state can't be written, this is reported and the run
    continues: there may be space on the disk again when the results are written, and earlier
    checkpoints stay valid.

    Args:
        folder: of the run.
        minutes: between two checkpoints, and before the first one; after these first minutes a part
            that is finished is saved immediately.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder, self._wait = folder / _FOLDER, 60.0 * minutes
        self._started = self._saved = time.perf_counter()
        self._goes_on = False

    def restore(self, name: str, like: Any) -> Any | None:
        """See `jaxmask.runs.phases.Keeper`; a line says once that a run goes on.

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
                f"{folder}: expected a checkpoint of this run; delete {self._folder} to start "
                f"again ({_first_line(fault)})"
            ) from fault
        if state is None:
            return None
        if not self._goes_on:
            console().print(f"going on from the last checkpoint in {self._folder}", soft_wrap=True)
        self._goes_on = True
        return jax.tree.map(_as, like, state)

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
                    f"no checkpoint: {folder} can't be written ({_first_line(fault)}); the run "
                    "continues",
                    soft_wrap=True,
                    markup=False,
                )
        self._saved = time.perf_counter()


def remove(folder: Path) -> None:
    """Deletes the checkpoints of a finished run.

    If the process is killed meanwhile, either all of them are left or none.
    """
    if hosts.is_first():
        renamed = folder / f"{_FOLDER}.finished"
        shutil.rmtree(renamed, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.replace(folder / _FOLDER, renamed)
        shutil.rmtree(renamed, ignore_errors=True)


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _numbers(state: Any) -> Any:
    """A state with its keys as numbers: Orbax saves no keys for one process out of several."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, state)


def _as(like: Any, numbers: Any) -> Any:
    return jax.random.wrap_key_data(numbers) if _is_key(like) else numbers


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0]
