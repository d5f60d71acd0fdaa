"""The rules of the house, read from the imports: arrows go down, and each module has a place."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the ground up: a module imports only modules of lines above its own, never of its own line.
# A package stands for all its modules, which may import each other.
HOUSE = """
intervention minmax logsumexp losses vocabulary paper settings finite devices
hard_concrete
examples protocol lstm corpus
exchange packing tasks programs reading
search prefix_tree tables ordinary_text phases
objective
evaluate
ensemble
baselines sparsest
language_model_training store report
run_folder figures intervention_file paper_tables report_page
""".strip().splitlines()
FLOOR = {name: number for number, line in enumerate(HOUSE) for name in line.split()}

CORE = {"jax", "flax", "optax", "numpy", "safetensors", "jaxtyping"}
EXTRA = {"figures": {"matplotlib"}}

LANGUAGE_MODELS = {
    "lstm", "objective", "packing", "prefix_tree", "reading", "tables", "examples", "vocabulary",
    "tasks", "evaluate", "store",
}  # fmt: skip
KNOW_NO_LANGUAGE_MODEL = (
    "intervention", "hard_concrete", "losses", "minmax", "protocol", "exchange", "search",
)  # fmt: skip


def modules(package):
    """Each module of a package of the repository, by dotted name, with what it imports."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, package
    return {dotted(file): imports(file) for file in files}


def dotted(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file):
    """All that a file imports, wherever in it, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def place(name):
    """``models`` for ``jaxmask.models.lstm.network``."""
    return name.split(".")[1] if "." in name else ""


JAXMASK = {name: names for name, names in modules("jaxmask").items() if name != "jaxmask"}
INSIDE = {
    name: {place(imported) for imported in names if imported.startswith("jaxmask.")}
    for name, names in JAXMASK.items()
}


@pytest.mark.parametrize("name", JAXMASK)
def test_has_a_place(name):
    assert place(name) in FLOOR, f"{name}: say in HOUSE, and in CONTRIBUTING.md, where it belongs"


@pytest.mark.parametrize("name", JAXMASK)
def test_arrows_only_go_down(name):
    here, top = place(name), len(HOUSE)
    above = {to for to in INSIDE[name] - {here} if FLOOR.get(to, top) >= FLOOR.get(here, top)}
    assert not above, f"{name} imports {above}, which isn't below it"


@pytest.mark.parametrize("name", JAXMASK)
def test_modules_of_a_package_have_no_cycle(name):
    def neighbours(module):
        names = {f"{imported}." for imported in JAXMASK[module]}
        return {to for to in JAXMASK if any(i.startswith(f"{to}.") for i in names)}

    reached, border = set(), {name}
    while border := set().union(*map(neighbours, border)) - reached:
        reached |= border
    assert name not in reached


@pytest.mark.parametrize("name", JAXMASK)
def test_core_imports_few_packages(name):
    allowed = CORE | {"jaxmask"} | EXTRA.get(place(name), set()) | sys.stdlib_module_names
    foreign = {imported.split(".")[0] for imported in JAXMASK[name]} - allowed
    assert not foreign, f"{name} imports {foreign}"


@pytest.mark.parametrize("name", KNOW_NO_LANGUAGE_MODEL)
def test_knows_no_language_model(name):
    for module in JAXMASK:
        if place(module) == name:
            assert not INSIDE[module] & LANGUAGE_MODELS, module


def test_baselines_take_an_objective():
    for module in JAXMASK:
        if place(module) == "baselines":
            assert "lstm" not in INSIDE[module], module


@pytest.mark.parametrize("package", ["jaxmask", "converters"])
def test_nothing_imports_scripts(package):
    for name, names in modules(package).items():
        scripts = {i for i in names if i.split(".")[0] in {"converters", "experiments"} - {package}}
        assert not scripts, f"{name} imports {scripts}"


def test_converters_do_without_torch():
    for name, names in modules("converters").items():
        assert not {i for i in names if i.split(".")[0] == "torch"}, name


def test_contributing_names_every_module():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {place(name) for name in JAXMASK} - set(re.findall(r"\w+", text))
    assert not missing
