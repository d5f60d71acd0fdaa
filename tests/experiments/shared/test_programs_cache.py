"""Scripts run where there is no home folder, none that can be written, and no locale."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.shared import programs_cache

ROOT = Path(programs_cache.__file__).parents[2]


def test_programs_are_kept_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv(programs_cache.VARIABLE, str(tmp_path / "mine"))
    assert programs_cache.folder() == tmp_path / "mine"
    monkeypatch.delenv(programs_cache.VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert programs_cache.folder() == tmp_path / ".cache" / "jaxmask"
    assert programs_cache.folder().is_dir()


def test_without_a_home_that_can_be_written_programs_are_not_kept(monkeypatch, tmp_path):
    monkeypatch.delenv(programs_cache.VARIABLE, raising=False)
    (tmp_path / "file").write_text("")
    for home in ("/proc/none", str(tmp_path / "file")):
        monkeypatch.setenv("HOME", home)
        assert programs_cache.folder() is None
    monkeypatch.setattr(Path, "home", lambda: Path("~").expanduser() / Path("~no one").expanduser())
    assert programs_cache.folder() is None


SCRIPT = """
import os, pwd, runpy, sys

def unknown(number):
    raise KeyError(number)

if "HOME" not in os.environ:
    pwd.getpwuid = unknown  # as of `docker run -u`: no name, no home
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("given", [{}, {"LC_ALL": "C", "HOME": "/proc/none"}])
def test_a_script_runs_in_a_bare_environment(given):
    words = ("experiments.check_data", "--data", "docs/examples/animacy.tsv")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "kept: 240 pairs" in done.stdout
