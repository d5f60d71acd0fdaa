"""Every option of every script at its limits and beyond: a sentence, at once, and no traceback.

Options are found in the scripts themselves and values are made for their types, so that an option
without a range fails here.
"""

import ast
import dataclasses
import importlib
import sys
import time
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import pytest
import tyro
from experiments.shared.setup import Options, prepare

from converters import gulordava, to_torch
from experiments.shared import option_types, report_search
from experiments.shared.option_types import OptionError, flag
from jaxmask import search
from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models import model_folder
from jaxmask.models.language_model import ModelError
from jaxmask.tasks import number_agreement

SCRIPTS = Path(option_types.__file__).parents[1]
NOWHERE = Path("/nowhere/at/all")
SECONDS = 1.0


def calls(file: Path) -> list[ast.Call]:
    """The calls in a script by which options are read."""
    return [
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in READERS
    ]


READERS = {"run_script", "parse", "cli"}
MAINS = {
    file.stem: getattr(importlib.import_module(f"experiments.{file.stem}"), call.args[0].id)
    for file in sorted(SCRIPTS.glob("*.py"))
    if file.stem != "setup"
    for call in calls(file)
    if isinstance(call.args[0], ast.Name)
}


def test_all_scripts_are_found():
    with_main = {
        file.stem for file in SCRIPTS.glob("*.py") if '"__main__"' in file.read_text("utf-8")
    }
    assert set(MAINS) == with_main
    for file in SCRIPTS.glob("*.py"):
        others = [ast.unparse(call.func) for call in calls(file)]
        if file.stem not in ("setup", "benchmark_start"):  # which another script starts
            assert set(others) <= {"run_script", "ast.parse"}, file.stem


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A file, a folder, and what a model is."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file.txt").write_text("The boy greets .\n")
    (folder / "model.pt").write_bytes(b"")
    return folder


def sound(kind: type, folder: Path) -> Any:
    """Options that are in range, with what has no default."""
    needed = {
        "out": folder / "new",
        "run": folder,
        "reference": folder,
        "text": (folder / "file.txt",),
        "model": str(folder),
        "data": folder / "file.txt",
    }
    missing = (dataclasses.MISSING, tyro.MISSING)
    return kind(
        **{
            field.name: needed[field.name]
            for field in dataclasses.fields(kind)
            if any(field.default is none for none in missing)
        }
    )


def bases(hint: Any) -> list[Any]:
    """The plain types of a hint, of which tuples are left as they are."""
    if typing.get_origin(hint) is Annotated:
        return bases(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [base for part in typing.get_args(hint) for base in bases(part)]
    return [hint]


def beyond(hint: Any, name: str, folder: Path) -> list[Any]:
    """Values that no option of a type may have, whatever it stands for."""
    values: list[Any] = []
    for base in bases(hint):
        if base is int:
            values += [-1, -(10**12), 10**12, 2**31, 1.5, True, float("nan")]
        elif base is float:
            values += [-1e-9, -1.0, 1e30, float("nan"), float("inf"), -float("inf"), True]
        elif base is Path and name == "out":
            values += [folder / "file.txt", folder / "file.txt" / "below", Path("/proc/none")]
        elif base is Path:
            values += [NOWHERE, Path("\x1b[2J"), Path("a\0b")]
        elif base is str:
            values += [str(NOWHERE), str(NOWHERE / "model.pt"), str(folder / "file.txt"), "Demo"]
        elif typing.get_origin(base) is tuple:
            of_each = typing.get_args(base)[0]
            values += [(value,) for value in beyond(of_each, name, folder)]
        elif typing.get_origin(base) is Literal:
            values += ["\x1b[2J", ""]
        else:
            assert base in (bool, type(None)), f"--{name}: give it a type of option_types"
    return values


@pytest.mark.parametrize("script", MAINS)
def test_each_option_has_a_range(script, places):
    kind = MAINS[script]
    good = sound(kind, places)
    option_types.check(good)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        values = beyond(hints[field.name], field.name, places)
        assert values or set(bases(hints[field.name])) <= {bool, type(None)}
        for value in values:
            with pytest.raises(OptionError) as refused:
                option_types.check(dataclasses.replace(good, **{field.name: value}))
            message = str(refused.value)
            assert message.startswith(f"{flag(field.name)}: expected "), message
            assert message.isprintable(), repr(message)
            assert len(message) < 500, message


@pytest.mark.parametrize(
    ("name", "kind", "good", "bad"),
    [
        ("alpha", Options, [1e-6, 0.5, 1], [0, 0.0, 2, -0.0, np.nextafter(1.0, 2.0)]),
        ("beta", Options, [None, 1e-6, 1.0], [0.0, 1.5]),
        ("kl_weight", Options, [0, 0.0, 1e6], [1e7]),
        ("seeds", Options, [1, 10_000], [0, 10_001]),
        ("steps", Options, [None, 1, 10**9], [0, 10**9 + 1]),
        ("rounds", Options, [None, 0, 1], [-1]),
        ("evaluation", Options, [None, 1], [0]),
        ("split_seed", Options, [0, 10**9], [-1]),
        ("text_sentences", Options, [1], [0]),
        ("dropout", MAINS["train_language_model"], [None, 0.0, 0.5], [1.0, 2.0]),
        ("layers", MAINS["train_language_model"], [1, 50], [0, 51]),
        ("learning_rate", MAINS["train_language_model"], [None, 1e-9, 20.0], [0.0]),
        ("methods", MAINS["compare_methods"], [("greedy",)], [()]),
        ("alpha", MAINS["compare_methods"], [(), (0.1, 1.0)], [(0.1, 2.0)]),
        ("model", MAINS["summary"], [("demo", "demo")], [(), ("demo", "none")]),
        ("kl_weight", MAINS["summary"], [1e-6], [0.0]),
        ("examples", MAINS["single_unit_ablation"], [1], [0]),
    ],
)
def test_limits(name, kind, good, bad, places):
    base = sound(kind, places)
    for value in good:
        option_types.check(dataclasses.replace(base, **{name: value}))
    for value in bad:
        with pytest.raises(OptionError, match=flag(name)):
            option_types.check(dataclasses.replace(base, **{name: value}))


# From the command line.


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
def files(places, tmp_path, model):
    """What command lines below name."""
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
        ((SEARCH, "--model", "nothing"), "^--model: expected demo, .* found none at nothing$"),
        ((SEARCH, "--model", "{file}"), "^--model: .* found the file "),
        ((SEARCH, "--model", "{folder}"), r"folder/params\.safetensors: missing"),
        ((SEARCH, "--model", "{pt}"), "^--vocab: expected the vocabulary of "),
        ((SEARCH, "--model", "{pt}", "--vocab", "{file}"), r"model\.pt: "),
        ((SEARCH, "--vocab", "{file}"), "^--vocab: expected a .pt file as --model with it"),
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
        ((SEARCH, "--evaluation", "11999", "--split", "word"), "^--evaluation: .* leave none to"),
        (("gender_bias", "--evaluation", "2873"), "^--evaluation: expected 1 to 2872 of 2873"),
        (("gender_bias", "--data", "{folder}"), r"folder/professions\.json: "),
        (("variants", "--task", "both"), "--task"),
        (("compare_methods", "--units", "1", "13"), "^--units: expected at most 12, .* found 13$"),
        (("compare_methods", "--alpha"), "^--alpha, --units: expected at least one size"),
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
        (("benchmark_training", "--embedding", "7"), "^--embedding: expected 300, the same as --hidden"),
        (("supplementary_text", "--out", "{new}", "--text"), "^--text: expected at least one"),
        (("supplementary_text", "--out", "{new}", "--text", "nothing"), "^--text: expected a file"),
        (("verify_gulordava", "--model", "demo", "--reference", "nothing"), "^--reference: "),
        (("verify_gulordava", "--model", "demo", "--reference", "{folder}"), r"nounpp\.abl: "),
        ((*TRAIN, "--steps", "9", "--epochs", "1"), "^--epochs: expected only one of --epochs and --steps, found 1$"),
        ((*TRAIN, "--steps", "9", "--stop", "10"), "^--stop: expected at most --steps, 9, found"),
        ((*TRAIN, "--steps", "9", "--snapshots", "3", "10"), "^--snapshots: expected at most"),
        ((*TRAIN, "--words", "50", "--keep", "{many}"), "^--keep: expected words that fit"),
        ((*TRAIN, "--keep", "{latin}"), r"latin\.txt: can't be read as UTF-8 text"),
        ((*TRAIN, "--start-from", "{folder}"), r"folder/params\.safetensors: "),
        ((*TRAIN, "--average-with", "{model}"), "^--average-with: .*: expected sizes"),
        ((*TRAIN, "--layers", "51"), "^--layers: expected a whole number from 1 to 50, found 51$"),
        ((*TRAIN, "--columns", "100"), "^--columns: expected fewer than 100 for 5 words"),
    ],
    ids=lambda value: " ".join(value[:7]) if isinstance(value, tuple) else "",
)
def test_a_command_line_that_can_not_be_used(words, message, files, model, monkeypatch, capsys):
    script, *rest = words
    monkeypatch.chdir(files["folder"])
    monkeypatch.setattr("experiments.shared.setup.BUNDLED_MODEL", model)
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
        (to_torch, ("nothing", "{new}"), "nothing/params.safetensors: missing"),
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


def test_a_search_is_refused_before_its_model_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(report_search, "read_model", None)
    for wrong in ({"alpha": 2.0}, {"context": "poem"}, {"seeds": 1.5}, {"out": Path("/proc/x")}):
        with pytest.raises(OptionError):
            report_search.run(number_agreement.NAME, Options(**wrong))


def test_a_folder_of_another_run_is_refused_before_anything_is_compiled(model, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunFolderError, match="holds a run with another configuration"):
        report_search.run(number_agreement.NAME, Options(model=str(model), out=tmp_path))


def test_checking_a_folder_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_can_not_tell_is_an_error(model):
    """Finite weights, of which logits overflow."""
    loaded = model_folder.load_model(model)
    params = jax.tree.map(lambda leaf: leaf, loaded.params)
    params["decoder"]["weight"] = 3e38 * jax.numpy.sign(params["decoder"]["weight"])
    broken = loaded._replace(params=params)
    task = number_agreement.generate(0)
    with pytest.raises(ModelError, match=r"tiny: expected finite log-odds .* NaN or infinity for"):
        prepare(Options(model=str(model)), task, broken)
