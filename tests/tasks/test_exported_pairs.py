"""Files of minimal pairs as pandas, Excel and people write them."""

import pickle

import pytest

from jaxmask.tasks import minimal_pairs
from jaxmask.text.examples import TaskDataError

HEADER = "sentence\tposition\tsingular\tplural"
PAIR = "The farmer\t2\tavoids\tavoid"


def read(folder, text, encoding="utf-8"):
    file = folder / "mine.tsv"
    file.write_bytes(text.encode(encoding))
    return minimal_pairs.read(file)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{PAIR}\n",
        f"{HEADER}\n{PAIR}\n".replace("\t", ","),
        f"{HEADER}\n{PAIR}\n".replace("\t", ";"),
        f"{HEADER}\r\n{PAIR}\t\r\n",
        f"{HEADER}\t\t\n{PAIR}\t\t\n",
        f"\t{HEADER}\n0\t{PAIR}\n",
        f"Unnamed: 0,{HEADER}\n17,{PAIR}\n".replace("\t", ","),
        f"{HEADER}\n{PAIR}\n".replace("2", "2.0"),
        f"{HEADER}\n{PAIR}\n".replace("\t", ";").replace("2", "2,0"),
        f"{HEADER}\n{PAIR}\n".replace("sentence", "Sentence").replace("position", "POSITION"),
        f'{HEADER}\n"The farmer"\t"2"\t"avoids"\t"avoid"\n',
        f'{HEADER}\n"The farmer"\t"2"\t"avoids"\t"avoid"\n'.replace("\t", ","),
        f"{HEADER}\n The  farmer \t2\t avoids\t avoid\n",
        f"\n# a remark\n{HEADER}\n\n# another\n{PAIR}\n",
    ],
)
def test_the_same_pair_as_it_is_exported(tmp_path, text):
    task = read(tmp_path, text)
    assert task.directions == ("singular", "plural")
    assert [(s.words, s.position, s.pair) for s in task.stimuli] == [
        (("The", "farmer"), 1, ("avoids", "avoid"))
    ]
    assert task.left_out == ()


def test_quotation_marks_inside_a_cell(tmp_path):
    task = read(
        tmp_path,
        f'{HEADER}\n"The boy near the ""car"""\t2\tsees\tsee\n" The boy "\t3\tsees\tsee\n'
        '" The boy\t3\tsees\tsee\nHe said ,\t1\t"\tsee\n',
    )
    assert [s.words for s in task.stimuli] == [
        ("The", "boy", "near", "the", '"car"'),
        ('"', "The", "boy", '"'),  # marks with spaces around them are words of the sentence
        ('"', "The", "boy"),
        ("He", "said", ","),
    ]
    assert task.stimuli[-1].pair == ('"', "see")


def test_accents_in_two_spellings_are_one_name(tmp_path):
    row = "The farmer\t2\tavoids\tavoid\tfe\u0301minin\n"
    task = read(tmp_path, f"sentence\tposition\tf\u00e9minin\tmasculin\tright\n{row}")
    assert (task.directions[0], task.stimuli[0].correct) == ("f\u00e9minin", 0)


def test_capitals_of_a_direction_are_kept_and_understood(tmp_path):
    row = "The farmer\t2\tavoids\tavoid\tsingular\n"
    task = read(tmp_path, f"Sentence\tPosition\tSingular\tPlural\tRight\n{row}")
    assert task.directions == ("Singular", "Plural")
    assert task.stimuli[0].correct == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER.encode("utf-16"), "the file is UTF-16, as Excel's 'Unicode Text' is; save it in"),
        (HEADER.encode("utf-16-le"), "control character '\\x00': UTF-16 has these"),
        (b"PK\x03\x04\xff\xff", "the file is a zip archive, such as an Excel workbook; save it in"),
        (b"PAR1\xff", "the file is in Parquet format; write its rows as CSV"),
        (pickle.dumps({"sing": [("a b", "a c")]}, 0), "the file is a pickle"),
        (pickle.dumps([("a b", "a c")], 0), "the file is a pickle"),
        (b"\x80\x04\x95", "the file is a pickle, which isn't read here; jaxmask import"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    (tmp_path / "mine.tsv").write_bytes(content)
    with pytest.raises(TaskDataError) as fault:
        minimal_pairs.read(tmp_path / "mine.tsv")
    assert words in str(fault.value)


def test_what_gives_no_pair_is_counted_with_its_line(tmp_path):
    file = tmp_path / "mine.tsv"
    long = " ".join(["near"] * 101)
    rows = [HEADER, PAIR, f"# 1 {PAIR}", PAIR, f"{long}\t2\tavoids\tavoid", "# a remark"]
    file.write_text("\n".join(rows))
    found = minimal_pairs.examine(file)
    assert found.task.lines == [2]
    assert found.left_out == (
        (3, minimal_pairs.COMMENT), (4, minimal_pairs.REPEATED), (5, minimal_pairs.LONG)
    )  # fmt: skip
    assert dict(found.task.left_out) == dict.fromkeys(
        (minimal_pairs.REPEATED, minimal_pairs.LONG, minimal_pairs.COMMENT), 1
    )
    assert found.faults == ()
    file.write_text("\n".join([HEADER, f"{long}\t2\tavoids\tavoid"]))
    with pytest.raises(TaskDataError, match=r"found none .left out: 1 pairs with more than 100"):
        minimal_pairs.read(file)


@pytest.mark.parametrize("right", ["singular", ""])
def test_the_first_of_two_equal_pairs_is_kept(tmp_path, right):
    header = f"{HEADER}\tright\tgroup\n"
    task = read(tmp_path, f"{header}{PAIR}\tsingular\tone\n{PAIR}\t{right}\ttwo\n")
    assert [(s.correct, s.group) for s in task.stimuli] == [(0, "one")]


def test_a_word_that_stands_twice_is_no_position(tmp_path):
    with pytest.raises(TaskDataError, match="found 'farmer': did you mean 2 or 5"):
        read(tmp_path, f"{HEADER}\nThe farmer that the farmer\tfarmer\tavoids\tavoid\n")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("crlf_trailing_tab.tsv", "The farmer"),
        ("csv.csv", "The farmer"),
        ("eos.tsv", "<eos> The farmer"),
        ("float_position.tsv", "The farmer"),
        ("groups_collide.tsv", "The farmer near the cars"),
        ("hash.tsv", "The farmer"),
        ("longest_in_train.tsv", "The farmer"),
        ("nfd_header.tsv", "The farmer"),
        ("quoted.tsv", 'The boy near the "car"'),
        ("spaces.tsv", "The boy"),
        ("upper_header.tsv", "The farmer"),
    ],
)
def test_files_that_people_met(shared, name, first):
    task = minimal_pairs.read(shared / "cases" / "pairs" / name)
    assert task.stimuli[0].words == tuple(first.split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("long.tsv", "left out: 1 pairs with more than 100 words"),
        ("utf16_excel.tsv", "the file is UTF-16, as Excel's"),
        ("same_position_words.tsv", "did you mean 2 or 5?"),
    ],
)
def test_files_that_people_met_and_that_give_no_pair(shared, name, words):
    with pytest.raises(TaskDataError) as fault:
        minimal_pairs.read(shared / "cases" / "pairs" / name)
    assert words in str(fault.value)
