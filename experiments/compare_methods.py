"""The search against its alternatives: Table 6 and more, on one model and one split.

python -m experiments.compare_methods --model demo --alpha 0.01 0.02 0.05 --units 1 2 3

All methods are run from several seeds at each size, under one rule of convergence. What is
finished is kept and not run again: a stopped comparison goes on where it was, and a finished one
can be extended by methods, sizes and seeds.
"""

import json
import time
from pathlib import Path
from typing import Any

from experiments.shared.console import console, print_table
from experiments.shared.setup import load_task, prepare, read_model, run_script
from experiments.studies import comparison_tables
from experiments.studies.comparison_runs import (
    CompareOptions,
    check_options,
    common,
    identity,
    jobs_of,
    run_all,
    summarise,
)
from jaxmask.files.run_folder import check_writable, plain, write_text
from jaxmask.report import figures


def work(options: CompareOptions) -> dict[str, Any]:
    """Runs what isn't there yet, compares, and writes the folder; returns its summary."""
    check_options(options)
    started = time.perf_counter()
    task = load_task(options.task, options.data)
    model = read_model(common(options))
    name = f"compare-{task.name}-{model.name}-{options.intervention}"
    folder = options.out or Path("results") / name
    check_writable(folder)
    jobs = jobs_of(options, model.config.units)
    material = prepare(common(options), task, model)
    results = run_all(jobs, options, material, folder, task.directions)
    summary = summarise(options, material, results, time.perf_counter() - started)
    config = {
        **identity(options, material),
        **{name: getattr(options, name) for name in ("methods", "alpha", "units", "seeds")},
        **{name: getattr(options, name) for name in ("steps", "rounds")},
    }
    _write(folder, config, summary)
    print_table(comparison_tables.accuracy_table(summary))
    print_table(comparison_tables.speed_table(summary))
    console().print(f"{summary['seconds']['total']:.0f} s; written to {folder}", soft_wrap=True)
    return summary


def _write(folder: Path, config: dict[str, Any], summary: dict[str, Any]) -> None:
    """The run folder: configuration, summary, evaluations on the way, tables and figure."""
    config, summary = plain(config, "config"), plain(summary, "summary")
    evaluations = [
        {"method": entry["method"], "alpha": entry["alpha"], "seed": run["seed"], **seen}
        for entry in summary["methods"]
        for run in entry["runs"]
        for seen in run.pop("evaluations")
    ]
    texts = {
        "config.json": json.dumps(config, indent=2) + "\n",
        "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in evaluations),
        "table.md": comparison_tables.markdown(summary),
        "summary.json": json.dumps(summary, indent=2) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    figures.save(
        comparison_tables.figure(summary), folder / "figures" / "accuracy_against_units.png"
    )
    for name, text in texts.items():
        write_text(folder / name, text)


def main() -> None:
    """Reads the options, runs, compares."""
    run_script(CompareOptions, "compare_methods", __doc__, work)


if __name__ == "__main__":
    main()
