"""Checkpoints that mean harm, or are damaged: each is made from the name of its kind and a number.

`KINDS` has a function for each kind, `FILES` the sound files that are cut and flipped.
"""

import math
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from support.hostile_archives import archive, zip_bomb
from support.hostile_pickles import bomb, call, nested_calls, program
from support.torch_files import (
    FLOATS,
    ORDERED_DICT,
    PARAMETER,
    REBUILD_1,
    Call,
    Name,
    Stored,
    dumps,
    old_module,
    old_storage,
    stacked,
    storage,
    tensor,
    zipped,
)

Random = random.Random

SHAPES = {
    "encoder.weight": (11, 4),
    "rnn.weight_ih_l0": (12, 4),
    "rnn.weight_hh_l0": (12, 3),
    "rnn.bias_ih_l0": (12,),
    "rnn.bias_hh_l0": (12,),
    "decoder.weight": (11, 3),
    "decoder.bias": (11,),
}
WEIGHTS = {
    name: np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)
    for name, shape in SHAPES.items()
}
KEYS = {name: str(number) for number, name in enumerate(SHAPES)}


def stored(old: bool, key: Any, count: Any, kind: Any = FLOATS, view: Any = None) -> Stored:
    """A storage of either format."""
    return old_storage(key, count, view, kind) if old else storage(key, count, kind)


def state(old: bool) -> dict[Any, Any]:
    """A sound state dict."""
    return {
        name: tensor(stored(old, KEYS[name], array.size), array.shape)
        for name, array in WEIGHTS.items()
    }


def file(old: bool, root: Any, keys: list | None = None, **changed: np.ndarray) -> bytes:
    """A checkpoint of either format, with other weights or storage keys if given."""
    data = {key: changed.get(name, WEIGHTS[name]) for name, key in KEYS.items()}
    if old:
        return stacked(root, data, keys)
    return zipped(root, {key: array.tobytes() for key, array in data.items()})


def around(old: bool, pickled: bytes) -> bytes:
    """A file around a pickle that may hold no tensors; the old format must know every storage."""
    described = b"".join(
        b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0%cX\3\0\0\0cpuK%cNtQ0"
        % (key.encode(), WEIGHTS[name].size)
        for name, key in KEYS.items()
    )
    start = 2 if pickled[:1] == b"\x80" else 0
    return file(old, pickled[:start] + described * old + pickled[start:])


FILES = {
    "zip": file(False, state(False)),
    "stacked": file(True, state(True)),
    "module": old_module(WEIGHTS),
}


# Values that nobody expects.

NUMBERS = [-1, 0, 1, 2, 3, 12, 2**31, 2**32, 2**47, 2**52, 2**62, 2**63, 2**64, -(2**63), 10**30]
TEXTS = ["", "0", "1", "..", "../../x", "/etc/passwd", "\x1b[2J", "\0", "\ud800", "x" * 5000]


def odd(rng: Random, depth: int = 2) -> Any:
    """A value of any kind."""
    plain = [
        lambda: rng.choice(NUMBERS),
        lambda: 10 ** rng.randint(0, 5000),
        lambda: rng.choice([None, True, 0.5, float("nan"), float("inf"), b"", b"bytes", 1e300]),
        lambda: rng.choice(TEXTS),
        lambda: Name("os", "system"),
        lambda: Stored(("storage", FLOATS, "0", "cpu", rng.choice(NUMBERS))),
        lambda: rng.choice(list(state(False).values())),
    ]
    nested = [
        lambda: tuple(odd(rng, depth - 1) for _ in range(rng.randint(0, 4))),
        lambda: [odd(rng, depth - 1) for _ in range(rng.randint(0, 4))],
        lambda: {rng.choice(TEXTS): odd(rng, depth - 1) for _ in range(rng.randint(0, 3))},
        lambda: call(rng),
        lambda: Call(ORDERED_DICT, odd(rng, depth - 1)),
    ]
    return rng.choice(plain + nested if depth else plain)()


# Each kind.


def calls(rng: Random) -> bytes:
    """A call where a checkpoint has something else."""
    old, root, harm = rng.random() < 0.5, {}, call(rng)
    root = state(old)
    name = rng.choice(list(root))
    size, stride, one = SHAPES[name], (1,) * len(SHAPES[name]), stored(old, KEYS[name], 1)
    place = rng.randrange(13)
    match place:
        case 0:
            root = harm
        case 1:
            root[name] = harm
        case 2:
            root[harm] = root.pop(name)
        case 3:
            root[name] = tensor(stored(old, KEYS[name], 12, harm), size)
        case 4:
            root[name] = tensor(stored(old, harm, 12), size)
        case 5:
            root[name] = Call(REBUILD_1, one, 0, harm, stride)
        case 6:
            root[name] = Call(REBUILD_1, one, harm, size, stride)
        case 7:
            root[name] = Call(REBUILD_1, harm, 0, size, stride)
        case 8:
            root[name] = Call(PARAMETER, harm, state=harm)
        case 9:
            root = Call(ORDERED_DICT, [[name, harm]])
        case 10:
            root = Call(harm.function, state={"_modules": harm, "_parameters": {}, "_buffers": {}})
        case 11:  # where nobody looks
            root[name] = tensor(stored(old, KEYS[name], WEIGHTS[name].size), size)
            root[name].args = (*root[name].args[:5], harm)
        case 12:
            return stacked(dumps(state(True), 2), {}, [harm])
    return around(old, dumps(root, rng.randint(1, 5)))


def opcodes(rng: Random) -> bytes:
    """Any opcodes, for the model itself or the other pickles of the old format."""
    sound, pickled = FILES["stacked"], program(rng)
    match rng.randrange(4):
        case 0:
            return around(False, pickled)
        case 1:
            return around(True, pickled)
        case 2:
            return sound.replace(dumps(1001), pickled, 1)
        case _:
            return sound.replace(dumps(sorted(KEYS.values())), pickled, 1)


def shapes(rng: Random) -> bytes:
    """Sizes, strides and offsets of all kinds."""
    old = rng.random() < 0.5
    root = state(old)
    for name in rng.sample(list(root), rng.randint(1, 3)):
        count, size = WEIGHTS[name].size, SHAPES[name]
        stride = root[name].args[3]
        parts: list[Any] = [stored(old, KEYS[name], count), 0, size, stride]
        for place in rng.sample((1, 2, 3), rng.randint(1, 2)):
            dimensions = rng.choice([0, 1, 2, 3, 8, 9, 40])
            many = tuple(rng.choice(NUMBERS) for _ in range(dimensions))
            one = list(size if place == 2 else stride)
            one[rng.randrange(len(one))] = rng.choice([*NUMBERS, True, 1.0, None, "3"])
            parts[place] = rng.choice([rng.choice(NUMBERS), many, tuple(one), one, odd(rng)])
        root[name] = Call(REBUILD_1, *parts)
    return file(old, root)


def lie(rng: Random, old: bool, name: str) -> Call:
    """A tensor whose storage isn't what it says, or isn't its own."""
    key, count = KEYS[name], WEIGHTS[name].size
    kinds = ["Half", "BFloat16", "Double", "Long", "Bool", "Quantized", "ComplexFloat"]
    kind = Name(rng.choice(["torch", "torch.cuda", "os"]), f"{rng.choice(kinds)}Storage")
    view = ("v", rng.choice(NUMBERS), rng.choice(NUMBERS))
    claims = [
        lambda: stored(old, KEYS["decoder.bias"], count),
        lambda: stored(old, rng.choice(TEXTS), count),
        lambda: stored(old, key, rng.choice(NUMBERS)),
        lambda: stored(old, key, 10 ** rng.randint(1, 4000)),
        lambda: stored(old, key, count, kind),
        lambda: stored(True, key, count, FLOATS, view),
        lambda: stored(old, odd(rng), odd(rng), odd(rng)),
        lambda: Stored(("storage", *(odd(rng) for _ in range(4)))),
        lambda: Stored((odd(rng), odd(rng))),
    ]
    return tensor(rng.choice(claims)(), SHAPES[name])


def storages(rng: Random) -> bytes:
    """Storages that lie, overlap, are missing, or aren't storages."""
    old = rng.random() < 0.5
    root = state(old)
    keys = [*KEYS.values()]
    for name in rng.sample(list(root), rng.choice([1, 1, 1, 2, 7])):
        root[name] = lie(rng, old, name)
    if rng.random() < 0.2:
        keys = [rng.choice([*keys, odd(rng)]) for _ in range(rng.randint(0, 9))]
    content = file(old, root, keys)
    if old and rng.random() < 0.3:  # another number of elements before the data than in the pickle
        sizes = [array.size for array in WEIGHTS.values()]
        other = rng.choice([-1, 2**31, 2**62, -(2**63), 10**6])
        content = content.replace(
            struct.pack("<q", rng.choice(sizes)), struct.pack("<q", other), rng.randint(1, 9)
        )
    return content


def recursion(rng: Random) -> bytes:
    """Things that hold themselves."""
    old = rng.random() < 0.5
    root = state(old)
    name = rng.choice(list(root))
    within: list[Any] = []
    within.append(rng.choice([within, (within,), {"x": within}]))
    wrapper = Call(PARAMETER)
    wrapper.state = (wrapper, None)
    wrapped = Call(ORDERED_DICT, within)
    wrapped.state = {"_modules": wrapped, "_parameters": wrapped, "_buffers": {}}
    module = Call(Name("model", "RNNModel"))
    module.state = {"_modules": {"rnn": module}, "_parameters": {}, "_buffers": {}}
    root[name] = rng.choice(
        [
            within,
            wrapper,
            root,
            wrapped,
            Call(REBUILD_1, within, within, within, within),
            Call(PARAMETER, wrapper),
            tensor(stored(old, KEYS[name], 12), (within,)),
        ]
    )
    if rng.random() < 0.3:
        root = rng.choice([within, wrapper, wrapped, module, {"x": root}])
    return around(old, dumps(root, rng.randint(1, 5)))


def modules(rng: Random) -> bytes:
    """Whole modules with settings and parts of all kinds."""
    names = [
        *("_modules", "_parameters", "_buffers", "_forward_hooks", "nhid", "nlayers", "rnn_type"),
        *("rnn__mode", "rnn__hidden_size", "rnn__num_layers", "rnn___modules", "rnn___parameters"),
        *(
            "encoder__max_norm",
            "encoder___buffers",
            "drop___forward_pre_hooks",
            "decoder___modules",
        ),
    ]
    return old_module(WEIGHTS, **{name: odd(rng) for name in rng.sample(names, rng.randint(1, 3))})


def bits(rng: Random) -> bytes:
    """A sound file with a bit or some flipped."""
    content = bytearray(FILES[rng.choice(list(FILES))])
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def numbers(rng: Random) -> bytes:
    """A sound file, but for a weight that is no number, or none that float32 has."""
    old, name = rng.random() < 0.5, rng.choice(list(WEIGHTS))
    double = rng.random() < 0.3
    array = WEIGHTS[name].astype(np.float64 if double else np.float32)
    odd_ones = [np.nan, np.inf, -np.inf, *([1e39, -1e300] if double else [])]
    array.ravel()[rng.randrange(array.size)] = rng.choice(odd_ones)
    root = state(old)
    if double:
        kind = Name("torch", "DoubleStorage")
        root[name] = tensor(stored(old, KEYS[name], array.size, kind), SHAPES[name])
    return file(old, root, **{name: array})


# How to make a case, and how many there are where all are tried.
KINDS: dict[str, tuple[Callable[[Random], bytes], int]] = {
    "calls": (calls, 1200),
    "nested calls": (lambda rng: around(rng.random() < 0.5, nested_calls(rng)), 300),
    "opcodes": (opcodes, 2000),
    "bombs": (lambda rng: around(rng.random() < 0.5, bomb(rng)), 300),
    "shapes": (shapes, 1000),
    "storages": (storages, 1000),
    "recursion": (recursion, 300),
    "modules": (modules, 700),
    "archives": (lambda rng: archive(rng, FILES["zip"]), 1200),
    "zip bombs": (lambda rng: zip_bomb(rng, FILES["zip"]), 400),
    "bits": (bits, 3000),
    "numbers": (numbers, 300),
}


def make(kind: str, number: int) -> bytes:
    """The content of a file; the same for the same arguments."""
    return KINDS[kind][0](Random(f"{kind} {number}"))
