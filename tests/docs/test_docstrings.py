"""How docstrings become the reference: the tables of `docs/api.rst` have whole sentences."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def summary(monkeypatch):
    """The summary that a table has of a text."""
    autosummary = pytest.importorskip("sphinx.ext.autosummary")
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser

    monkeypatch.syspath_prepend(DOCS / "extensions")
    monkeypatch.delitem(sys.modules, "docstrings", raising=False)
    extension = importlib.import_module("docstrings")
    monkeypatch.setattr(
        autosummary, "WELL_KNOWN_ABBREVIATIONS", autosummary.WELL_KNOWN_ABBREVIATIONS
    )
    extension.setup(type("App", (), {"connect": lambda *arguments, **settings: None})())
    settings = get_default_settings(Parser())
    yield lambda text: autosummary.extract_summary(text.splitlines(), settings)
    sys.modules.pop("docstrings", None)


def test_summaries_are_whole_sentences(summary):
    assert summary("Of Eqs. 2 and 8, e.g. here. More.") == "Of Eqs. 2 and 8, e.g. here."
    words = (DOCS / "api.rst").read_text(encoding="utf-8").split()
    for name in [word for word in words if word.startswith("jaxmask.")]:
        text = inspect.getdoc(importlib.import_module(name))
        first = text.split("\n\n")[0].replace("\n", " ")
        found = summary(text)
        # Cut off after the end of a sentence, if at all.
        assert first.startswith(found), name
        assert re.fullmatch(r"|\s+[A-Z`].*", first.removeprefix(found)), (name, found)
