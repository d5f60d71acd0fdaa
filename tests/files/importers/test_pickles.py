"""Pickles of sentences are read as plain data, and nothing in them is run."""

import contextlib
import pickle
import random
from pathlib import Path

import pytest

from jaxmask.files.importers import pairs
from jaxmask.files.importers.pickles import NOT_SENTENCES
from jaxmask.text.examples import TaskDataError
from jaxmask.text.text_files import read_text

TEMPLATES = {
    "sing_MS_MV": [("the author laughs", "the author laugh"), ("the boy is", "the boy are")],
    "plur_MS_MV": [("the authors laugh", "the authors laughs"), ("the boys are", "the boys is")],
}


class Runs:
    """What a pickle of it would call."""

    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_templates(tmp_path, protocol):
    (tmp_path / "simple.pickle").write_bytes(pickle.dumps(TEMPLATES, protocol))
    found = pairs.read(tmp_path / "simple.pickle")
    assert found.task.directions == ("singular", "plural")
    assert [(s.words, s.position, s.pair, s.correct, s.group) for s in found.task.stimuli] == [
        (("the", "author"), 1, ("laughs", "laugh"), 0, "sing_MS_MV"),
        (("the", "boy"), 1, ("is", "are"), 0, "sing_MS_MV"),
        (("the", "authors"), 1, ("laughs", "laugh"), 1, "plur_MS_MV"),
        (("the", "boys"), 1, ("is", "are"), 1, "plur_MS_MV"),
    ]


def test_text_of_python_2_and_a_list_without_names(tmp_path):
    content = b"(lp0\n(S'the author laughs'\nS'the author laugh'\ntp1\na(S'the boys run'\n"
    content += b"S'the boys runs'\ntp2\naI5\na."
    (tmp_path / "simple.pickle").write_bytes(content)
    found = pairs.read(tmp_path / "simple.pickle")
    assert [s.group for s in found.task.stimuli] == ["simple", "simple"]
    assert [(note.line, note.text) for note in found.left_out] == [(3, NOT_SENTENCES)]


def test_each_wrong_sentence_gives_a_pair(tmp_path):
    triple = {"npi": [("nobody has ever", "nobody has often", "nobody has rarely")]}
    (tmp_path / "npi.pickle").write_bytes(pickle.dumps(triple))
    assert len(pairs.read(tmp_path / "npi.pickle").task.stimuli) == 2


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Runs(), "expected (a dictionary of lists .* with an inert record|one of the formats)"),
        ([Runs()], "expected tuples of a right sentence"),
        ({"a": [Path("x")]}, "expected tuples of a right sentence"),
        ({3: [("a b", "a c")]}, "expected a dictionary of lists of sentences, found 3 with a list"),
        ({"a": 3}, "expected a dictionary of lists of sentences, found 'a' with 3"),
        ({}, "expected tuples of a right sentence"),
    ],
)
def test_other_pickles_are_refused(tmp_path, capsys, value, message, protocol):
    (tmp_path / "mine.pickle").write_bytes(pickle.dumps(value, protocol))
    with pytest.raises(TaskDataError, match=message):
        pairs.read(tmp_path / "mine.pickle")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95", "broken pickle .ValueError: not enough data"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "remembers more than it can hold"),  # a memo of 16 GB
        (b"\x80\x02]q\x00.", "expected tuples of a right sentence"),
        (b"\x80\x02h\x07.", "broken pickle .KeyError: 7"),
        (b"(dp0\n" + b"S'a'\np1\n" * 9, "broken pickle .ValueError: pickle exhausted"),
    ],
)
def test_broken_pickles_are_refused(tmp_path, content, message):
    (tmp_path / "mine.pickle").write_bytes(content)
    with pytest.raises(TaskDataError, match=message):
        pairs.read(tmp_path / "mine.pickle")


def test_the_same_list_under_many_names_is_refused(tmp_path):
    rows = [(f"the {n} laughs", f"the {n} laugh") for n in range(300)]
    content = pickle.dumps({str(n): rows for n in range(300)})
    (tmp_path / "mine.pickle").write_bytes(content)
    with pytest.raises(TaskDataError, match="expected as many sentences as fit into it"):
        pairs.read(tmp_path / "mine.pickle")
    entry = ("the boy runs", *["the boy run"] * 3000)
    (tmp_path / "mine.pickle").write_bytes(pickle.dumps([entry] * 3000))
    with pytest.raises(TaskDataError, match="expected as many sentences as fit into it"):
        pairs.read(tmp_path / "mine.pickle")


def test_accents_of_python_2_are_named(tmp_path):
    (tmp_path / "mine.pickle").write_bytes(b"(lp0\n(S'le caf\\xc3\\xa9 est'\nS'b'\ntp1\na.")
    with pytest.raises(TaskDataError, match=r"broken pickle .UnicodeDecodeError"):
        pairs.read(tmp_path / "mine.pickle")


def test_mutations_are_read_or_refused(tmp_path):
    rng, file = random.Random(0), tmp_path / "mine.pickle"
    for number in range(400):
        content = bytearray(pickle.dumps(TEMPLATES, number % 5))
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        file.write_bytes(content)
        with contextlib.suppress(TaskDataError):
            pairs.read(file)


def test_other_readers_name_them(tmp_path):
    (tmp_path / "mine.tsv").write_bytes(pickle.dumps(TEMPLATES, 0))
    with pytest.raises(TaskDataError, match="the file is a pickle, which isn't read here"):
        read_text(tmp_path / "mine.tsv")
