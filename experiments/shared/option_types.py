"""What values options may have: a type for each kind of option, and one check of them all.

An option's type says its range, beside its name in the dataclass of options:

    alpha: Fraction = 0.02
    text: TextFile | None = None

`check` goes through all fields of such a dataclass, so that an option can't be forgotten; that none
lacks a range is tested. It reads no file: an option may still turn out to be unusable, which is for
those to say who use it.
"""

import dataclasses
import os
import typing
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models.lstm.storage import MAX_LAYERS
from jaxmask.text.vocabulary import shown

MOST = 10**9  # of anything: numbers, and sums of two of them, fit into 32 bits
SMALLEST_FRACTION = 1e-6  # less than a unit of any model, and no trouble in float32


class OptionError(ValueError):
    """An option that can't be used; says which, what was expected and what was found."""


class Rule(NamedTuple):
    """What a value has to be.

    Attributes:
        expected: in words.
        fault: value -> what was found instead, in words; None if there is no fault.
    """

    expected: str
    fault: Callable[[Any], str | None]


def whole(low: int, high: int = MOST) -> Rule:
    """Whole numbers, both ends included."""
    return _number(Integral, low, high, f"a whole number from {low} to {high}")


def real(low: float, high: float) -> Rule:
    """Numbers, both ends included; NaN and infinity aren't."""
    return _number(Real, low, high, f"a number from {low:g} to {high:g}")


def _number(kind: type, low: float, high: float, expected: str) -> Rule:
    def fault(value: Any) -> str | None:
        good = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
        return None if good else shown(str(value))

    return Rule(expected, fault)


def _file(path: Path) -> str | None:
    if path.is_dir():
        return f"the folder {shown(str(path))}"
    if not path.exists():
        return f"none at {shown(str(path))}"
    return None if os.access(path, os.R_OK) else f"{shown(str(path))}, which can't be read"


def _folder(path: Path) -> str | None:
    if path.is_dir():
        return None if os.access(path, os.R_OK | os.X_OK) else f"{shown(str(path))}, unreadable"
    return f"the file {shown(str(path))}" if path.exists() else f"none at {shown(str(path))}"


def _data(path: Path) -> str | None:
    return _folder(path) if path.is_dir() else _file(path)


def _model(name: str) -> str | None:
    if name == "demo":
        return None
    return (_file if Path(name).suffix == ".pt" else _folder)(Path(name))


def _new_folder(path: Path) -> str | None:
    try:
        check_writable(path)
    except RunFolderError as fault:
        cause = fault.__cause__
        return f"{shown(str(path))} ({getattr(cause, 'strerror', None) or cause})"
    return None


def _some(values: tuple) -> str | None:
    return None if values else "none"


Fraction = Annotated[float, real(SMALLEST_FRACTION, 1.0)]
Percentage = Annotated[float, real(1e-6, 100.0)]
Share = Annotated[float, real(0.0, 1.0)]
Dropout = Annotated[float, real(0.0, 0.99)]
Rate = Annotated[float, real(1e-9, 1e6)]
Weight = Annotated[float, real(0.0, 1e6)]
PositiveWeight = Annotated[float, real(1e-6, 1e6)]
Words = Annotated[int, whole(2)]  # <unk> and <eos> at least
Count = Annotated[int, whole(1)]
CountOrZero = Annotated[int, whole(0)]
Runs = Annotated[int, whole(1, 10_000)]
Layers = Annotated[int, whole(1, MAX_LAYERS)]
Seed = CountOrZero
TextFile = Annotated[Path, Rule("a file", _file)]
Data = Annotated[Path, Rule("a file or a folder", _data)]
DataFolder = Annotated[Path, Rule("a folder", _folder)]
ResultFolder = Annotated[Path, Rule("a folder that can be written", _new_folder)]
Model = Annotated[str, Rule("demo, a model folder or a .pt file", _model)]
NotEmpty = Rule("at least one", _some)


def check(options: Any) -> None:
    """Raises an `OptionError` for the first option that is out of its range.

    Where there is a model, a vocabulary is asked for if it is a ``.pt`` file, and only then.

    Args:
        options: a dataclass whose fields have the types of this module, a ``Literal`` or ``bool``;
            or tuples of them, or None beside them.
    """
    hints = typing.get_type_hints(type(options), include_extras=True)
    for field in dataclasses.fields(options):
        for rule, value in _rules(hints[field.name], getattr(options, field.name)):
            if (found := rule.fault(value)) is not None:
                raise OptionError(f"{flag(field.name)}: expected {rule.expected}, found {found}")
    if {"model", "vocab"} <= hints.keys():
        _check_vocabulary(options.model, options.vocab)


def flag(name: str) -> str:
    """A field's name on the command line."""
    return f"--{name.replace('_', '-')}"


def _rules(hint: Any, value: Any) -> Iterator[tuple[Rule, Any]]:
    """The rules of a type, each with the value that it is for."""
    if value is None and type(None) in typing.get_args(hint):
        return
    if typing.get_origin(hint) is Annotated:
        base, *rules = typing.get_args(hint)
        yield from ((rule, value) for rule in rules)
        yield from _rules(base, value)
    elif typing.get_origin(hint) is typing.Literal:
        words = typing.get_args(hint)
        named = Rule(f"one of {', '.join(words)}", lambda x: None if x in words else shown(str(x)))
        yield named, value
    elif typing.get_origin(hint) is tuple:
        of_each = typing.get_args(hint)[0]
        for item in value:
            yield from _rules(of_each, item)
    else:
        for part in typing.get_args(hint):  # of a union, None aside
            if part is not type(None):
                yield from _rules(part, value)


def _check_vocabulary(model: str | tuple[str, ...] | None, vocab: Path | None) -> None:
    models = (model,) if isinstance(model, str) else model or ()
    converted = [name for name in models if Path(name).suffix == ".pt"]
    if converted and vocab is None:
        raise OptionError(f"--vocab: expected the vocabulary of {converted[0]}, found none")
    if vocab is not None and not converted:
        raise OptionError(f"--vocab: expected a .pt file as --model with it, found {vocab}")
