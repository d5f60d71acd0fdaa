"""Damaged and hostile data of all tasks: an error that says where, or a drop that is counted.

What is never to happen is that a line, a pair or a profession is lost without a word.
"""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.watched import attempt, checked

from experiments import gender_bias as gender_bias_script
from experiments import number_agreement as number_agreement_script
from experiments.shared.options import Options
from jaxmask.models import model_folder
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.tasks import gender_bias, minimal_pairs, number_agreement
from jaxmask.tasks.number_agreement import CONSTRUCTIONS, labels, pools
from jaxmask.text.examples import LONGEST, Encoded, Stimulus, Task, TaskDataError, encode
from jaxmask.text.vocabulary import Vocabulary

MEMORY = 2e6
MULTIPLE = 30
OWN = 60  # in place of `MULTIPLE`: a pair may take a few bytes only
SENTENCES = 400  # in place of `MULTIPLE`: each profession, a few bytes, becomes 17 sentences
ALL = Vocabulary(sorted({"<unk>", "<eos>", *number_agreement.WORDS, *gender_bias.WORDS}))


def lines(construction: str, subject: int = 0) -> list[str]:
    """A pair of each label of a construction, as the original files have it, without line ends."""
    rows = []
    for number, label in enumerate(labels(construction)):
        *words, verb = (pool[min(subject, len(pool) - 1)] for pool in pools(construction, label))
        forms = (verb + "s", verb) if label[0] == "singular" else (verb, verb + "s")
        for form, verdict in zip(forms, ("correct", "wrong"), strict=True):
            sentence = " ".join((*words, form))
            rows.append(f"{sentence}\t{'_'.join(label)}\t{verdict}\t{subject}.{number}")
    return rows


FILES = {f"{name}.txt": "\n".join(lines(name)) + "\n" for name in CONSTRUCTIONS}
SIMPLE, NOUNPP = FILES["simple.txt"], FILES["nounpp.txt"]
PAIRS = sum(text.count("\n") for text in FILES.values()) // 2


class Reader:
    """Reads a task from files of which some are replaced, and checks all that is promised."""

    def __init__(
        self, folder: Path, task: Any, files: dict[str, str], multiple: int = MULTIPLE
    ) -> None:
        self.folder, self.task, self.multiple = folder, task, multiple
        self.files = {name: text.encode() for name, text in files.items()}
        for codec in ("utf-8-sig", "utf-16", "latin-1"):
            "".encode(codec)  # Python imports it when it's first asked for
        self({})

    def __call__(self, replaced: dict[str, bytes], case: str = "") -> Task | str:
        """The task, or the error's message without the folder."""
        files = self.files | replaced
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        paths = [self.folder / name for name in files]
        outcome = attempt(lambda: self.task.read(self.folder), *paths)
        most = MEMORY + self.multiple * sum(map(len, files.values()))
        found = checked(outcome, case, most, (TaskDataError,), self.folder)
        return found.removeprefix(f"{self.folder}/") if isinstance(found, str) else found


@pytest.fixture
def agreement(tmp_path):
    return Reader(tmp_path, number_agreement, FILES)


@pytest.fixture
def bias(tmp_path):
    sound = json.dumps([["nurse", 0.0, -0.9], ["clerk", 0.05, 0.1]])
    return Reader(tmp_path, gender_bias, {"professions.json": sound}, SENTENCES)


def matches(found: Any, message: str) -> None:
    with pytest.raises(TaskDataError, match=message):
        raise found if isinstance(found, Exception) else TaskDataError(found)


# Number agreement.


def test_sound_files_are_read_whole(agreement):
    task = agreement({})
    assert len(task.stimuli) == PAIRS == 2 * 5 + 4 * 2
    assert encode(task, ALL).dropped.total == 0


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: b"", "expected lines of four columns, found none"),
        (lambda text: b"\xef\xbb\xbf", "expected lines of four columns, found none"),
        (lambda text: b"\n\n", "line 1: expected sentence, number"),
        (lambda text: text.encode("utf-16"), "expected UTF-8, found byte 0xff at 0"),
        (lambda text: text.encode("utf-16-le"), r"line 1: .* the control character '\\x00'"),
        (lambda text: text.encode("utf-32"), "expected UTF-8, found byte 0xff at 0"),
        (lambda text: text.replace("e", "é", 1).encode("latin-1"), "found byte 0xe9 at"),
        (lambda text: text.encode()[:-20], "found [123] columns|expected"),
        (lambda text: text.replace("\t", "\x1b[2J\t", 1).encode(), r"character '\\x1b'"),
        (lambda text: text.replace("\t", "    ").encode(), "line 1: .* found 1 columns"),
        (lambda text: text.replace("\t", ",").encode(), "line 1: .* found 1 columns"),
        (lambda text: "\n".join(text.split("\n")[1:]).encode(), "expected 2 lines with id"),
        (lambda text: "\n".join(text.split("\n")[2:-2]).encode() + b"\nx", "expected sentence"),
        (lambda text: (text + text).encode(), "expected 2 lines with id '0.0', found 4"),
        (lambda text: text.replace("0.0", "x", 1).encode(), "expected 2 lines with id 'x', found"),
        (lambda text: b"x" * 10**6, r"line 1: .* found 1 columns in 'x{80}\.\.\.'"),
        (lambda text: text.encode() + b"\x80\x04\x95", "expected UTF-8, found byte 0x80"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(agreement, name, damage, message):
    matches(agreement({name: damage(FILES[name])}), f"^{name}(,|:) .*({message})")


@pytest.mark.parametrize("words", [0, 1, 2, LONGEST + 1, 500])
def test_sentences_too_short_or_too_long_are_errors(agreement, words):
    sentence = " ".join(["x"] * words)
    rows = [f"{sentence}\tsingular\t{verdict}\t9" for verdict in ("correct", "wrong")]
    found = agreement({"simple.txt": (SIMPLE + "\n".join(rows)).encode()})
    matches(found, f"^simple.txt, line 5: expected 3 to 100 words, found {words} in ")


def test_the_longest_sentence_is_read_and_encoded(agreement):
    words = " ".join(["The", "boy", *["quite"] * (LONGEST - 3)])
    rows = [f"{words} greets\tsingular\tcorrect\t9", f"{words} greet\tsingular\twrong\t9"]
    task = agreement({"simple.txt": (SIMPLE + "\n".join(rows)).encode()})
    assert len(task.stimuli) == PAIRS + 1
    assert encode(task, ALL).examples.tokens.shape == (PAIRS + 1, LONGEST - 1)


def test_other_tasks_can_not_have_endless_sentences_either():
    endless = Stimulus(("the",) * (LONGEST + 1), 0, ("greet", "greets"), -1, "x")
    with pytest.raises(
        TaskDataError, match=r"mine, stimulus 0: expected at most 100 words, .* 101"
    ):
        encode(Task("mine", ("a", "b"), [endless]), ALL)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("The athlete admire\t", "The athletes admire\t", "differ in the last word only, found"),
        ("The athlete admire\t", "A athlete admire\t", "differ in the last word only"),
        ("The athlete admire\t", "The athlete now admire\t", "differ in the last word only"),
        ("The athlete admire\t", "The athlete admires\t", "differ in the last word only"),
        (
            "singular\twrong",
            "plural\twrong",
            "one number for both lines, found singular and plural",
        ),
        ("wrong", "correct", "expected correct and wrong, found correct twice"),
        ("wrong", "Wrong", "expected correct or wrong, found 'Wrong'"),
        ("singular", "sing", "expected one of singular, plural, found 'sing'"),
        ("singular", "singular_plural", "expected one of singular, plural, found"),
        ("\tsingular", "", "found 3 columns"),
        ("\tsingular", "\tsingular\t", "found 5 columns"),
    ],
)
def test_a_pair_that_is_none_is_an_error(agreement, old, new, message):
    assert old in SIMPLE
    found = agreement({"simple.txt": SIMPLE.replace(old, new, 1).encode()})
    matches(found, rf"^simple\.txt, line \d.*({message})")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_marks_of_any_system_lose_nothing(agreement, end, mark):
    sound = agreement({})
    changed = {name: (mark + text.replace("\n", end)).encode() for name, text in FILES.items()}
    assert agreement(changed) == sound


DAMAGES = st.sampled_from(
    ["drop", "repeat", "swap", "no column", "new column", "id", "word", "verdict", "empty", "end"]
)


@given(st.lists(st.tuples(DAMAGES, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=4))
def test_whatever_is_done_to_lines_none_is_lost(tmp_path_factory, damages):
    rows = NOUNPP.removesuffix("\n").split("\n")
    for kind, one, other in damages:
        place = one % max(len(rows), 1)
        if not rows:
            break
        columns = rows[place].split("\t")
        column = other % len(columns)
        match kind:
            case "drop":
                del rows[place]
            case "repeat":
                rows.insert(other % len(rows), rows[place])
            case "swap":
                rows[place], rows[other % len(rows)] = rows[other % len(rows)], rows[place]
            case "no column":
                rows[place] = "\t".join(columns[:column] + columns[column + 1 :])
            case "new column":
                rows[place] += "\tx"
            case "id":
                rows[place] = "\t".join([*columns[:-1], f"0.{other % 5}"])
            case "word":
                words = rows[place].split(" ")
                rows[place] = " ".join([*words[:-1], "x", words[-1]])
            case "verdict":
                rows[place] = rows[place].replace("wrong", "correct")
            case "empty":
                rows.insert(place, "")
            case "end":
                rows[place] = rows[place][: other % (len(rows[place]) + 1)]
    folder = tmp_path_factory.mktemp("damaged")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "nounpp.txt").write_text("\n".join(rows) + "\n")
    outcome = attempt(lambda: number_agreement.read(folder), *folder.iterdir())
    if outcome.fault is not None:
        matches(outcome.fault, r"nounpp\.txt(,|:) ")
        return
    task = outcome.value
    counts = Counter(stimulus.group for stimulus in task.stimuli)
    assert 2 * counts["nounpp"] == len(rows)
    encoded = encode(task, ALL)
    assert encoded.examples.size + encoded.dropped.total == len(task.stimuli)


# Words that the model doesn't know.


def knowing(*unknown: str) -> Vocabulary:
    return Vocabulary([word for word in ALL.words if word not in unknown])


def counts(encoded: Encoded) -> tuple[int, int, int, int]:
    dropped = encoded.dropped
    return encoded.examples.size, dropped.pair, dropped.position_word, encoded.unknown


def test_words_out_of_vocabulary_are_dropped_or_replaced_and_counted(agreement):
    task = agreement({})
    subject, verb, other = "athletes", "admire", "near"
    with_subject = sum(subject in s.words for s in task.stimuli)
    with_other = sum(s.words.count(other) for s in task.stimuli)
    assert with_subject == PAIRS // 2
    found = encode(task, knowing(subject))
    assert counts(found) == (PAIRS - with_subject, 0, with_subject, 0)
    assert found.dropped.words == (subject,)
    assert counts(encode(task, knowing(other))) == (PAIRS, 0, 0, with_other)
    with pytest.raises(TaskDataError, match=f"found none among {PAIRS}; .*: admire"):
        encode(task, knowing(verb))
    strange = Task("mine", ("a", "b"), [Stimulus(("The",), 0, ("\x1b[2J", "x"), 0, "x")])
    with pytest.raises(TaskDataError, match=r"not in the vocabulary: \\x1b\[2J, x"):
        encode(strange, ALL)


@pytest.mark.slow
def test_a_run_reports_what_was_dropped(agreement, tmp_path, capsys):
    for number in range(1, 12):  # enough pairs to split
        for name in CONSTRUCTIONS:
            with (tmp_path / f"{name}.txt").open("a") as file:
                file.write("\n".join(lines(name, number)) + "\n")
    vocabulary = knowing("aunt", "boys", "near")
    config = LSTMConfig(len(vocabulary), 5, 6)
    params = jax.tree.map(lambda leaf: 3 * leaf, init_params(jax.random.key(1), config))
    model_folder.save_model(tmp_path / "model", LSTMModel("small", config, params, vocabulary))
    options = Options(
        model=str(tmp_path / "model"),
        data=tmp_path,
        out=tmp_path / "out",
        alpha=0.25,
        seeds=1,
        steps=10,
        evaluation=50,
    )
    summary = number_agreement_script.work(options)
    assert summary["examples"]["dropped"] == 2 * (PAIRS // 2) == 18
    unknown = summary["examples"]["unknown"]
    assert unknown > 0
    printed = capsys.readouterr().out
    assert "dropped, as their words are out of vocabulary: 18 pairs" in printed
    assert f"out of vocabulary, read as <unk>: {unknown} other words" in printed
    assert f"18 dropped, {unknown} words read as <unk>." in (tmp_path / "out/table.md").read_text()


@pytest.mark.slow
def test_a_run_reports_what_was_left_out(model, tmp_path, capsys):
    entries = [[name, 0, 0] for name in gender_bias.PROFESSIONS[:12]] + [["actress", -1, 0]]
    (tmp_path / "professions.json").write_text(json.dumps(entries))
    options = Options(
        model=str(model), data=tmp_path, out=tmp_path / "out", alpha=0.25, seeds=1, steps=10,
        rounds=1, evaluation=50,
    )  # fmt: skip
    summary = gender_bias_script.work(options)
    assert summary["examples"]["left_out"]["professions of a gender by their meaning"] == 1
    assert summary["examples"]["unknown"] == 0
    printed = capsys.readouterr().out
    assert "left out of the data: 1 professions of a gender by their meaning" in printed
    assert "several words" not in printed


# Gender bias.


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


# Minimal pairs of one's own.

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
        (lambda text: text.replace("\t", "    ").encode(), "line 2: .* found 1 columns"),
        (lambda text: text.replace("\t", ",").encode(), "line 2: .* found 1 columns"),
        (lambda text: text.replace("sentence", "Sentence").encode(), "line 2: expected a header"),
        (lambda text: text.replace("\tplural\tgroup", "", 1).encode(), "line 2: .*two directions"),
        (lambda text: text.replace("position\t", "", 1).encode(), "line 2: expected a header"),
        (lambda text: text.replace("group", "Group").encode(), "'Group': did you mean group"),
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
        (lambda text: text.replace("\t2\tad", "\t2.0\tad").encode(), "line 6: .* found '2.0'"),
        (lambda text: text.replace("\t2\tad", "\t²\tad").encode(), "line 6: .* found '²'"),
        (lambda text: text.replace("\t2\tad", f"\t{'9' * 5000}\tad").encode(), "line 6: .* '9{80}"),
        (lambda text: text.replace("\t2\tad", "\tboy\tad").encode(), "line 6: .*did you mean 2"),
        (lambda text: text.replace("\tsingular\nThe", "\tgreets\nThe").encode(), "mean singular"),
        (lambda text: text.replace("\ttwo\t", f"\t{'x' * 41}\t").encode(), "line 6: .*most 40"),
        (lambda text: text.replace("\ttwo\t", "\t\u202e\t").encode(), r"line 6: .*'\\u202e'"),
        (lambda text: (text + text.split("\n")[3]).encode(), "line 7: .*the pair of line 4 again"),
        (lambda text: text.encode() + b"\x80\x04\x95", "expected UTF-8, found byte 0x80"),
        (lambda text: text.encode() + b"x" * 10**6, r"line 7: .* found 1 in 'x{80}\.\.\.'"),
        (lambda text: text.encode() + b"x" + b"\t" * 10**6, "line 7: .* found 1000001"),
        (lambda text: text.encode() + b"x " * 500 + b"\t1\ta\tb\t\t", "1 to 100 words, found 500"),
    ],
)
def test_a_damaged_file_of_ones_own_is_an_error_that_says_where(own, damage, message):
    matches(own({"mine.tsv": damage(OWN_FILE)}), rf"^mine\.tsv(,|:) .*({message})")


def test_the_same_pair_the_other_way_round_is_an_error(own):
    found = own({"mine.tsv": (OWN_FILE + "The boy\t2\tadmire\tadmires\t\t").encode()})
    matches(found, r"^mine\.tsv, line 7: expected each pair once, found the pair of line 6 again")


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
    assert len(outcome.value.stimuli) == len(said) - 1
