"""Runs all that the paper reports and writes one report, REPORT.md and report.html.

python -m experiments.reproduce_paper --model demo --out results/paper

Takes a while; a run that was stopped goes on where it was when it is started again.
"""

import shlex
import sys

from experiments.shared.console import console, print_table
from experiments.shared.script import run_script
from experiments.studies import paper_report
from experiments.studies.paper_runs import PaperOptions, check_all, run_all
from jaxmask.files.run_folder import write_text
from jaxmask.report.page import Section, to_html_page, to_markdown_page


def work(options: PaperOptions) -> None:
    """Runs what isn't finished yet, prints the main table of each model and writes the report."""
    request = options.request()
    models = [options.load_model(name) for name in options.model]
    check_all(request, models)
    sections: list[Section] = []
    for model in models:
        runs = run_all(request, model)
        console().rule("figures and single-unit ablation", align="left", style="default")
        ablations = paper_report.ablations(request, model)
        sections += paper_report.sections(request, model, runs, ablations, len(models) > 1)
        print_table(paper_report.results(runs, request.alpha))
    again = paper_report.again(command_line(sys.argv[1:]))
    whole = paper_report.report(request, [*sections, again])
    write_text(options.out / "REPORT.md", to_markdown_page(whole, options.out))
    write_text(options.out / "report.html", to_html_page(whole))
    console().print(f"report: {options.out / 'report.html'}", soft_wrap=True)


def command_line(words: list[str]) -> str:
    """The command that was typed, an option with its values on each line."""
    lines: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not lines:
            lines.append([])
        lines[-1].append(word)
    command = ["python -m experiments.reproduce_paper", *map(shlex.join, lines)]
    return " \\\n    ".join(command)


def main() -> None:
    """Reads the options, runs, reports."""
    run_script(PaperOptions, "reproduce_paper", __doc__, work)


if __name__ == "__main__":
    main()
