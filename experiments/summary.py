"""Table 4 of the paper: both tasks, both interventions, with and without KL regularisation.

python -m experiments.summary --model demo --out results/paper

Started again, a run that was stopped goes on from there.
"""

from experiments.shared.console import print_table
from experiments.shared.script import run_script
from experiments.studies import paper_report
from experiments.studies.paper_runs import PaperOptions, check_all, run_all
from jaxmask.files.run_folder import write_text
from jaxmask.report import paper_tables, to_markdown


def work(options: PaperOptions) -> None:
    """Runs the settings that aren't finished yet, prints and writes the table of each model."""
    request = options.request()
    models = [options.load_model(name) for name in options.model]
    check_all(request, models)
    for model in models:
        runs = run_all(request, model)
        summaries = [run.summary for run in runs]
        tables = (
            paper_report.results(runs, request.alpha),
            paper_tables.kl_parts_table(summaries),
            paper_tables.dynamics_table(
                {paper_tables.setting_name(run.setting): run.summary for run in runs}
            ),
            *([paper_tables.text_kl_table(summaries)] if options.text is not None else []),
        )
        for table in tables:
            print_table(table)
        text = "\n".join(to_markdown(table) for table in tables)
        write_text(options.out / model.name / "summary.md", text)


def main() -> None:
    """Reads the options, runs, reports."""
    run_script(PaperOptions, "summary", __doc__, work)


if __name__ == "__main__":
    main()
