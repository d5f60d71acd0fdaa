"""A script reports on which device it runs, and a device that it can't use in a line."""

import jax
import pytest

from experiments.shared import device
from experiments.shared.option_types import OptionError


@pytest.mark.parametrize(("asked", "there", "noted"), [
    ("", True, True), ("", False, False), ("cpu", True, False),
])  # fmt: skip
def test_a_gpu_that_is_not_used_is_noted(asked, there, noted, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    monkeypatch.setattr(device, "NVIDIA", tmp_path if there else tmp_path / "none")
    line = device.line()
    assert line.startswith("device: cpu") or jax.default_backend() != "cpu"
    assert ("make env CUDA=1" in line) == noted


@pytest.mark.parametrize("fault", [RuntimeError("Unable to initialize\nbackend"), AssertionError()])
def test_a_device_that_jax_cannot_use_is_reported_in_a_line(fault, monkeypatch):
    def devices():
        raise fault

    monkeypatch.setattr(jax, "local_devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(OptionError, match=r"^JAX can't use cuda: .*make env CUDA=1") as found:
        device.check()
    assert "\n" not in str(found.value)
