"""Programs compiled ahead of time, and many steps as one of them."""

import time
from collections.abc import Callable, Hashable
from typing import Any

import jax

from jaxmask.objective import Objective

# (state, objective, config) -> (state, what it observed)
Step = Callable[[Any, Objective, Any], tuple[Any, Any]]


class Programs:
    """Compiles functions ahead of time, once for each shape of arguments, and times both apart.

    Attributes:
        compiling: seconds spent on tracing and compiling so far.
        running: seconds spent in compiled programs so far.
    """

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0
        self._compiled: dict[Hashable, jax.stages.Compiled] = {}

    def call(self, name: str, function: Callable, *args: Any) -> Any:
        """``function(*args)``, compiled; ``name`` stands for all functions that do the same."""
        compiled = self.compile(name, function, *args)
        start = time.perf_counter()
        result = jax.block_until_ready(compiled(*args))
        self.running += time.perf_counter() - start
        return result

    def compile(self, name: str, function: Callable, *args: Any) -> jax.stages.Compiled:
        """The program of `call`, for arguments or their shapes (`jax.ShapeDtypeStruct`)."""
        start = time.perf_counter()
        leaves, structure = jax.tree.flatten(args)
        meshes = (getattr(getattr(leaf, "sharding", None), "mesh", None) for leaf in leaves)
        key = name, structure, tuple(jax.typeof(leaf) for leaf in leaves), frozenset(meshes)
        if key not in self._compiled:
            self._compiled[key] = jax.jit(function).lower(*args).compile()
        self.compiling += time.perf_counter() - start
        return self._compiled[key]


def advance(
    programs: Programs, step: Step, state: Any, objective: Objective, config: Any, count: int
) -> tuple[Any, Any]:
    """``count`` steps as one program: the state after them, and what each of them observed.

    Args:
        programs: compiles each kind of step once for each count.
        step: of a search or of another method.
        state: before them.
        objective: passed to each step.
        config: passed to each step.
        count: how many.
    """
    return programs.call(*steps(step, count), state, objective, config)


def steps(step: Step, count: int) -> tuple[str, Callable]:
    """The name, for `Programs`, of ``count`` steps, and the function that takes them."""

    def scan(state: Any, objective: Objective, config: Any) -> tuple[Any, Any]:
        return jax.lax.scan(
            lambda state, _: step(state, objective, config), state, None, length=count
        )

    return f"{count} of {step.__module__}.{step.__name__}", scan
