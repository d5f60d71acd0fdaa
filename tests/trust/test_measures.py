"""Each measure against a plain loop or a closed form."""

import jax
import numpy as np
import pytest
from scipy import optimize

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention, from_arrays
from jaxmask.trust import controls as controls_module
from jaxmask.trust import necessity as necessity_module
from jaxmask.trust import sentences
from jaxmask.trust.accuracy import accuracy
from jaxmask.trust.controls import controls, same_values
from jaxmask.trust.harm import decomposition, harm, harm_of, least_cost
from jaxmask.trust.interchange import interchange, pairs
from jaxmask.trust.manifold import manifold, natural_states, nearest
from jaxmask.trust.minimality import DOSES, dose, minimality
from jaxmask.trust.necessity import mean_states, necessity
from jaxmask.trust.place import place
from jaxmask.trust.selectivity import SETS, WINDOW, cost, primer_sentences, selectivity, windows
from jaxmask.trust.unseen import gap, unseen

KINDS = pytest.mark.parametrize("name", ["single", "every"])


def log_ratio_of(subject, sentence, intervention, where):
    """By the whole distribution, for one sentence."""
    last = sentences.log_probs(
        subject.prepared, sentence, sentence.stimulus.words, intervention, where
    )[-1]
    return sentences.log_ratio(last, subject.examples.pair[sentence.row], sentence.direction)


def own_rows(subject, sentence):
    return jax.tree.map(np.asarray, subject.own.toward(sentence.direction))


def test_accuracy_by_what_the_examples_are(single):
    found = accuracy(single)
    assert found.value == pytest.approx(100 * single.flips.mean())
    assert found.interval.low < found.value < found.interval.high
    by = found.details["by"]
    assert set(by) == {"construction", "direction", "untouched model"}
    for groups in by.values():
        assert sum(one["examples"] for one in groups.values()) == single.examples.size
        flips = sum(one["examples"] * one["accuracy"] for one in groups.values())
        assert flips == pytest.approx(100 * single.flips.sum())
    right = by["untouched model"]["right"]
    agrees = [
        stimulus.correct != direction
        for stimulus, direction in zip(single.stimuli, single.examples.direction, strict=True)
    ]
    assert right["examples"] == sum(agrees)
    train = {stimulus.words for stimulus in single.train_stimuli}
    seen = np.mean([stimulus.words in train for stimulus in single.stimuli])
    assert found.details["seen_in_training"]["sentence"] == pytest.approx(100 * seen)


@KINDS
def test_place_by_a_loop_over_sentences(name, request):
    subject = request.getfixturevalue(name)
    details = place(subject, 1000).details
    at_last, before = [], []
    for sentence in sentences.sample(subject, 1000):
        own, where = own_rows(subject, sentence), np.zeros(len(sentence.where), bool)
        where[-1] = True
        at_last.append(log_ratio_of(subject, sentence, own, where) < 0)
        rest = sentence.where & ~where
        if rest.any():
            before.append(log_ratio_of(subject, sentence, own, rest) < 0)
    assert details["last_word_only"] == pytest.approx(100 * np.mean(at_last))
    assert details["all_but_last_word"] == pytest.approx(100 * np.mean(before))
    for layer, units in (("1", slice(6, 12)), ("2", slice(0, 6))):
        mask = np.array(subject.found.mask)
        mask[:, units] = 0
        alone = evaluate(from_arrays(mask, subject.found.baseline),
                         subject.prepared.evaluation_objective)  # fmt: skip
        assert details["layers"][layer] == pytest.approx(100 * float(alone.accuracy))


@KINDS
def test_interchange_by_a_loop_over_sentences(name, request):
    """The states come from the sentence whose subject has the other number."""
    subject = request.getfixturevalue(name)
    found = pairs(subject)
    measured = interchange(subject)
    read = sentences.sample(subject, 1000)
    model, context = subject.prepared.model, subject.prepared.context
    flipped = {"set": [], "ceiling": []}
    for number, row in enumerate(found.rows):
        sentence = read[row]
        where = np.zeros(len(sentence.where), bool)
        where[sentence.stimulus.position if name == "single" else -1] = True
        for which, mask in (("set", subject.chosen), ("ceiling", np.ones(12, bool))):
            own = Intervention(mask.astype(np.float32), found.states[number])
            flipped[which].append(log_ratio_of(subject, sentence, own, where) < 0)
        # all states of the last word but the paired sentence's: its own predictions
        if name == "every":
            words = sentence.paired
            last = model.log_probs(words, subject.kind, context)[-1]
            own = Intervention(np.ones(12, np.float32), found.states[number])
            swapped = sentences.log_probs(
                subject.prepared, sentence, sentence.stimulus.words, own, where
            )[-1]
            np.testing.assert_allclose(swapped, last, atol=1e-4)
    for which, flags in flipped.items():
        assert measured.details[which] == pytest.approx(100 * np.mean(flags))
    wrong = ~subject.right
    assert measured.details["without_pair"] == wrong.sum()


def test_without_counterfactuals_there_is_no_interchange(single, monkeypatch):
    without = [stimulus._replace(counterfactual=()) for stimulus in single.stimuli]
    monkeypatch.setitem(single.__dict__, "stimuli", without)
    assert interchange(single).verdict == "not measured"
    assert harm(single, 5).details["reference"] is None


@KINDS
def test_kl_adds_up_to_equation_8(name, request):
    subject = request.getfixturevalue(name)
    details = harm(subject, 1000).details
    judged = evaluate(subject.found, subject.prepared.evaluation_objective)
    assert details["kl"] == pytest.approx(float(judged.kl), rel=1e-4)
    assert details["elsewhere"] == pytest.approx(float(judged.kl_elsewhere), rel=1e-4)
    assert details["at_target"] + details["elsewhere"] == pytest.approx(details["kl"])
    assert sum(one["part"] for one in details["by_distance"]) == pytest.approx(details["kl"])


def test_harm_beside_the_paired_sentence(single):
    sentence = next(one for one in sentences.sample(single, 1000) if one.paired)
    found = harm_of(single, sentence)
    model, context = single.prepared.model, single.prepared.context
    p, r = (np.asarray(model.log_probs(words, single.kind, context), np.float64)
            for words in (sentence.stimulus.words, sentence.paired))  # fmt: skip
    q = sentences.log_probs(single.prepared, sentence, sentence.stimulus.words,
                            own_rows(single, sentence))  # fmt: skip
    kl = [sum(np.exp(a) * (a - b)) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(found.kl, kl, atol=1e-5)
    assert found.kl[0] == pytest.approx(0.0, abs=1e-6)  # before the subject nothing changes
    np.testing.assert_allclose(found.reference, np.sum(np.exp(p) * (p - r), axis=1), atol=1e-5)
    assert found.to_paired == pytest.approx(
        [np.mean(np.sum(np.exp(r) * (r - x), axis=1)) for x in (q, p)], abs=1e-5
    )
    assert found.top_kept == (p[-1].argmax() == q[-1].argmax())


def test_the_least_cost_of_a_tie_is_that_of_an_optimiser():
    p = np.array([0.5, 0.2, 0.3])

    def kl(x):
        tied, rest = x
        q = np.array([tied, tied, rest])
        return float(np.sum(p * np.log(p / (q / q.sum()))))

    best = optimize.minimize(kl, [0.3, 0.3], bounds=[(1e-3, 1)] * 2, tol=1e-12)
    tie, swap = least_cost(np.log(0.5), np.log(0.2))
    assert tie == pytest.approx(best.fun, abs=1e-6)
    swapped = np.array([0.2, 0.5, 0.3])
    assert swap == pytest.approx(np.sum(p * np.log(p / swapped)))


def test_decomposition_weighs_sentences_by_their_length():
    one = harm_like(np.array([0.0, 1.0, 2.0, 3.0]), first=1)
    other = harm_like(np.array([0.0, 4.0]), first=1)
    parts = decomposition([one, other])
    assert parts["at_target"] == pytest.approx((3 / 4 + 4 / 2) / 2)
    assert parts["elsewhere"] == pytest.approx((3 / 4) / 2)
    assert [e["examples"] for e in parts["by_distance"]] == [2, 1, 1]


def harm_like(kl, first):
    from jaxmask.trust.harm import Harm

    return Harm(kl, first, True, 0.1, 0.2, None, None)


@KINDS
def test_cost_on_text_is_the_sum_of_the_kl_of_an_intervention(name, request):
    subject = request.getfixturevalue(name)
    prepared = subject.prepared
    text = windows(prepared, primer_sentences(), 4)
    assert (text.length == WINDOW).all()
    found = cost(subject, text)
    assert len(found.random) == SETS
    rng = np.random.default_rng(0)
    from jaxmask.baselines import random_masks

    random_masks.matched(subject.found, prepared.site, SETS, rng)
    at = rng.integers(0, WINDOW // 2, 4)
    total = []
    for row in range(4):
        words = tuple(prepared.model.vocabulary.words[token] for token in text.tokens[row])
        where = np.arange(WINDOW) == at[row] if name == "single" else np.ones(WINDOW, bool)
        p = prepared.model.log_probs(words, subject.kind, prepared.context)
        for direction in range(2):
            own = jax.tree.map(np.asarray, subject.own.toward(direction))
            q = prepared.model.log_probs(words, subject.kind, prepared.context, own, where)
            kl = sentences.divergence(np.asarray(p, np.float64), np.asarray(q, np.float64))
            total.append(kl.sum() / where.sum())
    assert found.found == pytest.approx(np.mean(total), rel=1e-3)
    measured = selectivity(subject, None, 4)
    assert measured.value == pytest.approx(found.found / found.random.mean())


def test_text_without_long_sentences_is_not_measured(single):
    assert selectivity(single, [["The", "boy"]], 5).verdict == "not measured"


def test_values_on_and_off_the_map(single):
    states = natural_states(single)
    examples, reading = single.train_reading
    expected = [reading.states[row, at] for row, at in enumerate(examples.position)]
    np.testing.assert_array_equal(states, expected)
    assert manifold(single).value == 100.0  # values are at the ends of the range
    middle = from_arrays(single.found.mask, np.tile(np.median(states, axis=0), (2, 1)))
    inside = manifold(type(single)(single.prepared, middle))
    assert inside.value == 0.0
    assert inside.details["flips_clipped"] == inside.details["flips_learned"]


def test_the_ends_of_the_natural_range_are_on_the_map(prepare_kind, single):
    natural = type(single)(prepare_kind(values="natural"), single.found)
    assert set(np.abs(np.asarray(natural.found.baseline)[:, natural.chosen]).ravel()) == {1.0}
    assert manifold(natural).value == 0.0


def test_a_set_that_does_nothing_passes_nothing_that_is_about_flips(single):
    nothing = from_arrays(0 * single.found.mask, single.found.baseline)
    idle = type(single)(single.prepared, nothing)
    for measure in (accuracy, interchange, dose, same_values):
        assert measure(idle).verdict == "caution"
    assert selectivity(idle, None, 4).verdict == "not measured"
    assert minimality(idle).value == 0.0
    assert place(idle, 5).details["layers"] == {}


def test_the_nearest_state_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    states, values = rng.normal(size=(30, 4)), rng.normal(size=4)
    used = np.array([True, False, True, True])
    scaled = states[:, used] / states[:, used].std(axis=0)
    point = values[used] / states[:, used].std(axis=0)
    between = [np.linalg.norm(a - b) for i, a in enumerate(scaled) for b in scaled[:i]]
    expected = min(np.linalg.norm(scaled - point, axis=1)) / np.median(between)
    assert nearest(states, values, used) == pytest.approx(expected)


def test_necessity_by_a_loop_over_sentences(single):
    measured = necessity(single, 1000)
    examples, reading = single.train_reading
    words = [reading.states[row, :length] for row, length in enumerate(examples.length)]
    mean = np.concatenate(words).mean(axis=0)
    np.testing.assert_allclose(mean_states(single), mean, atol=1e-6)
    own = Intervention(single.chosen.astype(np.float32), mean)
    right = []
    for sentence in sentences.sample(single, 1000):
        everywhere = np.ones(len(sentence.where), bool)
        ratio = log_ratio_of(single, sentence, own, everywhere)
        towards = sentence.direction if ratio < 0 else 1 - sentence.direction
        right.append(towards == sentence.stimulus.correct)
    assert measured.details["ablated"] == pytest.approx(100 * np.mean(right))
    assert measured.details["untouched"] == pytest.approx(100 * single.right.mean())
    assert measured.value == pytest.approx(100 * (single.right.mean() - np.mean(right)))


def test_a_fall_whose_interval_touches_0_does_not_pass(single, monkeypatch):
    size = single.examples.size
    right = np.arange(size) % 7 != 0
    asked = []

    def after(subject, rows, mask, mean):
        asked.append(mask)
        if len(asked) > 1:  # a random set
            return right[rows]
        changed = right.copy()
        changed[np.flatnonzero(right)[:worse]] = False
        return changed[rows]

    monkeypatch.setattr(necessity_module, "_right_after", after)
    monkeypatch.setattr(type(single), "right", property(lambda subject: right))
    verdicts = {}
    for worse in (1, 30):
        asked.clear()
        found = necessity(single, 1000)
        assert found.value == pytest.approx(100 * worse / size)
        verdicts[worse] = found.verdict, found.interval.low > 0.0
    assert verdicts == {1: ("caution", False), 30: ("pass", True)}


def test_controls_of_random_sets_have_an_interval_where_all_flip(single, monkeypatch):
    monkeypatch.setitem(single.__dict__, "flips", np.ones(single.examples.size, bool))
    monkeypatch.setattr(controls_module, "accuracies_in_parts", lambda *_: np.zeros(SETS))
    found = same_values(single)
    assert (found.value, found.interval.high) == (100.0, 100.0)
    assert 80.0 < found.interval.low < 98.0
    assert found.verdict == "pass"


def test_minimality_and_dose_by_evaluating_each_mask(single):
    held_out = single.prepared.evaluation_objective
    whole = float(evaluate(single.found, held_out).accuracy)
    details = minimality(single).details
    for unit in single.units:
        mask = np.array(single.found.mask)
        mask[:, unit - 1] = 0
        without = evaluate(from_arrays(mask, single.found.baseline), held_out).accuracy
        expected = 100 * (whole - float(without))
        assert details["cost_of_unit"][str(unit)] == pytest.approx(expected, abs=1e-4)
    flips = dose(single).details["flips"]
    for amount, flipped in zip(DOSES, flips, strict=True):
        partly = from_arrays(amount * np.asarray(single.found.mask), single.found.baseline)
        assert flipped == pytest.approx(100 * float(evaluate(partly, held_out).accuracy))


@pytest.mark.slow
def test_controls_are_paired_over_the_same_examples(single):
    assert same_values(single).details["found"] == pytest.approx(100 * single.flips.mean())
    measured = controls(single, 0.0)
    differences = measured.details["differences"]
    assert measured.details["comparisons"] == len(differences) == 4
    for one in differences.values():
        gap_of = 100 * single.flips.mean() - one["accuracy"]
        assert one["difference"] == pytest.approx(gap_of)
        assert one["interval_for_all"][0] <= one["interval"][0] <= one["interval"][1]
    assert measured.value == pytest.approx(min(one["difference"] for one in differences.values()))


def test_unseen_words_and_constructions(single):
    asked = []

    def again(split):
        asked.append(split)
        return single.prepared, single.found

    measured = unseen(single, again)
    assert [split.by for split in asked] == ["word", "group"]
    both = [evaluate(single.found, objective).accuracy
            for objective in (single.prepared.train_objective,
                              single.prepared.evaluation_objective)]  # fmt: skip
    expected = 100 * float(both[0] - both[1])
    assert measured.value == pytest.approx(expected)
    assert gap(single.prepared, single.found)["held_out"] == []
