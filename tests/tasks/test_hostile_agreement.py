"""Damaged data of number agreement: an error that says where, or a drop that is counted."""

from collections import Counter

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_data import ALL, DAMAGES, Reader, counts, knowing, matches
from support.watched import attempt

from experiments import number_agreement as script
from experiments.shared.options import Options
from jaxmask.models import model_folder
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.tasks import number_agreement
from jaxmask.tasks.number_agreement import CONSTRUCTIONS, labels, pools
from jaxmask.text.examples import LONGEST, Stimulus, Task, TaskDataError, encode


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


@pytest.fixture
def agreement(tmp_path):
    return Reader(tmp_path, number_agreement, FILES)


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
    summary = script.work(options)
    assert summary["examples"]["dropped"] == 2 * (PAIRS // 2) == 18
    unknown = summary["examples"]["unknown"]
    assert unknown > 0
    printed = capsys.readouterr().out
    assert "dropped, as their words are out of vocabulary: 18 pairs" in printed
    assert f"out of vocabulary, read as <unk>: {unknown} other words" in printed
    assert f"18 dropped, {unknown} words read as <unk>." in (tmp_path / "out/table.md").read_text()
