"""The rule of convergence."""

import pytest

from experiments.studies import convergence
from experiments.studies.convergence import Rule

RULE = Rule(patience=2)


@pytest.mark.parametrize(
    ("accuracies", "holds", "expected"),
    [
        ([], "", False),
        ([0.5], "1", False),
        ([0.5, 0.5], "11", False),
        ([0.5, 0.5, 0.5], "111", True),
        ([0.5, 0.5015, 0.501], "111", True),
        ([0.5, 0.51, 0.51], "111", False),  # a rise starts the count again
        ([0.5, 0.51, 0.51, 0.51], "1111", True),
        ([0.5, 0.5015, 0.503], "111", False),  # small rises add up
        ([0.5, 0.4, 0.3], "111", True),  # a fall is no rise
        ([0.5, 0.4, 0.5], "111", True),  # nor is coming back from one
        ([0.9, 0.5, 0.5, 0.5], "0111", True),  # masks that are too large don't count,
        ([0.1, 0.9, 0.1, 0.1], "1011", True),  # neither as a rise,
        ([0.5, 0.5, 0.5], "101", False),  # nor as an evaluation without one,
        ([0.5, 0.5, 0.5, 0.5], "1110", False),  # and nothing ends with one
    ],
)
def test_converged_when_the_accuracy_no_longer_rises(accuracies, holds, expected):
    assert convergence.converged(accuracies, [held == "1" for held in holds], RULE) == expected


@pytest.mark.parametrize(
    ("units", "expected_l0", "expected"),
    [
        (20, 19.0, True),
        (20, 20.9, True),  # within the slack
        (20, 21.1, False),
        (21, 19.0, False),  # more units than allowed
        (20, None, True),  # nothing relaxed
        (0, 1.0, False),  # no mask at all
    ],
)
def test_the_constraint_is_on_both_masks(units, expected_l0, expected):
    assert convergence.holds(units, expected_l0, 0.02, 1000, Rule(slack=0.05)) == expected
