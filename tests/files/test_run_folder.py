import io
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from support.summaries import summary, three_runs

from jaxmask.files.run_folder import (
    RunFolderError,
    check_run_folder,
    open_run,
    plain,
    read_summary,
    write_run,
)

CONFIG = {"model": Path("models/demo"), "alpha": 0.02, "seeds": 3}
METRICS = [{"step": 100, "accuracy": jnp.float32(50.0)}, {"step": 200, "accuracy": 75}]


def test_writes_all_files(tmp_path):
    folder = tmp_path / "results" / "run"
    write_run(folder, CONFIG, summary(three_runs()), METRICS)
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "table.md", "summary.json"}
    assert json.loads((folder / "summary.json").read_text()) == summary(three_runs())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["accuracy"] for line in lines] == [50.0, 75]
    assert json.loads((folder / "config.json").read_text())["model"] == "models/demo"
    assert "| Unit" in (folder / "table.md").read_text()


def test_same_configuration_overwrites(tmp_path):
    write_run(tmp_path, CONFIG, summary(three_runs()), METRICS)
    write_run(tmp_path, CONFIG, summary(three_runs()[:1]), METRICS)
    assert len(json.loads((tmp_path / "summary.json").read_text())["runs"]) == 1
    assert (tmp_path / "metrics.jsonl").exists()
    write_run(tmp_path, CONFIG, summary(three_runs()), [])
    assert not (tmp_path / "metrics.jsonl").exists()


def test_another_configuration_is_refused_and_left_alone(tmp_path):
    write_run(tmp_path, CONFIG, summary(three_runs()), METRICS)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    other = {"model": Path("models/demo"), "alpha": 0.05, "steps": 10}
    expected = "alpha: 0.02 there, 0.05 now; seeds: 3 there, not set now; steps: not set there"
    with pytest.raises(RunFolderError, match=expected):
        write_run(tmp_path, other, summary(three_runs()), METRICS)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_key_set_to_null_differs_from_one_not_set(tmp_path):
    write_run(tmp_path, {"data": None}, summary(three_runs()), [])
    with pytest.raises(RunFolderError, match="data: null there, not set now"):
        check_run_folder(tmp_path, {})


def test_of_settings_in_groups_those_that_differ_are_named(tmp_path):
    search = {"alpha": 0.25, "steps": 60, "support": [-0.1, 1.1]}
    open_run(tmp_path, {"seeds": 2, "search": search, "rule": {"every": 50}})
    with pytest.raises(RunFolderError) as refused:
        check_run_folder(
            tmp_path,
            {"seeds": 2, "search": {**search, "alpha": 0.5, "kl": "8 rows"}, "rule": None},
        )
    assert str(refused.value) == (
        f'{tmp_path} holds a run with another configuration; rule: {{"every": 50}} there, null '
        'now; search.alpha: 0.25 there, 0.5 now; search.kl: not set there, "8 rows" now; these '
        "settings need another folder"
    )


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_configuration_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"config\.json: expected a run's configuration"):
        check_run_folder(tmp_path, CONFIG)


def test_a_summary_without_configuration_is_refused(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"expected config\.json"):
        check_run_folder(tmp_path, CONFIG)


def test_nan_is_named_and_nothing_is_written(tmp_path):
    runs = three_runs()
    runs[1]["kl"] = float("nan")
    with pytest.raises(RunFolderError, match=r"summary\.runs\[1\]\.kl.*finite.*nan"):
        write_run(tmp_path / "run", CONFIG, summary(runs), METRICS)
    assert not (tmp_path / "run").exists()


def test_a_run_that_breaks_off_leaves_no_summary(tmp_path, monkeypatch):
    write_run(tmp_path, CONFIG, summary(three_runs()), METRICS)

    def fail(source, target):
        if Path(target).name == "table.md":
            raise OSError("disk full")
        Path(source).rename(target)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RunFolderError, match=r"table\.md: can't be written \(disk full\)"):
        write_run(tmp_path, CONFIG, summary(three_runs()), METRICS)
    assert not (tmp_path / "summary.json").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_what_else_a_folder_holds_is_there_before_its_summary(tmp_path):
    write_run(tmp_path, CONFIG, summary(three_runs()), METRICS)

    def fail():
        assert not (tmp_path / "summary.json").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFolderError, match=r"can't be written \(.*No space left on device"):
        write_run(tmp_path, CONFIG, summary(three_runs()), METRICS, more=fail)
    assert read_summary(tmp_path) is None


def test_a_run_that_has_only_begun_refuses_another_one(tmp_path):
    folder = tmp_path / "results" / "run"
    open_run(folder, CONFIG)
    assert [file.name for file in folder.iterdir()] == ["config.json"]
    assert read_summary(folder) is None
    open_run(folder, CONFIG)
    with pytest.raises(RunFolderError, match=r"alpha: 0\.02 there, 0\.05 now"):
        open_run(folder, CONFIG | {"alpha": 0.05})


def test_a_folder_that_cannot_be_written_is_told_before_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"expected a folder to write to \(Not a directory\)"):
        open_run(tmp_path / "file" / "run", CONFIG)

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Full())
    with pytest.raises(RunFolderError, match=r"write to \(No space left on device\)"):
        open_run(tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()


def test_plain():
    value = {1: (np.int64(2), np.bool_(True)), "x": jnp.ones(2), "y": np.float32(0.5), "z": None}
    assert json.dumps(plain(value, "v")) == '{"1": [2, true], "x": [1.0, 1.0], "y": 0.5, "z": null}'
    with pytest.raises(RunFolderError, match="expected a number or text"):
        plain({"x": object()}, "v")
