"""The rules of the house. Its plan is the picture in CONTRIBUTING.md, which is read here.

The picture names every module of jaxmask once, from top to bottom: a module may know what stands
below it and nothing else, not even through others. A package of several floors is named on each.
What a module knows is read from its imports, wherever in the file they stand.
"""

import ast
import re
import sys
from collections import deque
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = {"jax", "flax", "optax", "numpy", "safetensors", "jaxtyping"}
DRAWING = {"jaxmask.report.figures", "jaxmask.report.figures.found_units"}
SUBWORDS = {"jaxmask.text.tokenizer"}
# What is said of these holds of all modules within them.
WITHOUT_LANGUAGE = (
    "jaxmask.intervention", "jaxmask.objective", "jaxmask.search", "jaxmask.baselines",
    "jaxmask.runs", "jaxmask.evaluate",
)  # fmt: skip


def modules(package):
    """All modules and packages of a package of the repository, by name, with what they import."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, package
    return {name_of(file): imports(file) for file in files}


def name_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file):
    """All that a file imports, as dotted names; a relative import begins with a dot."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found |= {f"{start}.{alias.name}" for alias in node.names}
    return found


def within(name, packages):
    """Is a module one of some packages or modules, or inside one of them?"""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def loaded(name, imported):
    """The modules and packages of jaxmask that one import of a module runs.

    Importing a module runs the packages around it, but for those that the importing one is in.
    """
    parts = imported.split(".")
    around = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} & ALL.keys()
    return {other for other in around if not within(name, {other})}


def read_picture(text):
    """The names in the picture, from top to bottom, each with what is said of it."""
    (block,) = re.findall(r"(?ms)^## The house\n.*?^```\n(.*?)^```", text)
    lines, package = [], ""
    for line in filter(str.strip, block.splitlines()):
        name, _, words = line.strip().partition(" ")
        if not line.startswith(" "):
            package = name.removesuffix("/") if name.endswith("/") else ""
        place = (name if not line.startswith(" ") else f"{package}/{name}").strip("/")
        lines.append((".".join(["jaxmask", *place.split("/")]), words.strip()))
    return lines


ALL = modules("jaxmask")
PACKAGES = {name_of(file) for file in (ROOT / "jaxmask").rglob("__init__.py")}
DIRECT = {
    name: set().union(*(loaded(name, imported) for imported in found))
    for name, found in ALL.items()
}


def reached(name):
    """All modules that importing a module runs, with the shortest way to each."""
    ways, border = {}, deque([(name, ())])
    while border:
        here, way = border.popleft()
        for other in sorted(DIRECT[here] - ways.keys()):
            ways[other] = (*way, other)
            border.append((other, ways[other]))
    return ways


KNOWN = {name: reached(name) for name in ALL}
PICTURE = read_picture((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
PLACE = {name: place for place, (name, _) in enumerate(PICTURE)}
FAMILIES = {name for name in PACKAGES if name.count(".") == 2 and within(name, ["jaxmask.models"])}
LANGUAGE = {"jaxmask.text", "jaxmask.tasks", *FAMILIES}


def show(faults):
    return "".join(f"\n  {fault}" for fault in sorted(faults))


def knows(names, unwanted):
    """A line for each of some modules that knows an unwanted one, and the way there."""
    for name in names:
        for other, way in KNOWN[name].items():
            if unwanted(name, other):
                yield f"{name} -> {' -> '.join(way)}"
                break


def test_the_picture_names_every_module_once():
    named = [name for name, _ in PICTURE if name not in PACKAGES]
    assert len(named) == len(set(named)), show({n for n in named if named.count(n) > 1})
    here = {name for name in ALL if name not in PACKAGES}
    assert here == set(named), (
        f"\nnot in the picture: {sorted(here - set(named))}"
        f"\nonly in the picture: {sorted(set(named) - here)}"
    )
    packages = {name for name, _ in PICTURE if name in PACKAGES}
    assert packages == PACKAGES - {"jaxmask"}, packages ^ PACKAGES


def test_the_picture_says_what_each_module_is():
    assert not [name for name, words in PICTURE if not words and name not in PACKAGES]


def test_arrows_only_go_down():
    top = len(PLACE)

    def above(name, other):
        return other not in PACKAGES and PLACE.get(other, -1) < PLACE.get(name, top)

    faults = list(knows([name for name in ALL if name not in PACKAGES], above))
    assert not faults, show(faults)


def test_no_circles():
    faults = [f"{' -> '.join((name, *ways[name]))}" for name, ways in KNOWN.items() if name in ways]
    assert not faults, show(faults)


def test_a_package_runs_only_its_own_modules():
    faults = [
        f"{name} -> {other}"
        for name in PACKAGES
        for other in DIRECT[name]
        if not within(other, [name])
    ]
    assert not faults, show(faults)


def test_the_search_and_what_runs_it_know_no_language():
    names = [name for name in ALL if within(name, WITHOUT_LANGUAGE)]
    faults = list(knows(names, lambda name, other: within(other, LANGUAGE)))
    assert not faults, show(faults)


def test_a_family_of_models_is_known_in_its_folder_alone():
    """What serves all families finds them by the registry, where their names are strings."""
    faults = [
        fault
        for family in FAMILIES
        for fault in knows(
            [name for name in ALL if not within(name, [family])],
            lambda name, other, family=family: within(other, [family]),
        )
    ]
    assert not faults, show(faults)


def test_the_library_imports_few_packages():
    allowed = CORE | {"jaxmask"} | sys.stdlib_module_names
    more = {name: {"matplotlib"} for name in ALL if within(name, DRAWING)}
    more |= {name: {"tokenizers"} for name in SUBWORDS}
    faults = {
        f"{name} -> {imported}"
        for name, found in ALL.items()
        for imported in found
        if imported.split(".")[0] not in allowed | more.get(name, set())
    }
    assert not faults, show(faults)


def test_nothing_knows_the_scripts():
    faults = {
        f"{name} -> {imported}"
        for package, others in (
            ("jaxmask", {"converters", "experiments"}),
            ("converters", {"experiments"}),
        )
        for name, found in modules(package).items()
        for imported in found
        if imported.split(".")[0] in others
    }
    assert not faults, show(faults)


def test_converters_do_without_torch():
    faults = {
        f"{name} -> {imported}"
        for name, found in modules("converters").items()
        for imported in found
        if imported.split(".")[0] == "torch"
    }
    assert not faults, show(faults)


@pytest.mark.parametrize("package", ["jaxmask", "converters", "experiments"])
def test_imports_are_absolute(package):
    faults = {
        f"{name} -> {imported}"
        for name, found in modules(package).items()
        for imported in found
        if imported.startswith(".")
    }
    assert not faults, show(faults)


def test_the_picture_is_read_line_by_line():
    text = (
        "## The house\n\nSome words.\n\n```\nupper/  floor\n  one   first\n\nlower   last\n"
        "upper/lower/\n  two   second one\n```\n\n## More\n\n```\nno\n```\n"
    )
    assert read_picture(text) == [
        ("jaxmask.upper", "floor"),
        ("jaxmask.upper.one", "first"),
        ("jaxmask.lower", "last"),
        ("jaxmask.upper.lower", ""),
        ("jaxmask.upper.lower.two", "second one"),
    ]
