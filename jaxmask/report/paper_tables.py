"""Tables over several runs, each beside the paper's figures, from the summaries of the runs."""

from collections.abc import Mapping, Sequence

from jaxmask import report
from jaxmask.report import Setting, Summary, Table, paper


def paper_unit_table(task: str, intervention: str, names: Sequence[str]) -> Table:
    """What the paper's own table of units says; ``names`` are the directions."""
    lakretz = task == "number_agreement" and intervention == "every"
    return Table(
        f"{paper.TABLES[task, intervention]} of the paper",
        (
            "Unit",
            *(f"To {n}" for n in names),
            "Prevalence",
            *(["Found by Lakretz et al."] * lakretz),
        ),
        tuple(
            (
                str(unit.number),
                *(report.paper_pair(value, 2) for value in unit.values),
                f"{unit.prevalence:.0f}%",
                *(["yes" if unit.number in paper.FOUND_BY_LAKRETZ else "no"] * lakretz),
            )
            for unit in paper.UNITS[task, intervention]
        ),
        f"{report.PAPER_MODEL}, 10 runs.",
    )


def results_table(summaries: Sequence[Summary], greedy: Mapping[Setting, int | None]) -> Table:
    """Table 4: each setting with the paper's row and the difference under ours.

    Args:
        summaries: one a setting, of one model.
        greedy: units that greedy selection needs for the paper's accuracy, by setting.
    """
    rows = []
    for summary in summaries:
        setting, theirs = report.setting_of(summary), report.paper_result(summary)
        needed = greedy.get(setting)
        ours = [summary[name] for name in ("accuracy", "n_units", "kl")]
        digits = (1, 1, 3)
        rows.append(
            (
                setting_name(setting),
                "ours",
                *(report.plus_minus(x, d) for x, d in zip(ours, digits, strict=True)),
                "" if needed is None else str(needed),
            )
        )
        if theirs is None:
            continue
        rows.append(
            (
                "",
                "paper",
                *(report.paper_pair(x, d) for x, d in zip(theirs, digits, strict=True)),
                "",
            )
        )
        deltas = (x["mean"] - y[0] for x, y in zip(ours, theirs, strict=True))
        rows.append(
            ("", "difference", *(f"{x:+.{d}f}" for x, d in zip(deltas, digits, strict=True)), "")
        )
    model = summaries[0]["model"]
    return Table(
        f"Table 4: {model['name']}",
        ("Setting", "", "Accuracy", "Units", "KL", "Greedy"),
        tuple(rows),
        f"Ours: {model['name']}, {model['layers']} x {model['hidden']} units; paper: "
        f"{report.PAPER_MODEL}. Greedy: units that greedy forward selection needs for the paper's "
        "accuracy on the training examples. KL in nats.",
    )


def dynamics_table(summaries: Mapping[str, Summary]) -> Table:
    """How the relaxation ended: does its constraint hold, how far are its gates from a hard mask?

    Accuracies are on held-out examples: of gates sampled anew for each row, of the units with
    E[z] > 0.5 before any exchange, and of what was found in the end.
    """
    rows = []
    for name, summary in summaries.items():
        runs, model = summary["runs"], summary["model"]
        relaxed = [run["relaxed"] for run in runs]
        means = {name: report.mean_std([x[name] for x in relaxed]) for name in relaxed[0]}
        rows.append(
            (
                name,
                f"{summary['alpha'] * model['layers'] * model['hidden']:.1f}",
                report.plus_minus(report.mean_std([run["expected_l0"] for run in runs]), 1),
                report.mean_only(means["sampled_accuracy"]),
                report.mean_only(means["hard_accuracy"]),
                report.mean_only(means["hard_units"]),
                report.mean_only(summary["accuracy"]),
                report.mean_only(summary["n_units"]),
            )
        )
    return Table(
        "The relaxed mask and the hard one",
        (
            "Setting",
            "Allowed",
            "Expected",
            "Sampled %",
            "E[z] > 0.5 %",
            "units",
            "Final %",
            "units",
        ),
        tuple(rows),
        "Allowed: alpha times the number of units; expected: sum of P(z != 0) at the end. "
        "Percentages are held-out accuracies.",
    )


def text_kl_table(summaries: Sequence[Summary]) -> Table:
    """The KL on the task's sentences beside that on ordinary text, in nats."""
    rows = [
        (
            setting_name(report.setting_of(summary)),
            report.plus_minus(summary["kl"], 3),
            *(
                report.plus_minus(
                    report.mean_std(
                        [kl for run in summary["runs"] for kl in run["text_kl"][place].values()]
                    ),
                    3,
                )
                for place in ("every", "random")
            ),
        )
        for summary in summaries
        if summary["runs"][0]["text_kl"]
    ]
    return Table(
        "What the units do elsewhere",
        ("Setting", "KL, task", "text, every word", "text, a random word"),
        tuple(rows),
        "Mean KL from the untouched model over a sentence's words, in nats, held-out sentences of "
        "the task and ordinary text; mean over runs and directions.",
    )


def setting_name(setting: Setting) -> str:
    """A short name of a row of Table 4."""
    task, intervention, regularised = setting
    return f"{task.split('_')[0]}, {intervention}{', KL' * regularised}"
