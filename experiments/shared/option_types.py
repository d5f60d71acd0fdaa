"""The valid values of options: a type for each kind of option, and one check of all options.

The type of an option, in the dataclass of options, says its range:

    alpha: Fraction = 0.02
    text: TextFile | None = None

`check` goes through all fields of such a dataclass, so that no option is forgotten; a test makes
sure that every option has a range. It doesn't read the content of files: a file may still turn out
to be unusable, which is then reported by the code that reads it.
"""

import dataclasses
import os
import typing
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models.lstm.storage import MAX_LAYERS
from jaxmask.models.model_folder import BUNDLED, NOT_DOWNLOADED
from jaxmask.text.vocabulary import shown

MOST = 10**9  # largest number; sums of two such numbers fit into 32 bits
CHECKPOINTS = (".pt", ".pth")  # what files of torch.save are usually called
WRITTEN_BY_TORCH = (b"PK\x03\x04", b"\x80")  # how they begin: a zip archive, or a pickle
SMALLEST_FRACTION = 1e-6  # less than one unit of any model, and exact enough in float32


class OptionError(ValueError):
    """An option can't be used; the message says which, what was expected and what was found."""


class Rule(NamedTuple):
    """A condition that a value has to meet.

    Attributes:
        expected: a description of valid values.
        fault: returns a description of a value that is invalid, and None for one that is valid.
    """

    expected: str
    fault: Callable[[Any], str | None]


def whole(low: int, high: int = MOST) -> Rule:
    """A rule for whole numbers from ``low`` to ``high``, both included."""
    return _number(Integral, low, high, f"a whole number from {low} to {high}")


def real(low: float, high: float) -> Rule:
    """A rule for numbers from ``low`` to ``high``, both included; NaN and infinity are invalid."""
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


def is_checkpoint(name: str) -> bool:
    """Whether a name stands for a PyTorch checkpoint: a file whose ending or content says so."""
    path = Path(name)
    if path.suffix in CHECKPOINTS or not path.is_file() or not os.access(path, os.R_OK):
        return path.suffix in CHECKPOINTS and not path.is_dir()
    with path.open("rb") as file:
        return file.read(4).startswith(WRITTEN_BY_TORCH)


def _model(name: str) -> str | None:
    if name in BUNDLED:
        return None
    found = (_file if is_checkpoint(name) else _folder)(Path(name))
    missing = found is not None and not Path(name).exists()
    return f"{found}; {NOT_DOWNLOADED}" if missing else found


def _new_folder(path: Path) -> str | None:
    try:
        check_writable(path)
    except RunFolderError as fault:
        cause = fault.__cause__
        return f"{shown(str(path))} ({getattr(cause, 'strerror', None) or cause})"
    return None


def _new_file(path: Path) -> str | None:
    if path.is_dir():
        return f"the folder {shown(str(path))}"
    if path.exists():
        return f"{shown(str(path))}, which is there already: remove it, or name another one"
    return _new_folder(path.parent)


def _some(values: tuple) -> str | None:
    return None if values else "none"


def _name(value: Any) -> str | None:
    states = value.split("+") if isinstance(value, str) else [""]
    good = all(state.isidentifier() and state.islower() for state in states)
    return None if good else shown(str(value))


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
NewFile = Annotated[Path, Rule("a new file that can be written", _new_file)]
Model = Annotated[str, Rule("demo, demo-gpt2, a model folder or a PyTorch checkpoint", _model)]
SiteName = Annotated[
    str, Rule("a site, such as hidden or hidden+cell", _name)
]  # the model knows which it has
NotEmpty = Rule("at least one", _some)


def check(options: Any) -> None:
    """Raises an `OptionError` for the first option that is out of its range.

    A PyTorch checkpoint as the model requires a vocabulary, and any other model excludes it.

    Args:
        options: a dataclass whose fields have a type of this module, a ``Literal`` or ``bool``, a
            tuple of such a type, or a union of such a type and None.
    """
    hints = typing.get_type_hints(type(options), include_extras=True)
    for field in dataclasses.fields(options):
        for rule, value in _rules(hints[field.name], getattr(options, field.name)):
            if (found := rule.fault(value)) is not None:
                name = shown_name(field.name, hints[field.name])
                raise OptionError(f"{name}: expected {rule.expected}, found {found}")
    if {"model", "vocab"} <= hints.keys():
        _check_vocabulary(options.model, options.vocab)


def flag(name: str) -> str:
    """The name of a field on the command line."""
    return f"--{name.replace('_', '-')}"


def shown_name(name: str, hint: Any) -> str:
    """What ``--help`` calls an option: its flag, or its name in capitals if it has no flag."""
    positional = tyro.conf.Positional in getattr(hint, "__metadata__", ())
    return name.upper() if positional else flag(name)


def _rules(hint: Any, value: Any) -> Iterator[tuple[Rule, Any]]:
    """The rules of a type, each with the value that it applies to."""
    if value is None and type(None) in typing.get_args(hint):
        return
    if typing.get_origin(hint) is Annotated:
        base, *notes = typing.get_args(hint)
        yield from ((note, value) for note in notes if isinstance(note, Rule))
        yield from _rules(base, value)
    elif typing.get_origin(hint) is typing.Literal:
        words = typing.get_args(hint)
        one_of = Rule(f"one of {', '.join(words)}", lambda x: None if x in words else shown(str(x)))
        yield one_of, value
    elif typing.get_origin(hint) is tuple:
        type_of_items = typing.get_args(hint)[0]
        for item in value:
            yield from _rules(type_of_items, item)
    else:
        for part in typing.get_args(hint):  # the types of a union, without None
            if part is not type(None):
                yield from _rules(part, value)


def _check_vocabulary(model: str | tuple[str, ...] | None, vocab: Path | None) -> None:
    models = (model,) if isinstance(model, str) else model or ()
    converted = [name for name in models if is_checkpoint(name)]
    if converted and vocab is None:
        raise OptionError(f"--vocab: expected the vocabulary of {converted[0]}, found none")
    if vocab is not None and not converted:
        raise OptionError(
            f"--vocab: expected a PyTorch checkpoint as --model with it, found {vocab}"
        )
