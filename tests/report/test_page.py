import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from jaxmask.report import Table, figures
from jaxmask.report.page import PageError, Picture, Report, Section, to_html_page, to_markdown_page

VOID = {"meta", "img", "br", "hr", "link"}
NASTY = "<script>alert(\"1 & 2\")</script> & <unk> 'quoted'"


class Page(HTMLParser):
    """What a page holds; fails where tags aren't closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag}: an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def picture(tmp_path):
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([1, 2])
    figures.save(figure, tmp_path / "run 1" / "a.png")
    return Picture(tmp_path / "run 1" / "a.png", "A caption.", "A line that rises.")


def report(picture, **changes):
    table = Table(
        "Units found", ("Unit", "To plural", "Which"),
        (("7", "-0.90 ± 0.10", "few"), ("12", "no examples", "one " * 20)), "A note.",
    )  # fmt: skip
    first = Section(
        "Number agreement", "One.\n\nTwo.", "python -m x \\\n    --y", (table, table), (picture,)
    )
    return Report("A title", "Why.", (first, Section("Number agreement")))._replace(**changes)


def test_page_is_well_formed_and_says_everything_once(picture):
    page = Page(to_html_page(report(picture)))
    for tag in ("h1", "main", "nav", "header", "title"):
        assert len(page.all(tag)) == 1, tag
    assert [len(page.all(tag)) for tag in ("section", "table", "figure")] == [2, 2, 1]
    for said in ("Why.", "One.", "Two.", "-0.90 ± 0.10", "A note.", "A caption.", "    --y"):
        assert said in page.text
    assert page.all("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    named = {attrs[key] for _, attrs in page.tags for key in attrs if key == "aria-labelledby"}
    assert named <= set(ids)


def test_contents_lead_to_each_section(picture):
    page = Page(to_html_page(report(picture)))
    links = [attrs["href"] for attrs in page.all("a")]
    headings = [attrs["id"] for attrs in page.all("h2") if attrs["id"] != "contents"]
    assert links == [f"#{place}" for place in headings]
    assert len(links) == 2


def test_figures_are_in_the_page(picture):
    (image,) = Page(to_html_page(report(picture))).all("img")
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == picture.file.read_bytes()
    assert (image["width"], image["height"]) == ("384", "192")  # 4 x 2 inches, 96 to the inch
    assert image["alt"] == "A line that rises."


def test_nothing_is_fetched(picture):
    html = to_html_page(report(picture, introduction="See https://example.org/a?b=1&c=2."))
    page = Page(html)
    for tag, attrs in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        assert not {"srcset", "background", "style", "onload"} & attrs.keys()
        if "src" in attrs:
            assert attrs["src"].startswith("data:")
    assert "@import" not in html
    assert "url(" not in html
    (policy,) = [attrs for attrs in page.all("meta") if "http-equiv" in attrs]
    assert "default-src 'none'" in policy["content"]
    outside = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert outside == ["https://example.org/a?b=1&c=2"]


def test_everything_is_escaped_in_html(picture):
    table = Table(NASTY, (NASTY, "b"), ((NASTY, NASTY),), NASTY)
    nasty = Picture(picture.file, NASTY, NASTY)
    html = to_html_page(Report(NASTY, NASTY, (Section(NASTY, NASTY, NASTY, (table,), (nasty,)),)))
    page = Page(html)
    assert not page.all("script")
    assert not page.all("unk")
    # title, h1, introduction, contents, heading, text, code, caption; of the table title, header,
    # two cells and note
    assert page.text.count(NASTY) == 13
    assert page.all("img")[0]["alt"] == NASTY


@pytest.mark.parametrize("text", ['https://a.org/"onclick="x', "https://a.org/<b>", "http://"])
def test_addresses_cannot_leave_their_attribute(text, picture):
    page = Page(to_html_page(report(picture, introduction=text)))
    assert text in page.text
    assert not page.all("b")
    assert all(attrs.keys() == {"href"} for attrs in page.all("a"))


def test_scripts_cannot_be_linked(picture):
    page = Page(to_html_page(report(picture, introduction="javascript:alert(1)")))
    assert all(attrs["href"].startswith("#") for attrs in page.all("a"))


def test_tables_scroll_in_their_own_box_and_align_numbers(picture):
    html = to_html_page(report(picture))
    page = Page(html)
    assert len([a for a in page.all("div") if a.get("class") == "table"]) == 2
    assert re.search(r"pre, \.table, figure \{ overflow-x: auto", html)
    kinds = [attrs.get("class") for attrs in page.all("th") if attrs["scope"] == "col"]
    assert kinds == ["number", "number", "long"] * 2


def test_a_table_without_rows_or_with_a_nameless_column(picture):
    tables = (Table("Empty", ("a", "b"), (), "None found."), Table("T", ("", "b"), (("x", "1"),)))
    page = Page(to_html_page(Report("t", "", (Section("s", tables=tables),))))
    assert "None found." in page.text
    assert [attrs["scope"] for attrs in page.all("th")] == ["col", "col", "col", "row"]


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_is_refused(content, tmp_path):
    file = tmp_path / "a.png"
    if content is not None:
        file.write_bytes(content)
    section = Section("s", pictures=(Picture(file, "c", "a"),))
    with pytest.raises(PageError, match=r"a\.png: expected a PNG file"):
        to_html_page(Report("t", "", (section,)))


def test_markdown(picture, tmp_path):
    assert to_markdown_page(report(picture), tmp_path / "out") == (
        """\
# A title

Why.

## Number agreement

One.

Two.

    python -m x \\
        --y

### Units found

| Unit | To plural    | Which                                                                            |
|------|--------------|----------------------------------------------------------------------------------|
| 7    | -0.90 ± 0.10 | few                                                                              |
| 12   | no examples  | one one one one one one one one one one one one one one one one one one one one  |

A note.

### Units found

| Unit | To plural    | Which                                                                            |
|------|--------------|----------------------------------------------------------------------------------|
| 7    | -0.90 ± 0.10 | few                                                                              |
| 12   | no examples  | one one one one one one one one one one one one one one one one one one one one  |

A note.

![A line that rises.](../run%201/a.png)

A caption.

## Number agreement
"""  # noqa: E501
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("number_agreement has 5 * 3 words", r"number_agreement has 5 \* 3 words"),
        ("an _emphasis_, `code`, <unk>", r"an \_emphasis\_, \`code\`, \<unk>"),
        ("[a](b) &amp; R&D ~~x~~", r"\[a\](b) \&amp; R&D \~\~x\~\~"),
        ("# no heading\n- no list\n1. nor this", "\\# no heading\n\\- no list\n1\\. nor this"),
        ("see https://a.org/_b_*c_/d.", "see https://a.org/_b_*c_/d."),
        ("0.5 - 0.3 > 0", "0.5 - 0.3 > 0"),
    ],
)
def test_markdown_shows_text_as_it_is(text, expected):
    assert to_markdown_page(Report("t", text, ()), Path()) == f"# t\n\n{expected}\n"
