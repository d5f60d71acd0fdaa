"""Tables and figure of the benchmark, with the widest numbers there are."""

import numpy as np

from experiments.benchmarks import scaling, subject, tables
from experiments.benchmarks.subject import SECTIONS
from experiments.shared.console import print_table
from jaxmask.report import figures

LARGE = {"layers": 2, "hidden": 1024, "vocabulary": 50_001}
CASE = {"objective": "no KL, last word", "version": "naive JAX", "seeds": 10}
SUMMARY = {
    "model": LARGE,
    "gradient": {
        "matmul_gflops": 212.3, "square": 2048, "repeats": 5, "batch": 64,
        "cases": [CASE | {"ms": 2345.6, "cpu_ms": 4691.2, "times_pytorch_cpu": 99.9,
                          "necessary_gflop": 31.23, "matmul_share": 77.7,
                          "times_naive_jax": 123.4, "times_pytorch": None}],
    },
    "memory": {"cases": [CASE | {"megabytes": None}]},
    "search": {
        "alpha": 0.0485, "seeds": 10, "steps": 480, "batch": 64,
        "versions": [
            {"version": "ours", "timed_steps": 480, "seconds": 321.1, "converged": 10,
             "accuracy": {"mean": 92.35, "std": 0.41}, "n_units": {"mean": 29.5, "std": 11.6},
             "kl": {"mean": 0.403, "std": 0.0}},
            {"version": "PyTorch, one whole", "timed_steps": 480, "seconds": 123_456.0},
        ],
        "details": {"search": 321.1, "compile": 21.2, "evaluate": 2.0, "evaluate_compile": 3.0},
        "compilations": [{"program": "scan", "times": 2, "seconds": 17.0},
                         {"program": "convert_element_type", "times": 3, "seconds": 0.1}],
    },
    "evaluation": {"masks": 10, "pairs": 12_000, "accuracy": {"seconds": 1.25, "compile": 3.0},
                   "exact_kl": {"seconds": 4.5, "compile": 3.0}},
    "start": {"model": "demo", "starts": 2 * [
        {"import": 1.2, "prepare": 2.3, "compile": 12.0, "total": 15.5, "programs": 123,
         "from_cache": 12}]},
    "scaling": {
        "at": {"seeds": 1, "batch": 64, "suffix": 2, "words": 50_001, "hidden": 650},
        "points": {
            name: [{"value": value, "ms": 0.5 * value} for value in values]
            for name, values in subject.PAPER.scaling.items()
        },
    },
    "growth": {"points": [
        {"seeds": 1000, "step_mb": 123_456.0, "exchange_mb": 98_765.0, "compile": 123.4,
         "ms": 32_100.0, "ms_a_seed": 32.1},
        {"seeds": 1000, "step_mb": 1.0, "exchange_mb": 1.0, "compile": 1.0, "ms": None,
         "ms_a_seed": None}]},
}  # fmt: skip


def test_tables_fit_the_terminal_with_the_widest_figures(capsys):
    for table in tables.tables(SUMMARY):
        print_table(table)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for text in ("no KL, last word", "123,456", "384.5", "PyTorch, one whole", "50,001", "29.5 ± "):
        assert text in printed, text
    assert set(SUMMARY) == {"model", *SECTIONS}


def test_figure_of_growth(tmp_path):
    drawing = scaling.figure(SUMMARY["scaling"])
    shown = [panel for panel in drawing.axes if panel.lines]
    names = [panel.get_xlabel() for panel in shown]
    assert names == list(scaling.NAMES.values())
    seeds = shown[0].lines[0].get_xydata()
    np.testing.assert_allclose(seeds[:, 0], subject.PAPER.scaling["seeds"])
    np.testing.assert_allclose(seeds[:, 1], 0.5 * seeds[:, 0])
    assert shown[3].lines[2].get_xydata().tolist() == [[50_001, 25_000.5]]  # the default point
    figures.save(drawing, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 20_000
