import dataclasses

import numpy as np
import pytest

from experiments import figures, search
from experiments.shared.option_types import OptionError
from jaxmask import report
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import Site
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.examples import Stimulus, Task, TaskDataError, encode

EXAMPLE = model_folder.BUNDLED_MODEL.parents[1] / "docs" / "examples" / "animacy.tsv"


def write(folder, *rows, name="mine.tsv"):
    file = folder / name
    file.write_text("".join("\t".join(row) + "\n" for row in rows))
    return file


HEADER = ("sentence", "position", "person", "thing")


def test_what_the_columns_mean(tmp_path):
    file = write(
        tmp_path,
        ("# a remark",),
        (*HEADER, "right", "group"),
        ("  It was the  doctor ", " 4", "who", "which ", "person", "cleft"),
        ("",),
        ("The box", "2", "who", "which", "", ""),
    )
    assert minimal_pairs.read(file) == Task(
        "mine",
        ("person", "thing"),
        [
            Stimulus(("It", "was", "the", "doctor"), 3, ("who", "which"), 0, "cleft"),
            Stimulus(("The", "box"), 1, ("who", "which"), -1, "all"),
        ],
        [3, 5],
    )


def test_four_columns_are_enough(tmp_path):
    (stimulus,) = minimal_pairs.read(write(tmp_path, HEADER, ("The box", "1", "a", "b"))).stimuli
    assert stimulus == Stimulus(("The", "box"), 0, ("a", "b"), -1, "all")


def test_pairs_written_by_hand_are_those_of_the_generator(tmp_path):
    """The same task, by way of the file, and by the task's own reader."""
    task = number_agreement.generate(0)
    some = [task.stimuli[row] for row in range(0, 12_000, 500)]
    rows = (
        (" ".join(s.words), str(s.position + 1), *s.pair, s.group, task.directions[s.correct])
        for s in some
    )
    header = ("sentence", "position", *task.directions, "group", "right")
    read = minimal_pairs.read(write(tmp_path, header, *rows))
    assert read.stimuli == [stimulus._replace(counterfactual=()) for stimulus in some]
    assert read.directions == task.directions


def test_names_of_directions_can_not_be_taken_for_columns_of_a_summary():
    runs = [{"units": [1], "values": {"a": {"1": 0.5}, "b": {"1": 0.5}}}]
    (row,) = report.prevalence(runs, Site("hidden", 1, 1), ("a", "b"))
    assert set(row) - {"a", "b"} == set(minimal_pairs.RESERVED)


def test_the_bundled_model_knows_the_example():
    model = model_folder.load_model(model_folder.BUNDLED_MODEL)
    encoded = encode(minimal_pairs.read(EXAMPLE), model.vocabulary)
    assert (encoded.examples.size, encoded.dropped.total, encoded.unknown) == (240, 0, 0)
    context = read_context(model.params, model.vocabulary.encode(["<eos>"]))
    odds = log_odds(model.params, encoded.examples, context)
    assert np.mean((odds < 0) == encoded.examples.correct) == pytest.approx(0.975, abs=0.01)


@pytest.mark.slow
def test_a_run_has_the_names_of_the_file_and_can_be_drawn(model, tmp_path):
    subjects = [word for words in number_agreement.NOUNS["SUBJECT"].values() for word in words]
    rows = [
        (f"The {word} {adverb}", "2", "$5$", "greet", f"{adverb} $x$")
        for word in subjects
        for adverb in ("probably", "now")
    ]
    loaded = model_folder.load_model(model)
    words = ["$5$" if word == "greets" else word for word in loaded.vocabulary.words]
    loaded = loaded._replace(vocabulary=type(loaded.vocabulary)(words))
    model_folder.save_model(tmp_path / "model", loaded)
    file = write(tmp_path, ("sentence", "position", "A", "B", "group"), *rows)
    chosen = search.SearchScriptOptions(
        model=str(tmp_path / "model"), data=file, out=tmp_path / "run", seeds=1, steps=10,
        alpha=0.5, trust="none",
    )  # fmt: skip
    summary = search.work(chosen)
    assert summary["task"] == "mine"
    assert summary["examples"]["evaluation"] == 16
    assert set(summary["runs"][0]["values"]) == {"A", "B"}
    assert "paper" not in (tmp_path / "run" / "table.md").read_text()
    drawing = figures.FigureOptions(run=chosen.out, model=chosen.model, data=file)
    names = {drawn.name for drawn in figures.work(drawing)}
    assert {"heat_map_now_x_.png", "heat_map_probably_x_.png"} <= names
    write(tmp_path, ("sentence", "position", "A", "B", "group"), *rows[1:])
    with pytest.raises(OptionError, match=r"--data: the run's is mine\.tsv, sha256 "):
        figures.work(drawing)
    with pytest.raises(RunFolderError, match="data: "):
        search.work(dataclasses.replace(chosen, evaluation=16))


def test_a_counterfactual_is_a_sentence_of_as_many_words(tmp_path):
    header = ("sentence", "position", "A", "B", "counterfactual")
    rows = [("The box", "2", "a", "b", "The poet"), ("A box", "2", "a", "b", "")]
    first, second = minimal_pairs.read(write(tmp_path, header, *rows)).stimuli
    assert first.counterfactual == (("The", "poet"),) * 2
    assert second.counterfactual == ()
    short = write(tmp_path, header, ("The box", "2", "a", "b", "Poets"))
    with pytest.raises(TaskDataError, match="line 2: expected 2 words as counterfactual"):
        minimal_pairs.read(short)
