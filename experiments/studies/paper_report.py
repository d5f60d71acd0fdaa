"""The report on all that the paper reports: what it says of each model."""

import json

from experiments.shared.drawing import file_names
from experiments.shared.loading import load_task
from experiments.studies import ablations as single_unit
from experiments.studies import run_figures
from experiments.studies.ablations import Ablations, Sample
from experiments.studies.paper_runs import PaperRun, Request
from jaxmask.files.run_folder import write_text
from jaxmask.models.language_model import LanguageModel
from jaxmask.report import Table, directions, paper, paper_tables, unit_table
from jaxmask.report.page import Picture, Report, Section
from jaxmask.report.trust import meanings, trust_tables
from jaxmask.tasks import number_agreement
from jaxmask.tasks.registry import PHENOMENA

LAKRETZ = "Found by ablation"


def report(request: Request, sections: list[Section]) -> Report:
    """The whole report."""
    introduction = (
        "De Cao, Schmid, Hupkes and Titov, Sparse Interventions in Language Models with "
        "Differentiable Masking (2022), run again by jaxmask.\n\n"
        "Accuracy is the percentage of held-out decisions that flip; KL is the mean divergence "
        "from the untouched model over all positions of the held-out sentences, in nats; ± is the "
        f"sample standard deviation over {request.plan.seeds} searches."
    )
    return Report("Sparse interventions, reproduced", introduction, tuple(sections))


def again(command: str) -> Section:
    """How to run it again."""
    return Section(
        "Run it again",
        "Settings of each run are in its config.json, results in its summary.json.",
        code=command,
    )


def results(runs: list[PaperRun], alpha: float | None) -> Table:
    """Table 4; ``alpha`` of all settings, if it was given."""
    return paper_tables.results_table(
        [run.summary for run in runs], {run.setting: run.greedy_units for run in runs}, alpha
    )


def ablations(request: Request, model: LanguageModel) -> Ablations:
    """Lakretz et al.'s ablation, kept in the folder of the model."""
    file = request.folder / model.name / "ablation.json"
    sample = Sample(context=request.plan.design.context)
    identity = {"fingerprint": model.fingerprint, "context": sample.context}
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept.pop("settings", None) == identity:
            return single_unit.from_content(kept)
    name = number_agreement.NAME
    found = single_unit.ablate(model, load_task(name, request.data_of(name)), sample)
    content = {"settings": identity, **single_unit.content(found)}
    write_text(file, json.dumps(content) + "\n")
    return found


def sections(
    request: Request,
    model: LanguageModel,
    runs: list[PaperRun],
    ablations: Ablations,
    several_models: bool,
) -> list[Section]:
    """What the report says of a model."""
    summaries = [run.summary for run in runs]
    of_model = f" ({model.name})" if several_models else ""
    return [
        Section(
            f"Table 4: accuracy, units, KL{of_model}",
            _model_text(request, model, runs),
            tables=(results(runs, request.alpha), paper_tables.kl_parts_table(summaries)),
        ),
        *(
            _units_section(request, model, run, ablations, of_model)
            for run in runs
            if run.setting in paper.RESULTS and run.setting[2]
        ),
        *(_trust_section(run, of_model) for run in runs if "trust" in run.summary),
        _text_section(paper_tables.text_kl_table(summaries), of_model),
        _search_section(runs, of_model),
        Section(f"Single-unit ablation{of_model}", tables=(single_unit.table(ablations, model),)),
    ]


def _model_text(request: Request, model: LanguageModel, runs: list[PaperRun]) -> str:
    """What is to be known of a model before its results."""
    described = model.description()
    paragraphs = [
        f"Model {model.name}, fingerprint {model.fingerprint}: {described['layers']} x "
        f"{described['hidden']} units, {described['vocabulary']} words."
    ]
    if request.alpha is None:
        paragraphs[0] += (
            " Alpha is, for each setting, the smallest that reaches the paper's accuracy on the "
            "training examples."
        )
    for run in runs:
        task, place, _ = run.setting
        if place == "single":
            paragraphs += [
                f"{task.replace('_', ' ').capitalize()}: this model always prefers {name!r}, so "
                "that nothing is to be turned to it; accuracies are those of the other direction."
                for name, counts in run.summary["examples"]["toward"].items()
                if not counts["train"]
            ][:1]
    return "\n\n".join(dict.fromkeys(paragraphs))


def _text_section(table: Table, of_model: str) -> Section:
    text = (
        "If the units did nothing else, ordinary text would read as before."
        if table.rows
        else "Not measured: give --text to measure the KL on ordinary text."
    )
    return Section(
        f"What the units do elsewhere{of_model}", text, tables=(table,) * bool(table.rows)
    )


TRUST_PICTURES = {
    "trust_accuracy": "Accuracy by construction with 95% intervals.",
    "trust_harm": "KL by distance from the intervention, beside that of the paired sentence.",
    "trust_dose": "Decisions that flip, by how far units are moved to their learned values.",
    "trust_place": "Decisions that flip with the set at the last word only, and elsewhere only.",
}


def _trust_section(run: PaperRun, of_model: str) -> Section:
    """What was measured of the best set of a run."""
    trust, folder = run.summary["trust"], run.folder / "figures"
    name = paper_tables.setting_name(run.setting)
    pictures = tuple(
        Picture(folder / f"{file}.png", f"{name}: {caption}", caption)
        for file, caption in TRUST_PICTURES.items()
        if (folder / f"{file}.png").exists()
    )
    return Section(
        f"What can be trusted: {name}{of_model}",
        "\n\n".join(meanings(trust)),
        tables=trust_tables(trust),
        pictures=pictures,
    )


def _search_section(runs: list[PaperRun], of_model: str) -> Section:
    names = {run.setting: paper_tables.setting_name(run.setting) for run in runs}
    table = paper_tables.dynamics_table({names[run.setting]: run.summary for run in runs})
    pictures = tuple(
        Picture(
            run.folder / "figures" / "search.png",
            f"{names[run.setting]}: accuracy with sampled gates, units and multiplier over the "
            "steps of the relaxation.",
            f"curves of the search, {names[run.setting]}",
        )
        for run in runs
        if run.setting[2]
    )
    return Section(f"How the searches ended{of_model}", tables=(table,), pictures=pictures)


def _units_section(
    request: Request, model: LanguageModel, run: PaperRun, ablations: Ablations, of_model: str
) -> Section:
    """A table of units with the paper's beside it, and what the units do in a sentence."""
    task, place, _ = run.setting
    also = (LAKRETZ, ablations.found) if task == number_agreement.NAME else None
    names = directions(run.summary)
    return Section(
        f"{paper.TABLES[task, place]}: {task.replace('_', ' ')}, {place}-step{of_model}",
        f"All figures of this run are in {run.folder.relative_to(request.folder)}/figures.",
        tables=(
            unit_table(run.summary, also),
            paper_tables.paper_unit_table(task, place, names),
        ),
        pictures=_pictures(request, model, run) if run.summary["prevalence"] else (),
    )


def _pictures(request: Request, model: LanguageModel, run: PaperRun) -> tuple[Picture, ...]:
    """The figures of the group whose sentences make good figures."""
    task = run.setting[0]
    shown = PHENOMENA[task].shown
    place = "" if shown is None else file_names([shown])[shown]
    drawn = run_figures.draw(
        run_figures.read_run(run.folder), model, load_task(task, request.data_of(task))
    )
    files = {file.name: file for file in drawn}
    texts = {
        f"example_{place}.png": (
            "Activations of the most prevalent units (of equal ones, those moved most) over a "
            "held-out sentence, with the intervention of seed 0.",
            "line plots, untouched and with the intervention, a panel a unit",
        ),
        f"heat_map_{place}.png": (
            f"The same units over all held-out sentences of {shown!r}.",
            "heat maps, untouched beside with the intervention, a row a sentence",
        ),
    }
    return tuple(
        Picture(files[name], caption, alt)
        for name, (caption, alt) in texts.items()
        if name in files
    )
