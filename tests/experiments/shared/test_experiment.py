"""What an experiment says and where it writes."""

import json

import jax
import pytest
from support.hostile_data import PAIRS, knowing, lines

from experiments import gender_bias, number_agreement
from experiments.shared import experiment as module
from experiments.shared.experiment import introduction, open_output
from experiments.shared.options import Options
from jaxmask.files.run_folder import RunFolderError, open_run
from jaxmask.models import model_folder
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.pipeline.plan import Design, Plan, Split
from jaxmask.pipeline.prepare import prepare
from jaxmask.search import SearchConfig
from jaxmask.tasks import gender_bias as gender_bias_task
from jaxmask.tasks import number_agreement as number_agreement_task
from jaxmask.tasks.number_agreement import CONSTRUCTIONS


def test_an_experiment_begins_with_what_is_searched(model):
    task = number_agreement_task.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    plan = Plan(SearchConfig(alpha=0.25), Design(split=Split(evaluation=100)), seeds=3)
    prepared = prepare(model_folder.load_model(model), task, plan.design)
    counts = [
        prepared.examples_toward(number, part)
        for number in (0, 1)
        for part in ("train", "evaluation")
    ]
    words = len(prepared.model.vocabulary)
    assert introduction(prepared, plan) == [
        "number_agreement, single-step: 3 seeds, alpha 0.25 (at most 3 of 12 units)",
        f"model: tiny, 2 x 6, {words} words, right on {prepared.model_accuracy:.1f}% of the pairs",
        "pairs: 500 to search on + 100 held out (to singular: {} + {}; to plural: {} + {})".format(
            *counts
        ),
    ]


def test_one_seed_and_less_than_one_unit_are_said_as_they_are(model):
    task = number_agreement_task.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    plan = Plan(SearchConfig(alpha=0.01), Design(split=Split(evaluation=100)), seeds=1)
    lines = introduction(prepare(model_folder.load_model(model), task, plan.design), plan)
    assert lines[:2] == [
        "number_agreement, single-step: 1 seed, alpha 0.01 (at most 1 of 12 units)",
        "alpha 0.01 is less than one of 12 units; one unit is allowed",
    ]
    for alpha, units in ((1 / 12, 12), (0.29, 100), (1.0, 1)):
        assert module.below_one_unit(alpha, units) == []


def test_a_direction_that_is_always_preferred_is_named(model):
    task = number_agreement_task.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    tiny, design = model_folder.load_model(model), Design(split=Split(evaluation=9))
    prepared = prepare(tiny, task, design)
    turned = [
        stimulus
        for stimulus, direction in zip(
            task.stimuli, prepared.encoded.examples.direction, strict=True
        )
        if direction == 1
    ]
    prepared = prepare(tiny, task._replace(stimuli=turned), design)
    last = introduction(prepared, Plan(design=design))[-1]
    assert last == (
        "no pair can be flipped to 'singular', because the model always prefers it already"
    )


def test_a_folder_is_checked_before_any_work_is_done(tmp_path):
    to = open_output(tmp_path / "run", {"alpha": 0.25})
    assert (to.folder, to.settings, to.checkpoint_minutes) == (
        tmp_path / "run", {"alpha": 0.25}, 1.0
    )  # fmt: skip
    assert not list(tmp_path.iterdir())
    open_run(tmp_path / "run", to.settings)
    open_output(tmp_path / "run", to.settings)
    with pytest.raises(RunFolderError, match=r"alpha: 0\.25 there, 0\.5 now"):
        open_output(tmp_path / "run", {"alpha": 0.5})


def test_searches_are_kept_in_the_run_folder(tmp_path):
    to = open_output(tmp_path, {}, checkpoint_minutes=0)
    with module.watched(SearchConfig(), to) as session:
        session.keeper.save("x", {"a": jax.numpy.zeros(3)})
        assert session.observe is not None
        assert session.name == ""
    assert (tmp_path / "checkpoints" / "x").is_dir()


@pytest.mark.slow
def test_a_run_reports_what_was_dropped(tmp_path, capsys):
    for number in range(12):  # enough pairs to split
        for name in CONSTRUCTIONS:
            with (tmp_path / f"{name}.txt").open("a") as file:
                file.write("\n".join(lines(name, number)) + "\n")
    vocabulary = knowing("aunt", "boys", "near")
    config = LSTMConfig(len(vocabulary), 5, 6)
    params = jax.tree.map(lambda leaf: 3 * leaf, init_params(jax.random.key(1), config))
    model_folder.save_model(tmp_path / "model", LSTMModel("small", config, params, vocabulary))
    options = Options(
        model=str(tmp_path / "model"),
        data=tmp_path,
        out=tmp_path / "out",
        alpha=0.25,
        seeds=1,
        steps=10,
        evaluation=50,
        trust="none",
    )
    summary = number_agreement.work(options)
    assert summary["examples"]["dropped"] == 2 * (PAIRS // 2) == 18
    unknown = summary["examples"]["unknown"]
    assert unknown > 0
    printed = capsys.readouterr().out
    assert "dropped: 18 pairs that the vocabulary can't express" in printed
    assert f"read as <unk>: {unknown} other words, which the vocabulary lacks" in printed
    assert f"18 dropped, {unknown} words read as <unk>." in (tmp_path / "out/table.md").read_text()


@pytest.mark.slow
def test_a_run_reports_what_was_left_out(model, tmp_path, capsys):
    entries = [[name, 0, 0] for name in gender_bias_task.PROFESSIONS[:12]] + [["actress", -1, 0]]
    (tmp_path / "professions.json").write_text(json.dumps(entries))
    options = Options(
        model=str(model), data=tmp_path, out=tmp_path / "out", alpha=0.25, seeds=1, steps=10,
        rounds=1, evaluation=50, trust="none",
    )  # fmt: skip
    summary = gender_bias.work(options)
    assert summary["examples"]["left_out"]["professions of a gender by their meaning"] == 1
    assert summary["examples"]["unknown"] == 0
    printed = capsys.readouterr().out
    assert "left out of the data: 1 professions of a gender by their meaning" in printed
    assert "several words" not in printed


def test_measures_of_trust_are_kept_for_a_run_that_is_stopped(tmp_path, monkeypatch):
    """Started again, the run goes on from the measure at which it was stopped."""
    asked = []

    def assess(results, prepared, plan, level, observe, kept):
        asked.append(dict(kept))
        for number, name in enumerate(("accuracy", "unseen")):
            observe(number, name)
            if len(asked) == 1 and name == "unseen":
                raise KeyboardInterrupt
            kept[name] = {"value": number}
        observe(2, "")
        return kept

    monkeypatch.setattr(module, "assess", assess)
    monkeypatch.setattr(module, "identity", lambda results, level: f"of_{results}_{level}")
    to = open_output(tmp_path, {})._replace(trust="fast")
    with pytest.raises(KeyboardInterrupt):
        module.measure_trust("a", None, None, to)
    module.measure_trust("b", None, None, to)  # another set, of which nothing is kept
    again = module.measure_trust("a", None, None, to)
    assert asked == [{}, {}, {"accuracy": {"value": 0}}]
    assert again == {"trust": {"accuracy": {"value": 0}, "unseen": {"value": 1}}}
    (tmp_path / "checkpoints" / "trust_of_a_fast.json").write_text("cut off")
    module.measure_trust("a", None, None, to)
    assert asked[-1] == {}
    assert module.measure_trust("a", None, None, to._replace(trust="none")) == {}
