"""Everything that a device is to be measured for, in one call of at most ten minutes.

python -m experiments.measure_device --out results/device
python -m experiments.measure_device --transformer HF_FOLDER --out results/device

A first and a second start of number agreement on the bundled model; the same on the CPU, to compare
what is found; the benchmark of gradients and of a whole search, beside PyTorch on the same device
where it is installed; seeds in one program, with their memory; and a search of a transformer. Each
part is a process of its own: one that fails or takes too long is reported, and the others go on.
"""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks import tables
from experiments.shared import device
from experiments.shared.console import console
from experiments.shared.option_types import Count, Model, ResultFolder, Runs
from experiments.shared.script import run_script
from jaxmask import report
from jaxmask.files.run_folder import write_text
from jaxmask.report import Table

_KEPT_OF_A_RUN = ("accuracy", "n_units", "kl")


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """Options of the measurement."""

    out: ResultFolder = Path("results/device")
    """Folder for device.json and device.md."""
    transformer: Model = "demo-gpt2"
    """A folder of Hugging Face, or the bundled transformer, to be searched too."""
    seeds: Runs = 10
    """Searches at once."""
    minutes: Count = 10
    """After so many minutes no further part begins, and the one that runs is ended."""
    quick: bool = False
    """Tiny sizes, to see that all of it runs."""


def work(options: DeviceOptions) -> dict[str, Any]:
    """Measures part by part; the files are written after each, so that a stop loses little."""
    end = time.monotonic() + 60.0 * options.minutes
    measured: dict[str, Any] = {"where": where(), "parts": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, command, environment in parts(options, Path(folder)):
            began = time.monotonic()
            part = measure(command, environment, Path(folder) / name, end - began)
            measured["parts"][name] = part | {"seconds": time.monotonic() - began}
            console().print(f"{name}: {part.get('fault', 'measured')}", soft_wrap=True)
            options.out.mkdir(parents=True, exist_ok=True)
            write_text(options.out / "device.json", json.dumps(measured, indent=1) + "\n")
            write_text(options.out / "device.md", markdown(measured))
    console().print(f"written to {options.out}", soft_wrap=True)
    return measured


def parts(options: DeviceOptions, folder: Path) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, command and environment of each part, the most important first."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    seeds = ["--seeds", str(options.seeds)]
    search = ["experiments.number_agreement", "--trust", "none", *seeds]
    search += ["--steps", "10"] if options.quick else []
    demo = [*search, "--model", "demo"]
    benchmark = ["experiments.benchmark", *seeds, *(["--quick"] if options.quick else [])]
    transformer = ["--model", options.transformer]
    return [
        ("first_start", demo, cache),
        ("second_start", demo, cache),
        ("benchmark", [*benchmark, "--only", "search", "gradient"], {}),
        ("on_the_cpu", demo, {"JAX_PLATFORMS": "cpu"}),
        ("growth", [*benchmark, "--only", "growth"], {}),
        ("transformer", [*search, *transformer], cache),
        ("transformer_gradient", [*benchmark, *transformer, "--only", "gradient"], {}),
    ]


def measure(
    command: list[str], environment: dict[str, str], out: Path, seconds: float
) -> dict[str, Any]:
    """What the summary of a script says, or why there is none."""
    if seconds <= 0:
        return {"fault": "no time left"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command, "--out", str(out)],
            env=_without_ours() | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"fault": f"ended after {seconds:.0f} s"}
    if done.returncode:
        return {"fault": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    summary = json.loads((out / "summary.json").read_text())
    if "runs" not in summary:
        return {"summary": summary}
    runs = [
        {name: run[name] for name in _KEPT_OF_A_RUN} | {"units": run["units"]}
        for run in summary["runs"]
    ]
    return {"whole": summary["seconds"], "runs": runs}


def where() -> dict[str, Any]:
    """The device, its precision, and the versions of all that computes."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "device": device.line(),
        "platform": jax.default_backend(),
        "card": jax.devices()[0].device_kind,
        "precision": jax.config.values["jax_default_matmul_precision"] or "default",
        "jax": jax.__version__,
        "cores": os.cpu_count(),
        "commit": commit.stdout.strip() or "not known",
    }


def markdown(measured: Mapping[str, Any]) -> str:
    """The tables of all parts, below what they were measured on."""
    on, of = measured["where"], measured["parts"]
    rows = [
        (name, f"{part['seconds']:.0f}", _said(part), part.get("fault", ""))
        for name, part in of.items()
    ]
    blocks = [
        f"# {on['card']}\n\n{on['device']}; {on['cores']} cores; precision {on['precision']}; JAX "
        f"{on['jax']}; commit {on['commit']}.\n",
        report.to_markdown(
            Table("Parts", ("Part", "Seconds", "Of a run: all, compilation", "Fault"), tuple(rows))
        ),
    ]
    if {"first_start", "on_the_cpu"} <= {name for name, part in of.items() if "runs" in part}:
        blocks.append(_parity(of["first_start"]["runs"], of["on_the_cpu"]["runs"]))
    for part in of.values():
        if "summary" in part:
            blocks += map(report.to_markdown, tables.tables(part["summary"]))
    return "\n".join(blocks)


def _said(part: Mapping[str, Any]) -> str:
    seconds = part.get("whole")
    return "" if seconds is None else f"{seconds['total']:.1f}, {seconds['compile']:.1f}"


def _parity(here: list[dict[str, Any]], on_cpu: list[dict[str, Any]]) -> str:
    """Whether a device finds what the CPU finds, up to what seeds differ by."""
    rows = tuple(
        (
            name,
            report.plus_minus(report.mean_std([run["accuracy"] for run in runs]), 1),
            report.plus_minus(report.mean_std([run["n_units"] for run in runs]), 1),
        )
        for name, runs in (("device", here), ("CPU", on_cpu))
    )
    same_seed = _shared(zip(here, on_cpu, strict=True))
    other_seeds = _shared(itertools.combinations(on_cpu, 2))
    return report.to_markdown(
        Table(
            "The same searches on the device and on the CPU",
            ("Where", "Accuracy", "Units"),
            rows,
            f"Units that the same seed finds on both, of all that it finds: {same_seed}; that two "
            f"seeds find on the CPU: {other_seeds}.",
        )
    )


def _shared(pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """The mean share of units that are in both sets of a pair."""
    shares = [
        len(a & b) / len(a | b)
        for a, b in ((_units(one), _units(other)) for one, other in pairs)
        if a | b
    ]
    return f"{100.0 * sum(shares) / len(shares):.0f}%" if shares else "not known"


def _units(run: Mapping[str, Any]) -> set[str]:
    return set(map(str, run["units"]))


def _without_ours() -> dict[str, str]:
    """The environment of the parts, which take a GPU's memory as scripts do."""
    return {name: value for name, value in os.environ.items() if name != _PREALLOCATE}


_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


def main() -> None:
    """Reads the options, measures, writes."""
    # This process only asks what the device is: its memory is for the parts.
    os.environ.setdefault(_PREALLOCATE, "false")
    run_script(DeviceOptions, "measure_device", __doc__, work)


if __name__ == "__main__":
    main()
