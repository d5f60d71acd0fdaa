"""Which form belongs to which direction, and which word carries the feature."""

import pytest

from jaxmask.files.importers import directions, positions
from jaxmask.files.importers.contrasts import Contrast, Spelling
from jaxmask.files.importers.positions import GIVEN, LAST, PARTNER, TELLS, TURNS


def contrast(words, one, other, group="g", line=1, **more):
    return Contrast(line, tuple(words.split()), (one, other), group)._replace(**more)


def sides(*contrasts):
    found = directions.guess(contrasts)
    return found.names, dict(found.side)


def test_verbs_in_english():
    names, side = sides(
        contrast("the boy", "is", "are"),
        contrast("the boys", "see", "sees"),
        contrast("the boy", "tries", "try"),
        contrast("the boy", "passes", "pass"),
        contrast("the boys", "were", "was"),
        contrast("the boys hurt", "themselves", "himself"),
    )
    assert names == ("singular", "plural")
    singular = {"is", "sees", "tries", "passes", "was", "himself"}
    assert {form for form, number in side.items() if number == 0} == singular


@pytest.mark.parametrize("pairs", [("car cars", "box boxes"), ("man men", "mouse mice")])
def test_nouns_after_this_and_these(pairs):
    found = []
    for number, pair in enumerate(pairs):
        one, many = pair.split()
        found += [contrast("look at this", one, many), contrast("buy these big", many, one)]
        found += [contrast("she likes that", one, many, line=number)]
    names, side = sides(*found)
    assert names == ("singular", "plural")
    assert {form for form, number in side.items() if number == 0} == {p.split()[0] for p in pairs}


def test_male_and_female():
    names, side = sides(
        contrast("the nurse said that", "she", "he"),
        contrast("John hurt", "himself", "herself"),
        contrast("the book hurt", "itself", "himself"),
    )
    assert names == ("male", "female")
    assert side == {"he": 0, "himself": 0, "she": 1, "herself": 1}  # itself is neither


def test_forms_of_other_languages_go_with_the_words_before_them():
    names, side = sides(
        contrast("der Autor", "lacht", "lachen"),
        contrast("der Autor", "lacht", "lachen", line=2),
        contrast("die Autoren", "lachen", "lacht"),
        contrast("die Autoren", "sind", "ist"),
        contrast("der Autor", "schwimmt", "schwimmen"),
    )
    assert set(names) == {"lacht", "lachen"}
    assert side["lacht"] == side["ist"] == side["schwimmt"] == 1 - side["sind"]


def test_common_pairs_decide_where_three_forms_compete():
    found = [contrast("it is", "a", "b", line=n) for n in range(3)]
    found += [contrast("it is", "b", "c", line=n) for n in range(2)]
    _, side = sides(*found, contrast("it was", "a", "c"))
    assert side["a"] == side["c"] != side["b"]


def test_names_of_directions_are_names_that_files_can_have():
    names, _ = sides(contrast("the", "unit", "x" * 40))
    assert set(names) == {"unit form", "x" * 20}


def places(*contrasts, classes):
    found = positions.guess(contrasts, classes)
    for one, p in zip(contrasts, found, strict=True):
        if p.how in (TURNS, PARTNER):
            assert len(p.paired) == len(one.words)
            assert p.paired[p.at] != one.words[p.at]
    return [(p.at, p.how) for p in found]


def test_a_position_that_is_given_is_kept():
    assert places(contrast("a b c", "x", "y", position=1), classes=[0]) == [(1, GIVEN)]


def test_the_word_whose_exchange_turns_the_right_form():
    found = [
        contrast(f"the {subject} near the {other}", *forms, group=subject)
        for subject, forms in (("boy", ("is", "are")), ("boys", ("are", "is")))
        for other in ("car", "cars")
    ]
    assert places(*found, classes=[0, 0, 1, 1]) == [(1, TURNS)] * 4


def test_the_first_word_that_differs_in_an_item():
    one = contrast("the boy near the cars", "is", "are")
    other = contrast("the boys near the car", "are", "is")
    assert places(one, other, classes=[0, 1]) == [(1, PARTNER)] * 2
    apart = other._replace(line=2)
    assert places(one, apart, classes=[0, 1]) == [(4, LAST)] * 2


def test_a_sentence_is_not_its_own_partner():
    """Of some words either number is right, with one verb or another."""
    one, other = contrast("the sheep", "is", "are"), contrast("the sheep", "run", "runs")
    assert places(one, other, classes=[0, 1]) == [(1, LAST)] * 2


def test_the_noun_that_goes_with_the_right_form():
    """Not the article beside it, which is common, nor the verb, which is one of the forms."""
    found, classes = [], []
    for n in range(80):
        c = n % 2
        article, noun = (("this", "boy"), ("these", "boys"))[c]
        verb = ("sings", "sing")[c]
        words = f"{article} {noun if n % 3 else noun + 'x'} here{n} {verb} and"
        found.append(contrast(words, *(("is", "are"), ("are", "is"))[c], line=n))
        found.append(contrast(f"it {verb} {n}", *(("sings", "sing"), ("sing", "sings"))[c], "h"))
        classes += [c, c]
    assert set(places(*found, classes=classes)[::2]) == {(1, TELLS)}


def test_the_noun_rather_than_an_article_that_is_rarer_but_less_often_right():
    """As in Zorro: "a woman" is more common than "a man", and "woman" more common than "a"."""
    rows = [("a", "woman", 1)] * 70 + [("the", "woman", 1)] * 82 + [("a", "man", 0)] * 35
    rows += [("the", "man", 0)] * 38 + [("", "John", 0)] * 200
    forms = ("himself", "herself"), ("herself", "himself")
    found = [
        contrast(f"did {article} {noun} see{n}", *forms[c], line=n)
        for n, (article, noun, c) in enumerate(rows)
    ]
    expected = [(2 if article else 1, TELLS) for article, _, _ in rows]
    assert places(*found, classes=[c for _, _, c in rows]) == expected


def test_no_word_tells_the_right_form_where_all_have_one_direction():
    """A word that stands in all sentences, such as their first one, says nothing."""
    found = [contrast(f"the noun{n}", "given", "brought", line=n) for n in range(30)]
    assert set(places(*found, classes=[0] * 30)) == {(1, LAST)}
    other = contrast("the other one", "brought", "given", line=99)
    assert places(*found, other, classes=[0] * 30 + [1]) == [(1, LAST)] * 30 + [(2, LAST)]


def test_where_neither_form_is_right_the_last_word_is_taken():
    assert places(contrast("a b c", "x", "y", right=False), classes=[0]) == [(2, LAST)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Then, Amber's cat can't see .", "Then , Amber 's cat can't see ."),
        ("l' auteur qu'il voit d'accord", "l' auteur qu' il voit d' accord"),
        ("the boys' 3.5 well-known <unk> @-@ I 've", "the boys ' 3.5 well-known <unk> @-@ I 've"),
        ("\u05d4\u05e9\u05d5\u05de\u05e8, nein!", "\u05d4\u05e9\u05d5\u05de\u05e8 , nein !"),
        ("", ""),
    ],
)
def test_text_as_words(text, words):
    assert Spelling().words(text) == tuple(words.split())
