"""Runs that are killed, and disks that are full."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.processes import address, started


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_is_finished(tmp_path):
    """The disk is full after the first of four checkpoints."""
    code = f"""
import resource
from pathlib import Path
from experiments.shared.checkpoints import Checkpoints

config = SearchConfig(alpha=0.3, steps=70, batch_size=24, exchange_rounds=3, exchange_rows=24)
keys, objective = jax.random.split(jax.random.key(0), 3), toy.toy(seed=4, units=8, cost=0.1)
programs, seen, found = Programs(), [], []
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def observe(done, info):
    seen.append(done)
    if len(seen) == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))

def search(keeper):
    result = ensemble.run(keys, objective, config, Session(observe, programs, keeper))
    found.append(np.asarray(result.interventions.baseline).tolist())

search(Checkpoints(Path({str(tmp_path)!r}), 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
search(Checkpoints(Path({str(tmp_path)!r}), 0))  # from the first checkpoint
search(None)
print(json.dumps({{"seen": seen, "same": found[0] == found[1] == found[2]}}))
"""
    process = started(code)
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    assert out.count("can't be written") == 3
    result = json.loads(out.splitlines()[-1])
    assert result["seen"] == [50, 70, 2, 3, 70, 2, 3, 50, 70, 2, 3]
    assert result["same"]


def command(script, model, out, *more):
    flags = ["--seeds", "2", "--steps", "120", "--rounds", "4", "--evaluation", "300"]
    return [
        sys.executable, "-m", f"experiments.{script}", "--model", str(model), "--out", str(out),
        "--checkpoint-minutes", "0", *flags, *more,
    ]  # fmt: skip


def without_seconds(value):
    if isinstance(value, dict):
        return {name: without_seconds(x) for name, x in value.items() if name != "seconds"}
    return [without_seconds(x) for x in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "more"),
    [("number_agreement", ("--alpha", "0.25")), ("pareto", ("--alpha", "0.1", "0.25"))],
)
def test_killed_scripts_end_with_the_same_figures_bit_for_bit(model, tmp_path, script, more):
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(
        command(script, model, whole, *more), check=True, capture_output=True, env=environment
    )
    assert not (whole / "checkpoints").exists()
    rng, kills = np.random.default_rng(0), []
    moments = [
        lambda: (killed / "config.json").exists(),
        lambda: list(killed.glob("checkpoints/relaxation*/1")),
        lambda: list(killed.glob("checkpoints/relaxation*/3")),
        lambda: list(killed.glob("checkpoints/exchange*/1")),
        lambda: list(killed.glob("checkpoints/exchange*/2")),
        lambda: list(killed.glob("interventions/**/*.json")),
        lambda: (killed / "summary.json").exists(),  # what is left are figures
    ]
    for number, reached in enumerate(moments):
        run = subprocess.Popen(
            command(script, model, killed, *more), stdout=subprocess.DEVNULL, env=environment
        )
        while run.poll() is None and not reached():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))  # within a chunk, within a checkpoint
        run.send_signal(signal.SIGKILL)
        kills.append(run.wait())
        if number < len(moments) - 2:
            assert not (killed / "summary.json").exists()
    for name in ("summary.json", "table.md", "metrics.jsonl"):
        assert (killed / name).exists()
    assert kills == len(moments) * [-signal.SIGKILL]
    subprocess.run(
        command(script, model, killed, *more), check=True, capture_output=True, env=environment
    )
    assert not (killed / "checkpoints").exists()
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (whole, killed))
    assert without_seconds(one) == without_seconds(other)
    for file in whole.glob("interventions/**/*.json"):
        assert file.read_bytes() == (killed / file.relative_to(whole)).read_bytes()
    assert (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_two_processes_write_one_run_folder(model, tmp_path):
    chosen = command("number_agreement", model, tmp_path / "run", "--alpha", "0.25")
    environment = {"JAX_COORDINATOR_ADDRESS": address(), "JAX_NUM_PROCESSES": "2"}
    both = [
        subprocess.Popen(
            chosen,
            env={**os.environ, **environment, "JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    (first, err), (second, _) = (process.communicate(timeout=1000) for process in both)
    assert [process.returncode for process in both] == [0, 0], err
    assert "Units found by 2 runs" in first
    assert all(line.startswith("[Gloo]") for line in second.splitlines())
    subprocess.run(
        command("number_agreement", model, tmp_path / "alone", "--alpha", "0.25"),
        check=True,
        capture_output=True,
    )
    one, other = (
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("run", "alone")
    )
    assert one["accuracy"]["mean"] == pytest.approx(other["accuracy"]["mean"], abs=2.0)
    assert one["n_units"] == other["n_units"]
