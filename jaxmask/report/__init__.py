"""Tables, pages and figures for people to read."""

from jaxmask.report.cells import (
    NO_EXAMPLES,
    Table,
    count,
    mean_only,
    mean_std,
    paper_pair,
    percent,
    plus_minus,
    shorten,
    to_markdown,
    without_empty,
)
from jaxmask.report.tables import (
    PAPER_MODEL,
    Setting,
    Summary,
    directions,
    markdown_report,
    paper_result,
    prevalence,
    run_table,
    setting_of,
    site_units,
    stops,
    subject,
    summary_row,
    unconverged,
    unit_table,
)

__all__ = [
    "NO_EXAMPLES", "PAPER_MODEL", "Setting", "Summary", "Table", "count", "directions",
    "markdown_report", "mean_only", "mean_std", "paper_pair", "paper_result", "percent",
    "plus_minus", "prevalence", "run_table", "setting_of", "shorten", "site_units", "stops",
    "subject", "summary_row", "to_markdown", "unconverged", "unit_table", "without_empty",
]  # fmt: skip
