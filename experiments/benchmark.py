"""How fast all of it is on this machine, beside versions that save nothing.

python -m experiments.benchmark
python -m experiments.benchmark --only search --model MODEL --alpha 0.05 --torch-search

One gradient, its memory, a whole search, the evaluation of hard masks, the start of a script, and
how costs grow. By default the model has random weights and the size of the released one; PyTorch
joins in where it is installed.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

import jaxmask
from experiments.benchmarks import gradient, growth, memory, scaling, start, whole_search
from experiments.benchmarks.subject import (
    OF_TRANSFORMERS,
    SECTIONS,
    Benchmark,
    BenchmarkOptions,
    Section,
    matmul_rate,
    sizes,
    subject,
    torch_there,
)
from experiments.benchmarks.tables import markdown, tables
from experiments.shared.console import console, print_table
from experiments.shared.drawing import save_figure
from experiments.shared.script import run_script
from jaxmask.files.run_folder import check_run_folder, write_run
from jaxmask.models.transformer.model import TransformerModel

MEASURES: Mapping[Section, Callable[[Benchmark], dict[str, Any]]] = {
    "gradient": gradient.measure,
    "memory": memory.measure,
    "search": whole_search.measure,
    "evaluation": whole_search.measure_evaluation,
    "start": lambda benchmark: start.measure(benchmark.model or "demo", benchmark.vocab),
    "scaling": scaling.measure,
    "growth": growth.measure,
}


def work(options: BenchmarkOptions) -> dict[str, Any]:
    """Measures, prints and writes the folder; returns its summary."""
    benchmark = options.benchmark()
    # Compilation is part of what is measured: all of it is done here and now.
    jax.config.update("jax_enable_compilation_cache", False)
    started = time.perf_counter()
    searched = subject(benchmark)
    model = searched.description()
    config = {
        **{key: value for key, value in dataclasses.asdict(options).items() if key != "out"},
        "vocab": None if options.vocab is None else options.vocab.name,
        "fingerprint": model["fingerprint"],
    }
    folder = options.out or Path("results") / f"benchmark-{model['name']}"
    check_run_folder(folder, config)
    rate, side = matmul_rate(benchmark) / 1e9, sizes(benchmark).square
    summary: dict[str, Any] = {
        "model": model,
        "device": jax.devices()[0].device_kind,
        "precision": jax.config.values["jax_default_matmul_precision"] or "default",
        "cores": os.cpu_count(),
        "matmul": {"gflops": rate, "side": side},
        "versions": versions(),
    }
    console().print(
        f"float32 matmul, {side} x {side}: {rate:.0f} GFLOP/s on {summary['cores']} cores\n",
        soft_wrap=True,
    )
    measured = OF_TRANSFORMERS if isinstance(searched, TransformerModel) else SECTIONS
    for section in measured:
        if section in options.only:
            summary[section] = MEASURES[section](benchmark)
            for table in tables({"model": model, section: summary[section]}):
                print_table(table)
    summary["seconds"] = {"total": time.perf_counter() - started}
    write_run(folder, config, summary, table=markdown)
    draw(summary, folder)
    console().print(f"{summary['seconds']['total']:.0f} s; written to {folder}", soft_wrap=True)
    return summary


def draw(summary: dict[str, Any], folder: Path) -> None:
    """Draws how costs grow, if that was measured."""
    if "scaling" in summary:
        file = folder / "figures" / "scaling.png"
        save_figure(file, lambda: scaling.figure(summary["scaling"]))


def versions() -> dict[str, str]:
    """Versions of the software, of PyTorch too where it is installed."""
    found = {"jaxmask": jaxmask.__version__, "jax": jax.__version__}
    if torch_there():
        import torch  # nothing else needs it

        found["torch"] = torch.__version__
    return found


def main() -> None:
    """Reads the options, measures, reports."""
    run_script(BenchmarkOptions, "benchmark", __doc__, work)


if __name__ == "__main__":
    main()
