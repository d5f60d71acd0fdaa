"""Every option of every script at its limits and beyond: refused in a sentence.

Options are found in the scripts themselves and values are made for their types, so that an option
without a range fails here.
"""

import ast
import dataclasses
import importlib
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import tyro

from experiments.shared import option_types
from experiments.shared.option_types import OptionError, flag
from experiments.shared.options import Options

SCRIPTS = Path(option_types.__file__).parents[1]
NOWHERE = Path("/nowhere/at/all")
SIGNED = ("support_low", "initial_location", "location_low", "location_high")  # may be negative
WRITTEN = ("left_out", "pairs")  # options that name a file to write


def calls(file: Path) -> list[ast.Call]:
    """The calls in a script by which options are read."""
    return [
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in READERS
    ]


READERS = {"run_script", "parse", "cli"}
MAINS = {
    file.stem: getattr(importlib.import_module(f"experiments.{file.stem}"), call.args[0].id)
    for file in sorted(SCRIPTS.glob("*.py"))
    for call in calls(file)
    if isinstance(call.args[0], ast.Name)
}


def test_all_scripts_are_found():
    with_main = {
        file.stem for file in SCRIPTS.glob("*.py") if '"__main__"' in file.read_text("utf-8")
    }
    assert set(MAINS) == with_main
    for file in SCRIPTS.rglob("*.py"):
        others = [ast.unparse(call.func) for call in calls(file)]
        # One is run_script's, one reads what it is given, one is of a process of its own.
        if file.stem not in ("script", "command_line", "start"):
            assert set(others) <= {"run_script", "ast.parse"}, file.stem


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A file, a folder, and what a model is."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file.txt").write_text("The boy greets .\n")
    (folder / "model.pt").write_bytes(b"")
    return folder


def sound(kind: type, folder: Path) -> Any:
    """Options that are in range, with what has no default."""
    needed = {
        "out": folder / "new",
        "run": folder,
        "reference": folder,
        "sweeps": (folder,),
        "text": (folder / "file.txt",),
        "valid": folder / "file.txt",
        "model": str(folder),
        "data": folder / "file.txt",
        "file": folder / "file.txt",
        "pairs": folder / "new.tsv",
    }
    missing = (dataclasses.MISSING, tyro.MISSING)
    return kind(
        **{
            field.name: needed[field.name]
            for field in dataclasses.fields(kind)
            if any(field.default is none for none in missing)
        }
    )


def bases(hint: Any) -> list[Any]:
    """The plain types of a hint, of which tuples are left as they are."""
    if typing.get_origin(hint) is Annotated:
        return bases(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [base for part in typing.get_args(hint) for base in bases(part)]
    return [hint]


def beyond(hint: Any, name: str, folder: Path) -> list[Any]:
    """Values that no option of a type may have, whatever it stands for."""
    values: list[Any] = []
    for base in bases(hint):
        if base is int:
            values += [-1, -(10**12), 10**12, 2**31, 1.5, True, float("nan")]
        elif base is float:
            values += [1e30, -1e30, float("nan"), float("inf"), -float("inf"), True]
            values += [] if name in SIGNED else [-1e-9, -1.0]
        elif base is Path and name == "out":
            values += [folder / "file.txt", folder / "file.txt" / "below", Path("/proc/none")]
        elif base is Path and name in WRITTEN:
            values += [folder, folder / "file.txt" / "below", Path("/proc/none/file.tsv")]
        elif base is Path:
            values += [NOWHERE, Path("\x1b[2J"), Path("a\0b")]
        elif base is str:
            values += [str(NOWHERE), str(NOWHERE / "model.pt"), str(folder / "file.txt"), "Demo"]
        elif typing.get_origin(base) is tuple:
            of_each = typing.get_args(base)[0]
            values += [(value,) for value in beyond(of_each, name, folder)]
        elif typing.get_origin(base) is Literal:
            values += ["\x1b[2J", ""]
        else:
            assert base in (bool, type(None)), f"--{name}: give it a type of option_types"
    return values


@pytest.mark.parametrize("script", MAINS)
def test_each_option_has_a_range(script, places):
    kind = MAINS[script]
    good = sound(kind, places)
    option_types.check(good)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        values = beyond(hints[field.name], field.name, places)
        assert values or set(bases(hints[field.name])) <= {bool, type(None)}
        for value in values:
            with pytest.raises(OptionError) as refused:
                option_types.check(dataclasses.replace(good, **{field.name: value}))
            message = str(refused.value)
            name = option_types.shown_name(field.name, hints[field.name])
            assert message.startswith(f"{name}: expected "), message
            assert message.isprintable(), repr(message)
            assert len(message) < 500, message


def test_an_argument_without_a_flag_is_called_as_the_help_calls_it(places):
    good = sound(MAINS["import_pairs"], places)
    with pytest.raises(OptionError, match=r"^FILE: expected a file, found none at .*/nowhere"):
        option_types.check(dataclasses.replace(good, file=NOWHERE))
    with pytest.raises(OptionError, match=r"^PAIRS: expected a new file that can be written"):
        option_types.check(dataclasses.replace(good, pairs=places))


@pytest.mark.parametrize("name", ["pairs", "left_out"])
def test_a_file_that_is_there_is_not_overwritten(places, tmp_path, monkeypatch, name):
    good = sound(MAINS["import_pairs"], places)
    monkeypatch.chdir(tmp_path)
    file = Path("of_mine.tsv")
    file.write_text("hours of work\n")
    with pytest.raises(OptionError, match=r"of_mine\.tsv, which is there already: remove it"):
        option_types.check(dataclasses.replace(good, **{name: file}))


def test_a_checkpoint_is_known_by_its_ending_or_its_content(places, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "old.model").write_bytes(b"\x80\x02 and so on")
    checkpoints = ["x.pt", "x.pth", str(tmp_path / "weights.bin"), str(tmp_path / "old.model")]
    assert all(map(option_types.is_checkpoint, checkpoints))
    (tmp_path / "model.pt").mkdir()
    others = ["demo", "x", str(places / "file.txt"), str(tmp_path), str(tmp_path / "model.pt")]
    assert not any(map(option_types.is_checkpoint, others))
    search = sound(MAINS["search"], places)
    for name in checkpoints[2:]:
        with pytest.raises(OptionError, match=f"^--vocab: expected the vocabulary of {name}"):
            option_types.check(dataclasses.replace(search, model=name))
        option_types.check(dataclasses.replace(search, model=name, vocab=places / "file.txt"))


@pytest.mark.parametrize(
    ("name", "kind", "good", "bad"),
    [
        ("alpha", Options, [1e-6, 0.5, 1], [0, 0.0, 2, -0.0, np.nextafter(1.0, 2.0)]),
        ("beta", Options, [None, 1e-6, 1.0], [0.0, 1.5]),
        ("support_low", Options, [None, -0.1, 0.0, -1e3], [1e-9, -1e4]),
        ("support_high", Options, [None, 1.0, 1.1, 1e3], [0.99, 1e4]),
        ("initial_location", Options, [None, -1e3, 0.0, 3.0], [-1e4, 1e4]),
        ("location_low", Options, [None, -8.0, -1e3], [-1e4, 1e4]),
        ("location_high", Options, [None, -8.0, 1e3], [-1e4, 1e4]),
        ("multiplier_decay", Options, [None, 0.0, 1.0], [1.1]),
        ("kl_rows", Options, [None, 0, 8], [-1, 10**9 + 1]),
        ("kl_weight", Options, [0, 0.0, 1e6], [1e7]),
        ("seeds", Options, [1, 10_000], [0, 10_001]),
        ("steps", Options, [None, 1, 10**9], [0, 10**9 + 1]),
        ("rounds", Options, [None, 0, 1], [-1]),
        ("evaluation", Options, [None, 1], [0]),
        ("split_seed", Options, [0, 10**9], [-1]),
        ("text_sentences", Options, [1], [0]),
        ("dropout", MAINS["train_language_model"], [None, 0.0, 0.5], [1.0, 2.0]),
        ("layers", MAINS["train_language_model"], [1, 50], [0, 51]),
        ("learning_rate", MAINS["train_language_model"], [None, 1e-9, 20.0], [0.0]),
        ("methods", MAINS["compare_methods"], [("greedy",)], [()]),
        ("alpha", MAINS["compare_methods"], [(), (0.1, 1.0)], [(0.1, 2.0)]),
        ("model", MAINS["summary"], [("demo", "demo")], [(), ("demo", "none")]),
        ("kl_weight", MAINS["summary"], [1e-6], [0.0]),
        ("examples", MAINS["single_unit_ablation"], [1], [0]),
    ],
)
def test_limits(name, kind, good, bad, places):
    base = sound(kind, places)
    for value in good:
        option_types.check(dataclasses.replace(base, **{name: value}))
    for value in bad:
        with pytest.raises(OptionError, match=flag(name)):
            option_types.check(dataclasses.replace(base, **{name: value}))
