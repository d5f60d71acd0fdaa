"""Docstrings as the code writes them, made into reStructuredText.

An indented block after a line of text is an equation or code, kept as it is. The fields of a
``NamedTuple`` are described under ``Attributes``, not once more one by one. A name in backticks
that exists but has no place in the reference, such as a constant's, is shown without a link; one
that doesn't exist is left to Sphinx, which warns. Summaries aren't cut off at abbreviations.
"""

import re
import sys
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext import autosummary

ABBREVIATIONS = ("Eq.", "Eqs.", "Fig.", "Figs.", "Sec.", "cf.")
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")


def blocks(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Marks indented blocks that stand after text as literal ones."""
    marked, section, before = [], False, ""
    for number, line in enumerate(lines):
        if line and not line.startswith(" "):
            section = bool(_SECTION.match(line))
        starts = line.startswith("    ") and number > 0 and not lines[number - 1].strip()
        if starts and not section and before and not before.startswith(" "):
            marked += ["::", ""]
        marked.append(line)
        before = line or before
    lines[:] = marked


def short(text: str) -> str:
    """Types by the names that the code has for them."""
    return re.sub(r"\b(?:jax\.)?(?:jaxlib\._jax|jaxtyping|numpy)\.(?=[A-Z]|ndarray)", "", text)


def shorten_types(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Shortens the types that napoleon wrote beside attributes and arguments."""
    lines[:] = map(short, lines)


def shorten_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str | None, str | None]:
    """Shortens the types of a signature."""
    return signature and short(signature), returns and short(returns)


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leaves out what ``collections.namedtuple`` says of each field."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def known(
    app: Sphinx, env: BuildEnvironment, reference: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """The content of a reference to something that its module, or another of ours, has."""
    if reference.get("reftype") != "obj":
        return None
    module = sys.modules.get(reference.get("py:module") or "jaxmask")
    owner = getattr(module, reference.get("py:class") or "", None)
    target = reference["reftarget"]
    if any(_has(place, target.split(".")) for place in (owner, module)) or _has(
        sys.modules["jaxmask"], target.removeprefix("jaxmask.").split(".")
    ):
        return content
    return None


def _has(place: Any, names: list[str]) -> bool:
    for name in names:
        fields = getattr(place, "__annotations__", {})
        if name in fields and name == names[-1]:
            return True
        place = getattr(place, name, None)
        if place is None:
            return False
    return True


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects them, the first before napoleon reads the sections."""
    # A summary in a table ends at the first full stop that isn't one of these.
    autosummary.WELL_KNOWN_ABBREVIATIONS += ABBREVIATIONS
    app.connect("autodoc-process-docstring", blocks, priority=400)
    app.connect("autodoc-process-docstring", shorten_types, priority=900)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", known)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
