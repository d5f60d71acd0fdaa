"""The surface rule against a plain loop, on random sentences; what becomes a pair."""

import itertools
import re

import numpy as np
import pytest

from jaxmask.files.importers import pairs
from jaxmask.tasks import minimal_pairs
from jaxmask.tasks import natural_agreement as natural
from jaxmask.tasks.natural_agreement import Match, both_forms, find_nouns, find_pairs, matches
from jaxmask.text.examples import LONGEST

NOUNS = both_forms([("key", "keys"), ("cabinet", "cabinets"), ("child", "children")])
VERBS = ("is", "are", "has", "have")
OTHERS = ("old", "Very", "saw", "1990", "who")
POOL = (
    *NOUNS.number,
    *VERBS,
    *OTHERS,
    "the",
    "The",
    "a",
    "these",
    "of",
    "near",
    ",",
    "and",
    "that",
)


def by_trying_all_lengths(words):
    """Every place and every number of words in between, read from left to right."""
    lower = [word.lower() for word in words]
    determiner = [word in natural.DETERMINERS for word in lower]
    noun = [word in NOUNS.number for word in words]
    preposition = [word in natural.PREPOSITIONS for word in lower]
    fixed = np.array([determiner, noun, preposition]).any(axis=0)
    other = [word.isalpha() and word not in VERBS and not one
             for word, one in zip(words, fixed, strict=True)]  # fmt: skip
    found = set()
    for first, second, third, start in itertools.product(range(3), range(2), range(3), range(20)):
        subject = start + first + 1
        begin = subject + 2 + second
        attractor = begin + third
        if attractor + 1 < len(words) and (
            determiner[start]
            and (start == 0 or lower[start - 1] in natural.BOUNDARIES)
            and all(other[start + 1 : subject])
            and noun[subject]
            and preposition[subject + 1]
            and all(determiner[subject + 2 : begin])
            and all(other[begin:attractor])
            and noun[attractor]
            and words[attractor + 1] in VERBS
        ):
            found.add(Match(start, subject, attractor, attractor + 1))
    return found


def test_the_rule_finds_what_trying_all_lengths_finds():
    rng = np.random.default_rng(0)
    frames = ["{d} {o} {n} {p} {d} {n} {v}", "{d} {n} {p} {o} {o} {n} {v}",
              "{w} {d} {n} {p} {n} {v}",
              "{d} {n} {o} {p} {d} {n} {v}", "{o} , {d} {o} {o} {n} {p} {d} {o} {n} {v} {w}",
              "{d} {o} {o} {o} {n} {p} {n} {v}", "{w} {w} {w} {w} {w} {w} {w}"]  # fmt: skip
    slots = {"d": ("the", "The", "a", "these"), "n": tuple(NOUNS.number), "p": ("of", "Near"),
             "v": VERBS, "o": OTHERS, "w": POOL}  # fmt: skip
    counts = {True: 0, False: 0}
    for number in range(600):
        frame = frames[number % len(frames)]
        text = re.sub(r"\{(\w)\}", lambda slot: rng.choice(slots[slot[1]]), frame)
        words = text.split()
        expected = by_trying_all_lengths(words)
        assert set(matches(words, NOUNS, VERBS)) == expected, text
        counts[bool(expected)] += 1
    assert min(counts.values()) > 100


@pytest.mark.parametrize(("text", "group", "correct"), [
    ("The keys to the cabinet are here", "is/are, other number", 1),
    ("Here , the old key of my cabinet is", "is/are, same number", 0),
    ("He said that these keys near the old cabinets have", "has/have, same number", 1),
])  # fmt: skip
def test_a_pair_ends_before_its_verb(text, group, correct):
    (pair,) = find_pairs([text.split()], NOUNS).stimuli
    words = text.split()
    verb = words.index(pair.pair[correct])
    assert pair.words == tuple(words[:verb])
    assert pair.words[pair.position] in ("key", "keys")
    assert (pair.group, pair.correct) == (group, correct)


@pytest.mark.parametrize("text", [
    "The keys are here",                                  # no attractor
    "He saw the keys to the cabinet are",                 # the noun phrase doesn't begin a clause
    "Keys to the cabinet are here",                       # no determiner
    "The keys and the cabinet are here",                  # no preposition
    "The keys to the very old big cabinet are here",      # too many words in between
    "The keys to the cabinet were opened",                # not one of the verbs asked for
])  # fmt: skip
def test_what_the_rule_does_not_take(text):
    assert not find_pairs([text.split()], NOUNS, (("is", "are"),)).stimuli


def test_verbs_that_do_not_agree_are_counted():
    sentences = ["The keys to the cabinet is here", "The key to the cabinets are here"]
    task = find_pairs([text.split() for text in sentences], NOUNS)
    assert (list(task.stimuli), task.left_out) == ([], ((natural.DISAGREES, 2),))


def test_a_sentence_gives_each_of_its_pairs_once():
    text = "The key of the cabinets is old and the keys to the cabinet are not"
    words = text.split()
    task = find_pairs([words, words, ["a"] * LONGEST + words], NOUNS)
    assert [(pair.words[pair.position], len(pair.words)) for pair in task.stimuli] == [
        ("key", 5), ("keys", 13)
    ]  # fmt: skip


def test_a_counterfactual_has_the_other_subject_where_its_determiner_allows_it():
    texts = ("The keys to the cabinet are", "These keys to the cabinet are", "A key of cabinets is")
    the, these, a = find_pairs([text.split() for text in texts], NOUNS).stimuli
    assert [" ".join(words) for words in the.counterfactual] == [
        "The key to the cabinet", "The keys to the cabinet"
    ]  # fmt: skip
    assert these.counterfactual == a.counterfactual == ()


def test_nouns_are_found_by_their_determiners():
    text = [f"a {one} and these {many}".split() for one, many in (
        ("key", "keys"), ("city", "cities"), ("box", "boxes"), ("plan", "planes"),
        ("Rome", "Romes"),
    )] * 5  # fmt: skip
    text += [["these", "plans"]] * 9 + [["a", "fish"], ["these", "fishs"], ["a", "fishs"]] * 5
    text += [["a", "rare"], ["these", "rares"]] * 4  # too seldom
    assert find_nouns(text) == [("box", "boxes"), ("city", "cities"), ("key", "keys"),
                                ("plan", "plans")]  # fmt: skip


def test_pairs_are_read_again_from_their_file(tmp_path):
    texts = ("The keys to the cabinet are", "A key of cabinets is")
    task = find_pairs([text.split() for text in texts], NOUNS, name="natural")
    file = tmp_path / "natural.tsv"
    file.write_text(pairs.write(task))
    again = minimal_pairs.read(file)
    assert again.directions == task.directions
    for one, other in zip(task.stimuli, again.stimuli, strict=True):
        assert one._replace(counterfactual=()) == other._replace(counterfactual=())
        assert set(one.counterfactual) - {one.words} == set(other.counterfactual) - {one.words}
