"""Several models side by side, from end to end."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from support.robustness_models import entry

from experiments import robustness
from experiments.robustness import RobustnessOptions
from experiments.shared.option_types import OptionError
from experiments.studies import needed_units, robustness_runs
from experiments.studies.needed_units import GreedyCurve
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import Kind
from jaxmask.models import model_folder
from jaxmask.objective import NoKL
from jaxmask.pipeline.plan import Split
from jaxmask.tasks import number_agreement


def test_what_is_finished_is_not_done_again(model, tmp_path, monkeypatch):
    """Stopped in the second model, the study goes on with it; other settings are refused."""
    other = tmp_path / "other"
    tiny = model_folder.load_model(model)
    params = jax.tree.map(lambda x: 1.5 * x, tiny.params)
    model_folder.save_model(other, tiny._replace(name="other", params=params))
    options = RobustnessOptions(models=(str(model), str(other)), out=tmp_path / "out", evaluation=9)
    done = []

    def searched(place, prepared, goal, greedy, resources):
        if len(done) == 1 and "stopped" not in done:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(prepared.model.name)
        summary = entry(prepared.model.name, [(90.0, [1, 2]), (80.0, [1])]) | {"examples": {}}
        summary["kl"] = {"mean": 0.0, "std": 0.0}
        return needed_units.Searches(summary, goal.plan, place, True)

    curve = GreedyCurve([7, 3], [0.2, 0.9], [0.1, 0.7])
    monkeypatch.setattr(robustness_runs, "_search", searched)
    monkeypatch.setattr(needed_units, "greedy_curve", lambda *_: curve)
    task = number_agreement.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    monkeypatch.setattr(robustness, "load_task", lambda name, data: task)
    with pytest.raises(KeyboardInterrupt):
        robustness.work(options)
    assert not (options.out / "summary.json").exists()
    found = robustness.work(options)
    assert done == ["tiny", "stopped", "other"]
    assert [one["name"] for one in found["models"]] == ["tiny", "other"]
    there = json.loads((options.out / "summary.json").read_text())
    assert there["accuracy"]["mean"] == 85.0
    assert there["models"][0]["greedy"]["accuracy"] == pytest.approx(70.0)
    assert "## Units of other" in (options.out / "table.md").read_text()
    config = json.loads((options.out / "config.json").read_text())
    assert (config["seeds"], config["accuracy"], config["sparsest"]) == (3, 88.7, True)
    with pytest.raises(RunFolderError, match=r"configuration; accuracy: 88\.7 there, 70\.0 now;"):
        robustness.work(dataclasses.replace(options, accuracy=70.0))


def test_options_reach_the_searches(tmp_path):
    options = RobustnessOptions(
        models=("demo",), place="every", context="none", accuracy=70.0, searches=2, steps=9,
        evaluation=5, split="word", split_seed=4, data=tmp_path,
    )  # fmt: skip
    goal = options.goal()
    assert (goal.percent, goal.sparsest, goal.valid) == (70.0, True, None)
    assert goal.plan.seeds == 2
    assert goal.plan.design == (Kind(place="every"), "none", Split(5, "word", 4), tmp_path.name)
    config = goal.plan.config
    assert (config.kl_weight, config.kl, config.steps) == (0.0, NoKL(), 9)
    given = dataclasses.replace(options, alpha=0.3).goal()
    assert not given.sparsest
    assert (given.plan.config.alpha, given.plan.config.most_fractional) == (0.3, 0.3)


def test_trained_models_take_the_place_of_their_text(tmp_path):
    folders = [tmp_path / "seed_0", tmp_path / "seed_1"]
    first = folders[0] / "snapshots"
    for place in (first / "2", first / "4", folders[1]):
        place.mkdir(parents=True)
    options = RobustnessOptions(
        corpus=tmp_path, train_snapshots=(2, 4), train_steps=4, snapshots=("demo",)
    )
    options.check()
    trained = options.with_trained(folders)
    trained.check()
    assert trained.models == tuple(map(str, folders))
    assert trained.snapshots == ("demo", str(first / "2"), str(first / "4"))


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"models": ()}, "--models"),
        ({"accuracy": 0.0}, "--accuracy"),
        ({"accuracy": 101.0}, "--accuracy"),
        ({"searches": 0}, "--searches"),
        ({"alpha": 2.0}, "--alpha"),
        ({"steps": 0}, "--steps"),
        ({"train_steps": 5}, "--corpus"),
    ],
)
def test_options_out_of_range_are_refused(fault, named):
    with pytest.raises(OptionError, match=named):
        RobustnessOptions(**{"models": ("demo",), **fault}).check()


def test_files_that_are_not_there_are_refused(tmp_path):
    options = RobustnessOptions(models=("demo",), valid=tmp_path / "none.txt")
    with pytest.raises(OptionError, match="--valid"):
        options.check()
    with pytest.raises(OptionError, match="found both"):
        dataclasses.replace(options, valid=None, corpus=tmp_path).check()


def test_snapshots_need_a_perplexity(model):
    options = RobustnessOptions(snapshots=(str(model),))
    with pytest.raises(OptionError, match="--valid"):
        robustness.work(options)


@pytest.mark.slow
def test_from_training_to_the_figure(tmp_path, capsys):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    words = sorted(number_agreement.WORDS)
    random = np.random.default_rng(0)
    for name, lines in (("train.txt", 300), ("valid.txt", 20)):
        text = (" ".join(random.choice(words, 9)) for _ in range(lines))
        (corpus / name).write_text("\n".join(text) + "\n")
    options = RobustnessOptions(
        corpus=corpus, out=tmp_path / "out", train_seeds=2, train_steps=4, train_snapshots=(2, 4),
        searches=2, steps=10, rounds=1, accuracy=30.0,
    )  # fmt: skip
    found = robustness.work(options)
    assert [one["name"] for one in found["models"]] == ["seed_0", "seed_1"]
    assert sorted(one["name"] for one in found["snapshots"]) == ["seed_0-2", "seed_0-4"]
    assert all(one["perplexity"] > 1 for one in (*found["models"], *found["snapshots"]))
    for one in found["models"]:
        assert one["reached"] == (one["train_accuracy"] >= 30.5)
        assert 0 < one["n_units"]["mean"] <= one["alpha"] * 600 + 1e-6
    figure = options.out / "figures" / "units_and_perplexity.png"
    assert figure.stat().st_size > 10_000
    capsys.readouterr()
    assert robustness.work(options)["models"] == found["models"]
    assert "searching" not in capsys.readouterr().out
