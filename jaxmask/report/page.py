"""A report of tables, figures and text, as Markdown and as one self-contained HTML page.

All text is plain text: both formats escape the characters that have a meaning in them. Only an
address, such as https://example.org, becomes a link.
"""

import base64
import os
import re
import struct
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from jaxmask.report import Table, to_markdown

LONG = 40  # characters; a longer cell may be broken into lines
_PNG = b"\x89PNG\r\n\x1a\n"
_SCALE = 96 / 150  # pixels of a page per pixel of a figure, which has 150 to the inch
_ADDRESS = re.compile(r"(https?://[^\s<>\"]*[\w/#=&])")


class PageError(ValueError):
    """A report can't be turned into a page; the message gives the reason.

    Example:
        >>> picture = Picture(Path("missing.png"), "A caption.", "A line.")
        >>> try:
        ...     to_html_page(Report("Title", "", (Section("Figures", pictures=(picture,)),)))
        ... except PageError as fault:
        ...     print(fault)
        missing.png: expected a PNG file, found none (No such file or directory)
    """


class Picture(NamedTuple):
    """A figure of a report.

    Attributes:
        file: in PNG format.
        caption: what the figure shows.
        alt: a description for readers who can't see the figure.

    Example:
        >>> Picture(Path("a.png"), "Accuracy over units.", "A line that rises.").caption
        'Accuracy over units.'
    """

    file: Path
    caption: str
    alt: str


class Section(NamedTuple):
    """A section of a report; its parts are shown in this order.

    Attributes:
        heading: title of the section.
        text: paragraphs, separated by empty lines.
        code: lines for the reader to type, such as commands.
        tables: see `jaxmask.report.Table`.
        pictures: figures.

    Example:
        >>> Section("How to repeat it", code="make paper").tables
        ()
    """

    heading: str
    text: str = ""
    code: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


class Report(NamedTuple):
    """A whole report.

    Attributes:
        title: one line.
        introduction: paragraphs, separated by empty lines.
        sections: in their order.

    Example:
        >>> report = Report("Results", "On two models.", (Section("Number agreement"),))
        >>> report.sections[0].heading
        'Number agreement'
    """

    title: str
    introduction: str
    sections: tuple[Section, ...]


def to_markdown_page(report: Report, folder: str | Path) -> str:
    """The report in Markdown.

    Args:
        report: to show.
        folder: of the Markdown file; links to figures are relative to it.

    Example:
        >>> to_markdown_page(Report("Results", "On two models.", ()), ".").split()
        ['#', 'Results', 'On', 'two', 'models.']
    """
    parts = [f"# {_marked(report.title)}", *map(_marked, _paragraphs(report.introduction))]
    for section in report.sections:
        parts.append(f"## {_marked(section.heading)}")
        parts += map(_marked, _paragraphs(section.text))
        if section.code:
            parts.append("\n".join(f"    {line}".rstrip() for line in section.code.splitlines()))
        parts += (f"#{to_markdown(table).rstrip()}" for table in section.tables)
        for picture in section.pictures:
            link = quote(Path(os.path.relpath(picture.file, folder)).as_posix())
            parts += (f"![{_marked(picture.alt)}]({link})", _marked(picture.caption))
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html_page(report: Report) -> str:
    """The report as one HTML page, which contains its figures and styles and loads nothing.

    Raises:
        PageError: a figure is missing or isn't a PNG.

    Example:
        >>> page = to_html_page(Report("Results", "See <below>.", ()))
        >>> "<h1>Results</h1>" in page, "See &lt;below&gt;." in page
        (True, True)
    """
    ids = [f"{number}-{_slug(s.heading)}" for number, s in enumerate(report.sections, start=1)]
    entries = "\n".join(
        f'<li><a href="#{place}">{escape(section.heading)}</a></li>'
        for place, section in zip(ids, report.sections, strict=True)
    )
    sections = "\n".join(map(_section, ids, report.sections))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(report.title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
{_text(report.introduction)}
</header>
<nav aria-labelledby="contents">
<h2 id="contents">Contents</h2>
<ol>
{entries}
</ol>
</nav>
<main>
{sections}
</main>
</body>
</html>
"""


def _section(place: str, section: Section) -> str:
    tables = (_table(f"{place}-{n}", table) for n, table in enumerate(section.tables, start=1))
    parts = (
        f'<section aria-labelledby="{place}">\n<h2 id="{place}">{escape(section.heading)}</h2>',
        _text(section.text),
        f'<pre tabindex="0"><code>{escape(section.code)}</code></pre>' if section.code else "",
        *tables,
        *map(_picture, section.pictures),
        "</section>",
    )
    return "\n".join(part for part in parts if part)


def _text(text: str) -> str:
    return "\n".join(f"<p>{_linked(paragraph)}</p>" for paragraph in _paragraphs(text))


def _table(place: str, table: Table) -> str:
    """A table in its own box, which scrolls if the page is narrower than the table."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.header)
    kinds = [_kind(column) for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' if name else "<td></td>"
        for name, kind in zip(table.header, kinds, strict=True)
    )
    rows = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in table.rows)
    note = f'\n<p class="note">{_linked(table.note)}</p>' if table.note else ""
    return f"""<h3 id="{place}">{escape(table.title)}</h3>
<div class="table" role="region" aria-labelledby="{place}" tabindex="0">
<table aria-labelledby="{place}">
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>{note}"""


def _row(row: tuple[str, ...], kinds: list[str]) -> str:
    first, *rest = zip(row, kinds, strict=True)
    cells = (f"<td{kind}>{escape(cell)}</td>" for cell, kind in rest)
    return f'<th scope="row"{first[1]}>{escape(first[0])}</th>' + "".join(cells)


def _kind(cells: tuple[str, ...]) -> str:
    """The class of the cells of a column: long texts are wrapped, numbers are right-aligned."""
    if any(len(cell) > LONG for cell in cells):
        return ' class="long"'
    numeric = any(re.match(r"[-+\u2212]?\d", cell) for cell in cells)
    return ' class="number"' if numeric else ""


def _picture(picture: Picture) -> str:
    content, width, height = _read_png(picture.file)
    data = base64.b64encode(content).decode("ascii")
    size = f'width="{width}" height="{height}"'
    return f"""<figure>
<img alt="{_attribute(picture.alt)}" {size} src="data:image/png;base64,{data}">
<figcaption>{_linked(picture.caption)}</figcaption>
</figure>"""


def _read_png(file: Path) -> tuple[bytes, int, int]:
    """The content of a file, and the width and height of the figure on the page, in pixels."""
    try:
        content = Path(file).read_bytes()
    except OSError as fault:
        raise PageError(f"{file}: expected a PNG file, found none ({fault.strerror})") from fault
    if not content.startswith(_PNG) or len(content) < 24:
        raise PageError(f"{file}: expected a PNG file, found {content[:8]!r} at its start")
    width, height = struct.unpack(">II", content[16:24])
    return content, round(_SCALE * width), round(_SCALE * height)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _addresses(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, and for each whether it is an address."""
    return ((piece, number % 2 == 1) for number, piece in enumerate(_ADDRESS.split(text)))


def _linked(text: str) -> str:
    """Text escaped for HTML, with links for addresses."""
    return "".join(
        f'<a href="{_attribute(piece)}">{escape(piece)}</a>' if address else escape(piece)
        for piece, address in _addresses(text)
    )


def _attribute(text: str) -> str:
    return escape(" ".join(text.split()), quote=True)


def _marked(text: str) -> str:
    """Text escaped for Markdown, except for addresses, which most renderers turn into links."""
    return "".join(
        piece if address else _escape_markdown(piece) for piece, address in _addresses(text)
    )


def _escape_markdown(text: str) -> str:
    text = re.sub(r"([\\`*<~\[\]]|(?<!\w)_|_(?!\w)|&(?=#?\w+;))", r"\\\1", text)
    text = re.sub(r"(?m)^(\s*)([#>+=|-])", r"\1\\\2", text)  # these characters would begin a block
    return re.sub(r"(?m)^(\s*\d+)([.)])(?=\s)", r"\1\\\2", text)


def _slug(heading: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", heading.lower()))


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """\
:root {
  --paper: #fff; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --box: #f6f8fa;
  --link: #0550ae;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e3e7ec; --faint: #9aa5b1; --line: #3a424b; --box: #1d2228;
    --link: #7cb7ff;
  }
}
* { box-sizing: border-box; }
html { color: var(--ink); background: var(--paper); -webkit-text-size-adjust: 100%; }
body {
  max-width: 62rem; margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 2.5rem) 4rem;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  overflow-wrap: break-word;
}
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); margin: 1.5rem 0 1rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { max-width: 46rem; margin: 0 0 1rem; }
a { color: var(--link); }
nav { margin: 1.5rem 0; padding: .75rem 1.25rem; background: var(--box); border-radius: .5rem; }
nav h2 { font-size: 1rem; margin: 0 0 .25rem; }
nav ol { margin: 0; padding-left: 1.5rem; columns: 18rem; }
nav li { break-inside: avoid; }
pre { padding: .75rem 1rem; background: var(--box); border-radius: .5rem; }
code { font: .875rem/1.5 ui-monospace, Consolas, "DejaVu Sans Mono", monospace; }
.table { margin: 0 0 1rem; }
pre, .table, figure { overflow-x: auto; }
/* A shade at the right edge as long as the reader can scroll further. */
.table {
  background:
    linear-gradient(to left, var(--paper) 30%, transparent) right / 4rem 100% no-repeat local,
    linear-gradient(to left, var(--line), transparent) right / 1.25rem 100% no-repeat scroll;
}
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: left; vertical-align: top; white-space: nowrap; }
th[scope=row] { font-weight: inherit; position: sticky; left: 0; background: var(--paper); }
th:first-child, td:first-child { padding-left: .25rem; }
thead th, thead td { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
.number { text-align: right; }
.long { min-width: 18rem; white-space: normal; }
.note, figcaption { color: var(--faint); font-size: .9375rem; }
figure { margin: 1.5rem 0 2rem; }
img { max-width: max(100%, 34rem); height: auto; background: #fff; border-radius: .25rem; }
figcaption { max-width: 46rem; margin-top: .5rem; }
@media (max-width: 40rem) {
  th, td { padding: .3rem .4rem; }
  table, pre { font-size: .875rem; }
}
@media print {
  body { max-width: none; }
  nav { display: none; }
  tr, figure { break-inside: avoid; }
  pre, .table, figure { overflow-x: visible; }
  img { max-width: 100%; }
}
"""
