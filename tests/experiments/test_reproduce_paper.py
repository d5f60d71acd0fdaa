"""All that the paper reports in one report, on a model of a few units."""

import dataclasses
import shlex

import pytest

from experiments import reproduce_paper
from experiments.reproduce_paper import command_line
from experiments.studies.paper_runs import PaperOptions
from jaxmask.files.run_folder import RunFolderError, read_summary
from jaxmask.models import model_folder
from jaxmask.report import paper


@pytest.mark.slow
def test_the_whole_paper_in_one_report(model, tmp_path, capsys, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("The doctor said that the nurse ran .\n" * 3, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["reproduce_paper", "--model", "a b", "--seeds", "1"])
    out = tmp_path / "paper"
    options = PaperOptions(
        model=(str(model),), out=out, alpha=0.25, seeds=1, steps=10, rounds=1, text=text,
        trust="none",
    )  # fmt: skip
    reproduce_paper.work(options)
    page, markdown = (out / "report.html").read_text(), (out / "REPORT.md").read_text()
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5"):
        assert title in page
        assert title in markdown
    assert "data:image/png;base64," in page
    assert "--model 'a b' \\" in markdown
    request, tiny = options.request(), model_folder.load_model(model)
    for setting in paper.RESULTS:
        summary = read_summary(request.folder_of(tiny, setting))
        assert (summary["kl_weight"] > 0) == setting[2]
        assert summary["runs"][0]["text_kl"]["every"]
    # A second start runs nothing again.
    capsys.readouterr()
    reproduce_paper.work(options)
    assert "searching" not in capsys.readouterr().out
    with pytest.raises(RunFolderError, match=r"search\.alpha"):
        reproduce_paper.work(dataclasses.replace(options, alpha=0.5))


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], []),
        (["--seeds", "1"], ["--seeds 1"]),
        (["--model", "a b", "demo", "--text", "x.txt"], ["--model 'a b' demo", "--text x.txt"]),
        (["--model=a b"], ["'--model=a b'"]),
        (["--kl-weight", "-1"], ["--kl-weight -1"]),
    ],
)
def test_the_command_has_a_line_for_each_option(words, lines):
    command = command_line(words)
    first, *others = command.split(" \\\n    ")
    assert first == "python -m experiments.reproduce_paper"
    assert others == lines
    assert shlex.split(command.replace("\\\n", ""))[3:] == words
