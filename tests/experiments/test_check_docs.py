"""Tables of the documents and the code that made them, in a small project with a history."""

import shutil
import subprocess
from pathlib import Path

import pytest

from experiments import check_docs
from experiments.check_docs import CheckDocsOptions
from experiments.shared.option_types import OptionError
from experiments.studies import measured

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# Results

| units | accuracy |
|---|---|
| 3 | 90.5 ± 0.1 |

| option | meaning |
|---|---|
| `--alpha 0.02` | largest fraction |

![A picture](docs/curve.png)

Of earlier code: all of
this.
"""
CODE = '"""A search."""\n\n\ndef search(x):\n    """Doubles."""\n    return 2 * x\n'
ENTRY = """
[[measured]]
page = "README.md"
shown = "{shown}"
command = "python -m a"
commit = "{commit}"
date = 2026-01-31
device = "2 CPU cores"
code = ["search"]
"""


def git(folder, *words):
    who = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def commit_all(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a step")
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def project(tmp_path):
    """Measured with its only commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    (tmp_path / "docs").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "search.py").write_text(CODE)
    (tmp_path / "code" / "weights.bin").write_bytes(b"1")
    (tmp_path / "README.md").write_text(PAGE)
    git(tmp_path, "init", "-q")
    commit = commit_all(tmp_path)
    manifest(tmp_path, commit)
    return tmp_path


def manifest(project, commit, more="", shown=("| units | accuracy |", "curve.png")):
    entries = [ENTRY.format(shown=one, commit=commit) + more for one in shown]
    (project / "docs" / "measured.toml").write_text(
        '[code]\nsearch = ["code"]\n' + "".join(entries)
    )


def found(project, capsys):
    """Whether the check passes, and what it prints."""
    status = 0
    try:
        check_docs.work(CheckDocsOptions(project))
    except SystemExit as end:
        status = end.code
    return status == 0, capsys.readouterr().out


def test_what_was_measured_with_the_same_code_is_up_to_date(project, capsys):
    passes, printed = found(project, capsys)
    assert passes
    assert "2 tables and figures: 2 up to date, 0 out of date" in printed


@pytest.mark.parametrize("code", [
    CODE.replace("Doubles", "Twice x"),
    CODE.replace("    return", "    # why\n    return"),
    CODE.replace("2 * x", "(\n        2 * x\n    )"),
])  # fmt: skip
def test_comments_docstrings_and_layout_do_not_matter(project, capsys, code):
    (project / "code" / "search.py").write_text(code)
    assert code != CODE
    assert found(project, capsys)[0]


@pytest.mark.parametrize(("file", "content"), [
    ("search.py", CODE.replace("2 * x", "3 * x")),
    ("new.py", "ALPHA = 1\n"),
    ("weights.bin", "2"),
    ("search.py", None),
])  # fmt: skip
@pytest.mark.parametrize("committed", [True, False])
def test_code_that_changed_is_named(project, capsys, file, content, committed):
    path = project / "code" / file
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
        git(project, "add", "-A")
    if committed:
        commit_all(project)
    passes, printed = found(project, capsys)
    assert not passes
    assert f"changed: code/{file}" in printed
    assert "again: python -m a" in printed
    assert "0 up to date, 2 out of date" in printed


def test_numbers_that_were_checked_to_be_the_same_and_those_of_earlier_code(project, capsys):
    first = git(project, "rev-parse", "--short", "HEAD")
    (project / "code" / "search.py").write_text(CODE.replace("2 * x", "x + x"))
    second = commit_all(project)
    manifest(project, first, f'same_as = "{second}"\nbecause = "equal in a test"\n')
    assert found(project, capsys)[0]
    manifest(project, first, 'admitted = "Of earlier code: all of this."\n')
    passes, printed = found(project, capsys)
    assert passes
    assert "2 of which the page says that they are of earlier code" in printed
    manifest(project, first, 'admitted = "Of earlier code: some."\n')
    passes, printed = found(project, capsys)
    assert not passes
    assert "README.md: expected 'Of earlier code: some.'" in printed


def test_every_table_of_numbers_has_an_entry(project, capsys):
    commit = git(project, "rev-parse", "--short", "HEAD")
    (project / "docs" / "guide.md").write_text("| a | b |\n|---|---|\n| x | -1.5 |")
    manifest(project, commit, shown=("| units | accuracy |", "| a | table that is gone |"))
    passes, printed = found(project, capsys)
    assert not passes
    assert "docs/guide.md: | a | b |: expected an entry" in printed
    assert "README.md: curve.png: expected an entry" in printed
    assert "expected '| a | table that is gone |'" in printed
    assert "option" not in printed


def test_without_a_history_ages_are_not_checked(project, capsys):
    git(project, "rev-parse", "HEAD")
    (project / ".git").rename(project.parent / "git")
    (project / "code" / "search.py").write_text("changed = True\n")
    passes, printed = found(project, capsys)
    assert passes
    assert "as there is no history here, only their entries were checked" in printed


@pytest.mark.parametrize(("change", "fault"), [
    (lambda text: "not a manifest", "expected a manifest"),
    (lambda text: text.replace('device = "2 CPU cores"\n', ""), "expected page, shown, command"),
    (lambda text: text + 'because = "no reason"\n', "same_as with because"),
    (lambda text: text.replace('code = ["search"]', 'code = ["serch"]'), r"found \['serch'\]"),
    (lambda text: text.replace('commit = "', 'commit = "0000000000'), "no commit 0000000000"),
])  # fmt: skip
def test_a_manifest_that_can_not_be_used_is_an_error(project, change, fault):
    file = project / "docs" / "measured.toml"
    file.write_text(change(file.read_text()))
    with pytest.raises(OptionError, match=fault):
        check_docs.work(CheckDocsOptions(project))


def test_the_manifest_of_this_project_names_all_tables_and_what_is_there():
    """Ages are not tested here: whoever changes the search needn't measure everything at once."""
    entries = measured.read_manifest(ROOT)
    assert measured.misplaced(ROOT, entries) == []
    assert measured.unlisted(ROOT, entries) == []
    if measured.has_history(ROOT):
        for entry in entries:
            measured.changed(ROOT, entry)  # its commit exists
