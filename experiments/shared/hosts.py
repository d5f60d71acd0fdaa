"""Several processes, on one or many hosts, that work together (`jax.distributed`).

All processes run the same script with the same options and see the same folders. Each of them
computes a part of the runs, and the first one writes the results.
"""

import os
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxmask.files.run_folder import RunFolderError


def join() -> None:
    """Joins the other processes if there are any; call it before the first computation.

    There are other processes if ``srun`` of SLURM started more than one task, or if
    JAX_COORDINATOR_ADDRESS (HOST:PORT of the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID
    (counted from 0) are set.
    """
    if address := os.environ.get("JAX_COORDINATOR_ADDRESS"):
        jax.distributed.initialize(
            address, int(os.environ["JAX_NUM_PROCESSES"]), int(os.environ["JAX_PROCESS_ID"])
        )
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        jax.distributed.initialize()


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def as_first(decision: bool) -> bool:
    """The decision of the first process, returned in all processes."""
    if jax.process_count() == 1:
        return decision
    return bool(multihost_utils.broadcast_one_to_all(np.array(decision)))


def by_first(action: Callable[[], None]) -> None:
    """Lets the first process do something; if it fails, all processes stop.

    Raises:
        RunFolderError: by the action in the first process, and then in all others.
    """
    fault = None
    if is_first():
        try:
            action()
        except RunFolderError as raised:
            fault = raised
    if as_first(fault is not None):
        raise fault or RunFolderError("the first process stopped and reports the reason")
