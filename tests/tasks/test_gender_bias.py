import json

import pytest

from jaxmask.tasks import gender_bias
from jaxmask.text.examples import TaskDataError, encode
from jaxmask.text.vocabulary import Vocabulary


def write(folder, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "professions.json").write_text(text, encoding="utf-8")
    return folder


def test_the_task_is_every_template_with_every_profession():
    task = gender_bias.generate()
    assert len(gender_bias.TEMPLATES) == len(set(gender_bias.TEMPLATES)) == 17
    assert len(gender_bias.PROFESSIONS) == len(set(gender_bias.PROFESSIONS)) == 169
    assert len({stimulus.words for stimulus in task.stimuli}) == len(task.stimuli) == 17 * 169
    for stimulus in task.stimuli:
        assert stimulus.words[0] == "The"
        assert stimulus.words[stimulus.position] in gender_bias.PROFESSIONS
        assert " ".join(stimulus.words[2:]) == stimulus.group
        assert stimulus.group in gender_bias.TEMPLATES
        assert stimulus.pair == task.directions == ("he", "she")
        assert stimulus.correct == -1


def test_words_are_exactly_those_of_the_task():
    task = gender_bias.generate()
    used = {word for stimulus in task.stimuli for word in stimulus.words + stimulus.pair}
    assert set(gender_bias.WORDS) == used
    encoded = encode(task, Vocabulary((*gender_bias.WORDS, "<unk>", "<eos>")))
    assert (encoded.dropped.total, encoded.unknown) == (0, 0)


def test_reading_keeps_single_neutral_words_in_the_order_of_the_file(tmp_path):
    folder = write(
        tmp_path,
        [
            ["nurse", -0.1, -0.9],
            ["actress", -1.0, 0.0],
            ["taxi_driver", 0.1, 0.9],
            ["actor", 0.2, 0],
            ["clerk", 0, 0.0],
        ],
    )
    task = gender_bias.read(folder)
    assert [s.words[1] for s in task.stimuli[:2]] == ["nurse", "clerk"]
    assert len(task.stimuli) == 2 * 17
    assert task.lines[:3] == [1, 5, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[\n[", "line 2: expected JSON"),
        ({}, "expected a list, found dict"),
        ([["nurse", 0.0]], "entry 1: expected .profession, score, score., found"),
        ([["nurse", 0.0, 0.0], ["clerk", "0", 0.0]], "entry 2: expected .profession, score, score"),
        ([["head nurse", 0.0, 0.0]], "entry 1: expected words joined by _, found 'head nurse'"),
        ([["", 0.0, 0.0]], "entry 1: expected words joined by _, found ''"),
        ([["nurse", 1.5, 0.0]], "entry 1: expected scores from -1 to 1"),
        ([["nurse", True, 0.0]], "entry 1: expected scores from -1 to 1"),
        ('[["nurse", 0.0, NaN]]', "entry 1: expected scores from -1 to 1"),
        ([["nurse", 0.0, 0.0]] * 2, "entry 2: expected each profession once, found 'nurse' again"),
        ([["actress", -1.0, 0.0], ["taxi_driver", 0.0, 0.0]], "found none among 2"),
        ([], "found none among 0"),
    ],
)
def test_bad_files_are_errors_that_say_where(tmp_path, content, message):
    with pytest.raises(TaskDataError, match=message) as fault:
        gender_bias.read(write(tmp_path, content))
    assert "professions.json" in str(fault.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(TaskDataError, match=r"professions\.json: expected a file to read"):
        gender_bias.read(tmp_path)


def test_the_published_file(shared):
    folder = shared / "data" / "gender_bias"
    task = gender_bias.read(folder)
    assert len(task.stimuli) == 223 * 17
    scores = {row[0]: row[1] for row in json.loads((folder / "professions.json").read_text())}
    ours = [scores[profession] for profession in gender_bias.PROFESSIONS if profession in scores]
    assert len(ours) > 100
    assert all(abs(score) <= gender_bias.MOST_DEFINITIONAL for score in ours)


def test_counterfactuals_name_a_man_and_a_woman():
    stimulus = gender_bias.generate().stimuli[0]
    assert [words[1] for words in stimulus.counterfactual] == ["man", "woman"]
    assert {words[2:] for words in stimulus.counterfactual} == {stimulus.words[2:]}
