"""Single-unit ablation, after Lakretz et al."""

import json

import numpy as np
import pytest

from experiments.studies import ablations
from experiments.studies.ablations import Ablations, Sample
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds, read_context
from jaxmask.tasks import number_agreement
from jaxmask.text import examples


@pytest.mark.slow
def test_ablation_is_the_fall_of_the_accuracy_without_a_unit(model):
    tiny, task = model_folder.load_model(model), number_agreement.generate(0)
    found = ablations.ablate(tiny, task, Sample(examples=10**6))
    assert found.drop.shape == (14, 12)
    encoded = examples.encode(task, tiny.vocabulary)
    context = read_context(tiny.params, tiny.vocabulary.encode(["<eos>"]))
    odds = log_odds(tiny.params, encoded.examples, context)
    for name, untouched in zip(found.conditions, found.untouched, strict=True):
        group, number = name.split(", ")
        rows = (encoded.examples.group == encoded.groups.index(group)) & (
            encoded.examples.correct == task.directions.index(number)
        )
        right = (odds[rows] > 0) == (number == "singular")
        assert untouched == pytest.approx(100 * right.mean(), abs=0.01)
    content = json.loads(json.dumps(ablations.content(found)))
    again = ablations.from_content(content)
    np.testing.assert_allclose(again.drop, found.drop, atol=1e-3)
    assert again.found == found.found


def test_found_units_are_numbered_from_1_and_ranked_by_their_largest_fall(model):
    drop = np.zeros((2, 12))
    drop[1, 3], drop[0, 3], drop[0, 7], drop[0, 0] = 40.0, 10.0, 9.9, 10.0
    found = Ablations(("simple, singular", "adv, plural"), np.array([90.0, 80.0]), drop)
    assert found.found == [1, 4]
    table = ablations.table(found, model_folder.load_model(model), most=3)
    assert table.rows == (
        ("4", "1, 4", "40.0", "25.0", "adv, plural", "80.0"),
        ("1", "1, 1", "10.0", "5.0", "simple, singular", "90.0"),
        ("8", "2, 2", "9.9", "5.0", "simple, singular", "90.0"),
    )
    assert "10 points on: 2 of 12 here" in table.note
