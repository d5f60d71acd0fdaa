"""What a model prefers, and what is said of it."""

import numpy as np
import pytest

from experiments.shared.console import print_table
from experiments.studies import preferences
from jaxmask.text.examples import Stimulus, Task, encode
from jaxmask.text.vocabulary import Vocabulary

WORDS = ["<unk>", "<eos>", "The", "the", "boy", "boys", "near", "greets", "greet"]
VOCABULARY = Vocabulary(WORDS)


def task(correct, group="simple", words=("The", "boy"), pairs=40):
    """Equal pairs are no matter here."""
    stimulus = Stimulus(words, 1, ("greets", "greet"), correct, group)
    return Task("mine", ("singular", "plural"), [stimulus] * pairs, list(range(2, pairs + 2)))


def advice(task, odds, vocabulary=VOCABULARY):
    return preferences.advice(task, encode(task, vocabulary), np.asarray(odds), vocabulary)


def mixed(right, pairs=40):
    """Log-odds of pairs whose first form is right, of which the model prefers some."""
    return [1.0] * right + [-1.0] * (pairs - right)


def test_long_names_of_groups_are_cut_in_the_middle(capsys):
    uids = [f"regular_plural_subject_verb_agreement_{number}" for number in (1, 2)]
    stimuli = [one for uid in uids for one in task(0, uid, pairs=2).stimuli]
    both = Task("mine", ("singular", "plural"), stimuli, [])
    table = preferences.group_table(both, encode(both, VOCABULARY), np.array([1.0, 1.0, -1.0, 2.0]))
    print_table(table)
    printed = capsys.readouterr().out
    assert [row[0] for row in table.rows] == ["regul...nt_1", "regul...nt_2", "all"]
    assert max(map(len, printed.splitlines())) <= 80
    for row in table.rows:
        assert any(line.split()[0] == row[0] for line in printed.splitlines() if line), row
    alike = [one._replace(group=one.group.replace("plural", "odd" * 9)) for one in stimuli]
    alike += [one._replace(group=one.group.replace("odd", "one")) for one in alike]
    both = both._replace(stimuli=alike)
    table = preferences.group_table(both, encode(both, VOCABULARY), np.ones(8))
    assert len({row[0] for row in table.rows}) == 5


def test_many_small_groups_are_put_together():
    few = preferences.SMALL - 1
    stimuli = task(0, "large", pairs=preferences.SMALL).stimuli
    for number in range(preferences.LONGEST_TABLE):
        stimuli += task(number % 2, f"small{number}", pairs=few).stimuli
    many = Task("mine", ("singular", "plural"), stimuli, [])
    odds = np.where(np.arange(len(stimuli)) % few < 3, 1.0, -1.0)
    table = preferences.group_table(many, encode(many, VOCABULARY), odds)
    assert table.note.endswith(" small: groups of fewer than 10 pairs, with their number.")
    half = preferences.LONGEST_TABLE // 2
    together = f"small ({half})"
    numbers = [row[:3] for row in table.rows]
    assert numbers == [
        ("large", "singular", str(preferences.SMALL)),
        (together, "singular", str(half * few)),
        (together, "plural", str(half * few)),
        ("all", "", str(len(stimuli))),
    ]
    fewer = Task("mine", ("singular", "plural"), stimuli[:-few], [])
    table = preferences.group_table(fewer, encode(fewer, VOCABULARY), odds[:-few])
    assert len(table.rows) == preferences.LONGEST_TABLE + 1
    assert "small" not in table.note


def test_below_chance_is_attraction():
    lines = advice(task(0, "nounpp"), mixed(8))
    (line,) = [line for line in lines if line.startswith("nounpp, singular")]
    assert line.startswith(
        "nounpp, singular: the model is right on 20% of the pairs (10-35%), less"
    )
    assert "attraction" in line
    assert "Keep these lines" in line
    assert not any("Leave" in line for line in lines)
    assert lines[-1].startswith("Over all pairs the model is right on 20% only.")


@pytest.mark.parametrize(("right", "pairs"), [(95, 200), (100, 200), (118, 200), (580, 1000)])
def test_at_chance_the_model_hardly_knows(right, pairs):
    lines = advice(task(0, pairs=pairs), mixed(right, pairs))
    (line,) = [line for line in lines if line.startswith("simple")]
    assert "about as often as by chance" in line
    assert "Leave these lines out, or use another model." in line


@pytest.mark.parametrize(("right", "pairs"), [(3, 10), (17, 40), (20, 40), (23, 40)])
def test_few_pairs_are_not_advised_away(right, pairs):
    lines = advice(task(0, pairs=pairs), mixed(right, pairs))
    (line,) = [line for line in lines if line.startswith("simple")]
    assert line.endswith("which may be chance. Add pairs of this kind to know.")


@pytest.mark.parametrize("right", [32, 40])
def test_above_chance_there_is_nothing_to_say(right):
    assert not [line for line in advice(task(0), mixed(right)) if "simple" in line]


def test_small_groups_and_many_groups_take_a_line_each():
    stimuli = [s for n in range(9) for s in task(0, f"g{n}", pairs=20).stimuli]
    stimuli += task(0, "small", pairs=9).stimuli
    many = Task("mine", ("singular", "plural"), stimuli, list(range(len(stimuli))))
    lines = advice(many, [-1.0] * len(stimuli))
    assert sum("less often than by chance" in line for line in lines) == 4
    assert "The same can be said of 5 more groups; see the table." in lines
    assert (
        "1 group of fewer than 10 pairs with the same right form: their rates say little." in lines
    )


def test_few_pairs_to_flip():
    assert advice(task(-1), [1.0] * 40) == [
        "no pair can be flipped to singular, because the model already prefers the singular form "
        "everywhere. Add sentences after which it prefers the plural form."
    ]
    assert advice(task(-1), mixed(39))[0].startswith("only 1 pair can be flipped to singular, bec")


def test_a_file_in_lower_case_is_noticed():
    odds = mixed(20)
    (line,) = advice(task(-1, words=("the", "boy")), odds)
    assert line.startswith(
        "sentences begin with a word in lower case, such as 'the', but the model"
    )
    assert not advice(task(-1), odds)
    small = Vocabulary([word for word in WORDS if word.islower() or word.startswith("<")])
    (line,) = advice(task(-1), odds, small)
    assert line.startswith("the model knows words in lower case only, and the file has capitals")
    assert not advice(task(-1, words=("the", "boy")), odds, small)


def test_sentences_that_go_on():
    odds = mixed(20)
    (line,) = advice(task(-1, words=("The", "boy", "greets")), odds)
    assert line.startswith("sentences that end with one of their own two forms: 40, the first in l")
    (line,) = advice(task(-1, words=("<eos>", "The", "boy")), odds)
    assert line.startswith("sentences with <eos> inside: 40, the first in line 2. The model reads")


def test_the_table_says_what_the_model_prefers():
    pairs = task(0, pairs=2)
    plural = pairs.stimuli[0]._replace(correct=1)
    neither = [pairs.stimuli[0]._replace(correct=-1, group=group) for group in ("simple", "other")]
    pairs = pairs._replace(stimuli=[pairs.stimuli[0], plural, *neither])
    odds = np.array([1.5, 0.5, 3.0, -2.0])
    table = preferences.group_table(pairs, encode(pairs, VOCABULARY), odds)
    assert table.header[:4] == ("Group", "Right form", "Pairs", "Right")
    assert table.rows == (
        ("other", "", "1", "", "", "1", "0"),
        ("simple", "singular", "1", "100.0% (21-100)", "1.50", "0", "1"),
        ("simple", "plural", "1", "0.0% (0-79)", "-0.50", "0", "1"),
        ("simple", "", "1", "", "", "0", "1"),
        ("all", "", "4", "50.0% (9-91)", "0.50", "1", "3"),
    )


def test_without_right_forms_the_log_odds_are_of_the_first():
    pairs = task(-1, pairs=4)
    table = preferences.group_table(pairs, encode(pairs, VOCABULARY), np.arange(4.0) - 1)
    assert table.header == ("Group", "Pairs", "Log-odds", "To singular", "To plural")
    assert table.rows == (("simple", "4", "0.50", "2", "2"),)
