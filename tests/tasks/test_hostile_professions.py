"""Damaged lists of professions: an error that says where, or a drop that is counted."""

import json

import pytest
from support.hostile_data import Reader, counts, knowing, matches

from experiments import gender_bias as script
from experiments.shared.options import Options
from jaxmask.tasks import gender_bias
from jaxmask.text.examples import encode

SENTENCES = 400  # in place of `MULTIPLE`: each profession, a few bytes, becomes 17 sentences


@pytest.fixture
def bias(tmp_path):
    sound = json.dumps([["nurse", 0.0, -0.9], ["clerk", 0.05, 0.1]])
    return Reader(tmp_path, gender_bias, {"professions.json": sound}, SENTENCES)


@pytest.mark.slow
def test_a_run_reports_what_was_left_out(model, tmp_path, capsys):
    entries = [[name, 0, 0] for name in gender_bias.PROFESSIONS[:12]] + [["actress", -1, 0]]
    (tmp_path / "professions.json").write_text(json.dumps(entries))
    options = Options(
        model=str(model), data=tmp_path, out=tmp_path / "out", alpha=0.25, seeds=1, steps=10,
        rounds=1, evaluation=50,
    )  # fmt: skip
    summary = script.work(options)
    assert summary["examples"]["left_out"]["professions of a gender by their meaning"] == 1
    assert summary["examples"]["unknown"] == 0
    printed = capsys.readouterr().out
    assert "left out of the data: 1 professions of a gender by their meaning" in printed
    assert "several words" not in printed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: expected JSON"),
        (b"\xef\xbb\xbf", "line 1: expected JSON"),
        (b"[", "line 1: expected JSON"),
        (b"[" * 10**6, "expected JSON, found an error .maximum recursion"),
        (
            b'[["nurse", ' + b"1" * 5000 + b", 0]]",
            "expected JSON, found an error .Exceeds the limit",
        ),
        (b'[["nurse", 1e999, 0]]', "entry 1: expected scores from -1 to 1"),
        (b'[["nurse", NaN, 0]]', "entry 1: expected scores from -1 to 1"),
        (b"{}", "expected a list, found dict"),
        (b"[1]", "entry 1: expected .profession, score, score., found 1"),
        (b'[["nurse", 0]]', "entry 1: expected .profession, score, score"),
        (b'[["nurse", 0, 0, 0]]', "entry 1: expected .profession, score, score"),
        (b'[["nurse", 0, 0], ["nurse", 0.5, 0]]', "entry 2: .*each profession once, found 'nurse'"),
        (b'[["head nurse", 0, 0]]', "entry 1: expected words joined by _, found 'head nurse'"),
        (b'[["\\u001b[2J", 0, 0]]', r"entry 1: expected words joined by _, found '\\x1b\[2J'"),
        (b'[["\\ud800", 0, 0]]', r"entry 1: expected words joined by _, found '\\ud800'"),
        (b'[["nurse\\u0000", 0, 0]]', r"entry 1: expected words joined by _, found 'nurse\\x00'"),
        (b'[["nur\x1bse", 0, 0]]', r"line 1: expected text, found the control character '\\x1b'"),
        ('[["café", 0, 0]]'.encode("latin-1"), "expected UTF-8, found byte 0xe9 at 6"),
        ('[["nurse", 0, 0]]'.encode("utf-16"), "expected UTF-8, found byte 0xff at 0"),
        ('[["nurse", 0, 0]]'.encode("utf-16-le"), r"line 1: .* the control character '\\x00'"),
        (b"[" + b'["a b' + b" b" * 10**5 + b'", 0, 0]]', r"entry 1: .* found 'a b b .*\.\.\.'"),
        (b"[[" * 400 + b"]]" * 400, r"entry 1: expected .* found \[\[\[\[\[\["),
        (b"[]", "found none among 0"),
        (b"[" + b"0," * 10**4 + b"0]", "expected at most 10000 entries, found 10001"),
    ],
)
def test_what_are_no_professions_is_refused(bias, content, message):
    matches(bias({"professions.json": content}), rf"^professions\.json(,|:) .*{message}")


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_professions_from_any_system_are_alike(bias, indent, end, mark):
    text = json.dumps([["nurse", 0.0, -0.9], ["clerk", 0.05, 0.1]], indent=indent)
    found = bias({"professions.json": (mark + text.replace("\n", end)).encode()})
    assert found == bias({})
    assert len(found.stimuli) == 2 * 17


def test_thousands_of_professions_are_read(bias):
    entries = [[f"{number:x}", 0, 0] for number in range(3000)]
    content = json.dumps(entries, separators=(",", ":")).encode()
    assert len(bias({"professions.json": content}).stimuli) == 3000 * 17


def test_professions_that_do_not_suit_are_counted(bias):
    entries = [["nurse", 0, 0], ["head_nurse", 0, 0], ["actress", -1, 0], ["a_b", 1, 0]]
    task = bias({"professions.json": json.dumps(entries).encode()})
    assert len(task.stimuli) == 17
    assert dict(task.left_out) == {
        "professions of several words": 2,
        "professions of a gender by their meaning": 1,
    }


def test_professions_out_of_vocabulary_are_counted(bias):
    found = encode(bias({}), knowing("nurse"))
    assert counts(found) == (17, 0, 17, 0)
    assert found.dropped.words == ("nurse",)
