"""Tables of several runs beside the figures of the paper, made from the summaries of the runs."""

from collections.abc import Mapping, Sequence

from jaxmask import report
from jaxmask.report import Setting, Summary, Table, paper


def paper_unit_table(task: str, intervention: str, names: Sequence[str]) -> Table:
    """The table of units in the paper.

    Args:
        task: of the table.
        intervention: ``single`` or ``every``.
        names: of the directions of the task.

    Example:
        >>> table = paper_unit_table("number_agreement", "every", ("singular", "plural"))
        >>> table.title, table.rows[0][0]
        ('Table 3 of the paper', '79')
    """
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


def results_table(
    summaries: Sequence[Summary], greedy: Mapping[Setting, int | None], alpha: float | None = None
) -> Table:
    """Table 4: for each setting our row, the row of the paper and the difference.

    Args:
        summaries: one for each setting, all of one model.
        greedy: for each setting, the number of units that greedy selection needs to reach the
            accuracy of the paper.
        alpha: of all settings, if it was given and not chosen for each of them.

    Example:
        >>> summary = {"task": "number_agreement", "intervention": "single", "kl_weight": 0.0}
        >>> summary |= {"method": "hard_concrete", "accuracy": report.mean_std([91.9])}
        >>> summary |= {"n_units": report.mean_std([5]), "kl": report.mean_std([0.03])}
        >>> summary |= {"model": {"name": "m", "layers": 2, "hidden": 650}}
        >>> results_table([summary], {}).rows[2]
        ('', 'difference', '+1.0', '-0.7', '-0.004', '')
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
    columns = 6 if alpha is None else 5  # greedy selection is only run to choose alpha
    return Table(
        f"Table 4: {model['name']}",
        ("Setting", "", "Accuracy", "Units", "KL", "Greedy")[:columns],
        tuple(row[:columns] for row in rows),
        f"Ours: {model['name']}, {model['layers']} x {model['hidden']} units; paper: "
        f"{report.PAPER_MODEL}. KL in nats. "
        + (
            "Greedy: units that greedy forward selection needs to reach the accuracy of the paper "
            "on the training examples."
            if alpha is None
            else f"All settings were searched with the given alpha, {alpha:g}, and not with the "
            "smallest one that reaches the accuracy of the paper, so that accuracies and numbers "
            "of units aren't those that the paper compares."
        ),
    )


def dynamics_table(summaries: Mapping[str, Summary]) -> Table:
    """Whether the constraint of the relaxed mask holds, and how much a hard mask differs from it.

    Accuracies are those on held-out examples: with gates that are sampled for each row, with the
    units whose E[z] is above 0.5 before any exchange, and with the units found in the end.

    Args:
        summaries: the summary of each setting, by a name for its row.

    Example:
        >>> relaxed = {"sampled_accuracy": 80.0, "hard_accuracy": 70.0, "hard_units": 3.0}
        >>> run = {"relaxed": relaxed, "expected_l0": 2.5}
        >>> summary = {"runs": [run], "alpha": 0.1, "model": {"layers": 2, "hidden": 10}}
        >>> summary |= {"accuracy": report.mean_std([90.0]), "n_units": report.mean_std([2])}
        >>> dynamics_table({"number": summary}).rows
        (('number', '2.0', '2.5 ± 0.0', '80.0', '70.0', '3.0', '90.0', '2.0'),)
    """
    rows = []
    for name, summary in summaries.items():
        runs = summary["runs"]
        relaxed = [run["relaxed"] for run in runs]
        means = {name: report.mean_std([x[name] for x in relaxed]) for name in relaxed[0]}
        rows.append(
            (
                name,
                f"{summary['alpha'] * report.site_units(summary):.1f}",
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
        "Allowed: alpha times the number of units. Expected: the sum of P(z != 0) at the end. "
        "Percentages are accuracies on held-out examples.",
    )


def kl_parts_table(summaries: Sequence[Summary]) -> Table:
    """The part of the KL at the target, where a flip has to change something, and the other part.

    Args:
        summaries: of runs; those whose objective doesn't tell the parts apart are left out.

    Example:
        >>> summary = {"task": "gender_bias", "intervention": "single", "kl_weight": 0.0}
        >>> summary |= {"kl": report.mean_std([0.5]), "kl_elsewhere": report.mean_std([0.3])}
        >>> kl_parts_table([summary]).rows
        (('gender, single', '0.500 ± 0.000', '0.200', '0.300 ± 0.000'),)
    """
    unknown = report.mean_std([])
    rows = [
        (
            setting_name(report.setting_of(summary)),
            report.plus_minus(summary["kl"], 3),
            f"{summary['kl']['mean'] - elsewhere['mean']:.3f}",
            report.plus_minus(elsewhere, 3),
        )
        for summary in summaries
        if (elsewhere := summary.get("kl_elsewhere", unknown))["mean"] is not None
    ]
    return Table(
        "Where the KL comes from",
        ("Setting", "KL", "at the target", "elsewhere"),
        tuple(rows),
        "In nats: the mean over all positions is the sum of the two parts.",
    )


def text_kl_table(summaries: Sequence[Summary]) -> Table:
    """The KL on the sentences of the task beside the KL on ordinary text, in nats.

    Args:
        summaries: of runs; those without a KL on ordinary text are left out.

    Example:
        >>> run = {"text_kl": {"every": {"up": 0.2}, "random": {"up": 0.01}}}
        >>> summary = {"task": "gender_bias", "intervention": "single", "kl_weight": 0.0}
        >>> summary |= {"runs": [run], "kl": report.mean_std([0.05])}
        >>> text_kl_table([summary]).rows
        (('gender, single', '0.050 ± 0.000', '0.200 ± 0.000', '0.010 ± 0.000'),)
    """
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
        "The KL on other text",
        ("Setting", "KL, task", "text, every word", "text, a random word"),
        tuple(rows),
        "KL from the untouched model in nats, as a mean over the words of a sentence, for held-out "
        "sentences of the task and for ordinary text; mean over runs and directions.",
    )


def setting_name(setting: Setting) -> str:
    """A short name of a setting, for a row of Table 4.

    Example:
        >>> setting_name(("number_agreement", "every", True))
        'number, every, KL'
    """
    task, intervention, regularised = setting
    return f"{task.split('_')[0]}, {intervention}{', KL' * regularised}"
