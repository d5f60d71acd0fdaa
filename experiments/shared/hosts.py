"""Several processes, on one or many hosts, that work as one (`jax.distributed`).

All of them run the same script with the same options and see the same folders; each computes a part
of the runs, and the first one writes.
"""

import os
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxmask.files.run_folder import RunFolderError


def join() -> None:
    """Joins the other processes, if there are any: call it before anything is computed.

    They are there if SLURM's ``srun`` started more than one task, or if JAX_COORDINATOR_ADDRESS
    (HOST:PORT of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0) are set.
    """
    if address := os.environ.get("JAX_COORDINATOR_ADDRESS"):
        jax.distributed.initialize(
            address, int(os.environ["JAX_NUM_PROCESSES"]), int(os.environ["JAX_PROCESS_ID"])
        )
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        jax.distributed.initialize()


def is_first() -> bool:
    """Is this the process that writes and prints?"""
    return jax.process_index() == 0


def as_first(decision: bool) -> bool:
    """What the first process decides, in all of them."""
    if jax.process_count() == 1:
        return decision
    return bool(multihost_utils.broadcast_one_to_all(np.array(decision)))


def by_first(work: Callable[[], None]) -> None:
    """Work that the first process does; where it can't, all stop.

    Raises:
        RunFolderError: the work did, or in other processes: the first one stopped.
    """
    fault = None
    if is_first():
        try:
            work()
        except RunFolderError as raised:
            fault = raised
    if as_first(fault is not None):
        raise fault or RunFolderError("the first process stopped, and says why")
