"""How many units an accuracy takes: by the search, and by greedy selection."""

from types import SimpleNamespace

import pytest

from experiments.studies import needed_units, searches
from experiments.studies.needed_units import Goal, GreedyCurve
from experiments.studies.searches import Resources
from jaxmask.intervention import Site
from jaxmask.pipeline.plan import Plan
from jaxmask.runs.programs import Programs


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([0.2, 0.8, 0.9], 2), ([0.8, 0.6, 0.9], 3), ([0.1, 0.2], None), ([0.9], 1)],
)
def test_greedy_needs_as_many_units_as_reach_it_for_good(curve, expected):
    assert GreedyCurve([], curve, []).needed(0.7) == expected


def test_a_little_more_is_wanted_on_training_examples_but_never_all():
    assert needed_units.wanted_on_training(88.7) == pytest.approx(0.892)
    assert needed_units.wanted_on_training(100.0) == 0.999


class Fake:
    """Searches whose training accuracy is known for each size."""

    def __init__(self, accuracies):
        self.accuracies, self.sizes = accuracies, []

    def run(self, prepared, plan, folder, resources):
        units = round(plan.config.alpha * prepared.site.units)
        assert plan.config.most_fractional == plan.config.alpha
        self.sizes.append((units, folder.name))
        return {"runs": [{"train_accuracy": x} for x in self.accuracies[units]]}


@pytest.mark.parametrize(
    ("start", "sizes", "reached"), [(2, [2, 3], True), (3, [3], True), (4, [4, 5], False)]
)
def test_what_misses_the_accuracy_gets_one_unit_more(start, sizes, reached, tmp_path, monkeypatch):
    accuracies = {2: [80.0, 69.0], 3: [76.0, 74.0], 4: [70.0, 70.0], 5: [70.0, 70.0]}
    fake = Fake(accuracies)
    monkeypatch.setattr(needed_units, "run_or_read", fake.run)
    monkeypatch.setattr(needed_units, "MOST", 5 / 12)

    prepared = SimpleNamespace(site=Site("hidden", 2, 6))
    found = needed_units.search_until(
        tmp_path, prepared, Plan(), Goal(0.75, start), Resources(Programs())
    )
    assert fake.sizes == [(n, f"{n}_units") for n in sizes]
    assert found.reached == reached
    assert found.folder == tmp_path / f"{sizes[-1]}_units"
    assert found.plan.config.alpha == pytest.approx(sizes[-1] / 12)


def test_the_training_accuracy_is_the_mean_over_runs():
    summary = {"runs": [{"train_accuracy": 80.0}, {"train_accuracy": 70.0}]}
    assert searches.train_accuracy(summary) == 75.0
