"""The console command: the same scripts, from anywhere."""

import importlib
import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import experiments
import jaxmask
from jaxmask import command
from jaxmask.command import COMMANDS, command_name, main

ROOT = Path(__file__).resolve().parents[1]


def fails(*words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def in_process(folder, *words, path=""):
    """The command in a process of its own, in some folder, with other folders on Python's path."""
    code = (
        f"import sys; sys.path.insert(1, {str(ROOT)!r}); from jaxmask.command import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        capture_output=True, text=True, cwd=folder, env=environment, check=False,
    )  # fmt: skip


def test_help_names_each_command_in_a_line(capsys):
    for words in ([], ["--help"], ["-h"]):
        main(words)
        lines = capsys.readouterr().out.splitlines()
        for word, of_word in COMMANDS.items():
            assert f"  {word:<8}  {of_word.does}" in lines
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("word", COMMANDS)
def test_a_word_runs_its_script_with_the_words_after_it(word, monkeypatch):
    module = importlib.import_module(COMMANDS[word].script)
    seen = []
    monkeypatch.setattr(module, "main", lambda: seen.append(list(sys.argv)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["x"])
    main([word, "--data", "a b"])
    assert seen == [[f"jaxmask {word}", "--data", "a b"]]
    assert sys.path[0] == str(ROOT)


@pytest.mark.parametrize("word", COMMANDS)
def test_usage_names_the_command(word, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["x"])
    assert fails(word, "--help") == 0
    assert f"usage: jaxmask {word} " in capsys.readouterr().out


def test_a_wrong_word_is_an_error_in_a_line():
    assert fails("serch") == (
        "error: jaxmask: expected import or check or search or convert, found 'serch' (did you "
        "mean 'search'?)"
    )


def test_a_folder_called_experiments_is_in_nobodys_way(tmp_path):
    """Neither where the command is started, nor on Python's path."""
    for name in ("experiments", "converters"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('of another project')")
    done = in_process(tmp_path, "check", "--data", "nowhere.tsv", path=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: --data: expected a file")


def test_the_command_starts_quickly():
    """Without a package that has to be installed."""
    code = (
        "import sys; from jaxmask.command import main; main([]); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'jax', 'numpy', 'flax', 'tyro', 'rich', 'experiments', 'converters'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.endswith("[]\n")


def test_python_runs_it_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jaxmask", "--version"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout == f"jaxmask {jaxmask.__version__}\n"


def test_missing_packages_are_named_with_their_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in ("tyro", "matplotlib") else found(name),
    )
    with pytest.raises(SystemExit) as ended:
        importlib.reload(experiments)
    assert ended.value.code == (
        "error: the scripts need matplotlib, tyro: pip install 'jaxmask[experiments]'"
    )


def test_the_extra_has_what_the_scripts_import():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {line.split(">")[0].removesuffix("-checkpoint").replace("-", "_")
             for line in project["optional-dependencies"]["experiments"]}  # fmt: skip
    text = (ROOT / "experiments" / "__init__.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name in extra)
    assert project["scripts"] == {"jaxmask": "jaxmask.command:main"}


def test_names_of_scripts():
    assert command_name("experiments.check_data") == "jaxmask check"
    assert command_name("experiments.pareto") == "python -m experiments.pareto"


def test_scripts_are_those_of_the_wheel_or_of_the_clone(tmp_path, monkeypatch):
    assert command.scripts() == ROOT
    (tmp_path / "scripts").mkdir()
    monkeypatch.setattr(command, "__file__", str(tmp_path / "command.py"))
    assert command.scripts() == tmp_path / "scripts"


def test_ctrl_c_while_a_script_is_imported_is_one_line():
    code = """
import os, signal, sys
sys.argv = ["-m"]  # as `python -m experiments.search` has it then
import experiments
os.kill(os.getpid(), signal.SIGINT)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "stopped\n")
