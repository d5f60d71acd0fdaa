"""Programs that are compiled ahead of time, and programs of many steps."""

import functools
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from jaxmask.objective import Objective

# For the CPU: the fusion emitters take a third of the time that a program of a search takes to
# compile, and the program is no faster (docs/speed.md).
COMPILER_OPTIONS: dict[str, dict[str, str | bool]] = {"cpu": {"xla_cpu_use_fusion_emitters": False}}

# (state, objective, config) -> (state, observations)
Step = Callable[[Any, Objective, Any], tuple[Any, Any]]


class Programs:
    """Compiles functions ahead of time, once for each shape of their arguments.

    The time for compiling and the time for running are measured separately. Programs that are begun
    early (`begin`) are compiled side by side.

    Attributes:
        compiling: seconds spent so far on tracing, and on waiting for the compiler.
        running: seconds spent in compiled programs so far.

    Example:
        >>> programs = Programs()
        >>> programs.call("double", lambda x: 2 * x, jax.numpy.ones(2)).tolist()
        [2.0, 2.0]
        >>> programs.compiling > 0, programs.running > 0
        (True, True)
    """

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0
        self._compiled: dict[Hashable, Future[jax.stages.Compiled]] = {}
        self._compilers: ThreadPoolExecutor | None = None

    def call(self, name: str, function: Callable, *args: Any) -> Any:
        """Compiles ``function(*args)``, if need be, and calls it.

        Args:
            name: identifies the function; functions with the same name must compute the same.
            function: to compile.
            args: of the function.
        """
        compiled = self.compile(name, function, *args)
        start = time.perf_counter()
        result = jax.block_until_ready(compiled(*args))
        self.running += time.perf_counter() - start
        return result

    def compile(self, name: str, function: Callable, *args: Any) -> jax.stages.Compiled:
        """The compiled program of `call`.

        Args:
            name: see `call`.
            function: see `call`.
            args: of the function, or their shapes (`jax.ShapeDtypeStruct`).
        """
        start = time.perf_counter()
        compiled = self._begin(name, function, *args).result()
        self.compiling += time.perf_counter() - start
        return compiled

    def begin(self, name: str, function: Callable, *args: Any) -> None:
        """Traces the program of `compile` and leaves it to the compiler, without waiting for it.

        Args:
            name: see `call`.
            function: see `call`.
            args: see `compile`.
        """
        start = time.perf_counter()
        self._begin(name, function, *args)
        self.compiling += time.perf_counter() - start

    def _begin(self, name: str, function: Callable, *args: Any) -> Future[jax.stages.Compiled]:
        leaves, structure = jax.tree.flatten(args)
        meshes = (getattr(getattr(leaf, "sharding", None), "mesh", None) for leaf in leaves)
        key = name, structure, tuple(jax.typeof(leaf) for leaf in leaves), frozenset(meshes)
        if key not in self._compiled:
            if self._compilers is None:
                # Several processes compile the same programs in the same order.
                self._compilers = ThreadPoolExecutor(1 if jax.process_count() > 1 else 2)
            self._compiled[key] = self._compilers.submit(
                jax.jit(function).lower(*args).compile,
                compiler_options=compiler_options(jax.default_backend()),
            )
        return self._compiled[key]


@functools.cache
def compiler_options(backend: str) -> dict[str, str | bool] | None:
    """Options of the compiler for a kind of device; none if its version doesn't know them.

    Args:
        backend: name of the kind, as JAX has it.

    Example:
        >>> compiler_options("a device of tomorrow") is None
        True
    """
    options = COMPILER_OPTIONS.get(backend)
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as fault:
        if "No such compile option" not in str(fault):
            raise
        return None
    return options


def advance(
    programs: Programs, step: Step, state: Any, objective: Objective, config: Any, count: int
) -> tuple[Any, Any]:
    """Takes ``count`` steps as one program.

    Args:
        programs: compiles each kind of step once for each count.
        step: of a search or of another method.
        state: before the steps.
        objective: passed to each step.
        config: passed to each step.
        count: number of steps.

    Returns:
        The state after the steps, and the observations of all steps, stacked.

    Example:
        >>> def step(state, objective, config):
        ...     return state + config, state
        >>> state, seen = advance(Programs(), step, jax.numpy.array(0), None, 2, count=3)
        >>> int(state), seen.tolist()
        (6, [0, 2, 4])
    """
    return programs.call(*steps(step, count), state, objective, config)


def steps(step: Step, count: int) -> tuple[str, Callable]:
    """``count`` steps as one function, with the name under which `Programs` knows it.

    Args:
        step: see `advance`.
        count: number of steps.

    Returns:
        The name, and the function of state, objective and config.

    Example:
        >>> def step(state, objective, config):
        ...     return state + 1, state
        >>> _, function = steps(step, 2)
        >>> int(function(jax.numpy.array(0), None, None)[0])
        2
    """

    def scan(state: Any, objective: Objective, config: Any) -> tuple[Any, Any]:
        return jax.lax.scan(
            lambda state, _: step(state, objective, config), state, None, length=count
        )

    return f"{count} of {step.__module__}.{step.__name__}", scan
