"""Which flags of the compiler the tests set, as far as its version knows them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax

EMITTERS = "xla_cpu_use_fusion_emitters"  # newer versions always use them
QUICK = [f"--{EMITTERS}=false", "--xla_cpu_parallel_codegen_split_count=1"]


def set_up() -> None:
    """Before JAX's first use: flags that save time, in `XLA_FLAGS`; workers inherit them."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["XLA_FLAGS"] = " ".join([*known(QUICK), os.environ.get("XLA_FLAGS", "")])


def known(flags: list[str]) -> list[str]:
    """The flags that the compiler knows; tried in a process of its own, as others end it."""
    variables = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    trial = [sys.executable, "-c", "import jax; jax.devices()"]
    ended = subprocess.run(trial, env=variables, stderr=subprocess.PIPE, text=True)
    if not ended.returncode:
        return flags
    unknown = re.search(r"Unknown flags? in XLA_FLAGS: (.*)", ended.stderr)
    if unknown is None:
        raise RuntimeError(ended.stderr)
    return [flag for flag in flags if flag not in unknown[1].split()]


def optimized_jit(function: Callable) -> Any:
    """With the fixture `optimized`: compiled as outside the tests, where no flag saves time."""
    knows = f"--{EMITTERS}=" in os.environ["XLA_FLAGS"]
    return jax.jit(function, compiler_options={EMITTERS: True} if knows else None)
