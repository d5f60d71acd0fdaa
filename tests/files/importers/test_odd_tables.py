"""Tables whose words, forms or columns mislead."""

import pytest

from jaxmask.files.importers import pairs
from jaxmask.text.examples import TaskDataError


def read(folder, text, name="mine.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return pairs.read(folder / name)


def table(*rows):
    return "good,bad\n" + "".join(f"{good},{bad}\n" for good, bad in rows)


def test_words_near_a_verb_may_belong_to_another_noun(tmp_path):
    """*These* and *two* don't make *sees* a plural: verbs aren't nouns."""
    rows = [
        ("The farmer near these cars sees it", "The farmer near these cars see it"),
        ("The farmers near this car see it", "The farmers near this car sees it"),
        ("The boy behind two trees knows it", "The boy behind two trees know it"),
        ("The boys behind a tree know it", "The boys behind a tree knows it"),
    ]
    found = read(tmp_path, table(*rows, ("The keys to it are here", "The keys to it is here")))
    assert {s.pair for s in found.task.stimuli} == {
        ("sees", "see"), ("knows", "know"), ("is", "are")
    }  # fmt: skip
    boys = [("The boy runs", "The boy run"), ("The girls run", "The girls runs")] * 3
    boys = [(good.replace("un", f"un{n}"), bad.replace("un", f"un{n}")) for n, (good, bad) in
            enumerate(boys)]  # fmt: skip
    found = read(tmp_path, table(rows[0], *boys), "other.csv")
    assert all(s.pair[0].endswith("s") for s in found.task.stimuli)


def test_marks_belong_to_their_letters(tmp_path):
    good, bad = "वे लड़के जाते हैं", "वे लड़के जाता हैं"
    found = read(tmp_path, table((good, bad), ("gar\u0063\u0327ons vont", "gar\u0063\u0327ons va")))
    assert [(s.words, set(s.pair)) for s in found.task.stimuli] == [
        (("वे", "लड़के"), {"जाते", "जाता"}),
        (("gar\u00e7ons",), {"vont", "va"}),  # composed, as vocabularies have it
    ]


def test_forms_that_nothing_ties_prove_no_position(tmp_path):
    rows = ("The boy saw the dog", "The boy slept the dog"), ("The girl dined", "The girl devoured")
    found = read(tmp_path, table(*rows))
    assert not any(s.counterfactual for s in found.task.stimuli)
    assert found.guesses[0].startswith("1 of 2 pairs have forms that no pair ties to those of the")
    tied = read(tmp_path, table(*rows, ("A cat saw", "A cat devoured")), "tied.csv")
    assert not any("ties" in line for line in tied.guesses)


def test_a_table_of_other_columns_is_told_how_to_be_read(tmp_path):
    text = "sent_more,sent_less,category\nThe boy runs,The boy run,a\n"
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(TaskDataError, match="these columns are called good and bad"):
        pairs.read(tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text(f",{text}".replace("The boy runs", "0,The boy runs"))
    with pytest.raises(TaskDataError, match="left out: rows without the text of their sentences"):
        pairs.read(tmp_path / "mine.csv", "sentence_pairs")
    named = text.replace("sent_more", "good").replace("sent_less", "bad")
    assert read(tmp_path, named).task.stimuli[0].group == "a"
