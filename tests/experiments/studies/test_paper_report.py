"""What the report on the paper says of a run."""

from support import summaries

from experiments.studies import paper_report
from experiments.studies.paper_runs import PaperRun
from jaxmask.report import paper
from jaxmask.report.figures import save
from jaxmask.report.figures.trust import DRAWN, trust_figure
from jaxmask.report.page import Report, to_html_page, to_markdown_page


def test_what_can_be_trusted_has_a_section(tmp_path):
    trust = summaries.trust()
    for name in DRAWN:
        save(trust_figure(trust, name), tmp_path / "figures" / f"trust_{name}.png")
    run = PaperRun(next(iter(paper.RESULTS)), {"trust": trust}, None, tmp_path)
    section = paper_report._trust_section(run, " (tiny)")
    assert section.heading.startswith("What can be trusted: ")
    assert section.heading.endswith(" (tiny)")
    assert len(section.pictures) == 4
    page = to_html_page(Report("Title", "", (section,)))
    assert page.count("data:image/png") == 4
    assert "a control of many words" in page
    assert "Rule: Passes if they do." in to_markdown_page(Report("T", "", (section,)), tmp_path)
