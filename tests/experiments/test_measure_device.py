"""One call measures all that a device is asked for, and says what it couldn't."""

import json

import pytest

from experiments import measure_device
from experiments.measure_device import DeviceOptions


def test_a_part_that_fails_or_is_late_is_reported_and_the_others_go_on(monkeypatch, tmp_path):
    """With small scripts in place of the parts."""
    script = "import sys, json, pathlib; out = pathlib.Path(sys.argv[-1]); out.mkdir(); "
    run = {"accuracy": 90.0, "n_units": 2, "kl": 0.1, "units": [3, 5]}
    summary = {"seconds": {"total": 9.0, "compile": 4.0}, "runs": [run, run | {"units": [3, 7]}]}
    write = f"{script}(out / 'summary.json').write_text(json.dumps({summary!r}))"
    (tmp_path / "works.py").write_text(write)
    (tmp_path / "fails.py").write_text("import sys; sys.exit('no such card')")
    (tmp_path / "late.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = {"first_start": "works", "on_the_cpu": "works", "second_start": "fails"}
    monkeypatch.setattr(
        measure_device,
        "parts",
        lambda options, folder: [(name, [module], {}) for name, module in names.items()],
    )
    out = tmp_path / "out"
    measured = measure_device.work(DeviceOptions(out=out))
    assert json.loads((out / "device.json").read_text()) == measured
    assert measured["parts"]["second_start"]["fault"] == "no such card"
    assert measured["parts"]["first_start"]["runs"][0] == run
    table = (out / "device.md").read_text()
    assert measured["where"]["card"] in table
    assert measured["where"]["commit"] in table
    assert "9.0, 4.0" in table
    assert "of all that it finds: 100%" in table
    assert "on the CPU: 33%" in table

    late = measure_device.measure(["late"], {}, tmp_path / "late", seconds=0.5)
    assert late == {"fault": "ended after 0 s"}
    assert measure_device.measure(["late"], {}, tmp_path, seconds=0.0) == {"fault": "no time left"}


@pytest.mark.slow
def test_all_parts_run_at_tiny_sizes(tmp_path):
    measured = measure_device.work(DeviceOptions(out=tmp_path, seeds=1, quick=True))
    faults = {name: part["fault"] for name, part in measured["parts"].items() if "fault" in part}
    assert not faults
    table = (tmp_path / "device.md").read_text()
    for title in ("Whole search", "One gradient", "Seeds in one program", "on the CPU"):
        assert title in table
