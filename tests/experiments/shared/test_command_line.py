"""What the command line says of options, and how it reads them."""

import dataclasses
from typing import Annotated, Literal

import pytest
import tyro

from experiments.shared import command_line
from experiments.shared.options import Options


@dataclasses.dataclass(frozen=True)
class Base:
    """Options of many scripts."""

    size: int | None = None
    """How many there are, as a number of things that are counted, in words that are long enough
    (2 lines) for a break."""


@dataclasses.dataclass(frozen=True)
class Some(Base):
    """Options."""

    name: Annotated[str, tyro.conf.arg(aliases=["--called"])] = "me"
    """A name."""
    kind: Literal["small", "large"] | None = None
    """What kind, of the two
    kinds."""


def read(words, monkeypatch, options=Some):
    monkeypatch.setattr("sys.argv", ["script", *words])
    return command_line.read(options, "script", "What it does.\n\npython -m experiments.script")


def test_options_are_those_of_the_dataclass(monkeypatch):
    found = read(["--called", "you", "--kind", "large"], monkeypatch)
    assert isinstance(found, Some)
    assert dataclasses.asdict(found) == {"size": None, "name": "you", "kind": "large"}
    assert dataclasses.asdict(read([], monkeypatch)) == dataclasses.asdict(Some())
    assert dataclasses.replace(found, size=3).size == 3


def test_the_words_of_a_choice_are_those_that_can_be_typed(monkeypatch, capsys):
    for word in ("huge", "None"):
        with pytest.raises(SystemExit):
            read(["--kind", word], monkeypatch)
        assert "Expected one of ('small', 'large')" in " ".join(capsys.readouterr().err.split())


def test_help_is_a_paragraph_for_each_option(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        read(["--help"], monkeypatch)
    shown = capsys.readouterr().out
    lines = [line.strip("│ ") for line in shown.splitlines()]
    assert "What it does.\n\npython -m experiments.script\n\n" in shown
    assert "None" not in shown
    assert "(default: me)" in shown
    start = next(number for number, line in enumerate(lines) if line.startswith("--size"))
    text = " ".join(lines[start:])
    assert "in words that are long enough (2 lines) for a break." in text
    assert not any(line == "(2 lines) for a break." for line in lines)  # broken where it is full
    assert "What kind, of the two kinds." in text


def test_all_options_of_a_search_have_help():
    hints = command_line.explained(Options).__annotations__
    assert list(hints) == [field.name for field in dataclasses.fields(Options)]


def test_commands_stand_apart_from_the_text():
    text = """One line.

    python -m experiments.x --data DATA \\
        --out OUT
    python -m experiments.y

A long paragraph that goes on and on and on and on, until it is longer than a line is.
"""
    assert command_line.described(text).split("\n\n") == [
        "One line.",
        "python -m experiments.x --data DATA --out OUT",
        "python -m experiments.y",
        "A long paragraph that goes on and on and on and on, until it is longer than a\n  line is.",
    ]
