"""Tables and figures of the documents, and whether the code that made them is still the same.

``docs/measured.toml`` has an entry for each: where it stands, by which command it was made, with
which commit, when, on which device, and which code decides its numbers. A table is out of date if
that code has changed since then in a way that may matter: comments, docstrings and the layout of
Python files don't.
"""

import ast
import datetime
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "docs/measured.toml"
REQUIRED = ("page", "shown", "command", "commit", "date", "device", "code")
OPTIONAL = ("same_as", "because", "admitted")


class ManifestError(ValueError):
    """The manifest can't be used; the message says what was expected and what was found."""


class Entry(NamedTuple):
    """A table or figure, and how it was made.

    Attributes:
        page: file that shows it, from the folder of the project on.
        shown: text of this page by which it is found: the header of a table, the name of a
            picture, or words.
        command: that made it.
        commit: of the code that made it.
        date: when it was made.
        device: on which it was made.
        code: files and folders that decide its numbers.
        same_as: a later commit whose code was checked to give the same numbers.
        because: how that was checked.
        admitted: words of the page by which it says itself that the numbers are of earlier code;
            such an entry is never out of date.
    """

    page: str
    shown: str
    command: str
    commit: str
    date: datetime.date
    device: str
    code: tuple[str, ...]
    same_as: str | None = None
    because: str | None = None
    admitted: str | None = None

    @property
    def name(self) -> str:
        """Page and text, as messages name the entry."""
        return f"{self.page}: {self.shown}"


def read_manifest(root: Path) -> list[Entry]:
    """The entries of the manifest of a project.

    Args:
        root: folder of the project.

    Raises:
        ManifestError: it can't be read, or an entry has too few or unknown fields.
    """
    file = root / MANIFEST
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ManifestError(f"{file}: expected a manifest ({fault})") from fault
    return [_entry(file, one, content.get("code", {})) for one in content.get("measured", [])]


def _entry(file: Path, found: dict[str, Any], groups: dict[str, list[str]]) -> Entry:
    name = found.get("shown", "an entry without 'shown'")
    wrong = set(REQUIRED) - set(found) or set(found) - {*REQUIRED, *OPTIONAL}
    if wrong or ("same_as" in found) != ("because" in found):
        raise ManifestError(
            f"{file}: {name}: expected {', '.join(REQUIRED)}, and perhaps same_as with because, or "
            f"admitted; found {', '.join(found)}"
        )
    if unknown := set(found["code"]) - set(groups):
        raise ManifestError(f"{file}: {name}: expected names of [code], found {sorted(unknown)}")
    paths = tuple(path for group in found["code"] for path in groups[group])
    return Entry(**{**found, "code": paths})


def misplaced(root: Path, entries: list[Entry]) -> list[str]:
    """What entries name that isn't there: words of a page, files of code."""
    faults = []
    for entry in entries:
        page = root / entry.page
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        for words in filter(None, (entry.shown, entry.admitted)):
            if " ".join(words.split()) not in " ".join(text.split()):
                faults.append(f"{entry.page}: expected {words!r}, which {MANIFEST} names")
        faults += [
            f"{MANIFEST}: {entry.name}: expected a file or a folder, found no {path}"
            for path in entry.code
            if not (root / path).exists()
        ]
    return faults


def unlisted(root: Path, entries: list[Entry]) -> list[str]:
    """Tables of numbers and pictures of README and guide that no entry names."""
    shown = [(entry.page, entry.shown) for entry in entries]
    return [
        f"{page}: {found}: expected an entry in {MANIFEST}"
        for page in ("README.md", *sorted(str(p.relative_to(root)) for p in _guide(root)))
        for found in measured_in((root / page).read_text(encoding="utf-8"))
        if not any(page == where and what in found for where, what in shown)
    ]


def _guide(root: Path) -> list[Path]:
    return list((root / "docs").glob("*.md"))


def measured_in(text: str) -> Iterator[str]:
    """The headers of tables with numbers, and the names of pictures, in the text of a page.

    A table has numbers if a cell other than those of its first column begins with one.
    """
    for block in re.findall(r"(?m)(?:^\|.*\n)+", text if text.endswith("\n") else text + "\n"):
        header, _, *rows = block.splitlines()
        cells = [cell.strip() for row in rows for cell in row.strip("|").split("|")[1:]]
        if any(re.match(r"[-+]?\d", cell) for cell in cells):
            yield header
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        yield Path(picture).name


def has_history(root: Path) -> bool:
    """Whether the folder is a checkout of its own with all commits: not so in a source archive."""
    try:
        top = _git(root, "rev-parse", "--show-toplevel").strip()
        shallow = _git(root, "rev-parse", "--is-shallow-repository").strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    return Path(top).resolve() == root.resolve() and shallow == "false"


def changed(root: Path, entry: Entry) -> list[str]:
    """Files that decide an entry's numbers and have changed since it was made, in ways that matter.

    Args:
        root: a checkout that has its history.
        entry: whose numbers count.

    Raises:
        ManifestError: the checkout has no such commit.
    """
    since = entry.same_as or entry.commit
    try:
        named = _git(root, "diff", "--name-only", "--no-renames", since, "--", *entry.code)
    except subprocess.CalledProcessError as fault:
        raise ManifestError(f"{MANIFEST}: {entry.name}: no commit {since}") from fault
    return [path for path in named.splitlines() if not _same(root, since, path)]


def _same(root: Path, commit: str, path: str) -> bool:
    """Whether a file that differs from that of a commit does the same."""
    now = root / path
    if not path.endswith(".py") or not now.is_file():
        return False
    try:
        before = _git(root, "show", f"{commit}:{path}")
    except subprocess.CalledProcessError:  # a new file
        return False
    return same_code(before, now.read_text(encoding="utf-8"))


def same_code(one: str, other: str) -> bool:
    """Whether two Python files differ in comments, docstrings and layout only."""
    return _bare(one) == _bare(other)


def _bare(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _git(root: Path, *words: str) -> str:
    found = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, check=True, text=True, encoding="utf-8"
    )
    return found.stdout
