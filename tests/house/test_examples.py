"""Every example of a docstring is run, and every public name has one."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import jaxmask
from jaxmask import report, search

ROOT = Path(__file__).parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF
NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")


class Rounding(doctest.OutputChecker):
    """Numbers with a point are as exact as they are written: 0.33 stands for 0.3333."""

    def check_output(self, want, got, optionflags):
        return super().check_output(want, rounded(got, want), optionflags)


def rounded(got, want):
    """What was found, with those numbers as they are wanted that agree with them."""
    wanted, found = NUMBER.findall(want), NUMBER.findall(got)
    if len(wanted) != len(found):
        return got
    agreeing = iter(w if agree(w, g) else g for w, g in zip(wanted, found, strict=True))
    return NUMBER.sub(lambda _: next(agreeing), got)


def agree(wanted, found):
    digits, _, exponent = wanted.partition("e")
    last = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(float(wanted) - float(found)) <= last / 2 * (1 + 1e-6)


def docstrings(file):
    """All docstrings of a file: the name of what each describes, and its first line."""

    def of(tree, name):
        text = ast.get_docstring(tree, clean=True)
        if text is not None:
            yield name, text
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from of(node, f"{name}.{node.name}")

    parts = file.relative_to(ROOT).with_suffix("").parts
    module = ".".join(part for part in parts if part != "__init__")
    for name, text in of(ast.parse(file.read_text(encoding="utf-8")), module):
        yield module, name, text


EXAMPLES = {
    name: (module, text)
    for file in sorted((ROOT / "jaxmask").rglob("*.py"))
    for module, name, text in docstrings(file)
    if ">>>" in text
}


def run(text, names, name):
    """The reports of all examples of a text that don't give what they say."""
    test = doctest.DocTestParser().get_doctest(text, names, name, name, 0)
    faults = []
    doctest.DocTestRunner(Rounding(), optionflags=FLAGS).run(test, out=faults.append)
    return faults


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_says(name, tmp_path, monkeypatch):
    module, text = EXAMPLES[name]
    monkeypatch.chdir(tmp_path)
    faults = run(text, dict(vars(importlib.import_module(module))), name)
    assert not faults, "".join(faults)


def has_example(thing):
    """Has the docstring an example that is run, or says where there is one?"""
    text = inspect.getdoc(thing) or ""
    elsewhere = re.search(r"Example:\s+See `([\w.]+)`", text)
    if elsewhere is None:
        return ">>>" in text
    name = elsewhere[1]
    for start in (thing.__module__, ""):  # of the same module, or by its whole name
        whole = f"{start}.{name}".strip(".")
        if whole in EXAMPLES:
            return True
    return False


def test_every_public_name_has_an_example():
    missing = []
    for package in (jaxmask, search, report):
        for name in package.__all__:
            thing = getattr(package, name)
            described = inspect.isclass(thing) or inspect.isroutine(inspect.unwrap(thing))
            if described and not has_example(thing):
                missing.append(f"{package.__name__}.{name}")
    assert not missing, "".join(f"\n  {name}" for name in missing)


@pytest.mark.parametrize(
    ("want", "got", "alike"),
    [
        ("0.33", "0.33333", True),
        ("0.33", "0.336", False),
        ("[ 1. 2.5]", "[ 1.  2.49]", True),
        ("[ 1. 2.5]", "[ 1.  2.5  3.]", False),
        ("-1e-3", "-0.0011", True),
        ("1", "2", False),
    ],
)
def test_numbers_agree_to_the_digits_that_are_written(want, got, alike):
    assert Rounding().check_output(f"{want}\n", f"{got}\n", FLAGS) == alike


def test_a_wrong_example_is_found():
    assert run(">>> 1 / 3\n0.33\n>>> 'a b'\n'a  b'", {}, "right") == []
    assert run(">>> 1 / 3\n0.34", {}, "wrong")
    assert run(">>> 2\n3", {}, "wrong")
    assert run(">>> undefined", {}, "wrong")
