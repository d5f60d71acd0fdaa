"""Command lines that can't be used: a sentence, at once, and no traceback."""

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import jax
import pytest

from converters import gulordava, to_torch
from experiments import compare_methods, number_agreement, pareto
from experiments.shared import loading
from experiments.shared.option_types import OptionError
from experiments.shared.options import Options
from jaxmask import search
from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models import model_folder
from jaxmask.models.language_model import ModelError
from jaxmask.pipeline.prepare import SplitError

SECONDS = 1.0


def fails(monkeypatch, capsys, script: str, *words: Any) -> str:
    """The only line that a script prints, and that it compiles nothing and takes no time."""
    module = importlib.import_module(f"experiments.{script}")
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    compiled = []

    def note(event: str, *_: Any, **__: Any) -> None:
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    start = time.process_time()
    try:
        with pytest.raises(SystemExit) as ended:
            module.main()
    finally:
        seconds = time.process_time() - start
        jax.monitoring.unregister_event_duration_listener(note)
    assert seconds < SECONDS
    assert not [event for event in compiled if "backend_compile" in event]
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    if ended.value.code == 2:  # by the parser
        return printed.err
    assert printed.out == ""
    assert isinstance(ended.value.code, str)  # printed by Python, with status 1
    assert ended.value.code.isprintable()
    assert ended.value.code.startswith("error: ")
    return ended.value.code.removeprefix("error: ")


@pytest.fixture
def files(tmp_path_factory, tmp_path, model):
    """What command lines below name."""
    places = tmp_path_factory.mktemp("places")
    (places / "file.txt").write_text("The boy greets .\n")
    (places / "model.pt").write_bytes(b"")
    model_folder.load_model(model), search.budget(12, 0.3)  # what is compiled once is, now
    (tmp_path / "latin.txt").write_bytes("caf\xe9 \xe9t\xe9\n".encode("latin-1") * 9)
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "cut.xz").write_bytes(b"\xfd7zXZ\x00\x00")
    (tmp_path / "folder").mkdir()
    (tmp_path / "many.txt").write_text("\n".join(f"word{n}" for n in range(99)))
    return {
        "file": places / "file.txt",
        "pt": places / "model.pt",
        "model": model,
        **{path.stem: path for path in tmp_path.iterdir()},
        "new": tmp_path / "new",
    }


SEARCH = "number_agreement"
TRAIN = ("train_language_model", "--train", "{file}", "--valid", "{file}", "--out", "{new}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((SEARCH, "--alpha", "0"), "^--alpha: expected a number from 1e-06 to 1, found 0.0$"),
        ((SEARCH, "--alpha", "2"), "^--alpha: .* found 2.0$"),
        ((SEARCH, "--alpha", "nan"), "^--alpha: .* found nan$"),
        ((SEARCH, "--alpha", "-inf"), "--alpha"),
        ((SEARCH, "--alpha", "much"), "--alpha"),
        ((SEARCH, "--seeds", "0"), "^--seeds: expected a whole number from 1 to 10000, found 0$"),
        ((SEARCH, "--seeds", "2.5"), "--seeds"),
        ((SEARCH, "--intervention", "double"), "--intervention"),
        ((SEARCH, "--beam", "3"), "--beam"),
        (
            (SEARCH, "--model", "nothing"),
            "^--model: expected demo, .* found none at nothing; .* none is downloaded$",
        ),
        ((SEARCH, "--model", "{file}"), "^--model: .* found the file "),
        ((SEARCH, "--model", "{folder}"), r"folder/config\.json: missing"),
        ((SEARCH, "--model", "{pt}"), "^--vocab: expected the vocabulary of "),
        ((SEARCH, "--model", "{pt}", "--vocab", "{file}"), r"model\.pt: "),
        (
            (SEARCH, "--vocab", "{file}"),
            "^--vocab: expected a PyTorch checkpoint as --model with it",
        ),
        (
            (SEARCH, "--data", "nothing"),
            "^--data: expected a file or a folder, found none",
        ),
        (
            (SEARCH, "--data", "{file}"),
            "^--data: expected the folder of number_agreement",
        ),
        ((SEARCH, "--data", "{folder}"), r"folder/.*\.txt: expected"),
        ((SEARCH, "--text", "{folder}"), "^--text: expected a file, found the folder "),
        ((SEARCH, "--text", "{latin}"), r"^--text: .*latin\.txt: expected sentences"),
        ((SEARCH, "--text", "{empty}"), r"^--text: .*empty\.txt: expected sentences"),
        ((SEARCH, "--text", "{cut}"), r"^--text: .*cut\.xz: expected sentences"),
        ((SEARCH, "--out", "{file}"), "^--out: expected a folder that can be written, found "),
        ((SEARCH, "--out", "{file}/below"), "^--out: .*Not a directory"),
        (
            (SEARCH, "--out", "/proc/below"),
            "/proc/below .No such file or directory.$",
        ),
        ((SEARCH, "--method", "hard_concrete_paper", "--rounds", "2"), "^--rounds: expected none"),
        ((SEARCH, "--evaluation", "12000"), "^--evaluation: expected 1 to 11999 of 12000 examples"),
        (
            (SEARCH, "--evaluation", "11999", "--split", "word"),
            "^--evaluation: .* leaves no examples to train",
        ),
        (("gender_bias", "--evaluation", "2873"), "^--evaluation: expected 1 to 2872 of 2873"),
        (("gender_bias", "--data", "{folder}"), r"folder/professions\.json: "),
        (("variants", "--task", "both"), "--task"),
        (("compare_methods", "--units", "1", "13"), "^--units: expected at most 12, .* found 13$"),
        (("compare_methods", "--methods"), "^--methods: expected at least one, found none$"),
        (
            ("compare_methods", "--units", "4", "--alpha", "--methods", "exhaustive"),
            "^--methods: expected one that can be run at",
        ),
        (("compare_methods", "--methods", "magic"), "--methods"),
        (("summary", "--model"), "^--model: expected at least one, found none$"),
        (("summary", "--context", "poem"), "--context"),
        (("summary", "--data", "{folder}"), "number_agreement/.*: expected"),
        (("reproduce_paper", "--text", "{empty}"), "^--text: "),
        (("reproduce_paper", "--kl-weight", "0"), "^--kl-weight: expected a number from 1e-06"),
        (("reproduce_paper", "--model", "demo", "nothing"), "^--model: .* found none at nothing"),
        (("figures", "--run", "nothing"), "^--run: expected a folder"),
        (("figures", "--run", "{folder}"), "config.json: expected a run's configuration"),
        (("single_unit_ablation", "--examples", "0"), "^--examples: "),
        (("single_unit_ablation", "--out", "{file}"), "^--out: "),
        (("benchmark", "--only"), "^--only: expected at least one, found none$"),
        (("benchmark", "--naive-steps", "-1"), "--naive-steps"),
        (
            ("benchmark_training", "--embedding", "7"),
            "^--embedding: expected 300, the same as --hidden",
        ),
        (("supplementary_text", "--out", "{new}", "--text"), "^--text: expected at least one"),
        (("supplementary_text", "--out", "{new}", "--text", "nothing"), "^--text: expected a file"),
        (("verify_gulordava", "--model", "demo", "--reference", "nothing"), "^--reference: "),
        (("verify_gulordava", "--model", "demo", "--reference", "{folder}"), r"nounpp\.abl: "),
        (
            (*TRAIN, "--steps", "9", "--epochs", "1"),
            "^--epochs: expected only one of --epochs and --steps, found 1$",
        ),
        ((*TRAIN, "--steps", "9", "--stop", "10"), "^--stop: expected at most --steps, 9, found"),
        ((*TRAIN, "--steps", "9", "--snapshots", "3", "10"), "^--snapshots: expected at most"),
        ((*TRAIN, "--words", "50", "--keep", "{many}"), "^--keep: expected words that fit"),
        ((*TRAIN, "--keep", "{latin}"), r"latin\.txt: can't be read as UTF-8 text"),
        ((*TRAIN, "--start-from", "{folder}"), r"folder/config\.json: missing"),
        ((*TRAIN, "--average-with", "{model}"), "^--average-with: .*: expected sizes"),
        ((*TRAIN, "--layers", "51"), "^--layers: expected a whole number from 1 to 50, found 51$"),
        ((*TRAIN, "--columns", "100"), "^--columns: expected fewer than 100 for 5 words"),
    ],
    ids=lambda value: " ".join(value[:7]) if isinstance(value, tuple) else "",
)
def test_a_command_line_that_can_not_be_used(words, message, files, model, monkeypatch, capsys):
    script, *rest = words
    monkeypatch.chdir(files["folder"])
    monkeypatch.setitem(loading.BUNDLED, "demo", model)
    found = fails(monkeypatch, capsys, script, *(str(word).format(**files) for word in rest))
    with pytest.raises(OptionError, match=message):
        raise OptionError(found)
    assert list(files["folder"].iterdir()) == []


@pytest.mark.parametrize(
    ("converter", "words", "message"),
    [
        (gulordava, ("{pt}", "{file}", "{file}"), "file.txt: expected a folder to write to"),
        (gulordava, ("{pt}", "{file}", "/proc/x"), "/proc/x: expected a folder to write to"),
        (gulordava, ("nothing", "{file}", "{new}"), "nothing: "),
        (gulordava, ("{folder}", "{file}", "{new}"), "folder: "),
        (gulordava, ("{pt}", "nothing", "{new}"), "model.pt: "),
        (gulordava, ("{pt}",), None),
        (to_torch, ("nothing", "{new}"), "expected a model folder, found none at nothing"),
        (to_torch, ("{model}", "{folder}"), "folder: expected a file to write, found a folder"),
        (to_torch, ("{model}", "{file}/x"), "file.txt: expected a folder to write to"),
        (to_torch, ("{model}", "{new}", "{new}"), None),
    ],
)
def test_converters_refuse_in_a_line(converter, words, message, files, capsys):
    start = time.process_time()
    with pytest.raises(SystemExit) as ended:
        converter.main([word.format(**files) for word in words])
    assert time.process_time() - start < SECONDS
    if message is None:
        assert ended.value.code == 2
        assert "Traceback" not in capsys.readouterr().err
    else:
        assert ended.value.code.startswith("error: ")
        assert message in ended.value.code
    assert not files["new"].exists()


# In a script of one's own.


def test_a_search_is_refused_before_its_model_is_read(monkeypatch):
    monkeypatch.setattr(loading, "load_model", None)
    for wrong in ({"alpha": 2.0}, {"context": "poem"}, {"seeds": 1.5}, {"out": Path("/proc/x")}):
        with pytest.raises(OptionError):
            number_agreement.work(Options(**wrong))


def test_a_folder_of_another_run_is_refused_before_anything_is_compiled(
    model, tmp_path, monkeypatch
):
    monkeypatch.setattr(number_agreement, "prepare", None)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunFolderError, match="holds a run with another configuration"):
        number_agreement.work(Options(model=str(model), out=tmp_path))


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        (number_agreement, {"site": "mlp"}),
        (number_agreement, {"context": "bos"}),
        (number_agreement, {"evaluation": 12_000}),
        (compare_methods, {"evaluation": 12_000}),
        (compare_methods, {"site": "mlp"}),
        (pareto, {"evaluation": 12_000}),
    ],
)
def test_a_wrong_option_is_reported_before_the_settings_of_another_run(
    script, wrong, model, tmp_path
):
    (tmp_path / "config.json").write_text("{}")
    kinds = {number_agreement: Options, compare_methods: compare_methods.CompareOptions}
    kind = kinds.get(script, pareto.ParetoOptions)
    (name,) = wrong
    with pytest.raises((OptionError, ModelError, SplitError), match=name):
        script.work(kind(model=str(model), out=tmp_path, **wrong))


def test_checking_a_folder_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
