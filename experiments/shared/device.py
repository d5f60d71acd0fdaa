"""On which device a script runs, and what is wrong if it isn't the one that was meant."""

import os
from pathlib import Path

import jax

from experiments.shared.option_types import OptionError

NVIDIA = Path("/proc/driver/nvidia/version")  # there is a driver, and so a GPU
INSTALL = "make env CUDA=1"


def line() -> str:
    """The devices of this process, the precision of their products, and what may be wrong.

    Example:
        ``device: cpu``
    """
    devices = jax.local_devices()
    kind, platform = devices[0].device_kind, devices[0].platform
    count = f"{len(devices)} x " * (len(devices) > 1)
    if platform != "cpu":
        precision = jax.config.values["jax_default_matmul_precision"] or "default"
        return f"device: {count}{kind}, products with precision {precision}"
    return f"device: {count}cpu" + _unused_gpu()


def _unused_gpu() -> str:
    """What to do if there is a GPU that JAX doesn't use, and nobody asked for the CPU."""
    if os.environ.get("JAX_PLATFORMS") or not NVIDIA.exists():
        return ""
    return f"; the GPU of this machine isn't used: {INSTALL} installs JAX for it"


def check() -> None:
    """Makes sure that JAX has a device; after hosts have joined, as it starts JAX.

    Raises:
        OptionError: there is none of the kind that was asked for.
    """
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as fault:  # JAX asserts that a build has such devices
        asked = os.environ.get("JAX_PLATFORMS") or "a device"
        reason = (str(fault).splitlines() or ["this JAX has no support for it"])[0]
        raise OptionError(
            f"JAX can't use {asked}: {reason}. NVIDIA GPUs need a driver for CUDA 13 and "
            f"{INSTALL}; JAX_PLATFORMS=cpu takes the CPU"
        ) from fault
