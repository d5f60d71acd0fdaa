"""What README and guide tell a reader to type is accepted, and what they tell to run, runs."""

import argparse
import re
import runpy
import shlex
import sys
from functools import partial
from pathlib import Path

import jax
import pytest
import tyro

import jaxmask
import jaxmask.found
from jaxmask.command import COMMANDS
from jaxmask.files.intervention_file import SavedIntervention, save_intervention
from jaxmask.intervention import Intervention
from jaxmask.models import model_folder
from jaxmask.tasks import number_agreement

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "jaxmask" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = sorted(
    f"{file.parent.name}.{file.stem}"
    for folder in ("experiments", "converters")
    for file in (ROOT / folder).glob("*.py")
    if "__main__" in file.read_text(encoding="utf-8")
)


class Accepted(Exception):
    """The options were read; carries them."""


def page_name(page):
    return page.relative_to(ROOT).as_posix()


def only(group, task):
    return task._replace(stimuli=[pair for pair in task.stimuli if pair.group == group])


def commands(text):
    """Every `python -m ...` and `jaxmask ...` of a page, its lines joined, its comment cut off.

    Those of `jaxmask` have options, or are a line of their own.
    """
    joined = re.sub(r"\\\n\s*", "", text)
    found = re.findall(r"python -m ((?:experiments|converters)\.\w+[^\n`|]*)", joined)
    words = [shlex.split(command, comments=True) for command in found]
    named = "|".join(COMMANDS)
    found = re.findall(rf"(?m)(?:^ *|`)jaxmask ((?:{named}) [^\n`|]*)", joined)
    console = [shlex.split(command, comments=True) for command in found]
    return words + [
        [COMMANDS[word].script, *rest] for word, *rest in console if "COMMAND" not in rest
    ]


def run_as_main(script, words, monkeypatch):
    """As ``python -m`` does: in a process that hasn't imported the script."""
    monkeypatch.delitem(sys.modules, script, raising=False)
    monkeypatch.setattr("sys.argv", [script, *words])
    runpy.run_module(script, run_name="__main__")


@pytest.fixture
def read_options(monkeypatch):
    """Starts a script as from the command line, and stops it once it has read its options."""
    read, read_plain = tyro.cli, argparse.ArgumentParser.parse_args

    def accept(*arguments, **settings):
        raise Accepted(read(*arguments, **settings))

    def accept_plain(parser, arguments=None, namespace=None):
        raise Accepted(read_plain(parser, arguments, namespace))

    def start(script, *words):
        run_as_main(script, words, monkeypatch)

    monkeypatch.setattr(tyro, "cli", accept)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accept_plain)
    return start


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_are_accepted(page, read_options):
    for script, *words in commands(page.read_text(encoding="utf-8")):
        if words == ["--help"]:
            continue
        with pytest.raises(Accepted):
            read_options(script, *words)


def test_a_wrong_option_is_not_accepted(read_options):
    with pytest.raises(SystemExit):
        read_options("experiments.number_agreement", "--no-such-option")


def test_commands_are_found():
    text = "  python -m experiments.a --b C \\\n    --d  # why\nor `python -m converters.e f`."
    assert commands(text) == [["experiments.a", "--b", "C", "--d"], ["converters.e", "f"]]
    text = "    jaxmask search --b C  # why\nor `jaxmask check f` or the jaxmask import of it"
    assert commands(text) == [["experiments.search", "--b", "C"], ["experiments.check_data", "f"]]
    assert len(commands((ROOT / "README.md").read_text(encoding="utf-8"))) >= 4


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_targets_and_links_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"(?m)(?:^    |`)make ([a-z-]+)", text)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link


def small_find(model, folder):
    """`jaxmask.find` on pairs of the small model, in a few steps, whatever the file."""
    stimuli = number_agreement.generate(0).stimuli[::200]
    rows = [(" ".join(s.words), str(s.position + 1), *s.pair) for s in stimuli]
    lines = map("\t".join, [("sentence", "position", "person", "thing"), *rows])
    file = folder / "small.tsv"
    file.write_text("\n".join(lines) + "\n")
    config = jaxmask.SearchConfig(steps=2, exchange_rounds=0, kl=jaxmask.NoKL())
    small = jaxmask.Plan(config, jaxmask.Design(split=jaxmask.Split(5)), seeds=1)

    def find(data, *, alpha, kind, plan):
        assert (ROOT / data).is_file()
        assert 0 < alpha < 1
        assert plan.seeds == 3
        return jaxmask.found.find(file, model, units=3, kind=kind, plan=small)

    return find


@pytest.mark.parametrize("searched", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_code_of_the_readme_runs(searched, model, tmp_path, monkeypatch):
    """In order, as one program, with a model of a few units and sentences of one construction.

    Compiling the search takes half a minute: where that is too long it is traced only. What
    `jaxmask.find` gives is tested beside it; here it takes few steps.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxmask, "find", small_find(model, tmp_path))
    monkeypatch.setattr(model_folder, "BUNDLED_MODEL", model)
    small, all_of = model_folder.load_model(model), number_agreement.generate
    monkeypatch.setattr(number_agreement, "generate", lambda seed: only("nounpp", all_of(seed)))
    mask = jax.numpy.zeros((2, small.config.units)).at[:, 3].set(1.0)
    saved = SavedIntervention(
        Intervention(mask, 0.5 * mask),
        number_agreement.NAME,
        ("singular", "plural"),
        {"intervention": "every", "context": "eos"},
        {},
    )
    save_intervention("results/demo/every/interventions/seed_0.json", saved, small)
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", PAGES[0].read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    names, found_at = {}, []
    for number, block in enumerate(blocks):
        if "jaxmask.find" in block:
            found_at.append(number)
        with monkeypatch.context() as patch:
            if not searched and "search.run" in block:
                patch.setattr(jax, "jit", lambda function: partial(jax.eval_shape, function))
            # As a reader runs it, whose JAX promotes ranks and dtypes.
            with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
                exec(compile(block, "README.md", "exec"), names)
    assert found_at == [0]  # it needs nothing before it
    assert (tmp_path / "animacy.json").is_file()
    assert names["interventions"].mask.shape == (3, 2, small.config.units)
    assert names["log_probs"].shape[-1] == small.config.vocabulary


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_fits_80_columns(script, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        run_as_main(script, ["--help"], monkeypatch)
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: " in shown
    # Tyro puts a usage that names all options into one line.
    long = [line for line in shown.splitlines() if len(line) > 80]
    assert [line for line in long if not line.startswith("usage: ")] == []
