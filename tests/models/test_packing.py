"""Packed examples say the same as the examples, with nothing twice."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_model import examples, keys_of, places, unpack

from jaxmask.models.packing import MOST_STRATA, pack, stratify

PLACES = ("single", "every", "random")


@given(st.integers(0, 2**32), st.integers(3, 40), st.integers(1, 20), st.sampled_from(PLACES))
def test_packing_loses_nothing_and_repeats_nothing(seed, size, longest, kind):
    given = examples(seed, size, longest)
    where = places(kind, given)
    packed = pack(given, where)
    entries = list(unpack(packed))
    assert Counter(entry[:4] for entry in entries) == Counter(keys_of(given, where))
    rows = {entry.row: entry[:3] for entry in entries}
    assert len(set(rows.values())) == len(rows) == len(packed.steps)  # each row, once
    for distinct in (packed.prefixes, packed.words.tolist(), packed.differences.tolist()):
        assert len({str(x) for x in distinct}) == len(distinct)
    for row, (tokens, _, _) in rows.items():
        assert packed.kl_share[row] == np.float32((packed.steps[row] + 1) / len(tokens))


def test_nodes_are_the_distinct_beginnings_of_sentences():
    given = examples()
    packed = pack(given, places("every", given))
    read = {}
    for entry in unpack(packed):
        for step in range(len(entry.tokens)):
            node = int(packed.node[entry.row, step])
            assert read.setdefault(node, entry.tokens[: step + 1]) == entry.tokens[: step + 1]
    assert len(set(read.values())) == len(read) == len(packed.nodes)
    assert all(tokens == packed.nodes[node] for node, tokens in read.items())


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_strata_cover_all_rows_in_order(lengths):
    steps = np.sort(np.array(lengths))[::-1]
    count = np.random.default_rng(0).integers(1, 5, len(steps)).astype(np.float32)
    strata = stratify(steps, count, MOST_STRATA)
    assert len(strata) == min(MOST_STRATA, len(set(lengths)))
    assert [s.start for s in strata] == [0, *(s.stop for s in strata[:-1])]
    assert strata[-1].stop == len(steps)
    assert [s.steps for s in strata] == sorted({s.steps for s in strata}, reverse=True)
    for s in strata:
        assert s.rows == s.stop - s.start > 0
        assert s.steps == steps[s.start : s.stop].max()
        assert s.examples == count[s.start : s.stop].sum()


def test_strata_are_merged_where_it_costs_least():
    steps = np.repeat([4, 3, 2, 1], [50, 50, 1, 50])
    merged = stratify(steps, np.ones(len(steps)), MOST_STRATA)
    # The single row of 2 steps joins rows of 3 steps: one padded step in all.
    assert [s.rows for s in merged] == [50, 51, 50]
    assert [s.steps for s in merged] == [4, 3, 1]
    # What counts is how often rows are drawn: rows of 2 steps with many examples stay apart.
    examples = np.where(steps == 2, 1000.0, 1.0)
    assert [s.steps for s in stratify(steps, examples, MOST_STRATA)] == [4, 2, 1]


def nowhere(where, length):
    where[1] = False


def outside(where, length):
    where[1, length[1] :] = True


@pytest.mark.parametrize("fault", [nowhere, outside])
def test_a_place_outside_the_sentence_is_an_error(fault):
    given = examples()
    given.length[1] = 2
    where = places("every", given)
    fault(where, given.length)
    with pytest.raises(ValueError, match="place of intervention"):
        pack(given, where)


def test_no_examples_is_an_error():
    with pytest.raises(ValueError, match="every example"):
        pack(examples().take(np.arange(0)), np.zeros((0, 6), bool))


@pytest.mark.parametrize("kind", PLACES)
def test_rows_for_both_directions_say_the_same_whatever_the_model_prefers(kind):
    given = examples()
    where = places(kind, given)
    turned = given._replace(direction=1 - given.direction * (np.arange(given.size) % 3 > 0))
    packed, other = (pack(x, where, both_directions=True) for x in (given, turned))
    for one, it in ((packed, given), (other, turned)):
        assert Counter(entry[:4] for entry in unpack(one)) == Counter(keys_of(it, where))
        assert len(one.steps) == 2 * len({key[:2] for key in keys_of(it, where)})
        assert one.strata[-1].examples == pytest.approx(
            one.pair_weight[one.strata[-1].start :].sum()
        )
    assert (packed.prefixes, packed.strata) == (other.prefixes, other.strata)
    for one, it in zip(packed, other, strict=True):
        if isinstance(one, np.ndarray):
            assert one.shape == it.shape
    assert len(packed.steps) > len(pack(given, where).steps)
