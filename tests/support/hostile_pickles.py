"""Pickles that mean harm: calls, programs of any opcodes, and small ones of large things.

All names in them are only ever names: see `torch_files` for how they come into a pickle.
"""

import pickle
import pickletools
import random
import struct
from collections.abc import Callable
from typing import Any

from support.torch_files import Call, Name

Random = random.Random
CANARY = "made-by-a-hostile-file"  # what the calls below would make, did anything call them

CALLS: list[tuple[str, str, tuple]] = [
    ("os", "system", (f"touch {CANARY}",)),
    ("posix", "system", (f"touch {CANARY}",)),
    ("builtins", "eval", (f"open({CANARY!r}, 'w')",)),
    ("__builtin__", "eval", (f"open({CANARY!r}, 'w')",)),
    ("builtins", "exec", (f"open({CANARY!r}, 'w')",)),
    ("builtins", "open", (CANARY, "w")),
    ("io", "open", (CANARY, "w")),
    ("builtins", "compile", ("1", CANARY, "eval")),
    ("builtins", "__import__", ("this",)),
    ("builtins", "breakpoint", ()),
    ("importlib", "import_module", ("this",)),
    ("importlib.util", "spec_from_file_location", (CANARY, "model.pt")),
    ("sys", "meta_path.append", (CANARY,)),
    ("sys", "path_hooks.append", (CANARY,)),
    ("sys", "modules.clear", ()),
    ("sys", "exit", (0,)),
    ("os", "_exit", (0,)),
    ("os", "remove", ("model.pt",)),
    ("os", "execv", ("/bin/sh", ("sh", "-c", f"touch {CANARY}"))),
    ("subprocess", "Popen", (["touch", CANARY],)),
    ("subprocess", "check_output", (["touch", CANARY],)),
    ("shutil", "rmtree", (".",)),
    ("runpy", "run_path", ("model.pt",)),
    ("pickle", "loads", (b"cos\nsystem\n(S'touch made-by-a-hostile-file'\ntR.",)),
    ("_pickle", "Unpickler", (b"",)),
    ("torch.storage", "_load_from_bytes", (b"cos\nsystem\n(S'true'\ntR.",)),
    ("torch.hub", "load", ("someone/something", "model")),
    ("torch.jit", "load", ("model.pt",)),
    ("numpy", "load", ("model.pt", None, True)),
    ("ctypes", "CDLL", (None,)),
    ("socket", "create_connection", (("127.0.0.1", 9),)),
    ("time", "sleep", (1000,)),
    ("codecs", "decode", ("x", "rot13")),
    ("operator", "attrgetter", ("__class__.__base__.__subclasses__",)),
    ("functools", "partial", (Name("os", "system"), f"touch {CANARY}")),
    ("builtins", "getattr", (Name("os", "system"), "__globals__")),
    ("builtins", "type", ("X", (), {})),
    ("collections", "namedtuple", ("X", "x; import os")),
    ("model", "RNNModel.__reduce__", ()),
    ("", "", ()),
]


def call(rng: Random) -> Call:
    """One of `CALLS`, perhaps with a state to set."""
    module, name, args = rng.choice(CALLS)
    state = rng.choice([None, None, {"__class__": 1, "__dict__": {}}, ({}, {"name": "x"})])
    return Call(Name(module, name), *args, state=state)


def nested_calls(rng: Random) -> bytes:
    """Calls whose functions or arguments are calls, many deep."""
    name = b"c" + rng.choice([b"os\nsystem\n", b"builtins\neval\n", b"builtins\ngetattr\n"])
    harm = b"X\x05\x00\x00\x00touch"
    depth = int(10 ** (3.5 * rng.random() ** 3))
    layers = {
        "function": name + (harm + b"\x85R") * depth,
        "argument": name * depth + harm + b"\x85R" * depth,
        "new object": name * depth + harm + b"\x85\x81" * depth,
        "state": name + b")R" + (name + b")R") * depth + b"b" * depth,
        "both": name + harm + b"\x85R" + b"2\x85R" * depth,
    }
    return b"\x80\x02" + layers[rng.choice(list(layers))] + b"."


def argument(rng: Random, opcode: Any) -> bytes:
    """Something that an opcode can take."""
    kind = opcode.arg.name if opcode.arg else ""
    text = rng.choice([b"", b"1", b"7", b"00", b"os", b"-3", b"1.5", b"'a'", b"\xff", b"9" * 30])
    match kind:
        case "":
            return b""
        case "uint1":
            return bytes([rng.choice([0, 1, 2, 255])])
        case "uint2":
            return struct.pack("<H", rng.choice([0, 1, 65535]))
        case "int4":
            return struct.pack("<i", rng.choice([0, 1, -1, 2**31 - 1]))
        case "uint4":
            return struct.pack("<I", rng.choice([0, 1, 2**32 - 1]))
        case "uint8":
            return struct.pack("<Q", rng.choice([0, 1, 2**63, 2**64 - 1]))
        case "float8":
            return rng.randbytes(8)
        case "stringnl_noescape_pair":
            return b"os\n" + text + b"\n"
        case _ if kind.endswith("1"):
            return bytes([rng.choice([len(text), 0, 255])]) + text
        case _ if kind.endswith("4"):
            return struct.pack("<I", rng.choice([len(text), 2**31 - 1, 2**32 - 1])) + text
        case _ if kind.endswith("8"):
            return struct.pack("<Q", rng.choice([len(text), 2**63, 2**64 - 1])) + text
    return text + b"\n"


def program(rng: Random) -> bytes:
    """Any opcodes in any order."""
    chosen = rng.choices(pickletools.opcodes, k=int(10 ** rng.uniform(0, 2.3)))
    body = (o.code.encode("latin-1") + argument(rng, o) for o in chosen if o.name != "STOP")
    start = b"(NNNNN" if rng.random() < 0.7 else b""  # some that get past the first steps
    return b"\x80\x02" + start + b"".join(body) + b"."


def one_hash(count: int) -> list[int]:
    """Numbers that Python hashes to 0."""
    return [(2**61 - 1) * number for number in range(1, count + 1)]


# Each takes about as many steps as it is told to.
BOMBS: dict[str, Callable[[int], bytes]] = {
    "tuples within tuples": lambda n: b"N" + b"\x85" * n + b".",
    "lists within lists": lambda n: b"]" * (n // 2) + b"a" * (n // 2 - 1) + b".",
    "records within records": lambda n: (
        b"cos\nx\nq\x00)R" + b"\x85q\x01h\x00h\x01R" * (n // 5) + b"."
    ),
    "deep key": lambda n: b"}N" + b"\x85" * n + b"Ns.",
    "billion laughs": lambda n: b"]q\x00" + b"]h\x00ah\x00aq\x00" * (n // 6) + b".",
    "doubling": lambda n: b"N" + b"2\x86" * (n // 2) + b".",
    "doubling key": lambda n: b"N" + b"2\x86" * (n // 2) + b"q\x000}h\x00Ns.",
    "empty sets": lambda n: b"(" + b"\x8f" * n + b"l.",
    "empty records": lambda n: b"cos\nx\nq\x00(" + b"h\x00)R" * (n // 3) + b"l.",
    "memo index": lambda n: b"N" + b"r\xff\xff\xff\xff" * n + b".",
    "memo of one hash": lambda n: b"N" + b"".join(b"p%d\n" % k for k in one_hash(n)) + b".",
    "memo of like bits": lambda n: (
        b"N" + b"".join(b"r" + struct.pack("<I", k << 15 & 2**32 - 1) for k in range(n)) + b"."
    ),
    "long text": lambda n: b"X\xff\xff\xff\xff" + b"a" * n + b".",
    "long bytes": lambda n: b"\x8e" + b"\xff" * 7 + b"\x00" + b"a" * n + b".",
    "long bytearray": lambda n: b"\x96" + b"\xff" * 6 + b"\x00\x00" + b"a" * n + b".",
    "long frame": lambda n: b"\x95" + b"\xff" * 6 + b"\x00\x00" + b"N" * n + b".",
    "long number": lambda n: b"\x8b\xff\xff\xff\x7f" + b"a" * n + b".",
    "digits": lambda n: b"I" + b"9" * n + b"\n.",
    "digits of a float": lambda n: b"F" + b"9" * n + b"e-%d\n." % n,
    "keys of one hash": lambda n: (
        b"}("
        + b"".join(b"\x8a\x0c" + k.to_bytes(12, "little") + b"N" for k in one_hash(n // 5))
        + b"u."
    ),
    "keys of like bits": lambda n: (
        b"}("
        + b"".join(b"\x8a\x08" + struct.pack("<q", k << 44) + b"N" for k in range(n // 2 - 2))
        + b"u."
    ),
    "names": lambda n: (
        b"X\x00\x10\x00\x00" + b"a" * 4096 + b"q\x00" + b"h\x00h\x00\x930" * (n // 4) + b"N."
    ),
    "marks": lambda n: b"(" * n + b".",
    "extension": lambda n: b"\x82\x01" * n + b".",
    "buffers": lambda n: b"\x97" * n + b".",
    "no stop": lambda n: b"N" * n,
    "underflow": lambda n: b"N" + b"0" * n + b".",
    "underflow below a mark": lambda n: b"N(\x85" * n + b".",
    "append to a number": lambda n: b"K\x01Na" * n + b".",
    "no memo": lambda n: b"h\x07" * n + b".",
    "odd items": lambda n: b"}(" + b"N" * (n | 1) + b"u.",
    "persistent ids": lambda n: b"]" + b"(X\x07\x00\x00\x00storageNNNNtQ" * n + b".",
}


def bomb(rng: Random) -> bytes:
    """One of `BOMBS`, seldom a large one."""
    steps = int(10 ** (1 + 3.65 * rng.random() ** 3))
    return b"\x80\x04" + BOMBS[rng.choice(list(BOMBS))](steps)


def real_call(function: Callable, *args: Any) -> bytes:
    """A pickle that does what it says, if Python's own reader gets it."""

    class Payload:
        def __reduce__(self):
            return function, args

    return pickle.dumps({"encoder.weight": Payload()}, 2)
