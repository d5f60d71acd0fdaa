"""Tables of the benchmark, from its summary."""

from collections.abc import Mapping
from typing import Any

from experiments.benchmarks.gradient import LAST_WORD
from experiments.benchmarks.scaling import NAMES
from jaxmask import report
from jaxmask.report import Table

Summary = Mapping[str, Any]
_LONG = 0.5  # seconds; programs that compile faster are counted together


def tables(summary: Summary) -> list[Table]:
    """A table, or a few, for each section that was measured."""
    makers = {
        "gradient": (gradient_table, cores_table),
        "memory": (memory_table,),
        "search": (search_table, compilation_table),
        "evaluation": (evaluation_table,),
        "start": (start_table,),
        "scaling": (scaling_table,),
        "growth": (growth_table,),
    }
    return [
        make(summary[name], summary["model"])
        for name, group in makers.items()
        if name in summary
        for make in group
    ]


def markdown(summary: Summary) -> str:
    """What goes into ``table.md``: where it was measured, and all tables."""
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    heading = (
        f"# Benchmark\n\nModel {summary['model']['name']}, {summary['cores']} cores "
        f"({summary['device']}), products with precision {summary['precision']}, float32 matmul at "
        f"{summary['matmul']['gflops']:.0f} GFLOP/s; {versions}.\n"
    )
    return "\n".join([heading, *map(report.to_markdown, tables(summary))])


def gradient_table(measured: Summary, model: Summary) -> Table:
    """Time of one gradient and share of the matmul rate, beside the naive versions."""
    rows = tuple(
        (
            case["objective"],
            case["version"],
            str(case["seeds"]),
            _number(case["ms"]),
            "" if case["necessary_gflop"] is None else f"{case['necessary_gflop']:.3g}",
            "" if case["matmul_share"] is None else f"{case['matmul_share']:.0f}%",
            _times(case["times_naive_jax"]),
            _times(case["times_pytorch"]),
        )
        for case in measured["cases"]
    )
    header = ("Objective", "Version", "Seeds", "ms a seed", "GFLOP", "Share", "JAX", "PyTorch")
    return Table(
        f"One gradient ({_sizes(model)}, batch of {measured['batch']})",
        header,
        rows,
        f"Medians of {measured['repeats']}, in turns. GFLOP: necessary arithmetic, see "
        f"experiments/benchmark_gradient.py; share: what it is of the "
        f"{measured['matmul_gflops']:.0f} GFLOP/s that a product of two matrices of side "
        f"{measured['square']} ran at in between. JAX, PyTorch: how many times as long the naive "
        f"version takes, which has the exact KL or none. {LAST_WORD!r}: no softmax but the last.",
    )


def cores_table(measured: Summary, model: Summary) -> Table:
    """The same gradients by the time of all cores together."""
    rows = tuple(
        (
            case["objective"],
            case["version"],
            str(case["seeds"]),
            _number(case["cpu_ms"]),
            _times(case["times_pytorch_cpu"]),
        )
        for case in measured["cases"]
    )
    return Table(
        f"One gradient, time of all cores together ({_sizes(model)})",
        ("Objective", "Version", "Seeds", "ms a seed", "PyTorch"),
        rows,
        "Of the processor: where a GPU computes, it is what the processor does meanwhile. Threads "
        "of PyTorch wait busily for one another, which counts: compare with it on a quiet machine.",
    )


def memory_table(measured: Summary, model: Summary) -> Table:
    """Peak memory of one gradient."""
    rows = tuple(
        (
            case["objective"],
            case["version"],
            str(case["seeds"]),
            "not known" if case["megabytes"] is None else f"{case['megabytes']:.0f}",
        )
        for case in measured["cases"]
    )
    return Table(
        f"Memory of one gradient ({_sizes(model)})",
        ("Objective", "Version", "Seeds", "MB"),
        rows,
        "Highest resident memory of a process that builds the objective, compiles and computes one "
        "gradient, beyond what it held with the weights loaded.",
    )


def search_table(measured: Summary, model: Summary) -> Table:
    """Time and quality of whole searches."""
    ours = measured["versions"][0]
    rows = tuple(
        (
            one["version"],
            str(one["timed_steps"]),
            f"{one['seconds']:,.0f}",
            "" if one is ours else _times(one["seconds"] / ours["seconds"]),
            report.plus_minus(one["accuracy"], 1) if "accuracy" in one else "",
            report.plus_minus(one["n_units"], 1) if "n_units" in one else "",
            f"{one['kl']['mean']:.3f}" if "kl" in one else "",
        )
        for one in measured["versions"]
    )
    seconds = measured["details"]
    return Table(
        f"Whole search, {measured['seeds']} seeds ({_sizes(model)}, alpha {measured['alpha']:g})",
        ("Version", "Timed steps", "Seconds", "Ratio", "Accuracy", "Units", "KL"),
        rows,
        f"Single-step, with KL, {measured['steps']} gradient steps on batches of "
        f"{measured['batch']}; {ours['converged']} of ours converged. Ours searches all seeds at "
        f"once, with exchange; compilation ({seconds['compile']:.1f} s) and evaluation on held-out "
        f"pairs ({seconds['evaluate']:.1f} s, its compilation {seconds['evaluate_compile']:.1f} s) "
        "come on top. The others are for that many runs, one after another, extrapolated from the "
        "median of the steps timed; what a whole one finds is of a single seed.",
    )


def compilation_table(measured: Summary, model: Summary) -> Table:
    """What one run compiles, and how often."""
    programs = measured["compilations"]
    long = [program for program in programs if program["seconds"] >= _LONG]
    short = [program for program in programs if program["seconds"] < _LONG]
    rows = [(p["program"], str(p["times"]), f"{p['seconds']:.1f}") for p in long]
    if short:
        times, seconds = (sum(p[key] for p in short) for key in ("times", "seconds"))
        rows.append((f"{len(short)} others", str(times), f"{seconds:.1f}"))
    return Table(
        "Programs compiled in one run",
        ("Program", "Times", "Seconds"),
        tuple(rows),
        "Without a cache of compiled programs; scan: one program each for steps of the relaxation "
        "and rounds of exchange, in chunks.",
    )


def evaluation_table(measured: Summary, model: Summary) -> Table:
    """Time to evaluate hard masks."""
    names = {"accuracy": "accuracy only", "exact_kl": "with exact KL"}
    rows = tuple(
        (label, f"{measured[name]['seconds']:.2f}", f"{measured[name]['compile']:.1f}")
        for name, label in names.items()
    )
    return Table(
        f"Evaluation of {measured['masks']} hard masks on {measured['pairs']:,} pairs "
        f"({_sizes(model)})",
        ("What", "Seconds", "Compilation"),
        rows,
    )


def start_table(measured: Summary, model: Summary) -> Table:
    """Time to the first step of a search."""
    rows = tuple(
        (
            name,
            *(f"{one[part]:.1f}" for part in ("import", "prepare", "compile", "total")),
            f"{one['programs']}, {one['from_cache']}",
        )
        for name, one in zip(("first", "second"), measured["starts"], strict=True)
    )
    return Table(
        f"Seconds before the first step of a search ({measured['model']})",
        ("Start", "Import", "Prepare", "Compile", "Total", "Programs, cached"),
        rows,
        "The second start finds what the first one compiled in JAX's cache on disk. Prepare: "
        "reading the model, drawing and packing the sentences, and what doesn't depend on the "
        "intervention, with the compilation of that.",
    )


def scaling_table(measured: Summary, model: Summary) -> Table:
    """How the time of a gradient grows."""
    rows = tuple(
        (
            NAMES[name] if number == 0 else "",
            f"{point['value']:,}",
            _number(point["ms"]),
            f"{point['value'] / points[0]['value']:.1f}",
            f"{point['ms'] / points[0]['ms']:.1f}",
        )
        for name, points in measured["points"].items()
        for number, point in enumerate(points)
    )
    at = measured["at"]
    return Table(
        "Growth of one gradient, sampled KL",
        ("Varied", "Value", "ms", "Value x", "ms x"),
        rows,
        f"Where not varied: {at['seeds']} seed{'s' * (at['seeds'] > 1)}, {at['batch']} sentences a "
        f"batch with {at['suffix']} words after the intervened one, {at['words']:,} words, "
        f"2 x {at['hidden']} units. x: how many times the first.",
    )


def growth_table(measured: Summary, model: Summary) -> Table:
    """Memory and time of one program by its number of seeds."""
    rows = tuple(
        (
            f"{point['seeds']:,}",
            f"{point['step_mb']:,.0f}",
            f"{point['exchange_mb']:,.0f}",
            "" if point["ms"] is None else _number(point["ms"]),
            "" if point["ms_a_seed"] is None else _number(point["ms_a_seed"]),
            f"{point['compile']:.1f}",
        )
        for point in measured["points"]
    )
    return Table(
        f"Seeds in one program ({_sizes(model)})",
        ("Seeds", "MB of a step", "MB of a round", "ms a step", "ms a seed", "Compilation"),
        rows,
        "Memory by the compiler's own count, weights and examples included. No time where it is "
        "more than searches may take on this device; they then take parts of the seeds in turn.",
    )


def _sizes(model: Summary) -> str:
    return f"{model['layers']} x {model['hidden']}, {model['vocabulary']:,} words"


def _number(x: float) -> str:
    return f"{x:.0f}" if x >= 100.0 else f"{x:.1f}"


def _times(x: float | None) -> str:
    return "" if x is None else f"{x:.1f}"
