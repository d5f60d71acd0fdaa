"""What a person reads: tables, pages and figures."""

from jaxmask.report.tables import (
    NO_EXAMPLES,
    PAPER_MODEL,
    Setting,
    Summary,
    Table,
    directions,
    markdown_report,
    mean_only,
    mean_std,
    paper_pair,
    paper_result,
    percent,
    plus_minus,
    prevalence,
    run_table,
    setting_of,
    shorten,
    stops,
    summary_row,
    to_markdown,
    unit_table,
)

__all__ = [
    "NO_EXAMPLES", "PAPER_MODEL", "Setting", "Summary", "Table", "directions", "markdown_report",
    "mean_only", "mean_std", "paper_pair", "paper_result", "percent", "plus_minus", "prevalence",
    "run_table", "setting_of", "shorten", "stops", "summary_row", "to_markdown", "unit_table",
]  # fmt: skip
