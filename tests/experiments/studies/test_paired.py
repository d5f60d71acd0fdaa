"""Differences between methods are paired over the same examples."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.studies import comparison_tables, paired
from jaxmask.text.examples import Examples


def prepared(size):
    """Examples that all have words and pairs of their own."""
    number = np.arange(size, dtype=np.int32)
    zero = 0 * number
    pair = np.stack([2 * number, 2 * number + 1], axis=1)
    tokens = number[:, None]
    return SimpleNamespace(evaluation=Examples(tokens, zero + 1, zero, pair, zero, zero, zero))


def entry(method, allowed, *flipped):
    return {"method": method, "allowed": allowed, "runs": [{"flipped": one} for one in flipped]}


def test_methods_are_compared_at_the_same_size():
    entries = [
        entry("hard_concrete", 3, "1" * 100, "1" * 90 + "0" * 10),
        entry("greedy", 3, "1" * 92 + "0" * 8),
        entry("random", 3, "0" * 100),
        entry("random", 9, "1" * 100),
        {"method": "reinforce", "allowed": 3, "runs": [{"accuracy": 5.0}]},  # of an earlier version
    ]
    greedy, random = paired.differences(entries, prepared(100))
    assert (greedy["method"], random["method"]) == ("greedy", "random")
    assert greedy["difference"] == pytest.approx(92 - 95)
    assert greedy["interval"][0] <= -3 <= greedy["interval"][1]
    assert random["difference"] == pytest.approx(-95)
    assert random["differs"]


def test_equal_methods_do_not_differ():
    entries = [entry("hard_concrete", 3, "10" * 20), entry("greedy", 3, "01" * 20)]
    (found,) = paired.differences(entries, prepared(40))
    assert found["difference"] == 0.0
    assert not found["differs"]


def test_the_table_says_how_many_comparisons_there_are():
    summary = {
        "task": "number_agreement", "intervention": "single", "model": {"name": "m"},
        "paired": [
            {"method": "greedy", "allowed": 3, "difference": -3.0, "interval": [-6.0, 0.5],
             "differs": False}
        ] * 2,
    }  # fmt: skip
    [table] = comparison_tables.paired_tables(summary)
    assert table.rows[0] == ("greedy", "3", "-3.0", "-6.0 to +0.5", "no")
    assert "all 2 comparisons" in table.note
    del summary["paired"]
    assert comparison_tables.paired_tables(summary) == []
