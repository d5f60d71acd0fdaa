"""Runs all that the paper reports and writes one report, REPORT.md and report.html.

python -m experiments.reproduce_paper --model demo --out results/paper

Takes a while; a run that was stopped goes on where it was when it is started again.
"""

import json
import shlex
import sys
from pathlib import Path

from experiments import figures, single_unit_ablation
from experiments.figures import FigureOptions
from experiments.shared.console import console, print_table
from experiments.shared.setup import PHENOMENA, run_script
from experiments.single_unit_ablation import AblationOptions, Ablations
from experiments.studies.paper_runs import PaperOptions, PaperRun, check_all, model_options, run_all
from jaxmask import report
from jaxmask.files.run_folder import write_text
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import paper, paper_tables
from jaxmask.report.page import Picture, Report, Section, to_html_page, to_markdown_page

LAKRETZ = "Found by ablation"


def work(options: PaperOptions) -> None:
    """Runs what isn't there yet, then prints the main table of each model and writes the report."""
    check_all(options)
    sections = []
    for name in options.model:
        model, runs = run_all(options, name)
        console().rule("figures and single-unit ablation", align="left", style="default")
        ablations = _ablations(options, name, model)
        sections += _sections(options, model, runs, ablations)
        print_table(_results(runs))
    introduction = (
        "De Cao, Schmid, Hupkes and Titov, Sparse Interventions in Language Models with "
        "Differentiable Masking (2022), run again by jaxmask.\n\n"
        "Accuracy is the percentage of held-out decisions that flip; KL is the mean divergence "
        "from the untouched model over all positions of the held-out sentences, in nats; ± is the "
        f"sample standard deviation over {options.seeds} searches."
    )
    whole = Report("Sparse interventions, reproduced", introduction, (*sections, _again(options)))
    write_text(options.out / "REPORT.md", to_markdown_page(whole, options.out))
    write_text(options.out / "report.html", to_html_page(whole))
    console().print(f"report: {options.out / 'report.html'}", soft_wrap=True)


def _results(runs: list[PaperRun]) -> report.Table:
    return paper_tables.results_table(
        [run.summary for run in runs], {run.setting: run.greedy_units for run in runs}
    )


def _ablations(options: PaperOptions, name: str, model: LanguageModel) -> Ablations:
    """Lakretz et al.'s ablation, kept in the model's folder."""
    file = options.out / model.name / "ablation.json"
    identity = {"fingerprint": model.fingerprint, "context": options.context}
    if file.exists():
        there = json.loads(file.read_text(encoding="utf-8"))
        if there.pop("settings", None) == identity:
            return single_unit_ablation.from_content(there)
    chosen = AblationOptions(
        model=name,
        vocab=model_options(options, name).vocab,
        data=None if options.data is None else options.data / "number_agreement",
        context=options.context,
    )
    ablations = single_unit_ablation.ablate(chosen, model)
    content = {"settings": identity, **single_unit_ablation.content(ablations)}
    write_text(file, json.dumps(content) + "\n")
    return ablations


def _sections(
    options: PaperOptions, model: LanguageModel, runs: list[PaperRun], ablations: Ablations
) -> list[Section]:
    """What the report says of a model."""
    summaries = [run.summary for run in runs]
    of = f" ({model.name})" if len(options.model) > 1 else ""
    text = (
        f"Model {model.name}, fingerprint {model.fingerprint}: {model.config.layers} x "
        f"{model.config.hidden} units, {model.config.vocabulary} words."
    )
    if options.alpha is None:
        text += (
            " Alpha is, for each setting, the smallest that reaches the paper's accuracy on the "
            "training examples."
        )
    for summary in summaries:
        for name, counts in summary["examples"]["toward"].items():
            if summary["intervention"] == "single" and not counts["train"]:
                text += (
                    f"\n\n{summary['task'].replace('_', ' ').capitalize()}: this model always "
                    f"prefers {name!r}, so that nothing is to be turned to it; accuracies are "
                    "those of the other direction."
                )
                break
    sections = [
        Section(f"Table 4: accuracy, units, KL{of}", _unique(text), tables=(_results(runs),))
    ]
    for run in runs:
        if run.setting in paper.RESULTS and run.setting[2]:
            sections.append(_units_section(options, model, run, ablations, of))
    elsewhere = paper_tables.text_kl_table(summaries)
    sections.append(
        Section(
            f"What the units do elsewhere{of}",
            "If the units did nothing else, ordinary text would read as before."
            if elsewhere.rows
            else "Not measured: give --text to measure the KL on ordinary text.",
            tables=(elsewhere,) * bool(elsewhere.rows),
        )
    )
    sections.append(
        Section(
            f"How the searches ended{of}",
            tables=(
                paper_tables.dynamics_table(
                    {paper_tables.setting_name(run.setting): run.summary for run in runs}
                ),
            ),
            pictures=tuple(
                Picture(
                    _folder(run) / "figures" / "search.png",
                    f"{paper_tables.setting_name(run.setting)}: accuracy with sampled gates, "
                    "units and multiplier over the steps of the relaxation.",
                    f"curves of the search, {paper_tables.setting_name(run.setting)}",
                )
                for run in runs
                if run.setting[2]
            ),
        )
    )
    ablated = single_unit_ablation.table(ablations, model)
    sections.append(Section(f"Single-unit ablation{of}", tables=(ablated,)))
    return sections


def _unique(text: str) -> str:
    """The paragraphs of a text, each once."""
    return "\n\n".join(dict.fromkeys(text.split("\n\n")))


def _folder(run: PaperRun) -> Path:
    return Path(run.options.out)


def _units_section(
    options: PaperOptions, model: LanguageModel, run: PaperRun, ablations: Ablations, of: str
) -> Section:
    """A table of units with the paper's beside it, and what the units do in a sentence."""
    task, intervention, _ = run.setting
    summary, shown = run.summary, PHENOMENA[task].shown
    also = (LAKRETZ, ablations.found) if task == "number_agreement" else None
    pictures = []
    if summary["prevalence"]:
        chosen = FigureOptions(
            run=_folder(run),
            model=run.options.model,
            vocab=run.options.vocab,
            data=run.options.data,
        )
        place = figures.file_name(shown)
        wanted = {f"example_{place}.png", f"heat_map_{place}.png"}
        there = {file.name: file for file in figures.draw(chosen, model)}
        captions = {
            f"example_{place}.png": "Activations of the most prevalent units (of equal ones, those "
            "moved most) over a held-out sentence, with the intervention of seed 0.",
            f"heat_map_{place}.png": f"The same units over all held-out sentences of {shown!r}.",
        }
        alts = {
            f"example_{place}.png": "line plots, untouched and with the intervention, a panel a "
            "unit",
            f"heat_map_{place}.png": "heat maps, untouched beside with the intervention, a row a "
            "sentence",
        }
        pictures = [
            Picture(there[name], captions[name], alts[name])
            for name in sorted(wanted & there.keys())
        ]
    names = report.directions(summary)
    return Section(
        f"{paper.TABLES[task, intervention]}: {task.replace('_', ' ')}, {intervention}-step{of}",
        f"All figures of this run are in {_folder(run).relative_to(options.out)}/figures.",
        tables=(
            report.unit_table(summary, also),
            paper_tables.paper_unit_table(task, intervention, names),
        ),
        pictures=tuple(pictures),
    )


def _again(options: PaperOptions) -> Section:
    """How to run it again."""
    return Section(
        "Run it again",
        "Settings of each run are in its config.json, results in its summary.json.",
        code=" \\\n    ".join(["python -m experiments.reproduce_paper", *_options(sys.argv[1:])]),
    )


def _options(words: list[str]) -> list[str]:
    """The words of a command line, an option with its values each."""
    lines: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not lines:
            lines.append([])
        lines[-1].append(word)
    return [shlex.join(line) for line in lines]


def main() -> None:
    """Reads the options, runs, reports."""
    run_script(PaperOptions, "reproduce_paper", __doc__, work)


if __name__ == "__main__":
    main()
