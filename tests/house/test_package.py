"""What a user installs and imports: the wheel, the package's face, the docstrings."""

import email
import importlib
import inspect
import re
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
LICENSE = "Apache-2.0 AND CC-BY-SA-3.0"  # of the code, and of the bundled models
MODELS = {
    "bundled_model": {"README.md", "config.json", "params.safetensors", "vocab.txt"},
    "bundled_gpt2": {
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    },
}  # fmt: skip


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    folder = tmp_path_factory.mktemp("wheel")
    (file,) = builder.build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(file)


def test_the_wheel_holds_the_library_its_model_and_the_scripts_alone(wheel):
    """The scripts stand inside the package, so that no other name is taken on the user's path."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {file.relative_to(ROOT).as_posix() for file in FILES}
    scripts = {
        f"jaxmask/scripts/{file.relative_to(ROOT).as_posix()}"
        for folder in ("experiments", "converters")
        for file in (ROOT / folder).rglob("*.py")
    }
    others = {"jaxmask/README.md", "jaxmask/py.typed"}
    models = {f"jaxmask/{folder}/{name}" for folder, names in MODELS.items() for name in names}
    assert names == sources | scripts | others | models


def test_the_wheel_is_described_for_an_index(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = email.message_from_bytes(wheel.read(name))
    folder = name.removesuffix("METADATA")
    assert (said["Name"], said["License-Expression"]) == ("jaxmask", LICENSE)
    assert said["Description-Content-Type"] == "text/markdown"
    cards = {f"jaxmask/{folder}/README.md" for folder in MODELS}
    assert set(said.get_all("License-File")) == {"LICENSE"} | cards
    assert f"{folder}licenses/LICENSE" in wheel.namelist()
    assert all(said[field] for field in ("Summary", "Keywords", "Author"))
    oldest = said["Requires-Python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in said.get_all("Classifier")
    assert wheel.read(f"{folder}entry_points.txt").decode().split("\n")[:2] == [
        "[console_scripts]", "jaxmask = jaxmask.command:main"
    ]  # fmt: skip
    # An index shows this page alone: nothing in it may point at a file beside it.
    links = re.findall(r"\]\(([^)]+)\)", said.get_payload())
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_page_of_an_index_says_what_the_readme_says():
    """What the package is for, in the same words; and lines that read the same functions."""
    pages = [(ROOT / name).read_text("utf-8") for name in ("jaxmask/README.md", "README.md")]
    purposes = [re.split(r"in JAX[,:]", " ".join(page.split()))[0] for page in pages]
    assert purposes[0] == purposes[1]
    codes = [re.findall(r"(?ms)^```python\n(.*?)^```", page)[0] for page in pages]
    called = [sorted(set(re.findall(r"(?:jaxmask|found)\.\w+", code))) for code in codes]
    assert set(called[0]) == {"found.apply", "found.save", "jaxmask.find"} <= set(called[1])


def test_the_source_distribution_holds_what_a_clone_does(tmp_path):
    builder = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    (file,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(file) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml", "docs/conf.py"} <= names
    assert {"converters/gulordava.py", "experiments/search.py", "tests/conftest.py"} <= names
    unwanted = ("docs/reference/", "results/", "build/", ".venv", ".mypy_cache/")
    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]
