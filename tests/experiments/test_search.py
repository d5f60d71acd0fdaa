"""A search on the kind of file that people have: ragged, repeated, half unknown, many groups."""

import json

import pytest

from experiments import figures, search
from experiments.shared import experiment
from jaxmask.tasks.number_agreement import NOUNS

OPTIONS = {"seeds": 1, "steps": 5, "rounds": 1, "alpha": 0.5}


def odd_file(folder):
    """40 pairs that can be used, each twice, the longest few; 40 with an unknown subject."""
    subjects = [word for words in NOUNS["SUBJECT"].values() for word in words]
    rows = []
    for number, word in enumerate(subjects):
        group = ("obj/rel: anim?", "obj_rel: anim?", "$x$", "X" * 60)[number % 4]
        more = " near the car" * (number % 3) + " behind the tables" * 20 * (number == 7)
        for known in (word, word, f"{word}ish"):
            rows.append(f"The {known}{more},2.0,greets,greet,{group},")
    rows.append("The boy" + " near" * 120 + ",2,greets,greet,long,")
    rows.append("# The boy,2,greets,greet,remark,")
    file = folder / "mine.csv"
    file.write_text("\r\n".join(["Sentence,Position,One,Two,Group,Right", *rows]))
    return file


@pytest.mark.slow
def test_an_odd_file_from_search_to_figures(model, tmp_path, capsys, monkeypatch):
    file, folder = odd_file(tmp_path), tmp_path / "run"
    chosen = search.SearchScriptOptions(model=str(model), data=file, out=folder, **OPTIONS)

    def fail(*_):
        raise RuntimeError("no display")

    monkeypatch.setattr(experiment, "_example", fail)
    summary = search.work(chosen)
    printed = capsys.readouterr().out
    assert (
        "warning: the figure activations.png couldn't be drawn (RuntimeError: no display)"
        in printed
    )
    assert (folder / "figures" / "search.png").exists()  # also of a search of few steps
    assert "Summary (mine, single-step" in printed
    assert json.loads((folder / "summary.json").read_text())["task"] == "mine"
    assert (folder / "table.md").exists()
    assert (folder / "interventions" / "seed_0.json").exists()
    assert {name: summary["examples"][name] for name in ("train", "evaluation", "dropped")} == {
        "train": 32, "evaluation": 8, "dropped": 40
    }  # fmt: skip
    assert summary["examples"]["left_out"] == {
        "pairs that repeat an earlier pair": 40,
        "pairs with more than 100 words": 1,
        "pairs in lines that begin with #": 1,
    }
    assert "left out of the data: 40 pairs that repeat an earlier pair" in printed
    drawing = figures.FigureOptions(run=folder, model=str(model), data=file)
    names = [drawn.name for drawn in figures.work(drawing)]
    assert len(names) == len(set(names)) >= 2
    assert all((folder / "figures" / name).stat().st_size for name in names)


def test_a_search_whose_longest_sentence_is_not_held_out(model, shared, tmp_path):
    """Figures read the sentences that were held out; the longest one may be elsewhere."""
    from jaxmask.models.model_folder import load_model
    from jaxmask.pipeline.plan import Design
    from jaxmask.pipeline.prepare import prepare
    from jaxmask.report.figures import found_units
    from jaxmask.tasks import minimal_pairs

    task = minimal_pairs.read(shared / "cases" / "pairs" / "longest_in_train.tsv")
    stimuli = [s._replace(pair=("greets", "greet")) for s in task.stimuli[::2]]
    prepared = prepare(load_model(model), task._replace(stimuli=stimuli), Design())
    assert prepared.train.length.max() > prepared.evaluation.length.max()
    import numpy as np

    from jaxmask.intervention import Intervention

    nothing = Intervention(*np.zeros((2, 2, 12), np.float32))
    reading = found_units.read(prepared, nothing)
    assert reading.original.shape[1] == prepared.evaluation.length.max()
