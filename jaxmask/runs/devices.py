"""Where the runs of an ensemble are computed: on all devices, as many at once as fit into memory.

Devices are in groups. Each group gets some of the runs (`jax.shard_map`), and each of its devices
some rows of their batches (`spread`; the rest is the compiler's). With as many runs as devices, a
group is one device, and nothing travels between devices until results are gathered. Leaving runs to
the compiler too wouldn't do: what they do one after another (`jaxmask.search.exchange`) would be
gathered and done by every device for all of them.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

SHARE_OF_MEMORY = 0.5  # of a device's, that runs of one program may take together
_RUNS = "runs"
_ROWS = "rows"


def mesh(runs: int) -> Mesh | None:
    """All devices of all processes, groups of them in rows; None if there is one.

    There are as many groups as runs, or as the next larger number that divides the devices, so that
    all of them, and with them all processes, have a part.
    """
    devices = np.array(jax.devices())
    if len(devices) == 1:
        return None
    groups = next(
        n for n in range(min(runs, len(devices)), len(devices) + 1) if len(devices) % n == 0
    )
    return Mesh(devices.reshape(groups, -1), (_RUNS, _ROWS))


def padded(runs: int, mesh: Mesh | None) -> int:
    """The number of runs, rounded up to as many on each group of devices."""
    groups = _groups(mesh)
    return -(-runs // groups) * groups


def spread(rows: Any) -> Any:
    """Arrays with a row each for what a batch has, with some of the rows on each device of a group.

    Under another program than that of `on_all` they stay as they are.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if dict(zip(mesh.axis_names, mesh.axis_types, strict=True)).get(_ROWS) != AxisType.Auto:
        return rows
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec(_ROWS)))


def on_all(function: Callable, mesh: Mesh | None, *stacked: Any) -> Callable:
    """A function of stacked runs, computed for each device's own.

    Args:
        function: of as many arguments as ``stacked``; what it returns is stacked over runs.
        mesh: of devices; None for the default one.
        stacked: for each argument, a bool, or a tree of bools: stacked over runs, or shared?
    """
    if mesh is None:
        return function
    specs = jax.tree.map(_spec, stacked)
    # Scans begin with constants, which replication rules would want marked as varying.
    mapped = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=specs,
        out_specs=_spec(True),
        axis_names={_RUNS},
        check_vma=False,
    )
    whole = NamedSharding(mesh, _spec(True))  # where the next program wants it

    def placed(*args: Any) -> Any:
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, whole), mapped(*args))

    return placed


def place(tree: Any, mesh: Mesh | None, stacked: Any) -> Any:
    """Puts arrays, the same ones in all processes, where `on_all` wants them.

    Shapes (`jax.ShapeDtypeStruct`) are told where their arrays would be.
    """
    if mesh is None:
        return tree

    def put(over: bool, x: Any) -> Any:
        return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, _spec(over))), x)

    return jax.tree.map(put, stacked, tree)


def gather(tree: Any) -> Any:
    """Arrays from wherever they are: numpy's, and typed keys on the default device."""

    def of_leaf(x: Any) -> Any:
        if _is_key(x):
            return jax.random.wrap_key_data(of_leaf(jax.random.key_data(x)))
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            return multihost_utils.process_allgather(x, tiled=True)
        return np.asarray(x)

    return jax.tree.map(of_leaf, tree)


def together(runs: int, taken: Callable[[int], int], mesh: Mesh | None = None) -> int:
    """How many runs to compute at once: all, or equal parts of them that fit into memory.

    They may take `SHARE_OF_MEMORY` of a device's memory, or of its share of the machine's where the
    device doesn't tell. A program's memory grows linearly with its runs, so that two compilations
    tell the largest that fits.

    Args:
        runs: in all.
        taken: bytes that a program of so many runs takes on a device, see `memory`.
        mesh: of devices.
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


def memory(compiled: jax.stages.Compiled) -> int:
    """Bytes that a program takes on a device, its arguments and results included.

    0 where the compiler doesn't tell.
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


def _put(x: Any, sharding: NamedSharding) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    if _is_key(x):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), sharding))
    if jax.process_count() == 1 or getattr(x, "sharding", None) == sharding:
        return jax.device_put(x, sharding)
    whole = np.asarray(x)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])
