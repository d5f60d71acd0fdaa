"""How fast all of it is on this machine, beside versions that save nothing.

python -m experiments.benchmark
python -m experiments.benchmark --only search --model MODEL --alpha 0.05 --torch-search

One gradient, its memory, a whole search, the evaluation of hard masks, the start of a script, and
how costs grow. By default the model has random weights and the size of the released one; PyTorch
joins in where it is installed.
"""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

import jaxmask
from experiments.benchmarks import gradient, memory, scaling, start, whole_search
from experiments.benchmarks.subject import (
    SECTIONS,
    BenchmarkOptions,
    Section,
    matmul_rate,
    sizes,
    subject,
    torch_there,
)
from experiments.benchmarks.tables import tables
from experiments.shared.console import console, print_table
from experiments.shared.option_types import check
from experiments.shared.setup import OptionError, run_script
from jaxmask.files.run_folder import check_run_folder, plain, write_text
from jaxmask.report import figures, to_markdown

MEASURES: Mapping[Section, Callable[[BenchmarkOptions], dict[str, Any]]] = {
    "gradient": gradient.measure,
    "memory": memory.measure,
    "search": whole_search.measure,
    "evaluation": whole_search.measure_evaluation,
    "start": lambda options: start.measure(options.model or "demo", options.vocab),
    "scaling": scaling.measure,
}


def work(options: BenchmarkOptions) -> dict[str, Any]:
    """Measures, prints and writes the folder; returns its summary."""
    _check(options)
    # Compilation is part of what is measured: all of it is done here and now.
    jax.config.update("jax_enable_compilation_cache", False)
    started = time.perf_counter()
    model = subject(options).description()
    config = {
        **{key: value for key, value in dataclasses.asdict(options).items() if key != "out"},
        "vocab": None if options.vocab is None else options.vocab.name,
        "fingerprint": model["fingerprint"],
    }
    folder = options.out or Path("results") / f"benchmark-{model['name']}"
    check_run_folder(folder, config)
    rate, side = matmul_rate(options) / 1e9, sizes(options).square
    summary: dict[str, Any] = {
        "model": model,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "matmul": {"gflops": rate, "side": side},
        "versions": _versions(),
    }
    console().print(
        f"float32 matmul, {side} x {side}: {rate:.0f} GFLOP/s on {summary['cores']} cores\n",
        soft_wrap=True,
    )
    for section in SECTIONS:
        if section in options.only:
            summary[section] = MEASURES[section](options)
            for table in tables({"model": model, section: summary[section]}):
                print_table(table)
    summary["seconds"] = {"total": time.perf_counter() - started}
    _write(folder, config, summary)
    console().print(f"{summary['seconds']['total']:.0f} s; written to {folder}", soft_wrap=True)
    return summary


def _check(options: BenchmarkOptions) -> None:
    """Raises an `OptionError` for what can't be measured, before any work is done."""
    check(options)
    if options.torch_search and not torch_there():
        raise OptionError("--torch-search: expected PyTorch to be installed, found none")


def _versions() -> dict[str, str]:
    versions = {"jaxmask": jaxmask.__version__, "jax": jax.__version__}
    if torch_there():
        import torch  # nothing else needs it

        versions["torch"] = torch.__version__
    return versions


def _write(folder: Path, config: dict[str, Any], summary: dict[str, Any]) -> None:
    """The run folder: configuration, summary, tables and figure."""
    config, summary = plain(config, "config"), plain(summary, "summary")
    heading = (
        f"# Benchmark\n\nModel {summary['model']['name']}, {summary['cores']} cores "
        f"({summary['device']}), float32 matmul at {summary['matmul']['gflops']:.0f} GFLOP/s; "
        + ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
        + ".\n"
    )
    texts = {
        "config.json": json.dumps(config, indent=2) + "\n",
        "table.md": "\n".join([heading, *map(to_markdown, tables(summary))]),
        "summary.json": json.dumps(summary, indent=2) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    if "scaling" in summary:
        figure = scaling.figure(summary["scaling"])
        figures.save(figure, folder / "figures" / "scaling.png")
    for name, text in texts.items():
        write_text(folder / name, text)


def main() -> None:
    """Reads the options, measures, reports."""
    run_script(BenchmarkOptions, "benchmark", __doc__, work)


if __name__ == "__main__":
    main()
