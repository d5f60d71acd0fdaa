"""States of long runs on disk; tests/runs/test_survival.py kills such runs."""

import time

import jax
import numpy as np
import pytest

from experiments.shared.checkpoints import Checkpoints
from jaxmask.files.run_folder import RunFolderError


def test_quick_runs_write_no_checkpoints(tmp_path):
    assert not Checkpoints(tmp_path, minutes=5).due(True)
    assert not list(tmp_path.iterdir())


def test_parts_that_are_finished_are_kept_at_once(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    keeper = Checkpoints(tmp_path, 1)
    assert not keeper.due(True)  # nothing to lose yet
    now[0] = 61.0
    assert keeper.due(False)
    keeper.save("x", {"a": np.zeros(3)})
    assert not keeper.due(False)
    assert keeper.due(True)


def test_a_line_says_once_that_a_run_goes_on(tmp_path, capsys):
    state = {"a": np.zeros(3)}
    like = jax.eval_shape(lambda: jax.tree.map(jax.numpy.asarray, state))
    keeper = Checkpoints(tmp_path, 0)
    assert keeper.restore("x", like) is None
    for name in ("x", "y"):
        keeper.save(name, {"a": np.zeros(3, np.float32)})
    assert capsys.readouterr().out == ""
    again = Checkpoints(tmp_path, 0)
    assert again.restore("none", like) is None
    for name in ("x", "y"):
        assert again.restore(name, like) is not None
    line = f"going on from the last checkpoint in {tmp_path / 'checkpoints'}\n"
    assert capsys.readouterr().out == line


def test_a_checkpoint_of_another_shape_or_a_damaged_one_is_refused(tmp_path):
    keeper = Checkpoints(tmp_path, 0)
    keeper.save("x", {"a": np.zeros(3, np.float32)})
    like = {"a": jax.ShapeDtypeStruct((3,), np.float32)}
    np.testing.assert_array_equal(keeper.restore("x", like)["a"], np.zeros(3))
    for other in ({"b": like["a"]}, {"a": jax.ShapeDtypeStruct((4,), np.float32)}):
        with pytest.raises(RunFolderError, match="expected a checkpoint of this run; delete"):
            keeper.restore("x", other)
    for file in tmp_path.glob("checkpoints/x/1/**/*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])
    with pytest.raises(RunFolderError, match="expected a checkpoint of this run; delete"):
        keeper.restore("x", like)
