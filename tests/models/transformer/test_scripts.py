"""Scripts take a folder of Hugging Face wherever they take a model."""

import json

import numpy as np
import pytest
from support.transformer_cases import write

from experiments import check_data, search
from experiments.shared.loading import load_model_named
from experiments.shared.option_types import OptionError
from jaxmask.files.intervention_file import apply, load_intervention
from jaxmask.models.language_model import ModelError
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.tasks import number_agreement


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    words = ("<s>", *sorted(number_agreement.WORDS))
    return write(tmp_path_factory.mktemp("models") / "llama", "llama", words=words)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    rng = np.random.default_rng(0)
    stimuli = [s for s in number_agreement.generate(0).stimuli if s.group == "nounpp"]
    lines = ["sentence\tposition\tsingular\tplural\tgroup\tright"]
    for row in sorted(rng.choice(len(stimuli), 60, replace=False)):
        one = stimuli[row]
        fields = (" ".join(one.words), str(one.position + 1), *one.pair, one.group, "singular")
        lines.append("\t".join(fields))
    file = tmp_path_factory.mktemp("data") / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n")
    return file


def options(folder, pairs, out, **changes):
    chosen = {"seeds": 1, "steps": 10, "rounds": 1, "evaluation": 20, "alpha": 0.1, "reach": "all"}
    return search.SearchScriptOptions(data=pairs, model=str(folder), out=out, **(chosen | changes))


def test_a_divided_model(folder):
    whole, divided = (
        load_model_named(str(folder), None, divide=divide) for divide in (False, True)
    )
    kernel = divided.params["blocks"]["up"]["kernel"]
    assert tuple(kernel.sharding.spec) == (None, None, "model")  # over the one device of tests
    np.testing.assert_array_equal(kernel, whole.params["blocks"]["up"]["kernel"])
    with pytest.raises(OptionError, match="--divide: expected a transformer, found jaxmask-bund"):
        load_model_named("demo", None, divide=True)


@pytest.mark.slow
def test_a_search_from_folder_to_file(folder, pairs, tmp_path, capsys):
    summary = search.work(options(folder, pairs, tmp_path / "run", bos=True))
    model = load_model(folder)
    assert summary["model"]["name"] == "llama"
    assert summary["model"]["bos"] == " <s>"
    kind = {name: summary[name] for name in ("site", "values", "intervention", "context")}
    expected = {"site": "mlp", "values": "natural", "intervention": "single", "context": "bos"}
    assert kind == expected
    assert f"model: llama, 3 x 20, {len(model.vocabulary)} tokens" in capsys.readouterr().out
    file = tmp_path / "run" / "interventions" / "seed_0.json"
    content = json.loads(file.read_text())
    assert content["settings"]["context"] == "bos"
    assert content["model"]["hidden"] == 20
    saved = load_intervention(file, model)
    words = ["The", "boys", "near", "the", "car"]
    (untouched, altered) = (
        apply(saved, model, words, toward, position=1) for toward in (None, "singular")
    )
    moved = np.abs(np.asarray(untouched - altered)).max(axis=1) > 1e-4
    assert moved.tolist() == [False, True, True, True, True]


def test_what_does_not_apply_is_refused(folder, pairs, tmp_path):
    for changes, message in (
        ({"site": "hidden"}, "llama: site: expected mlp or residual or attention, found 'hidden'"),
        ({"reach": "time"}, "llama: reach: expected all, found 'time'"),
        ({"context": "primer"}, "llama: context: expected own or bos or none, found 'primer'"),
    ):
        with pytest.raises(ModelError, match=message):
            search.work(options(folder, pairs, tmp_path / "run", **changes))
    with pytest.raises(OptionError, match="--bos: expected no other --context with it, found own"):
        search.work(options(folder, pairs, tmp_path / "run", bos=True, context="own"))


def test_the_first_tokens_are_shown(folder, pairs, capsys):
    check_data.work(check_data.CheckOptions(data=pairs, model=str(folder), bos=True))
    out = capsys.readouterr().out
    assert "model: llama, " in out
    assert " tokens\nkept: 60 pairs\n\nfirst example: after ' <s>', ' The' " in out
    assert "the vocabulary has" not in out


def test_text_that_is_too_long_is_refused_before_the_search(pairs, tmp_path):
    folder = write(tmp_path / "gpt2", "gpt2", words=("<s>", *sorted(number_agreement.WORDS)))
    text = tmp_path / "text.txt"
    text.write_text("The boys greet . \n" + "The boys " * 20 + "\n")
    with pytest.raises(ModelError, match="gpt2: expected texts of at most 32 tokens, found 41"):
        search.work(options(folder, pairs, tmp_path / "run", text=text))
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_transformer_stays_in_its_folder(folder, tmp_path):
    with pytest.raises(ModelError, match="kept as the Hugging Face folder that it was read from"):
        save_model(tmp_path / "other", load_model(folder))
    assert not (tmp_path / "other").exists()
