import numpy as np
import pytest

from experiments import check_data
from experiments.shared.option_types import OptionError
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.pipeline.plan import Split
from jaxmask.pipeline.prepare import split_rows
from jaxmask.tasks import minimal_pairs
from jaxmask.text.examples import TaskDataError, encode, unknown_words

HEADER = "sentence\tposition\tsingular\tplural\tgroup\tright\n"
PAIRS = (
    "The boy\t2\tgreets\tgreet\tsimple\tsingular\n"
    "The boys\t2\tgreets\tgreet\tsimple\tplural\n"
    "the boy near the car\t2\tgreets\tgreet\tnounpp\t\n"
    "The Boy\t2\tgreets\tgreet\tsimple\tsingular\n"
    "The boyss\t2\tgreets\tgreet\tsimple\tplural\n"
    "The boyss near\t2\tgreets\tgreet\tsimple\tplural\n"
    "The girl\t2\tgreets\tsalutes\tsimple\t\n"
    "The boy greets\t2\tgreets\tgreet\tsimple\t\n"
    "The boy\t2\tgreets\tgreet\tagain\tsingular\n"
)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "mine.tsv"
    file.write_text(HEADER + PAIRS)
    return file


@pytest.fixture
def task(file):
    return minimal_pairs.read(file)


@pytest.fixture
def loaded(model):
    return model_folder.load_model(model)


def test_each_line_is_accounted_for(task, loaded):
    missing = [unknown_words(s, loaded.vocabulary) for s in task.stimuli]
    assert check_data.counts(task, missing, loaded) == [
        "mine: 8 pairs, singular or plural",
        "left out: pairs that repeat an earlier pair: 1",
        f"model: tiny, {loaded.config.vocabulary} words",
        "kept: 4 pairs",
        "dropped: 1 pair with a form that isn't in the vocabulary",
        "dropped: 3 pairs whose word at the position isn't in the vocabulary",
    ]
    encoded = encode(task, loaded.vocabulary)
    assert (encoded.examples.size, encoded.dropped.total) == (4, 4)


def test_the_split_is_said_as_a_search_makes_it(task, loaded):
    examples = encode(task, loaded.vocabulary).examples

    def split_line(examples, split):
        return check_data.split_lines(examples, np.ones(examples.size), split, task)[0]

    assert split_line(examples, Split()) == (
        "split: a search uses 3 pairs and holds out 1 (--evaluation). So few tell little: if half "
        "of them flip, the accuracy of all such pairs is anything from 5 to 95% (95% interval)"
    )
    many = examples.take(np.arange(300) % 4)
    assert split_line(many, Split()) == (
        "split: a search uses 240 pairs and holds out 60 (--evaluation)"
    )
    assert split_line(examples, Split(9)) == (
        "a search can't split the pairs: --evaluation: expected 1 to 3 of 4 examples, found 9"
    )
    line = split_line(examples.take(np.array([0])), Split())
    assert line.endswith(
        "--evaluation: expected at least 2 examples, one to search on and one to hold out, found 1"
    )


def test_a_direction_that_is_not_held_out_is_said(task, loaded):
    examples = encode(task, loaded.vocabulary).examples
    (row,) = split_rows(examples, Split(), "mine")[1]
    odds = np.where(np.arange(examples.size) == row, 1.0, -1.0)
    first, second = task.directions
    for sign, name in ((1, first), (-1, second)):
        assert check_data.split_lines(examples, sign * odds, Split(), task)[1:] == [
            f"no pair that is held out can be flipped to {name}: nothing will be known of this "
            "direction"
        ]
    assert not check_data.split_lines(examples, 0 * odds + 1, Split(), task)[1:]  # all are alike
    assert not check_data.split_lines(examples, odds, Split(9), task)[1:]


def test_the_script(task, file, model, tmp_path, capsys):
    check_data.work(check_data.CheckOptions(data=file, model=str(model)))
    out = capsys.readouterr().out
    loaded = model_folder.load_model(model)
    context = read_context(loaded.params, loaded.vocabulary.encode(["<eos>"]))
    odds = log_odds(loaded.params, encode(task, loaded.vocabulary).examples, context)
    assert out.split("\nall ")[1].split("\n")[0].split()[-2:] == [
        str((odds <= 0).sum()), str((odds > 0).sum()),
    ]  # fmt: skip
    assert "split: a search uses 3 pairs and holds out 1" in out
    assert max(map(len, out.splitlines())) <= 80
    file.write_text(HEADER + "The Boy\t2\tgreets\tgreet\t\t\n")
    with pytest.raises(TaskDataError, match="found none among 1"):
        check_data.work(check_data.CheckOptions(data=file, model=str(model)))
    assert "the vocabulary has 'boy'" in capsys.readouterr().out  # said before
    with pytest.raises(OptionError, match="--data: expected a file of minimal pairs"):
        check_data.work(check_data.CheckOptions(model=str(model)))


def test_it_can_be_listed_too_where_nothing_is_left(file, model, tmp_path):
    options = check_data.CheckOptions(data=file, model=str(model), left_out=tmp_path / "out.tsv")
    for line in ("The Boy\t2\tgreets\tgreet\tsimple\tsingular", "The boy\t9\tgreets\tgreet\t\t"):
        file.write_text(HEADER + line + "\n")
        with pytest.raises(TaskDataError):
            check_data.work(options)
        (row,) = options.left_out.read_text().splitlines()[1:]
        assert row.startswith("2\t")


def test_all_that_gives_no_example_can_be_listed(file, model, tmp_path):
    options = check_data.CheckOptions(data=file, model=str(model), left_out=tmp_path / "out.tsv")
    check_data.work(options)
    rows = [line.split("\t") for line in options.left_out.read_text().splitlines()]
    assert rows[0] == ["line", "reason", "words", "pair"]
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("10", ""), ("5", "Boy"), ("6", "boyss"), ("7", "boyss"), ("8", "salutes")
    ]  # fmt: skip
    assert rows[1][1] == minimal_pairs.REPEATED
    file.write_text(HEADER + PAIRS + "The boy\n" * 30)
    with pytest.raises(TaskDataError, match=r"line 11: .*; and 25 more lines with faults"):
        check_data.work(options)
    rows = [line.split("\t") for line in options.left_out.read_text().splitlines()]
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(10, 41)]
    assert rows[-1][1].startswith("expected 6 columns")
    assert rows[-1][3] == "The boy"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["number_agreement", "gender_bias"])
def test_the_papers_data(shared, model, capsys, name):
    folder = shared / "data" / name
    check_data.work(check_data.CheckOptions(data=folder, task=name, model=str(model)))
    assert f"{name}: " in capsys.readouterr().out
