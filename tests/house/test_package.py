"""What a user installs and imports: the wheel, the package's face, the docstrings."""

import importlib
import inspect
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import jaxmask

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "jaxmask").rglob("*.py"))
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in FILES
]
MODEL = {"README.md", "config.json", "params.safetensors", "vocab.txt"}


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


def test_names_and_packages_are_attributes_of_the_package():
    for name in jaxmask.__all__:
        assert getattr(jaxmask, name) is not None
    assert {"search", "Intervention", "load_model"} <= set(dir(jaxmask)) == set(jaxmask.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = jaxmask.serch


def test_the_import_brings_nothing_that_is_slow():
    slow = "{'jax', 'flax', 'optax', 'matplotlib'}"
    assert run(f"import sys, jaxmask; print({slow} & set(sys.modules))") == "set()"


def test_the_library_brings_nothing_that_only_scripts_need():
    modules = [name for name in MODULES if not name.startswith("jaxmask.report.figures")]
    others = "{'matplotlib', 'tyro', 'orbax', 'torch', 'beartype'}"
    code = f"import sys, {', '.join(modules)}; print({others} & set(sys.modules))"
    assert run(code) == "set()"


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    for key, thing in vars(module).items():
        if key.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{name}.{key}"


def test_every_module_is_in_the_reference():
    pages = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8").split()
    named = [word for word in pages if word.startswith("jaxmask.")]
    assert sorted(named) == sorted(set(MODULES) - {"jaxmask"})


def test_the_wheel_holds_the_library_and_its_model_alone(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {file.relative_to(ROOT).as_posix() for file in FILES}
    assert names == sources | {"jaxmask/py.typed"} | {f"jaxmask/bundled_model/{n}" for n in MODEL}


def test_the_source_distribution_holds_what_a_clone_does(tmp_path):
    builder = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    (file,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(file) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml", "docs/conf.py"} <= names
    assert {"converters/gulordava.py", "experiments/search.py", "tests/conftest.py"} <= names
    unwanted = ("docs/reference/", "results/", "build/", ".venv", ".mypy_cache/")
    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]
