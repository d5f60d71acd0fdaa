"""Several models side by side: what is computed from their results, and what is kept of them."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from experiments.shared.setup import OptionError, Options, load_task, prepare
from matplotlib.figure import Figure

from experiments import robustness
from experiments.robustness import RobustnessOptions
from experiments.shared import report_search
from experiments.shared.console import print_table
from experiments.studies import needed_units, robustness_runs, robustness_tables
from experiments.studies.needed_units import GreedyCurve
from jaxmask.files.run_folder import RunFolderError
from jaxmask.models import model_folder
from jaxmask.models.lstm.reading import log_odds
from jaxmask.runs.programs import Programs
from jaxmask.tasks import number_agreement

GROUPS = ("adv", "adv_adv", "adv_conjunction", "namepp", "nounpp", "nounpp_adv", "simple")


def entry(name, runs, greedy=3, right=90.0, perplexity=100.0, **changes):
    """A model's results; runs are (accuracy, units)."""
    accuracy, units = zip(*runs, strict=True)
    counts = [len(found) for found in units]
    there = sorted(set().union(*units))
    value = {"mean": 1.0, "std": 0.0}
    prevalence = [
        {"unit": unit, "layer": 1, "column": unit, "singular": value, "plural": value,
         "prevalence": 100.0 * sum(unit in found for found in units) / len(units)}
        for unit in there
    ]  # fmt: skip
    by_direction = {"singular": 90.0, "plural": 90.0}
    return {
        "name": name, "fingerprint": name, "layers": 2, "hidden": 5, "vocabulary": 9,
        "perplexity": perplexity, "model_accuracy": right, "reached": True,
        "prevalence": prevalence,
        "agreement": dict.fromkeys(GROUPS, 90.0), "alpha": 0.3, "train_accuracy": 90.0,
        "accuracy": {"mean": np.mean(accuracy), "std": np.std(accuracy, ddof=1)},
        "n_units": {"mean": np.mean(counts), "std": np.std(counts, ddof=1)},
        "greedy": {"n_units": greedy, "tried": 8, "accuracy": 91.0, "units": [1, 2]},
        "runs": [
            {"accuracy": a, "train_accuracy": a, "n_units": len(u), "units": u,
             "values": {"singular": {}, "plural": {}},
             "accuracy_by_direction": by_direction}
            for a, u in runs
        ],
    } | changes  # fmt: skip


MODELS = [
    entry("a", [(90.0, [1, 2]), (88.0, [2, 3]), (92.0, [1, 2])], perplexity=80.0),
    entry("b", [(86.0, [1, 2, 3]), (86.0, [1, 2, 3]), (86.0, [1, 2, 3])], greedy=5),
]
SNAPSHOTS = [
    entry("a-500", [(90.0, [1]), (90.0, [1])], right=70.0, perplexity=150.0),
    entry("a-50", [(80.0, [1, 2]), (80.0, [1, 3])], None, 52.0, 400.0, reached=False),
]


def summary(models=MODELS, snapshots=SNAPSHOTS, **changes):
    found = {
        "task": "number_agreement", "intervention": "single", "context": "eos", "kl_weight": 0.0,
        "wanted": 88.7, "alpha": None, **robustness_tables.summarise(models, snapshots),
    }  # fmt: skip
    return found | changes


def test_means_and_deviations_are_those_worked_out_by_hand():
    found = summary()
    # (90 + 88 + 92 + 3 * 86) / 6 = 88; squares of differences 4 + 0 + 16 + 3 * 4 = 32, by 5.
    assert found["accuracy"] == pytest.approx({"mean": 88.0, "std": np.sqrt(32 / 5)})
    assert found["n_units"] == pytest.approx({"mean": 2.5, "std": np.sqrt(6 * 0.25 / 5)})
    over = found["over_models"]
    assert over["accuracy"] == pytest.approx({"mean": 88.0, "std": np.sqrt(8)})  # of 90 and 86
    assert over["n_units"] == pytest.approx({"mean": 2.5, "std": np.sqrt(0.5)})
    assert over["greedy_units"] == pytest.approx({"mean": 4.0, "std": np.sqrt(2)})
    assert over["perplexity"]["mean"] == 90.0
    assert [one["name"] for one in found["snapshots"]] == ["a-50", "a-500"]  # as trained


def test_a_mean_that_lacks_a_model_is_not_given():
    missing = entry("c", [(90.0, [1]), (90.0, [1])], None, perplexity=None)
    over = summary([*MODELS, missing])["over_models"]
    assert over["greedy_units"]["mean"] is over["perplexity"]["mean"] is None
    assert over["greedy_accuracy"]["mean"] == 91.0


def test_overlap_is_that_worked_out_by_hand():
    within, across = (summary()["overlap"][part] for part in ("within", "across"))
    # {1,2} {2,3}: 1 of 3; {1,2} {1,2}: 2 of 2; {2,3} {1,2}: 1 of 3. By chance 2 * 2 / 10.
    assert within[0] == pytest.approx({"shared": 4 / 3, "jaccard": 5 / 9, "expected": 0.4})
    assert within[1] == pytest.approx({"shared": 3.0, "jaccard": 1.0, "expected": 0.9})
    # Each of a's sets has two of the three units of b's.
    assert across == pytest.approx({"shared": 2.0, "jaccard": 2 / 3, "expected": 0.6})
    other_size = [MODELS[0], MODELS[1] | {"hidden": 6}]
    assert summary(other_size)["overlap"]["across"]["jaccard"] is None
    alone = entry("a", [(90.0, [1, 2])] * 2)
    assert robustness_tables.overlap(iter([(set(), set(), 10)]))["jaccard"] is None
    assert summary([alone])["overlap"]["across"]["shared"] is None


def test_overlap_by_chance_is_what_random_sets_share():
    random = np.random.default_rng(0)
    draws = [[set(random.permutation(30)[:k].tolist()) for k in (6, 10)] for _ in range(4000)]
    found = robustness_tables.overlap((a, b, 30) for a, b in draws)
    assert found["shared"] == pytest.approx(found["expected"], rel=0.03)
    assert found["expected"] == pytest.approx(2.0)


def test_tables_fit_the_terminal_and_have_the_paper_s_row(capsys):
    wide = [
        entry(f"seed_{number}-10000", [(100.0, [1, 2]), (87.6, [2, 3])], 80, 99.9, 1234.5)
        for number in range(10)
    ]
    given = summary(wide[:5], wide[5:])
    tables = robustness_tables.tables(given)
    for table in tables:
        print_table(table)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        for row in table.rows:  # none was wrapped
            assert sum(line.startswith(row[0] + "  ") for line in lines) == 1, row
    by_name = {row[0]: row for row in tables[0].rows}
    assert by_name["paper"][3:5] == ("88.7 ± 2.6", "4.7 ± 0.5")
    assert tables[1].rows[-1][0] == "across models"
    assert "aren't aligned" in tables[1].note
    every = robustness_tables.model_table(given | {"intervention": "every"})
    assert "paper" not in [row[0] for row in every.rows]


def test_what_is_missed_is_said():
    found = summary()
    table = robustness_tables.snapshot_table(found)
    assert table.rows[0][:3] == ("a-50", "400.0", "52.0")
    assert table.rows[0][5] == "> 8"
    assert "miss that on a-50." in table.note
    assert "miss" not in robustness_tables.model_table(found).note
    text = robustness_tables.markdown(found)
    assert "## Units of a-500" in text
    assert "Greedy selection's: 1 2." in text


def test_without_right_forms_there_is_no_table_of_them():
    unknown = [one | {"model_accuracy": None, "agreement": {}} for one in (*MODELS, *SNAPSHOTS)]
    found = summary(unknown[:2], unknown[2:], task="gender_bias")
    assert len(robustness_tables.tables(found)) == 3
    assert "prefers" not in robustness_tables.snapshot_table(found).note
    assert len(robustness_tables.figure(found).axes) == 1


def test_the_figure_has_each_snapshot_and_hollow_marks_for_what_is_missed():
    figure = robustness_tables.figure(summary())
    assert isinstance(figure, Figure)
    upper, lower = figure.axes
    lines = {line.get_label(): line for line in upper.get_lines()}
    np.testing.assert_array_equal(lines["search"].get_xydata(), [[400, 2], [150, 1]])
    np.testing.assert_array_equal(lines["greedy selection"].get_xydata(), [[400, 8], [150, 3]])
    hollow = [line for line in upper.get_lines() if line.get_markerfacecolor() == "white"]
    drawn = [line.get_xydata().tolist() for line in hollow if len(line.get_xdata())]
    assert drawn == [[[400, 2]], [[400, 8]]]
    assert upper.get_xlim()[0] > upper.get_xlim()[1]  # perplexity falls to the right
    np.testing.assert_array_equal(lower.get_lines()[0].get_ydata(), [52, 70])
    assert [text.get_text() for text in lower.texts] == ["50", "500"]


class Fake:
    """Searches whose training accuracy is known for each size."""

    def __init__(self, accuracies):
        self.accuracies, self.sizes = accuracies, []

    def run(self, name, options, *, material, programs, reuse):
        units = round(options.alpha * material.model.config.units)
        self.sizes.append((units, options.out.name))
        return {"runs": [{"train_accuracy": x} for x in self.accuracies[units]]}


@pytest.mark.parametrize(
    ("start", "sizes", "reached"), [(2, [2, 3], True), (3, [3], True), (4, [4, 5], False)]
)
def test_what_misses_the_accuracy_gets_one_unit_more(
    start, sizes, reached, tmp_path, model, monkeypatch
):
    accuracies = {2: [80.0, 69.0], 3: [76.0, 74.0], 4: [70.0, 70.0], 5: [70.0, 70.0]}
    fake = Fake(accuracies)
    monkeypatch.setattr(report_search, "run", fake.run)
    monkeypatch.setattr(needed_units, "MOST", 5 / 12)

    material = SimpleNamespace(model=model_folder.load_model(model))
    options = Options(out=tmp_path)
    found = needed_units.search_until("t", options, material, 0.75, start, Programs())
    assert fake.sizes == [(n, f"{n}_units") for n in sizes]
    assert found.reached == reached
    assert found.options.alpha == pytest.approx(sizes[-1] / 12)


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
    task = load_task(number_agreement.NAME, None)
    material = prepare(
        Options(evaluation=9),
        task._replace(stimuli=task.stimuli[::20]),
        model_folder.load_model(model),
    )
    examples = material.encoded.examples
    odds = log_odds(material.model.params, examples, material.context)
    found = robustness_runs.agreement(material)
    for number, name in enumerate(material.encoded.groups):
        here = examples.group == number
        right = np.where(examples.correct == 0, odds > 0, odds <= 0)[here]
        assert found[name] == pytest.approx(100 * right.mean())
    total = sum(found[g] * np.mean(examples.group == n) for n, g in enumerate(found))
    assert total == pytest.approx(material.model_accuracy)


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


def test_what_is_finished_is_not_done_again(model, tmp_path, monkeypatch):
    """Stopped in the second model, the study goes on with it; other settings are refused."""
    other = tmp_path / "other"
    tiny = model_folder.load_model(model)
    params = jax.tree.map(lambda x: 1.5 * x, tiny.params)
    model_folder.save_model(other, tiny._replace(name="other", params=params))
    options = RobustnessOptions(models=(str(model), str(other)), out=tmp_path / "out", evaluation=9)
    done = []

    def searched(task, options, goal, material, wanted, greedy, programs):
        if len(done) == 1 and "stopped" not in done:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(material.model.name)
        summary = entry(material.model.name, [(90.0, [1, 2]), (80.0, [1])]) | {"examples": {}}
        summary["kl"] = {"mean": 0.0, "std": 0.0}
        return needed_units.Searches(summary, options, True)

    curve = GreedyCurve([7, 3], [0.2, 0.9], [0.1, 0.7])
    monkeypatch.setattr(robustness_runs, "_search", searched)
    monkeypatch.setattr(needed_units, "greedy_curve", lambda *_: curve)
    task = load_task(number_agreement.NAME, None)
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
    assert json.loads((options.out / "config.json").read_text())["searches"] == 3
    with pytest.raises(RunFolderError, match="accuracy"):
        robustness.work(dataclasses.replace(options, accuracy=70.0))


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
        robustness.check_options(RobustnessOptions(**{"models": ("demo",), **fault}))


def test_files_that_are_not_there_are_refused(tmp_path):
    options = RobustnessOptions(models=("demo",), valid=tmp_path / "none.txt")
    with pytest.raises(OptionError, match="--valid"):
        robustness.check_options(options)
    with pytest.raises(OptionError, match="found both"):
        robustness.check_options(dataclasses.replace(options, valid=None, corpus=tmp_path))


def test_models_that_can_not_be_told_apart_are_refused(model, tmp_path):
    with pytest.raises(OptionError, match="same model"):
        robustness_runs.identify((str(model), str(model)), Options())
    tiny = model_folder.load_model(model)
    params = jax.tree.map(lambda x: 1.5 * x, tiny.params)
    model_folder.save_model(tmp_path / "b", tiny._replace(params=params))
    with pytest.raises(OptionError, match="'tiny' twice"):
        robustness_runs.identify((str(model), str(tmp_path / "b")), Options())


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
