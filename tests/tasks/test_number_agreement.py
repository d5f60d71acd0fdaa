from collections import Counter
from math import prod

import pytest

from jaxmask.tasks import number_agreement
from jaxmask.tasks.number_agreement import CONSTRUCTIONS, DIRECTIONS, PAIRS, labels, pools
from jaxmask.text.examples import TaskDataError, encode
from jaxmask.text.vocabulary import Vocabulary

SUBJECTS, ATTRACTORS = number_agreement.NOUNS["SUBJECT"], number_agreement.NOUNS["ATTRACTOR"]


@pytest.fixture(scope="module")
def generated():
    return number_agreement.generate(0)


@pytest.fixture
def original(shared):
    return number_agreement.read(shared / "data" / "number_agreement")


def label(stimulus):
    """The numbers of its nouns, told from the words."""
    subject, *later = (
        "singular" if word in nouns["singular"] else "plural"
        for nouns in (SUBJECTS, ATTRACTORS)
        for word in stimulus.words
        if word in nouns["singular"] + nouns["plural"]
    )
    return (subject, *later)


def write(folder, task):
    """Writes a task in the format of the original files."""
    for construction in CONSTRUCTIONS:
        rows = []
        stimuli = [s for s in task.stimuli if s.group == construction]
        for number, stimulus in enumerate(stimuli, start=1):
            for form, verdict in (
                (stimulus.pair[stimulus.correct], "correct"),
                (stimulus.pair[1 - stimulus.correct], "wrong"),
            ):
                sentence = " ".join((*stimulus.words, form))
                rows.append(f"{sentence}\t{'_'.join(label(stimulus))}\t{verdict}\tid{number}\n")
        (folder / f"{construction}.txt").write_text("".join(rows), encoding="utf-8", newline="")
    return folder


def test_counts_are_those_of_the_paper(generated):
    assert len(generated.stimuli) == 12_000
    assert Counter(s.group for s in generated.stimuli) == PAIRS
    for construction in CONSTRUCTIONS:
        counts = Counter(label(s) for s in generated.stimuli if s.group == construction)
        assert set(counts) == set(labels(construction))
        assert len(set(counts.values())) == 1


def test_each_pair_is_distinct_and_agrees(generated):
    assert len(set(generated.stimuli)) == len(generated.stimuli)
    for stimulus in generated.stimuli:
        subject = stimulus.words[stimulus.position]
        assert subject in SUBJECTS[DIRECTIONS[stimulus.correct]]
        singular, plural = stimulus.pair
        assert plural in number_agreement.OTHERS["VERB"]
        assert singular == plural + "s"


def test_simple_and_adv_are_all_the_sentences_there_are():
    for construction in CONSTRUCTIONS:
        space = sum(
            prod(map(len, pools(construction, numbers))) for numbers in labels(construction)
        )
        assert (space == PAIRS[construction]) == (construction in ("simple", "adv"))
        assert space >= PAIRS[construction]


def test_a_draw_depends_on_its_seed_alone(generated):
    assert number_agreement.generate(0) == generated
    assert number_agreement.generate(1) != generated


def test_words_are_exactly_those_of_the_task(generated):
    used = {word for stimulus in generated.stimuli for word in stimulus.words + stimulus.pair}
    assert set(number_agreement.WORDS) == used
    encoded = encode(generated, Vocabulary((*number_agreement.WORDS, "<unk>", "<eos>")))
    assert (encoded.dropped.total, encoded.unknown) == (0, 0)
    assert encoded.groups == tuple(sorted(CONSTRUCTIONS))


def test_what_is_written_reads_back(tmp_path, generated):
    read = number_agreement.read(write(tmp_path, generated))
    assert read._replace(lines=()) == generated
    assert read.lines[:2] == [2, 4]


@pytest.mark.parametrize("shape", ["crlf", "byte order mark", "no last newline", "wrong one first"])
def test_harmless_differences_are_tolerated(tmp_path, generated, shape):
    file = write(tmp_path, generated) / "adv.txt"
    lines = file.read_bytes().splitlines(keepends=True)
    if shape == "wrong one first":
        lines = [line for pair in zip(lines[1::2], lines[::2], strict=True) for line in pair]
    content = b"".join(lines)
    if shape == "crlf":
        content = content.replace(b"\n", b"\r\n")
    if shape == "byte order mark":
        content = b"\xef\xbb\xbf" + content
    if shape == "no last newline":
        content = content.removesuffix(b"\n")
    file.write_bytes(content)
    assert number_agreement.read(tmp_path).stimuli == generated.stimuli


GOOD = "The boy likes\tsingular\tcorrect\tid7\nThe boy like\tsingular\twrong\tid7\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected lines of four columns, found none"),
        ("\n" + GOOD, "line 1: expected sentence, number.*found 1 columns in ''"),
        (GOOD + "\n\n", "line 3: expected sentence"),
        (GOOD.replace("\tid7", "", 1), "line 1: .*found 3 columns"),
        (GOOD.replace("id7", "id7\tx"), "line 1: .*found 5 columns"),
        (GOOD.replace("The boy", "Boy"), "line 1: expected 3 to 100 words, found 2 in 'Boy likes'"),
        (
            GOOD.replace("singular", "dual"),
            "line 1: expected one of singular, plural, found 'dual'",
        ),
        (GOOD.replace("singular", "singular_plural"), "expected one of singular, plural, found"),
        (GOOD.replace("wrong", "Wrong"), "line 2: expected correct or wrong, found 'Wrong'"),
        (GOOD.replace("id7", "id8", 1), "line 1: expected 2 lines with id 'id8', found 1"),
        (GOOD + GOOD, "line 4: expected 2 lines with id 'id7', found 4"),
        (GOOD.replace("wrong", "correct"), "line 2 .id 'id7'.: .*found correct twice"),
        (GOOD.replace("correct", "wrong"), "line 2 .id 'id7'.: .*found wrong twice"),
        (GOOD.replace("singular", "plural", 1), "found plural and singular"),
        (GOOD.replace("boy", "girl", 1), "differ in the last word only, found 'The girl likes'"),
        (GOOD.replace("likes", "like"), "differ in the last word only"),
        (GOOD.replace("boy", "small boy", 1), "differ in the last word only"),
    ],
)
def test_bad_files_are_errors_that_say_where(tmp_path, generated, content, message):
    (write(tmp_path, generated) / "simple.txt").write_text(content, encoding="utf-8")
    with pytest.raises(TaskDataError, match=message) as fault:
        number_agreement.read(tmp_path)
    assert "simple.txt" in str(fault.value)


def test_a_noun_phrase_in_between_needs_a_number_too(tmp_path, generated):
    (write(tmp_path, generated) / "nounpp.txt").write_text(GOOD, encoding="utf-8")
    with pytest.raises(
        TaskDataError, match=r"nounpp.txt, line 1: expected one of singular_singular"
    ):
        number_agreement.read(tmp_path)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_each_of_the_seven_files_is_needed(tmp_path, generated, construction):
    (write(tmp_path, generated) / f"{construction}.txt").unlink()
    with pytest.raises(TaskDataError, match=rf"{construction}\.txt: expected a file to read"):
        number_agreement.read(tmp_path)


def test_another_encoding_is_an_error(tmp_path, generated):
    file = write(tmp_path, generated) / "namepp.txt"
    file.write_bytes(file.read_bytes().replace(b"Sue", b"Zo\xe9"))
    with pytest.raises(TaskDataError, match=r"namepp\.txt: expected UTF-8, found byte 0xe9"):
        number_agreement.read(tmp_path)


def vocabulary_by_place(task):
    """The words at each place of each construction, by the numbers of its nouns."""
    places = {}
    for stimulus in task.stimuli:
        for place, word in enumerate((*stimulus.words, stimulus.pair)):
            places.setdefault((stimulus.group, label(stimulus), place), set()).add(word)
    return places


def test_ours_has_the_counts_and_words_of_the_original(original, generated):
    def counts(task):
        return Counter((s.group, label(s), s.correct) for s in task.stimuli)

    assert counts(original) == counts(generated)
    assert vocabulary_by_place(original) == vocabulary_by_place(generated)


def test_the_original_could_have_been_drawn(original):
    for stimulus in original.stimuli:
        choices = pools(stimulus.group, label(stimulus))
        sentence = (*stimulus.words, stimulus.pair[1])
        assert all(word in pool for word, pool in zip(sentence, choices, strict=True))
        assert stimulus.pair[0] == stimulus.pair[1] + "s"
    assert len(set(original.stimuli)) == 12_000


def test_the_original_written_again_is_the_same_to_the_byte(tmp_path, shared, original):
    write(tmp_path, original)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (shared / "data/number_agreement" / file.name).read_bytes()


def test_simple_and_adv_are_the_original_ones(original, generated):
    for construction in ("simple", "adv"):
        ours, theirs = (
            {s for s in task.stimuli if s.group == construction} for task in (generated, original)
        )
        assert ours == theirs


def test_counterfactuals_differ_in_the_number_of_the_subject_alone():
    stimuli = number_agreement.generate(0).stimuli[::97]
    for stimulus in stimuli:
        other = stimulus.counterfactual[1 - stimulus.correct]
        assert stimulus.counterfactual[stimulus.correct] == stimulus.words
        differ = [at for at, pair in enumerate(zip(other, stimulus.words, strict=True))
                  if len(set(pair)) > 1]  # fmt: skip
        assert differ == [number_agreement.SUBJECT_POSITION]
    assert number_agreement.with_other_subjects(("The", "man"))[1] == ("The", "men")
    assert number_agreement.with_other_subjects(("The", "idea")) == ()
