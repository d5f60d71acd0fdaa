"""What the study of robustness does with one model."""

import json

import jax
import numpy as np
import pytest

from experiments.shared.option_types import OptionError
from experiments.studies import robustness_runs
from experiments.studies.needed_units import GreedyCurve
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds
from jaxmask.pipeline.plan import Design, Split
from jaxmask.pipeline.prepare import prepare
from jaxmask.tasks import number_agreement


def test_greedy_selection_s_needed_units_and_what_they_do():
    curve = GreedyCurve([7, 3, 9], [0.2, 0.8, 0.9], [0.1, 0.7, 0.95])
    found = robustness_runs._of_greedy(curve, 0.75)
    assert found["n_units"] == 2
    assert found["units"] == [3, 7]
    assert (found["accuracy"], found["train_accuracy"]) == pytest.approx((70.0, 80.0))
    found = robustness_runs._of_greedy(curve, 0.99)
    assert (found["n_units"], found["tried"]) == (None, 3)
    assert found["accuracy"] == pytest.approx(95.0)


def test_agreement_is_counted_by_group(model):
    task = number_agreement.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    prepared = prepare(model_folder.load_model(model), task, Design(split=Split(evaluation=9)))
    examples = prepared.encoded.examples
    odds = log_odds(prepared.model.params, examples, prepared.context)
    found = robustness_runs.agreement(prepared)
    for number, name in enumerate(prepared.encoded.groups):
        here = examples.group == number
        right = np.where(examples.correct == 0, odds > 0, odds <= 0)[here]
        assert found[name] == pytest.approx(100 * right.mean())
    total = sum(found[g] * np.mean(examples.group == n) for n, g in enumerate(found))
    assert total == pytest.approx(prepared.model_accuracy)


def write_metrics(folder, lines):
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_perplexity_is_what_training_measured(tmp_path):
    lines = [
        {"update": update, "seed": seed, "perplexity": 10.0 * seed + update}
        for update in (5, 9)
        for seed in (0, 1)
    ]
    write_metrics(tmp_path / "training" / "seeds_0_1", lines)
    of = robustness_runs.trained_perplexity
    assert of(tmp_path / "seed_1") == 19.0
    assert of(tmp_path / "seed_0") == 9.0
    assert of(tmp_path / "seed_1" / "snapshots" / "5") == 15.0
    assert of(tmp_path / "seed_1" / "snapshots" / "6") is None
    assert of(tmp_path / "seed_2") is None
    assert of(tmp_path / "elsewhere") is None
    alone = tmp_path / "alone"
    write_metrics(alone / "training" / "seeds_4", [{"update": 3, "seed": 4, "perplexity": 7.0}])
    assert of(alone) == of(alone / "snapshots" / "3") == 7.0
    sgd = {"update": 3, "seed": 4, "perplexity": 7.0, "learning_rate_scale": 1.0}
    write_metrics(tmp_path / "sgd" / "training" / "seeds_4", [sgd])
    assert of(tmp_path / "sgd") is None  # its best weights aren't the last
    assert of(tmp_path / "sgd" / "snapshots" / "3") == 7.0


def test_models_that_can_not_be_told_apart_are_refused(model, tmp_path):
    with pytest.raises(OptionError, match="same model"):
        robustness_runs.identify((str(model), str(model)), model_folder.load_model)
    tiny = model_folder.load_model(model)
    params = jax.tree.map(lambda x: 1.5 * x, tiny.params)
    model_folder.save_model(tmp_path / "b", tiny._replace(params=params))
    with pytest.raises(OptionError, match="'tiny' twice"):
        robustness_runs.identify((str(model), str(tmp_path / "b")), model_folder.load_model)
