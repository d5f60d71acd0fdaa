"""Files and functions are of a size that can be held in mind."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = 400
PARAMETERS = 6


def files(*folders):
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def parameters(function, in_class):
    """How many parameters a function has; ``self`` isn't one, and ``*args`` is one."""
    given = function.args
    static = any(getattr(d, "id", None) == "staticmethod" for d in function.decorator_list)
    count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
    return count + bool(given.vararg) + bool(given.kwarg) - (in_class and not static)


def functions(tree, inside="", in_class=False):
    """Every function of a file, within others too: its name and its number of parameters."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{inside}{node.name}", parameters(node, in_class)
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        name = f"{inside}{node.name}." if named else inside
        yield from functions(node, name, isinstance(node, ast.ClassDef))


def test_no_file_is_long():
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in files("jaxmask", "converters", "experiments", "tests", "docs")
    }
    long = {file: length for file, length in lengths.items() if length > LINES}
    assert not long, "".join(f"\n  {file}: {length} lines" for file, length in long.items())


def test_no_function_has_many_parameters():
    many = {
        f"{file.relative_to(ROOT)}: {name}": count
        for file in files("jaxmask", "converters", "experiments")
        for name, count in functions(ast.parse(file.read_text(encoding="utf-8")))
        if count > PARAMETERS
    }
    assert not many, "".join(f"\n  {name} has {count} parameters" for name, count in many.items())


def test_parameters_are_counted():
    code = """
class A:
    def f(self, a, /, b, *c, d=1, **e):
        def g(x, y): ...
    @staticmethod
    def h(a): ...
async def k(a, *, b): ...
if True:
    def m(): ...
"""
    assert dict(functions(ast.parse(code))) == {
        "A.f": 5, "A.f.g": 2, "A.h": 1, "k": 2, "m": 0
    }  # fmt: skip
