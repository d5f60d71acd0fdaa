"""Small files in the formats of other people, made for these tests, and the pairs in them."""

import json

import pytest

from experiments.import_pairs import FormatName
from jaxmask.files.importers import pairs
from jaxmask.files.importers.contrasts import (
    NO_WORDS_BEFORE,
    SAME,
    SEVERAL_IN_FORM,
    SEVERAL_WORDS,
    Spelling,
)
from jaxmask.files.importers.formats import (
    DECIDED_LATER,
    FORMATS,
    NO_NAMES,
    NO_PAIR,
    NO_YEARS,
    NOT_BINARY,
)
from jaxmask.files.importers.positions import GIVEN
from jaxmask.files.importers.suites import NO_PREDICTION
from jaxmask.tasks import minimal_pairs, number_agreement
from jaxmask.tasks.minimal_pairs import REPEATED
from jaxmask.text.examples import TaskDataError


def imported(folder, text, name="mine.txt", **how):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    found = pairs.read(file, **how)
    (folder / "out.tsv").write_text(pairs.write(found.task), encoding="utf-8")
    again = minimal_pairs.examine(folder / "out.tsv")
    assert list(again.task.stimuli) == list(found.task.stimuli)
    assert not again.faults
    assert not again.left_out
    assert len(found.task.lines) == len(found.task.stimuli)
    return found


def short(task):
    """Each pair in a line: the words with the position in brackets, the forms, the right one."""
    lines = []
    for s in task.stimuli:
        words = [f"[{w}]" if n == s.position else w for n, w in enumerate(s.words)]
        right = "" if s.correct < 0 else s.pair[s.correct]
        lines.append(f"{' '.join(words)} | {s.pair[0]} {s.pair[1]} | {right}")
    return lines


def blimp(good, bad, uid="agreement", **more):
    return {"sentence_good": good, "sentence_bad": bad, "UID": uid, "pairID": "0", **more}


def json_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_command_line_knows_all_formats():
    assert FormatName.__args__ == pairs.NAMES
    assert len(set(pairs.NAMES)) == len(FORMATS) + 1


def test_blimp(tmp_path):
    text = json_lines(
        blimp("Paula references Robert.", "Paula reference Robert.", one_prefix_method=True,
              one_prefix_prefix="Paula", one_prefix_word_good="references",
              one_prefix_word_bad="reference"),
        blimp("The boys don't see.", "The boys doesn't see."),
        blimp("The boys don't run.", "The boys doesn't run."),
        blimp("The students perform.", "The student perform.", one_prefix_method=False),
        blimp("Some cat runs.", "Some cat run", one_prefix_prefix="Some cat",
              one_prefix_word_good="runs", one_prefix_word_bad="do run"),
    )  # fmt: skip
    found = imported(tmp_path, text, "mine.jsonl")
    assert found.format == "sentence_pairs"
    assert short(found.task) == [
        "[Paula] | references reference | references",
        "The [boys] | doesn't don't | don't",
    ]
    assert dict(found.task.left_out) == {REPEATED: 1, DECIDED_LATER: 1, SEVERAL_IN_FORM: 1}
    assert {s.group for s in found.task.stimuli} == {"agreement"}
    as_list = json.dumps([json.loads(line) for line in text.splitlines()], indent=1)
    assert short(imported(tmp_path, as_list).task) == short(found.task)


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("index", ["", "0\t"])
def test_a_right_and_a_wrong_sentence_in_a_table(tmp_path, separator, index):
    rows = [
        "Test case\tgrammatical\tungrammatical",
        "simple--sing\tthe author laughs.\tthe author laugh.",
        "simple--plur\tthe authors laugh .\tthe authors laughs .",
        "npi\tno author has ever\tsome author has ever",
    ]
    text = "\n".join(index + row for row in rows).replace("\t", separator)
    found = imported(tmp_path, text)
    assert short(found.task) == [
        "the [author] | laughs laugh | laughs",
        "the [authors] | laughs laugh | laugh",
    ]
    assert [s.group for s in found.task.stimuli] == ["simple--sing", "simple--plur"]
    assert found.task.left_out == ((NO_WORDS_BEFORE, 1),)


def test_feature_circuits(tmp_path):
    def row(clean, patch, right, other, case="plural_plural"):
        return {"clean_prefix": clean, "patch_prefix": patch, "clean_answer": right,
                "patch_answer": other, "case": case}  # fmt: skip

    text = json_lines(
        row("The athletes that the chefs", "The athletes that the chef", " do", " does"),
        row("The athletes that the chefs", "The athletes that the chef", " do", " does"),
        row("The uncle", "The uncles", " has", " have", "singular"),
    )
    found = imported(tmp_path, text, "mine.json")
    assert found.format == "feature_circuits"
    assert short(found.task) == [
        "The athletes that the [chefs] | does do | do",
        "The [uncle] | has have | has",
    ]
    assert found.task.left_out == ((REPEATED, 1),)
    assert any(GIVEN in line for line in found.guesses)
    paired = ("The", "athletes", "that", "the", "chef")
    assert found.task.stimuli[0].counterfactual == (paired, paired)


def test_clams(tmp_path):
    lines = [
        "False\tthe author laugh",
        "True\tthe author laughs", "False\tthe author laugh",
        "True\tthe authors hurt themselves", "False\tthe authors hurt himself",
        "False\tthe authors hurt herself",
        "True\tno authors ever", "False\tthe authors ever",
    ]  # fmt: skip
    found = imported(tmp_path, "\n".join(lines), "simple.txt")
    assert found.format == "clams"
    assert short(found.task)[0].endswith("| laughs laugh | laughs")
    assert short(found.task)[2].endswith("| herself themselves | themselves")
    assert dict(found.task.left_out) == {NO_PAIR: 1, NO_WORDS_BEFORE: 1}
    assert {s.group for s in found.task.stimuli} == {"simple"}


def test_lakretz(tmp_path):
    lines = [
        "The boy near the cars greets\tsingular_plural\tcorrect\tid1",
        "The boy near the cars greet\tsingular_plural\twrong\tid1",
        "The boys near the cars greets\tplural_plural\twrong\tid2",
        "The boys near the cars greet\tplural_plural\tcorrect\tid2",
        "The boys near the cars see\tplural_plural\tcorrect\tid3",
    ]
    found = imported(tmp_path, "\n".join(lines), "nounpp.txt")
    assert found.format == "lakretz"
    assert found.task.directions == ("singular", "plural")
    assert short(found.task) == [
        "The [boy] near the cars | greets greet | greets",
        "The [boys] near the cars | greets greet | greet",
    ]
    assert found.task.left_out == ((NO_PAIR, 1),)


def test_indirect_objects(tmp_path):
    text = (
        ",clean,corrupted\n"
        '3,"Then, Ann and Bob were here. Ann gave a drink to","Then, Ann and Bob ... Eve"\n'
        '4,"Then, Ann and Bob were here. Bob gave a drink to",x\n'
        '5,"Then, Ann and Bob were here. Eve gave a drink to",x\n'
    )
    found = imported(tmp_path, text, "ioi.csv")
    assert found.format == "ioi"
    assert found.task.directions == ("first", "second")
    assert short(found.task) == [
        "Then , Ann and Bob were here . [Ann] gave a drink to | Ann Bob | Bob",
        "Then , Ann and Bob were here . [Bob] gave a drink to | Ann Bob | Ann",
    ]
    assert found.task.left_out == ((NO_NAMES, 1),)
    attached = imported(tmp_path, text, "ioi.csv", spelling=Spelling("attached"))
    assert short(attached.task)[0] == (
        "Then, Ann and Bob were here. [Ann] gave a drink to | Ann Bob | Bob"
    )
    prompts = [{"text": "Ann and Bob went. Ann gave it to Bob", "IO": "Bob", "S": "Ann"}]
    found = imported(tmp_path, json.dumps(prompts), "prompts.json")
    assert short(found.task) == ["Ann and Bob went . [Ann] gave it to | Ann Bob | Bob"]


def test_greater_than(tmp_path):
    text = (
        "clean,corrupted,label\n"
        "The war lasted from the year 1352 to the year 13,The war ... 01,52\n"
        "The war lasted from the year 1399 to the year 13,The war ... 01,99\n"
    )
    found = imported(tmp_path, text, "years.csv")
    assert found.format == "greater_than"
    assert short(found.task) == [
        "The war lasted from the year [1352] to the year | 1326 1376 | 1376"
    ]
    assert found.task.left_out == ((NO_YEARS, 1),)


def test_winogender(tmp_path):
    text = (
        "sentid\tsentence\n"
        "nurse.patient.0.male.txt\tThe nurse told the patient that he would leave.\n"
        "nurse.patient.0.female.txt\tThe nurse told the patient that she would leave.\n"
        "nurse.patient.0.neutral.txt\tThe nurse told the patient that they would leave.\n"
        "nurse.patient.1.female.txt\tThe nurse told the patient that she would leave.\n"
    )
    found = imported(tmp_path, text, "all_sentences.tsv")
    assert found.task.directions == ("male", "female")
    assert short(found.task) == ["The [nurse] told the patient that | he she | "]
    assert found.task.stimuli[0].group == "occupation"
    assert dict(found.task.left_out) == {NOT_BINARY: 1, NO_PAIR: 1}


def suite(formula):
    def condition(name, *contents):
        regions = [{"region_number": n, "content": c} for n, c in enumerate(contents, 1)]
        return {"condition_name": name, "regions": regions}

    conditions = [
        condition("match_sing", "The author", "near the senators", "is", "good."),
        condition("mismatch_sing", "The author", "near the senators", "are", "good."),
        condition("match_plural", "The authors", "near the senator", "are", "good."),
        condition("mismatch_plural", "The authors", "near the senator", "is", "good."),
    ]
    return json.dumps(
        {
            "meta": {"name": "number_prep"},
            "predictions": [{"type": "formula", "formula": formula}],
            "items": [{"item_number": 1, "conditions": conditions}],
        },
        indent=1,
    )


def test_syntaxgym(tmp_path):
    formula = (
        "[(3;%match_sing%) < (3;%mismatch_sing%)] & [(3;%mismatch_plural%) > (3;%match_plural%)]"
    )
    found = imported(tmp_path, suite(formula), "number.json")
    assert found.format == "syntaxgym"
    assert short(found.task) == [
        "The [author] near the senators | is are | is",
        "The [authors] near the senator | is are | are",
    ]
    assert found.task.stimuli[0].group == "number_prep"
    with pytest.raises(TaskDataError, match=NO_PREDICTION):
        imported(tmp_path, suite("(*;%match_sing%) + (3;%mismatch_sing%) > 0"), "number.json")


def test_zorro(tmp_path):
    lines = [
        "look at this purple things .", "look at this purple thing .",
        "look at these purple thing .", "look at these purple things .",
        "the dog on the mats is here .", "the dogs on the mats is here .",
        "the dogs on the mats are here .", "the dog on the mats are here .",
        "look at this .", "look at this .",
        "the poor boat gives me it", "the boat poor gives me it",
    ]  # fmt: skip
    found = imported(tmp_path, "\n".join(lines), "agreement.txt")
    assert found.format == "zorro"
    assert found.guesses[0] == "right: the second sentence of each two, as in Zorro"
    assert short(found.task) == [
        "look at [this] purple | thing things | thing",
        "look at [these] purple | thing things | things",
    ]
    assert dict(found.task.left_out) == {
        pairs.CONTRADICTORY: 2, SAME: 1, SEVERAL_WORDS: 1
    }  # fmt: skip


def test_a_file_of_ones_own_in_another_spelling(tmp_path):
    text = '# a remark\nsentence,position,A,B,right\n"Yes, the boy\'s dog",4.0,Sees,see,A\n'
    found = imported(tmp_path, text, "own.csv", spelling=Spelling(case="capital"))
    assert found.format == "pairs"
    assert short(found.task) == ["Yes , the boy 's [dog] | Sees see | Sees"]
    lower = imported(tmp_path, text, "own.csv", spelling=Spelling(case="lower"))
    assert lower.task.stimuli[0].words[0] == "yes"
    assert lower.task.stimuli[0].pair == ("sees", "see")
    plain = "sentence\tposition\tA\tB\nthe boy near\t2\tsees\tsee\n"
    found = imported(tmp_path, plain, spelling=Spelling(case="capital"))
    assert short(found.task) == ["The [boy] near | sees see | "]
    paired = plain.replace("B\n", "B\tcounterfactual\n").replace("see\n", "see\tthe boys near\n")
    found = imported(tmp_path, paired, spelling=Spelling(case="capital"))
    assert found.task.stimuli[0].counterfactual == (("The", "boys", "near"),) * 2


@pytest.mark.parametrize("case", ["keep", "capital", "lower"])
def test_capitals(tmp_path, case):
    text = json_lines(blimp("the boy sees Ann.", "the boy see Ann."))
    (pair,) = imported(tmp_path, text, spelling=Spelling(case=case)).task.stimuli
    assert pair.words[0] == {"keep": "the", "capital": "The", "lower": "the"}[case]


def test_cells_that_need_marks_come_back(tmp_path):
    text = json_lines(
        blimp("# 1 boy sees", "# 1 boy see"),
        blimp('"Yes" boy "no" sees', '"Yes" boy "no" see'),
        blimp('" sees', '" see'),
    )
    for punctuation in ("apart", "attached"):
        found = imported(tmp_path, text, spelling=Spelling(punctuation))
        assert len(found.task.stimuli) == 3


# What can't be read.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected minimal pairs, found an empty file"),
        ("\n \n", "found an empty file"),
        ("{", "found text that isn't JSON"),
        ("[1, 2]", "expected one of the formats|no pairs|found"),
        ("[" * 100_000, "found text that isn't JSON"),
        ('{"a": ' * 100_000, "found text that isn't JSON"),
        (
            "a\tb\tc\n1\t2\t3\n",
            "expected one of the formats pairs, .* found a first line 'a, b, c'",
        ),
        ("one sentence\n", "expected one of the formats"),
        ('{"text": "a"}\n{"text": "b"}\n', "found the fields 'text'"),
        (
            "good,bad\na b,a b\n",
            "expected pairs in the format sentence_pairs, found none .left out",
        ),
    ],
)
def test_what_is_no_known_format_is_an_error(tmp_path, text, message):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(TaskDataError, match=rf"mine\.txt: .*({message})"):
        pairs.read(tmp_path / "mine.txt")


@pytest.mark.parametrize("name", pairs.NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "True\n", "a\tb\n\n", "x\ty\tcorrect\n" * 2, '{"items": 3, "predictions": [7, {}]}',
        '{"items": [{"conditions": [{"regions": 4}]}], "predictions": [{"formula": "x"}]}',
        '{"clean_prefix": 3, "patch_prefix": [], "clean_answer": null}\n' * 2,
        '[{"sentence_good": {}, "sentence_bad": 1, "one_prefix_prefix": 5}]',
        "clean\n13\n", "sentid\tsentence\n..\t\n", '"\n"\n', "sentence\tposition\n",
    ],
)  # fmt: skip
def test_a_format_that_is_forced_on_another_file_is_an_error(tmp_path, text, name):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(TaskDataError, match=r"mine\.txt") as fault:
        pairs.read(tmp_path / "mine.txt", name)
    assert str(fault.value).isprintable()
    assert len(str(fault.value)) < 1500


# The files of other people, where they are.


def test_the_original_files_give_the_pairs_of_the_task(shared):
    """The positions are guessed, and are those of the subjects."""
    original = number_agreement.read(shared / "data" / "number_agreement")
    for group in number_agreement.CONSTRUCTIONS:
        found = pairs.read(shared / "data" / "number_agreement" / f"{group}.txt")
        expected = [s for s in original.stimuli if s.group == group]
        plain = [s._replace(counterfactual=()) for s in expected]
        assert sorted(s._replace(counterfactual=()) for s in found.task.stimuli) == sorted(plain)
        one = found.task.stimuli[0]
        assert one.counterfactual[0][one.position] != one.words[one.position]
        assert one.counterfactual[0] in [s.words for s in expected]


@pytest.mark.parametrize(
    ("name", "size", "left_out"),
    [
        ("agreement_transformers/simple_train.json", 150, {REPEATED: 330}),
        ("agreement_transformers/nounpp_test.json", 469, {REPEATED: 11}),
        ("agreement_transformers/within_rc_test.json", 1728, {REPEATED: 672}),
        ("ioi/ioi_llama.csv", 499, {}),
        ("ioi/greater_than_data.csv", 965, {REPEATED: 25, NO_YEARS: 10}),
    ],
)
def test_files_of_other_people(shared, name, size, left_out):
    task = pairs.read(shared / "data" / name).task
    assert len(task.stimuli) == size
    assert dict(task.left_out) == left_out
    assert all(0 <= s.position < len(s.words) for s in task.stimuli)
