"""What the pages of the guide print is what is printed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support import doc_examples
from support.transformer_cases import write

import jaxmask
import jaxmask.found
from experiments import check_data, import_pairs
from jaxmask import search
from jaxmask.files.importers.pairs import NAMES
from jaxmask.files.intervention_file import SavedIntervention, save_intervention
from jaxmask.intervention import Intervention, Kind
from jaxmask.models.model_folder import load_model
from jaxmask.models.transformer.families import FAMILIES
from jaxmask.tasks import minimal_pairs, number_agreement

PAGES = doc_examples.FOLDER.parent
BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```")
ANIMACY = doc_examples.FOLDER / "animacy.tsv"


def blocks(page):
    """(language, content) of each block of a page."""
    return BLOCK.findall((PAGES / page).read_text(encoding="utf-8"))


def run(page):
    """Runs the Python of a page, in order, as one program."""
    code = [content for language, content in blocks(page) if language == "python"]
    assert code
    names = {}
    for content in code:
        exec(compile(content, page, "exec"), names)
    return names


def test_the_sharing_page(monkeypatch, tmp_path, capsys):
    gpt2 = load_model(write(tmp_path / "path" / "to" / "gpt2", "gpt2"))
    mask = np.zeros((2, gpt2.sites["mlp"].units), np.float32)
    mask[:, 70] = 1.0  # of the second layer
    found = Intervention(mask, mask * [[0.5], [2.0]])
    saved = SavedIntervention(found, "x", ("singular", "plural"), {"site": "mlp"}, {})
    save_intervention(tmp_path / "seed_0.json", saved, gpt2)
    (tmp_path / "docs").symlink_to(PAGES)
    monkeypatch.chdir(tmp_path)
    run("share.md")
    graph = json.loads((tmp_path / "importances.json").read_text())
    in_graph = [name for name, node in graph["nodes"].items() if node["in_graph"]]
    assert in_graph == ["m1", "logits"]
    printed = capsys.readouterr().out
    (shown,) = [c for language, c in blocks("share.md") if language == "text" and "who" in c][:1]
    assert [line.split()[0] for line in printed.splitlines()] == ["who", "which"]
    numbers = [[float(x) for x in re.findall(r"-\d+\.\d+", text)] for text in (printed, shown)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.02)


def only_prepared(monkeypatch):
    """What `jaxmask.find` is asked to search, in a list that grows; it searches nothing."""
    asked = []

    def stop(prepared, plan, session):
        asked.append((prepared, plan))
        raise KeyboardInterrupt

    def find(*arguments, **choices):
        with pytest.raises(KeyboardInterrupt):
            jaxmask.found.find(*arguments, **choices)

    monkeypatch.setattr("jaxmask.found.search_all", stop)
    monkeypatch.setattr(jaxmask, "find", find)
    return asked


def write_files_of_readers(folder):
    """The files that the page names and a reader has."""
    (folder / "docs" / "examples").mkdir(parents=True)
    (folder / "docs" / "examples" / "animacy.tsv").write_bytes(ANIMACY.read_bytes())
    write(folder / "path" / "to" / "gpt2", "gpt2", words=("<s>", *sorted(number_agreement.WORDS)))
    pairs = number_agreement.generate(0).stimuli[::200]
    lines = [f"{' '.join(s.words)}\t{s.position + 1}\t{s.pair[0]}\t{s.pair[1]}" for s in pairs]
    text = "\n".join(["sentence\tposition\tsingular\tplural", *lines])
    (folder / "mine.tsv").write_text(text)


def test_the_page_on_your_phenomenon(monkeypatch, tmp_path, capsys):
    shown = [content for language, content in blocks("your_phenomenon.md") if language == "text"]
    asked = only_prepared(monkeypatch)
    said = "\n".join(ANIMACY.read_text(encoding="utf-8").split("\n")[:5])
    assert shown[0].split() == said.split()
    monkeypatch.chdir(tmp_path)
    write_files_of_readers(tmp_path)
    run("your_phenomenon.md")
    assert [(prepared.site.units, plan.seeds) for prepared, plan in asked] == [(600, 3), (48, 3)]
    assert asked[0][1].design.kind == Kind(place="every")
    assert int(search.budget(48, asked[1][1].config.alpha)) == 5
    for file, expected in ((tmp_path / "nouns.tsv", shown[1]), (ANIMACY, shown[2])):
        check_data.work(check_data.CheckOptions(data=file))
        printed = [line.rstrip() for line in capsys.readouterr().out.rstrip().split("\n")]
        assert printed == expected.rstrip().split("\n")
    (example,) = [text for text in shown if text.startswith("simple: ")]
    import_pairs.work(import_pairs.ImportOptions(Path("simple.txt"), Path("simple.tsv")))
    assert capsys.readouterr().out == example
    (table,) = re.findall(r"(?ms)^\| format .*?\n\n", (PAGES / "your_phenomenon.md").read_text())
    assert set(re.findall(r"(?m)^\| `(\w+)`", table)) == set(NAMES)


def test_the_page_on_many_runs(capsys):
    run("many_runs.md")
    (expected,) = (content for language, content in blocks("many_runs.md") if language == "text")
    assert capsys.readouterr().out == expected


def test_the_page_on_transformers(monkeypatch, tmp_path, capsys):
    words = ("<s>", *sorted(number_agreement.WORDS))
    write(tmp_path / "path" / "to" / "gpt2", "gpt2", words=words)
    monkeypatch.chdir(tmp_path)
    run("transformers.md")
    assert capsys.readouterr().out == "192 units; 11000 examples to search on\n"
    table = (PAGES / "transformers.md").read_text(encoding="utf-8").split("\n\n")
    (rows,) = (part for part in table if part.startswith("| `model_type`"))
    named = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in rows.split("\n")[2:]))
    assert sorted(named) == sorted(FAMILIES)


def test_the_docstring_of_the_format_is_a_file_of_that_format(tmp_path):
    example = re.findall(r"(?m)^    (\S.*)$", minimal_pairs.__doc__)
    rows = [re.sub(" {2,}", "\t", line) for line in example[1:]]
    (tmp_path / "x.tsv").write_text("\n".join([example[0], *rows]))
    task = minimal_pairs.read(tmp_path / "x.tsv")
    assert [stimulus.position for stimulus in task.stimuli] == [1, 3]
    assert [stimulus.correct for stimulus in task.stimuli] == [0, 1]
