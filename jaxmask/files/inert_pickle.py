"""Reads pickles as plain data: nothing is imported, called or built from what a pickle says.

A pickle is a program for a small stack machine, whose language can import and call. Python's own
unpicklers run the program; here it is only read. Numbers, text and containers become what they are;
a global becomes a `Global`, which is only its name; a call becomes a `Record` of the function and
the arguments. The converters look for the records that describe tensors.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from jaxmask.text.vocabulary import shown

MAX_OPCODES = 50_000  # a language model's pickle has about 1,500
MAX_NAME = 500  # characters of a global's name


class CheckpointError(ValueError):
    """A checkpoint, or another pickle, that can't be used; says why, and which file and tensor.

    Example:
        >>> import io
        >>> read_pickle(io.BytesIO(b"?"))
        Traceback (most recent call last):
        jaxmask.files.inert_pickle.CheckpointError: broken pickle ...
    """


class Global(NamedTuple):
    """The name of a class or function that the pickle refers to.

    Attributes:
        name: with that of its module.

    Example:
        >>> import io, pickle
        >>> read_pickle(io.BytesIO(pickle.dumps(print))).name
        'builtins.print'
    """

    name: str


@dataclass(eq=False, repr=False, slots=True)  # a repr could take forever
class Record:
    """What a pickle said of one object, whose class or function was never touched.

    Attributes:
        function: what would have been called, normally a `Global`.
        args: the arguments.
        state: what would have been given to ``__setstate__``.
        items: what would have been set by ``object[key] = value``.
        elements: what would have been appended or added.

    Example:
        >>> import io, pickle
        >>> record = read_pickle(io.BytesIO(pickle.dumps(slice(1, 2))))
        >>> record.name, record.args
        ('builtins.slice', (1, 2, None))
    """

    function: Any
    args: Any
    state: Any = None
    items: dict = field(default_factory=dict)
    elements: list = field(default_factory=list)

    @property
    def name(self) -> str:
        """The function's name; empty if it isn't a global."""
        return self.function.name if isinstance(self.function, Global) else ""


# Opcodes that carry a number, text or bytes and push it.
_LITERALS = frozenset(
    opcode.name
    for opcode in pickletools.opcodes
    if opcode.arg and opcode.stack_after and opcode.stack_after[0] is not pickletools.anyobject
)


def _no_persistent_ids(pid: Any) -> Any:
    raise CheckpointError("the pickle holds a persistent id where none belongs")


class _Machine:
    """The stack, the marks in it, and the memo; one method a group of opcodes."""

    def __init__(self, persistent_load: Callable[[Any], Any], most: int) -> None:
        self.persistent_load = persistent_load
        self.most = most
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise CheckpointError("the pickle takes more than there is on its stack")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def remember(self, index: int) -> None:
        if not 0 <= index < self.most:  # numbers of one's choice could be slow to hash
            raise CheckpointError("the pickle remembers more than it can hold")
        self.memo[index] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.elements.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        elif isinstance(target, set):
            target.update(_as_key(value) for value in values)
        else:
            raise CheckpointError("the pickle appends to something that isn't a list or a set")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Record) else target
        if not isinstance(items, dict):
            raise CheckpointError("the pickle sets an item in something that isn't a dictionary")
        items.update(_pairs(values))

    def build(self) -> None:
        state = self.pop()
        target = self.stack[-1]
        if not isinstance(target, Record):
            raise CheckpointError("the pickle gives a state to something that has none")
        target.state = state

    def call(self, function: Any, args: Any) -> None:
        self.push(Record(function, args))

    def step(self, name: str, arg: Any) -> None:
        """Does what one opcode says."""
        match name:
            case _ if name in _LITERALS:
                self.push(arg)
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(self.stack))
            case "POP" if self.marks and self.marks[-1] == len(self.stack):
                self.marks.pop()
            case "POP":
                self.pop()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                self.push(self.stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.remember(arg)
            case "MEMOIZE":
                self.remember(len(self.memo))
            case "GET" | "BINGET" | "LONG_BINGET":
                self.push(self.memo[arg])
            case "NONE":
                self.push(None)
            case "NEWTRUE" | "NEWFALSE":
                self.push(name == "NEWTRUE")
            case "EMPTY_LIST":
                self.push([])
            case "EMPTY_DICT":
                self.push({})
            case "EMPTY_SET":
                self.push(set())
            case "EMPTY_TUPLE":
                self.push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.push(tuple(self.pop_many(int(name[-1]))))
            case "TUPLE":
                self.push(tuple(self.pop_mark()))
            case "LIST":
                self.push(self.pop_mark())
            case "FROZENSET":
                self.push(frozenset(map(_as_key, self.pop_mark())))
            case "DICT":
                self.push(dict(_pairs(self.pop_mark())))
            case "APPEND":
                self.extend(self.pop_many(1))
            case "APPENDS" | "ADDITEMS":
                self.extend(self.pop_mark())
            case "SETITEM":
                self.set_items(self.pop_many(2))
            case "SETITEMS":
                self.set_items(self.pop_mark())
            case "BUILD":
                self.build()
            case "GLOBAL":
                self.push(_global(*arg.split(" ", 1)))
            case "STACK_GLOBAL":
                self.push(_global(*self.pop_many(2)))
            case "REDUCE" | "NEWOBJ":
                self.call(*self.pop_many(2))
            case "NEWOBJ_EX":
                function, args, _ = self.pop_many(3)
                self.call(function, args)
            case "INST":
                self.call(_global(*arg.split(" ", 1)), tuple(self.pop_mark()))
            case "OBJ":
                function, *args = self.pop_mark()
                self.call(function, tuple(args))
            case "PERSID":
                self.push(self.persistent_load(arg))
            case "BINPERSID":
                self.push(self.persistent_load(self.pop()))
            case _:
                raise CheckpointError(f"the pickle uses opcode {name}, which no checkpoint needs")


def _global(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str) or len(module + name) > MAX_NAME:
        raise CheckpointError("the pickle names a global by something that isn't a short text")
    return Global(f"{module}.{name}")


def _as_key(value: Any) -> Any:
    """Lets only cheap keys pass: nested tuples and chosen numbers could be slow to hash."""
    small_int = isinstance(value, int) and abs(value) < 2**60
    if value is None or small_int or isinstance(value, str | bytes | Global | Record):
        return value
    raise CheckpointError(f"the pickle uses a {type(value).__name__} as a key")


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise CheckpointError("the pickle sets a key without a value")
    return [(_as_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True)]


def read_pickle(
    stream: BinaryIO,
    persistent_load: Callable[[Any], Any] = _no_persistent_ids,
    most: int = MAX_OPCODES,
) -> Any:
    """Reads one pickle of protocol 0 to 5; the stream then is at the first byte after it.

    Args:
        stream: positioned at the pickle's first byte.
        persistent_load: gives the object that a persistent id stands for.
        most: number of steps that the pickle may have.

    Returns:
        None, numbers, text, bytes, containers, `Global`, `Record`, or what ``persistent_load``
        gave. Shared objects stay shared, so the tree may hold cycles.

    Raises:
        CheckpointError: the pickle is broken, cut short, or has more steps.

    Example:
        >>> import io, pickle
        >>> read_pickle(io.BytesIO(pickle.dumps({"boy": [1, (2.0, None)]})))
        {'boy': [1, (2.0, None)]}
    """
    machine = _Machine(persistent_load, most)
    try:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(stream)):
            if count >= most:
                raise CheckpointError(f"its pickle has more than {most} steps")
            machine.step(opcode.name, arg)
        if machine.marks or len(machine.stack) != 1:
            raise CheckpointError("the pickle doesn't end with one object")
        return machine.stack[0]
    except CheckpointError:
        raise
    except Exception as fault:  # a hostile stream may fail in any way inside pickletools
        raise CheckpointError(f"broken pickle ({type(fault).__name__}: {fault})"[:300]) from fault


def brief(value: Any) -> str:
    """A short description of any value, for messages.

    Args:
        value: as `read_pickle` gives it.

    Example:
        >>> brief([1]), brief("boy"), brief(Global("os.system"))
        ('a list', "'boy'", 'the name os.system')
    """
    if isinstance(value, Record):
        return f"an inert record of {shown(value.name) or 'something unnamed'}"
    if isinstance(value, Global):
        return f"the name {shown(value.name)}"
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int) and abs(value) < 2**64:
        return str(value)
    return f"a {type(value).__name__}"
