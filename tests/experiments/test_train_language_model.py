"""Training from the command line: what it writes, and runs that are killed."""

import dataclasses
import json
import lzma
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import train_language_model as script
from experiments.shared.option_types import OptionError
from experiments.training import seed_groups
from experiments.training.options import TrainingOptions, with_recipe
from jaxmask.files.run_folder import RunFolderError
from jaxmask.models.lstm.network import LSTMConfig
from jaxmask.models.model_folder import load_model
from jaxmask.text import corpus

SENTENCES = ["the cat sees a dog .", "a dog sees the cat . <eos>", "", "dogs see cats ."]


@pytest.fixture
def texts(tmp_path):
    """A plain and a compressed file of sentences, and one to validate."""
    plain, compressed, valid = (tmp_path / name for name in ("a.txt", "b.txt.xz", "valid.txt"))
    plain.write_text("\n".join(SENTENCES * 90))
    with lzma.open(compressed, "wt") as file:
        file.write("\n".join(SENTENCES[::-1] * 90))
    valid.write_text("a cat sees the unicorn .\n" * 3)
    return {"train": (plain, compressed), "valid": valid}


TINY = {"words": 9, "embedding": 5, "hidden": 5, "columns": 2, "window": 4, "dropout": 0.1}
TINY |= {"steps": 24, "validate_every": 10, "sampled": 0}


def options(texts, out, **changes):
    return TrainingOptions(out=out, **{**texts, **TINY, **changes})


def weights(written):
    return [load_model(one.folder).params for one in written]


def assert_equal_trees(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_folder_of_plain_or_compressed_files(texts, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.txt").write_text(texts["train"][0].read_text())
    with lzma.open(data / "valid.txt.xz", "wt") as file:
        file.write(texts["valid"].read_text())
    with lzma.open(data / "vocab.txt.xz", "wt") as file:
        file.write("<unk>\n<eos>\ncat\ndog\n")
    *_, vocabulary = chosen = prepared(options({"data": data}, tmp_path / "out"))
    assert vocabulary.words == ("<unk>", "<eos>", "cat", "dog")
    run = script.prepare(*chosen)
    assert run.model == LSTMConfig(4, 5, 5, 2, tied=True)
    assert [corpus.size(file) for file in (run.text.train, run.text.valid)] == [1710, 21]
    (data / "train.txt").unlink()
    with pytest.raises(OptionError, match=r"train\.txt: expected a file"):
        script.train(options({"data": data}, tmp_path / "other"))


def test_starts_from_a_model_and_averages(texts, tmp_path):
    (first,) = script.train(options(texts, tmp_path / "first", half=True, seed=5))
    start = load_model(first.folder)
    assert len(start.vocabulary) == 9
    chosen = options(texts, tmp_path / "second", start_from=first.folder, head=3, sampled=2)
    (trained,) = weights(script.train(chosen))
    averaged = {"average_with": first.folder, "average_weight": 0.25}
    mean = script.train(dataclasses.replace(chosen, **averaged))
    expected = jax.tree.map(lambda old, new: 0.75 * new + 0.25 * old, start.params, trained)
    assert_equal_trees(weights(mean), [expected])
    assert any(map(np.any, jax.tree.leaves(jax.tree.map(np.subtract, trained, start.params))))


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_stopped_run_goes_on_to_the_same_weights(texts, tmp_path, optimizer):
    changes = {"optimizer": optimizer, "seeds": 2, "together": 2, "shuffle": True}
    whole = script.train(options(texts, tmp_path / "whole", **changes))
    folder = tmp_path / "parts"
    parts = [script.train(options(texts, folder, stop=stop, **changes)) for stop in (13, None)]
    assert_equal_trees(weights(parts[1]), weights(whole))
    assert [one.perplexity for one in parts[1]] == [one.perplexity for one in whole]
    metrics = [
        (out / "training" / "seeds_0_1" / "metrics.jsonl").read_text().splitlines()
        for out in (tmp_path / "whole", folder)
    ]
    updates = [[json.loads(line)["update"] for line in lines] for lines in metrics]
    assert updates == [[10, 10, 20, 20, 24, 24], [10, 10, 13, 13, 20, 20, 24, 24]]
    assert metrics[0][:2] == metrics[1][:2]


def test_a_finished_run_is_not_run_again(texts, tmp_path, monkeypatch):
    (first,) = script.train(options(texts, tmp_path / "out"))
    monkeypatch.setattr(seed_groups, "update", None)
    assert script.train(options(texts, tmp_path / "out")) == [first]


def test_sgd_gives_the_weights_with_the_lowest_perplexity(texts, tmp_path):
    changes = {"optimizer": "sgd", "learning_rate": 200.0, "validate_every": 2, "steps": 8}
    (one,) = script.train(options(texts, tmp_path / "out", **changes))
    file = tmp_path / "out" / "training" / "seeds_0" / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = [line["perplexity"] for line in lines]
    assert one.perplexity == pytest.approx(min(found), rel=1e-6)
    assert found[-1] > min(found), "weights that are the last ones too would prove nothing"
    scales, best, expected = 1.0, np.inf, []
    for perplexity in found:
        expected.append(scales)
        scales, best = scales if perplexity < best else scales / 4, min(best, perplexity)
    assert [line["learning_rate_scale"] for line in lines] == expected
    saved = load_model(one.folder)
    valid = corpus.read(tmp_path / "out" / "training" / "valid.tokens")
    end = saved.vocabulary.index["<eos>"]
    perplexity = seed_groups.training.perplexity(saved.params, saved.config, valid, end)
    assert perplexity == pytest.approx(one.perplexity, rel=1e-6)


def test_seeds_together_are_those_one_after_another(texts, tmp_path):
    changes = {"seeds": 2, "seed": 4, "optimizer": "sgd", "shuffle": True}
    together = script.train(options(texts, tmp_path / "together", together=2, **changes))
    apart = script.train(options(texts, tmp_path / "apart", together=1, **changes))
    assert [one.folder.name for one in together] == ["seed_4", "seed_5"]
    assert (tmp_path / "together" / "training" / "seeds_4_5").is_dir()
    assert (tmp_path / "apart" / "training" / "seeds_5").is_dir()
    for one, other in zip(weights(together), weights(apart), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), one, other)
    first, second = weights(together)
    assert np.abs(first["encoder"]["embedding"] - second["encoder"]["embedding"]).max() > 0.01


def test_seeds_are_split_where_they_do_not_fit_into_memory(texts, tmp_path, monkeypatch):
    run = script.prepare(*prepared(options(texts, tmp_path, seeds=5, optimizer="sgd")))
    state = seed_groups.start(
        seed_groups.split_keys(np.arange(2))[0], None, run.model, run.config, run.text.columns
    )
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    need = seed_groups.memory(run, [0, 1])
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state)) < need < machine / 100
    monkeypatch.setattr(seed_groups, "memory", lambda run, seeds: len(seeds) * machine / 10)
    assert seed_groups.groups(run, range(5), None) == [[0, 1, 2, 3, 4]]
    assert seed_groups.groups(run, range(7), None) == [[0, 1, 2, 3], [4, 5, 6]]
    assert seed_groups.groups(run, range(5), 2) == [[0, 1], [2, 3], [4]]
    monkeypatch.setattr(seed_groups, "memory", lambda run, seeds: machine)
    assert seed_groups.groups(run, range(3), None) == [[0], [1], [2]]


def prepared(chosen):
    chosen = with_recipe(chosen)
    script.folder(chosen).mkdir(parents=True)
    files = script.find_files(chosen.data, chosen.train, chosen.valid, chosen.vocabulary)
    vocabulary = script.read_vocabulary(chosen, files)
    return chosen, files, script.new_sizes(chosen, vocabulary), None, vocabulary


def test_snapshots_are_model_folders(texts, tmp_path):
    (one,) = script.train(options(texts, tmp_path / "out", snapshots=(3, 24)))
    early, late = (load_model(one.folder / "snapshots" / str(update)) for update in (3, 24))
    assert late.fingerprint == one.fingerprint != early.fingerprint
    (stopped,) = script.train(options(texts, tmp_path / "stopped", snapshots=(3, 24), stop=3))
    assert stopped.fingerprint == early.fingerprint


@pytest.mark.parametrize(
    "changes",
    [{"clip": 0.5}, {"dropout": 0.0}, {"seeds": 2}, {"optimizer": "sgd"}, {"snapshots": (3,)}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_settings_are_refused(texts, tmp_path, changes):
    script.train(options(texts, tmp_path / "out", stop=2))
    with pytest.raises(RunFolderError, match=next(iter(changes))):
        script.train(options(texts, tmp_path / "out", **changes))


def test_other_text_is_refused(texts, tmp_path):
    script.train(options(texts, tmp_path / "out", stop=2))
    with texts["valid"].open("a") as file:
        file.write("a dog .\n")
    with pytest.raises(RunFolderError, match="; valid: "):
        script.train(options(texts, tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": 0}, "--columns: expected a whole number from 1 to .*, found 0"),
        ({"columns": 5000}, "--columns: expected fewer than 5000"),
        ({"dropout": 1.0}, "--dropout"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"epochs": 2}, "--epochs: expected only one of --epochs and --steps"),
        ({"embedding": 7}, "--embedding: expected 5, the same as --hidden, or --no-tied"),
        ({"snapshots": (25,)}, "--snapshots: expected at most --steps, 24, found 25"),
    ],
)
def test_options_that_cannot_be_used_are_refused(texts, tmp_path, changes, message):
    with pytest.raises(OptionError, match=message):
        script.train(options(texts, tmp_path / "out", **changes))


@pytest.fixture
def poison(monkeypatch):
    """Has the loss of one seed be NaN from an update on; ``poison(seed, update)``."""
    plain = seed_groups.training.window_loss

    def of(seed, number):
        key = seed_groups.split_keys(jnp.array([seed]))[1][0]
        bad = jax.random.key_data(jax.random.fold_in(key, number - 1))

        def window_loss(key, *arguments):
            value, hidden = plain(key, *arguments)
            here = (jax.random.key_data(key) == bad).all()
            return jnp.where(here, jnp.nan, value), hidden

        monkeypatch.setattr(seed_groups.training, "window_loss", window_loss)
        seed_groups.update.clear_cache()

    yield of
    seed_groups.update.clear_cache()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_seed_that_is_not_finite_stops_and_the_others_go_on(
    texts, tmp_path, poison, capsys, optimizer
):
    changes = {"optimizer": optimizer, "seeds": 3, "together": 3, "snapshots": (3, 20)}
    poison(99, 1)  # none of the seeds
    whole = script.train(options(texts, tmp_path / "whole", **changes))
    poison(1, 14)
    chosen = options(texts, tmp_path / "out", **changes)
    found = script.train(chosen)
    assert found[1] == seed_groups.Stopped(1, 14)
    assert_equal_trees(weights(found[::2]), weights(whole[::2]))
    assert not (tmp_path / "out" / "seed_1" / "params.safetensors").exists()
    snapshots = tmp_path / "out" / "seed_1" / "snapshots"
    assert [file.name for file in snapshots.iterdir()] == ["3"]
    file = tmp_path / "out" / "training" / "seeds_0_1_2" / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["update"] for line in lines if line["seed"] == 1] == [3, 10]
    assert [line["update"] for line in lines if line["seed"] == 2] == [3, 10, 20, 24]
    with pytest.raises(OptionError, match=r"^--learning-rate: .*, stopped seed 1 at update 14$"):
        script.work(chosen)  # a finished run, which isn't run again
    assert found[2].fingerprint in capsys.readouterr().out
    assert (tmp_path / "out" / "seed_2" / "params.safetensors").exists()

    parts = dataclasses.replace(chosen, out=tmp_path / "parts")
    script.train(dataclasses.replace(parts, stop=17))
    again = script.train(parts)
    assert again[1] == seed_groups.Stopped(1, 14)
    assert_equal_trees(weights(again[::2]), weights(whole[::2]))


def test_a_run_that_stops_ends_at_once(texts, tmp_path, poison):
    poison(0, 2)
    chosen = options(texts, tmp_path / "out", steps=10**6)
    assert script.train(chosen) == [seed_groups.Stopped(0, 2)]


def test_damaged_and_empty_text_is_refused(texts, tmp_path):
    texts["train"][1].write_bytes(texts["train"][1].read_bytes()[:-20])
    with pytest.raises(OptionError, match=r"b\.txt\.xz: can't be read"):
        script.train(options(texts, tmp_path / "out"))
    texts["valid"].write_text("\n\n")
    texts["train"] = texts["train"][:1]
    with pytest.raises(OptionError, match=r"valid\.txt: expected sentences"):
        script.train(options(texts, tmp_path / "other"))


def command(texts, out, seeds):
    """A run that writes checkpoints all the time."""
    changes = {
        **TINY,
        "steps": 60,
        "checkpoint_minutes": 0,
        "seeds": seeds,
        "out": out,
        "valid": texts["valid"],
    }
    flags = [part for name, value in changes.items() for part in (f"--{name}", str(value))]
    flags = [flag.replace("_", "-") if flag.startswith("--") else flag for flag in flags]
    train = [str(file) for file in texts["train"]]
    return [sys.executable, "-m", "experiments.train_language_model", *flags, "--train", *train]


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_weights_bit_for_bit(texts, tmp_path):
    seeds = 2
    subprocess.run(command(texts, tmp_path / "whole", seeds), check=True, capture_output=True)
    killed = tmp_path / "killed"
    saved = killed / "training" / "seeds_0_1" / "checkpoints"
    rng, kills = np.random.default_rng(0), []
    for checkpoints in (0, 1, 15, 40):  # where it is killed: from the start to near the end
        run = subprocess.Popen(command(texts, killed, seeds), stdout=subprocess.DEVNULL)
        while run.poll() is None and latest(saved) < checkpoints:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))  # within an update, within a checkpoint
        run.send_signal(signal.SIGKILL)
        kills.append(run.wait())
    assert kills == 4 * [-signal.SIGKILL]
    assert 40 <= latest(saved) < 60
    done = subprocess.run(command(texts, killed, seeds), capture_output=True, text=True, check=True)
    assert "from update" in done.stdout
    files = sorted(file.relative_to(killed) for file in killed.glob("**/params.safetensors"))
    assert len(files) == seeds
    for file in files:
        assert (killed / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def latest(checkpoints):
    """The last update of a whole checkpoint."""
    if not checkpoints.is_dir():
        return 0
    return max((int(each.name) for each in checkpoints.iterdir() if each.name.isdigit()), default=0)


def test_a_half_written_checkpoint_is_not_taken_for_a_whole_one(texts, tmp_path):
    (whole,) = script.train(options(texts, tmp_path / "whole"))
    script.train(options(texts, tmp_path / "out", stop=7))
    saved = tmp_path / "out" / "training" / "seeds_0" / "checkpoints"
    half = saved / "24.orbax-checkpoint-tmp"  # as one is called until it is whole
    (half / "default").mkdir(parents=True)
    for file in (saved / "7").glob("**/*"):
        if file.is_file():
            (half / "default" / file.name).write_bytes(file.read_bytes()[:50])
    (again,) = script.train(options(texts, tmp_path / "out"))
    assert_equal_trees(weights([again]), weights([whole]))
