import numpy as np
import pytest

from experiments import check_data
from experiments.shared.option_types import OptionError
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.text.examples import TaskDataError, encode, unknown_words
from jaxmask.text.vocabulary import Vocabulary

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
)


@pytest.fixture
def task(tmp_path):
    file = tmp_path / "mine.tsv"
    file.write_text(HEADER + PAIRS)
    return minimal_pairs.read(file)


@pytest.fixture
def loaded(model):
    return model_folder.load_model(model)


def test_each_line_is_accounted_for(task, loaded):
    lacking = [unknown_words(s, loaded.vocabulary) for s in task.stimuli]
    assert check_data.counts(task, lacking, loaded) == [
        "mine: 8 pairs, singular or plural",
        f"model: tiny, {loaded.config.vocabulary} words",
        "kept: 4 pairs",
        "dropped: 1 pair, of which a form is out of vocabulary",
        "dropped: 3 pairs, of which the word at the position is out of vocabulary",
    ]
    assert check_data.culprits(task, lacking) == [
        ("position", "boyss", ("6", "7")),
        ("position", "Boy", ("5",)),
        ("form", "salutes", ("8",)),
    ]
    encoded = encode(task, loaded.vocabulary)
    kept = sum(not x.pair and not x.position_word for x in lacking)
    assert (encoded.examples.size, encoded.dropped.total) == (kept, len(lacking) - kept)


def test_words_that_become_unknown_come_last(task):
    words = {*number_agreement.WORDS, "<unk>", "<eos>", "Boy", "boyss", "salutes"} - {"car"}
    vocabulary = Vocabulary(sorted(words))
    lacking = [unknown_words(s, vocabulary) for s in task.stimuli]
    assert check_data.culprits(task, lacking) == [("other", "car", ("4",))]
    table = check_data.word_table(check_data.culprits(task, lacking), vocabulary)
    assert table.rows[0][:4] == ("car", "other", "1", "4")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("the", "the vocabulary has 'The'"),
        ("BOY", "the vocabulary has 'boy'"),
        ("boy,", "the vocabulary has 'boy': set punctuation apart by spaces"),
        ("barister", "did you mean 'barrister'?"),
        ("<unk>", "it stands for any unknown word: name one"),
        ("zyzzyva", ""),
        ("...", ""),
        ("x" * 10**6, ""),
    ],
)
def test_what_to_try(word, expected):
    vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boy", "barrister"])
    assert check_data.suggestion(word, vocabulary) == expected


def test_the_table_says_what_the_model_prefers(task, loaded):
    encoded = encode(task, loaded.vocabulary)
    odds = np.array([1.5, 0.5, -2.0, 3.0])
    table = check_data.group_table(task, encoded, odds)
    assert table.header[:4] == ("Group", "Right form", "Pairs", "Right")
    assert table.rows == (
        ("nounpp", "", "1", "", "", "1", "0"),
        ("simple", "singular", "1", "100.0%", "1.50", "0", "1"),
        ("simple", "plural", "1", "0.0%", "-0.50", "0", "1"),
        ("simple", "", "1", "", "", "0", "1"),
        ("all", "", "4", "50.0%", "0.50", "1", "3"),
    )


def test_without_right_forms_the_log_odds_are_of_the_first(task, loaded):
    task = task._replace(stimuli=[s._replace(correct=-1) for s in task.stimuli])
    table = check_data.group_table(task, encode(task, loaded.vocabulary), np.arange(4.0) - 1)
    assert table.header == ("Group", "Pairs", "Log-odds", "To singular", "To plural")
    assert table.rows[-1] == ("all", "4", "0.50", "2", "2")


def test_advice(task, loaded):
    encoded = encode(task, loaded.vocabulary)
    lines = check_data.advice(task, encoded, np.array([1.5, 0.5, 2.0, 3.0]))
    assert lines[0].startswith("no pair can be turned to singular: ")
    assert lines[0].endswith("Add sentences after which it prefers that of plural.")
    assert lines[1].startswith("only 4 pairs can be turned to plural: ")
    assert lines[2].startswith("simple, plural: the model is right on 0%")
    assert lines[3].startswith("sentences that end in a form of their own pair: 1, the first in li")
    assert len(lines) == 4


def test_the_script(task, model, tmp_path, capsys):
    file = tmp_path / "mine.tsv"
    check_data.work(check_data.CheckOptions(data=file, model=str(model)))
    out = capsys.readouterr().out
    loaded = model_folder.load_model(model)
    context = read_context(loaded.params, loaded.vocabulary.encode(["<eos>"]))
    odds = log_odds(loaded.params, encode(task, loaded.vocabulary).examples, context)
    assert out.split("\nall ")[1].split("\n")[0].split()[-2:] == [
        str((odds <= 0).sum()), str((odds > 0).sum()),
    ]  # fmt: skip
    assert max(map(len, out.splitlines())) <= 80
    file.write_text(HEADER + "The Boy\t2\tgreets\tgreet\t\t\n")
    with pytest.raises(TaskDataError, match="found none among 1"):
        check_data.work(check_data.CheckOptions(data=file, model=str(model)))
    assert "the vocabulary has 'boy'" in capsys.readouterr().out  # said before
    with pytest.raises(OptionError, match="--data: expected a file of minimal pairs"):
        check_data.work(check_data.CheckOptions(model=str(model)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["number_agreement", "gender_bias"])
def test_the_papers_data(shared, model, capsys, name):
    folder = shared / "data" / name
    check_data.work(check_data.CheckOptions(data=folder, task=name, model=str(model)))
    assert f"{name}: " in capsys.readouterr().out
