"""A script that is stopped says in a line what it leaves behind."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.shared import stopping
from experiments.shared.experiment import Output, open_folder
from experiments.shared.script import run_script
from jaxmask.files.run_folder import check_run_folder


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """None."""


def stopped(monkeypatch, capsys, before=lambda: None):
    """What a script says that is stopped after some work."""

    def work(options):
        before()
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["script"])
    monkeypatch.setattr(stopping.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as end:
        run_script(NoOptions, "script", "A script.", work)
    assert end.value.code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.removesuffix("\n")


def test_a_script_that_keeps_nothing(monkeypatch, capsys, tmp_path):
    stopping.keeps(tmp_path)  # of an earlier script of this process
    assert stopped(monkeypatch, capsys) == "stopped; nothing was kept"


def test_what_is_kept_is_counted(monkeypatch, capsys, tmp_path):
    def begin():
        stopping.keeps(tmp_path)
        stopping.keeps(tmp_path / "single")  # the first of the searches of a study

    nothing = "stopped; nothing was kept, as there was no checkpoint yet (--checkpoint-minutes)"
    assert stopped(monkeypatch, capsys, begin) == nothing
    (tmp_path / "every" / "checkpoints" / "relaxation" / "1").mkdir(parents=True)
    end = "; the same command goes on from there"
    line = f"stopped; {tmp_path} keeps the last checkpoint{end}"
    assert stopped(monkeypatch, capsys, begin) == line
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "summary.json").write_text("{}")
    line = f"stopped; {tmp_path} keeps 1 finished run and the last checkpoint{end}"
    assert stopped(monkeypatch, capsys, begin) == line
    (tmp_path / "summary.json").write_text("{}")  # what is started again begins anew
    assert stopped(monkeypatch, capsys, begin) == f"stopped; {tmp_path} keeps a finished run"
    (tmp_path / "summary.json").unlink()
    (tmp_path / "every" / "checkpoints" / "relaxation" / "1").rmdir()
    folder = tmp_path / "methods" / "greedy"
    folder.mkdir(parents=True)
    (folder / "alpha_0.1_seed_0.json").write_text("{}")
    line = f"stopped; {tmp_path} keeps 2 finished runs{end}"
    assert stopped(monkeypatch, capsys, begin) == line


def test_settings_of_a_run_of_which_nothing_is_kept_are_removed(monkeypatch, capsys, tmp_path):
    own, written = tmp_path / "config.json", tmp_path / "run" / "config.json"
    own.write_text("{}")
    to = Output(written.parent, {"alpha": 0.1}, 1.0, 0.0)

    def begin():
        stopping.keeps(to.folder)
        open_folder(to)

    assert stopped(monkeypatch, capsys, begin).startswith("stopped; nothing was kept")
    assert not written.exists()
    assert own.exists()
    check_run_folder(to.folder, {"alpha": 0.2})
    (to.folder / "checkpoints" / "relaxation" / "1").mkdir(parents=True)
    assert stopped(monkeypatch, capsys, begin).startswith(f"stopped; {to.folder} keeps the last")
    assert written.exists()


def test_ctrl_c_ends_a_script_at_once_while_a_thread_works():
    code = """
import os, signal, sys, threading, time
from experiments.shared.script import run_script
from tests.experiments.shared.test_stopping import NoOptions

def work(options):
    threading.Thread(target=time.sleep, args=(60,)).start()  # as one that compiles
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

sys.argv = ["script"]
run_script(NoOptions, "script", "A script.", work)
"""
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (130, "stopped; nothing was kept\n")
