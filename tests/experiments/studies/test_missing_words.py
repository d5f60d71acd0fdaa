"""Words that aren't in a vocabulary, and what may be meant by them."""

import pytest

from experiments.studies.missing_words import dropped_pairs, missing_words, suggestion, word_table
from jaxmask.text.examples import Stimulus, Task, unknown_words
from jaxmask.text.vocabulary import Vocabulary

FORMS = ("greets", "greet")


def task(*sentences, pair=FORMS):
    stimuli = [Stimulus(tuple(words.split()), 1, pair, -1, "g") for words in sentences]
    return Task("mine", ("singular", "plural"), stimuli, list(range(2, len(stimuli) + 2)))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("the", "the vocabulary has 'The'"),
        ("BOY", "the vocabulary has 'boy'"),
        ("boy,", "the vocabulary has 'boy': separate punctuation by spaces"),
        ("barister", "did you mean 'barrister'?"),
        ("barrista", ""),  # two slips are another word
        ("conceals", ""),
        ("impresses", ""),
        ("<unk>", "this stands for any unknown word: write a word"),
        ("zyzzyva", ""),
        ("...", ""),
        ("x" * 10**6, ""),
        ("loathed", ""),  # two characters from "located", and as long
        ("bakers", ""),  # another number would be another phenomenon
        ("avoids", ""),
        ("bakres", ""),
        ("lcoated", "did you mean 'located'?"),
        ("locatad", "did you mean 'located'?"),
        ("Lcoated", ""),  # a name, in the model's spelling
        ("heal", ""),  # short words are all alike
        ("cafe\u0301", "the vocabulary has 'caf\u00e9'"),
    ],
)
def test_what_to_try(word, expected):
    words = ["<unk>", "<eos>", "The", "boy", "barrister", "located", "baker", "avoid", "caf\u00e9"]
    words += ["concerts", "impressed", "seal"]
    assert suggestion(word, Vocabulary(words)) == expected


def test_another_word_of_the_same_stem_is_never_suggested():
    assert suggestion("managers", Vocabulary(["<unk>", "<eos>", "manages"])) == ""


def test_the_other_form_is_never_suggested():
    vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boy", "remembors"])
    pairs = task("The boy", pair=("remembers", "remembors"))
    (word,) = missing_words(pairs, [unknown_words(pairs.stimuli[0], vocabulary)])
    assert word == ("form", "remembers", ("2",), frozenset({"remembors"}))
    assert suggestion("remembers", vocabulary) == "did you mean 'remembors'?"
    table = word_table([word], vocabulary)
    assert table.rows == (("remembers", "form", "1", "2", ""),)


def test_words_that_become_unknown_come_last():
    pairs = task("The boy near cars", "The cars", "The bikes", "The bikes")
    vocabulary = Vocabulary(["<unk>", "<eos>", "The", "boy", "near", *FORMS])
    missing = [unknown_words(s, vocabulary) for s in pairs.stimuli]
    assert [(x.role, x.word, x.places) for x in missing_words(pairs, missing)] == [
        ("position", "bikes", ("4", "5")), ("position", "cars", ("3",)), ("other", "cars", ("2",))
    ]  # fmt: skip


def test_all_dropped_pairs_are_listed():
    pairs = task("The boy near cars", "The cars", "The boy")
    with_unknown = Vocabulary(["<unk>", "<eos>", "The", "boy", "near", *FORMS])
    without = Vocabulary(with_unknown.words[1:])
    missing = [unknown_words(s, with_unknown) for s in pairs.stimuli]
    position = (
        "3", "a pair whose word at the position isn't in the vocabulary", "cars",
        "The cars | greets | greet",
    )  # fmt: skip
    assert dropped_pairs(pairs, missing, with_unknown) == [position]
    other = (
        "2", "a pair with another word that isn't in the vocabulary, which has no <unk>", "cars",
        "The boy near cars | greets | greet",
    )  # fmt: skip
    assert dropped_pairs(pairs, missing, without) == [other, position]
    assert "so it is if another word" in word_table([], without).note
