"""Distributes the runs of an ensemble over all devices, as many at once as fit into memory.

The devices form groups. Each group computes some of the runs (`jax.shard_map`), and each device of
a group some of the rows of their batches (`spread`; the compiler does the rest), except where loops
differ in length from run to run. With as many runs as devices, each group is one device, and
devices exchange no data before the results are gathered.
The runs aren't left to the compiler, because it would gather the steps that runs take one after
another (`jaxmask.search.exchange`), and every device would take them for all runs.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

SHARE_OF_MEMORY = 0.5  # fraction of the memory of a device that the runs of one program may take
_RUNS = "runs"
_ROWS = "rows"


def mesh(runs: int, shared: Any = None) -> Mesh | None:
    """All devices of all processes, with a row for each group; None if there is only one device.

    There are as many groups as runs, or, if that number doesn't divide the number of devices, the
    next larger number that does. All devices, and therefore all processes, take part. It is None,
    too, if devices have parts of what the runs share: then they compute all runs together.

    Args:
        runs: number of runs.
        shared: a tree of what the runs share.

    Example:
        >>> groups = mesh(4)
        >>> (groups is None) == (len(jax.devices()) == 1)
        True
    """
    devices = np.array(jax.devices())
    if len(devices) == 1 or any(map(_is_divided, jax.tree.leaves(shared))):
        return None
    groups = next(
        n for n in range(min(runs, len(devices)), len(devices) + 1) if len(devices) % n == 0
    )
    return Mesh(devices.reshape(groups, -1), (_RUNS, _ROWS))


def padded(runs: int, mesh: Mesh | None) -> int:
    """The number of runs, rounded up so that each group of devices has equally many.

    Args:
        runs: number of runs.
        mesh: see `mesh`.

    Example:
        >>> padded(3, None)
        3
    """
    groups = _groups(mesh)
    return -(-runs // groups) * groups


def spread(rows: Any) -> Any:
    """Distributes the rows of a batch over the devices of a group.

    In a program other than that of `on_all`, the arrays stay where they are.

    Args:
        rows: arrays whose first axis goes over the rows of a batch.

    Example:
        >>> spread(jnp.arange(3)).tolist()
        [0, 1, 2]
    """
    mesh = jax.sharding.get_abstract_mesh()
    if dict(zip(mesh.axis_names, mesh.axis_types, strict=True)).get(_ROWS) != AxisType.Auto:
        return rows
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec(_ROWS)))


def on_all(function: Callable, mesh: Mesh | None, *stacked: Any, uneven: bool = False) -> Callable:
    """A function of stacked runs that each group of devices computes for its own runs.

    Args:
        function: of as many arguments as there are in ``stacked``; its result is stacked over runs.
        mesh: see `mesh`; None for the default device.
        stacked: for each argument a truth value, or a tree of them: whether the argument is stacked
            over runs or shared by them.
        uneven: whether the loops of one run may be longer than those of another. Then no rows are
            distributed (`spread`), because devices that exchange rows wait for all others.

    Example:
        >>> double = on_all(lambda runs, shared: runs * shared, mesh(2), True, False)
        >>> double(jnp.arange(2), jnp.array(2)).tolist()
        [0, 2]
    """
    if mesh is None:
        return function
    specs = jax.tree.map(_spec, stacked)
    # check_vma is off, because it requires the constants that scans begin with to be marked.
    mapped = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=specs,
        out_specs=_spec(True),
        axis_names={_RUNS, _ROWS} if uneven else {_RUNS},
        check_vma=False,
    )
    whole = NamedSharding(mesh, _spec(True))  # where the next program expects its arguments

    def placed(*args: Any) -> Any:
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, whole), mapped(*args))

    return placed


def place(tree: Any, mesh: Mesh | None, stacked: Any) -> Any:
    """Puts arrays, which have to be the same in all processes, where `on_all` expects them.

    A shape (`jax.ShapeDtypeStruct`) gets the sharding that its array would have.

    Args:
        tree: of arrays or shapes.
        mesh: see `mesh`.
        stacked: see `on_all`.

    Example:
        >>> place({"mask": jnp.arange(2)}, None, True)["mask"].tolist()
        [0, 1]
    """
    if mesh is None:
        return tree

    def put(over: bool, x: Any) -> Any:
        return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, _spec(over))), x)

    return jax.tree.map(put, stacked, tree)


def gather(tree: Any) -> Any:
    """Gathers arrays from all devices, as numpy arrays; typed keys come to the default device.

    Args:
        tree: of arrays.

    Example:
        >>> type(gather({"mask": jnp.arange(2)})["mask"]).__name__
        'ndarray'
    """

    def of_leaf(x: Any) -> Any:
        if _is_key(x):
            return jax.random.wrap_key_data(of_leaf(jax.random.key_data(x)))
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            return multihost_utils.process_allgather(x, tiled=True)
        return np.asarray(x)

    return jax.tree.map(of_leaf, tree)


def together(runs: int, taken: Callable[[int], int], mesh: Mesh | None = None) -> int:
    """The number of runs to compute at once: all, or equal parts of them that fit into memory.

    The runs may take `SHARE_OF_MEMORY` of the memory of a device. If the device doesn't report its
    memory, it counts as an equal share of the memory of the machine. The memory of a program grows
    linearly with the number of runs, so that two compilations give the largest number that fits.

    Args:
        runs: number of all runs.
        taken: gives, for a number of runs, the bytes that their program takes on a device; see
            `memory`.
        mesh: see `mesh`.

    Example:
        >>> together(10, lambda runs: 1000 * runs)
        10
        >>> together(10, lambda runs: 10**18 * runs)
        1
    """
    each = _groups(mesh)
    all_of_them = -(-runs // each)  # on a device
    limit = SHARE_OF_MEMORY * _memory_of_device()
    if all_of_them == 1 or (most := taken(all_of_them * each)) <= limit:
        return all_of_them * each
    least = taken(each)
    slope = max(1.0, (most - least) / (all_of_them - 1))
    fitting = min(all_of_them - 1, max(1, 1 + int((limit - least) / slope)))
    parts = -(-all_of_them // fitting)
    return -(-all_of_them // parts) * each


def runs_in_turn() -> bool:
    """Is what one run computes enough to keep a device busy, so that runs are best taken in turn?

    Example:
        >>> runs_in_turn() == (jax.default_backend() == "cpu")
        True
    """
    return jax.default_backend() == "cpu"


def memory(compiled: jax.stages.Compiled) -> int:
    """The bytes that a program takes on a device, including its arguments and results.

    It is 0 if the compiler doesn't report it.

    Args:
        compiled: program.

    Example:
        >>> memory(jax.jit(lambda x: 2 * x).lower(jnp.ones(4)).compile()) >= 0
        True
    """
    need = compiled.memory_analysis()
    if need is None:
        return 0
    taken = need.argument_size_in_bytes + need.output_size_in_bytes + need.temp_size_in_bytes
    return taken - need.alias_size_in_bytes


def _memory_of_device() -> float:
    told = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if told is not None:
        return told
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine / jax.local_device_count()


def _groups(mesh: Mesh | None) -> int:
    return 1 if mesh is None else mesh.shape[_RUNS]


def _spec(stacked: bool) -> PartitionSpec:
    return PartitionSpec(_RUNS) if stacked else PartitionSpec()


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _is_divided(x: Any) -> bool:
    return isinstance(x, jax.Array) and not x.is_fully_replicated


def _put(x: Any, sharding: NamedSharding) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    if _is_key(x):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), sharding))
    if jax.process_count() == 1 or getattr(x, "sharding", None) == sharding:
        return jax.device_put(x, sharding)
    whole = np.asarray(x)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])
