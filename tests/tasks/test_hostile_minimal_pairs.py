"""Hostile files of minimal pairs: an error that says where, or a drop that is counted.

What is never to happen is that a line is lost without a word.
"""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_data import ALL, DAMAGES, Reader, matches
from support.watched import attempt

from jaxmask.tasks import minimal_pairs
from jaxmask.text.examples import encode

OWN = 60  # bytes a byte: a pair may take a few bytes only
OWN_FILE = (
    "# The number of the verb.\n"
    "sentence\tposition\tsingular\tplural\tgroup\tright\n"
    "\n"
    "The boy near\t2\tgreets\tgreet\tone\tsingular\n"
    "The boys near\t2\tgreets\tgreet\tone\tplural\n"
    "The boy\t2\tadmires\tadmire\ttwo\t\n"
)


@pytest.fixture
def own(tmp_path):
    task = SimpleNamespace(read=lambda folder: minimal_pairs.read(folder / "mine.tsv"))
    return Reader(tmp_path, task, {"mine.tsv": OWN_FILE}, OWN)


def test_a_sound_file_of_ones_own_is_read_whole(own):
    task = own({})
    assert len(task.stimuli) == 3
    assert encode(task, ALL).dropped.total == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: b"", "expected a header and then one pair in each line, found neither"),
        (
            lambda text: b"\xef\xbb\xbf",
            "expected a header and then one pair in each line, found neither",
        ),
        (
            lambda text: b"# nothing\n\n\n",
            "expected a header and then one pair in each line, found neither",
        ),
        (lambda text: b"".join(text.encode().partition(b"right\n")[:2]), "below the header, found"),
        (lambda text: text.encode("utf-16"), "expected UTF-8, found byte 0xff at 0"),
        (lambda text: text.encode("utf-16-le"), r"line 1: .* the control character '\\x00'"),
        (lambda text: text.replace("e", "é", 1).encode("latin-1"), "found byte 0xe9 at"),
        (lambda text: text.replace("boy", "b\x1b[2Joy", 1).encode(), r"line 4: .*'\\x1b'"),
        (lambda text: text.replace("\t", "    ").encode(), "line 2: .* found 1 column "),
        (lambda text: text.replace("\t", "|").encode(), "line 2: .* found 1 column "),
        (lambda text: text.replace("sentence", "text").encode(), "line 2: expected a header"),
        (lambda text: text.replace("\tplural\tgroup", "", 1).encode(), "line 2: .*two directions"),
        (lambda text: text.replace("position\t", "", 1).encode(), "line 2: expected a header"),
        (lambda text: text.replace("group", "Groups").encode(), "'Groups': did you mean group"),
        (lambda text: text.replace("group", "x" * 500).encode(), r"found 'x{80}\.\.\.'"),
        (lambda text: text.replace("group", "right").encode(), "line 2: .* 'right' twice"),
        (lambda text: text.replace("plural", "singular").encode(), "line 2: .* 'singular' twice"),
        (lambda text: text.replace("plural", "unit").encode(), "line 2: .* 'unit', which has"),
        (lambda text: text.replace("plural", "p" * 21).encode(), "line 2: .*names of 1 to 20"),
        (lambda text: text.replace("plural", "\u202e").encode(), r"line 2: .* '\\u202e'"),
        (lambda text: text.replace("\tone\tplural", "").encode(), "line 5: expected 6 columns"),
        (lambda text: text.encode()[:-2], "line 6: expected 6 columns .* found 5"),
        (lambda text: text.replace("\tgreet\t", "\tgreets\t").encode(), "line 4: .*'greets' twice"),
        (
            lambda text: text.replace("\tgreet\t", "\t\t").encode(),
            "line 4: .*plural form, found ''",
        ),
        (lambda text: text.replace("\tgreet\t", "\tdo greet\t").encode(), "found 'do greet'"),
        (lambda text: text.replace("The boy\t", "\t").encode(), "line 6: expected 1 to 100 words"),
        (lambda text: text.replace("\t2\tad", "\t0\tad").encode(), r"line 6: .* 1 \('The'\) to 2"),
        (lambda text: text.replace("\t2\tad", "\t3\tad").encode(), "line 6: .* found '3'"),
        (lambda text: text.replace("\t2\tad", "\t-1\tad").encode(), "line 6: .* found '-1'"),
        (lambda text: text.replace("\t2\tad", "\t2.5\tad").encode(), "line 6: .* found '2.5'"),
        (lambda text: text.replace("\t2\tad", "\t.0\tad").encode(), "line 6: .* found '.0'"),
        (lambda text: text.replace("\t2\tad", "\t²\tad").encode(), "line 6: .* found '²'"),
        (lambda text: text.replace("\t2\tad", f"\t{'9' * 5000}\tad").encode(), "line 6: .* '9{80}"),
        (lambda text: text.replace("\t2\tad", "\tboy\tad").encode(), "line 6: .*did you mean 2"),
        (lambda text: text.replace("\tsingular\nThe", "\tgreets\nThe").encode(), "mean singular"),
        (lambda text: text.replace("\ttwo\t", f"\t{'x' * 61}\t").encode(), "line 6: .*most 60"),
        (lambda text: text.replace("\ttwo\t", "\t\u202e\t").encode(), r"line 6: .*'\\u202e'"),
        (
            lambda text: (text + text.split("\n")[3].replace("\tsingular", "\tplural")).encode(),
            "line 7: expected singular as right, as in line 4, which has the same pair, found plu",
        ),
        (lambda text: text.encode() + b"\x80\x04\x95", "expected UTF-8, found byte 0x80"),
        (lambda text: text.encode() + b"x" * 10**6, r"line 7: .* found 1 in 'x{80}\.\.\.'"),
        (lambda text: text.encode() + b"x" + b"\t" * 10**6, "line 7: .* singular form, found ''"),
        (lambda text: text.encode() + b"x" + b"\tx" * 10**6, "line 7: .* found 1000001"),
        (lambda text: text.replace("\t", ",").encode() + b'"The', "line 7: .* isn't closed"),
        (lambda text: text.replace("\t", ",").encode() + b"x" * 10**6, "line 7: .* 100000 char"),
    ],
)
def test_a_damaged_file_of_ones_own_is_an_error_that_says_where(own, damage, message):
    matches(own({"mine.tsv": damage(OWN_FILE)}), rf"^mine\.tsv(,|:) .*({message})")


def test_the_same_pair_the_other_way_round_is_an_error(own):
    found = own({"mine.tsv": (OWN_FILE + "The boy\t2\tadmire\tadmires\t\t").encode()})
    matches(found, r"^mine\.tsv, line 7: expected 'admires' as the singular form, as in line 6")


def test_all_faults_are_found_at_once(own):
    wrong = OWN_FILE.replace("\t2\tgreets", "\t9\tgreets") + "The boy\n"
    found = own({"mine.tsv": wrong.encode()})
    matches(found, r"^mine\.tsv, line 4: .* '9'; line 5: .* '9'; line 7: expected 6 columns")
    many = own({"mine.tsv": (OWN_FILE + "The boy\n" * 40).encode()})
    matches(many, r"line 11: [^;]*; and 35 more lines with faults .*--left-out")
    more = own({"mine.tsv": (OWN_FILE + "The boy\n" * 300_000).encode()})
    matches(more, r"; and at least 995 more lines with faults ")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_ones_own_from_any_system_is_alike(own, end, mark):
    assert own({"mine.tsv": (mark + OWN_FILE.replace("\n", end)).encode()}) == own({})


def test_a_million_bytes_of_pairs_are_read_in_time(own):
    rows = "\n".join(f"{number:x}\t1\ta\tb\t{number:x}\t" for number in range(45_000))
    header = "sentence\tposition\tsingular\tplural\tgroup\tright\n"
    task = own({"mine.tsv": (header + rows).encode()})
    assert len(task.stimuli) == 45_000


@given(st.lists(st.tuples(DAMAGES, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=4))
def test_no_line_of_ones_own_is_lost(tmp_path_factory, damages):
    rows = OWN_FILE.removesuffix("\n").split("\n")
    for kind, one, other in damages:
        place = one % len(rows)
        columns = rows[place].split("\t")
        match kind:
            case "repeat":
                rows.insert(other % len(rows), rows[place])
            case "swap":
                rows[place], rows[other % len(rows)] = rows[other % len(rows)], rows[place]
            case "no column":
                del columns[other % len(columns)]
                rows[place] = "\t".join(columns)
            case "new column":
                rows[place] += "\tx"
            case "word":
                rows[place] = f"x {rows[place]}"
            case "end":
                rows[place] = rows[place][: other % (len(rows[place]) + 1)]
            case "empty":
                rows.insert(place, "")
    file = tmp_path_factory.mktemp("own") / "mine.tsv"
    file.write_text("\n".join(rows))
    outcome = attempt(lambda: minimal_pairs.read(file), file)
    if outcome.fault is not None:
        matches(outcome.fault, r"mine\.tsv(,|:) ")
        return
    said = [row for row in rows if row.strip() and not row.startswith("#")]
    task = outcome.value
    assert len(task.stimuli) + sum(count for _, count in task.left_out) == len(said) - 1
    assert len(set(task.lines)) == len(task.stimuli)
