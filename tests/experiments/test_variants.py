"""The search with one thing changed at a time, on a model of a few units."""

import json

import pytest

from experiments import variants


@pytest.mark.slow
def test_variants_change_one_thing_each(model, tmp_path, capsys):
    options = variants.VariantOptions(
        model=str(model), out=tmp_path, alpha=0.25, seeds=1, steps=10, rounds=1
    )
    variants.work(options)
    default = json.loads((tmp_path / "default" / "config.json").read_text())
    changed = {
        "separate_masks": {"shared_mask"}, "no_constraint__7_": {"beta"}, "ratio": {"surrogate"},
        "log_ratio": {"surrogate"}, "no_KL": {"kl", "kl_weight"},
        "no_exchange": {"exchange_rounds"},
    }  # fmt: skip
    for name, settings in changed.items():
        other = json.loads((tmp_path / name / "config.json").read_text())
        assert {key for key in default if default[key] != other[key]} == {"search"}, name
        differing = {key for key, x in default["search"].items() if other["search"][key] != x}
        assert differing == settings, name
    paper_s = json.loads((tmp_path / "the_paper_s" / "config.json").read_text())
    assert {key for key in default if default[key] != paper_s[key]} == {"method", "search"}
    assert "no constraint (7)" in capsys.readouterr().out
    capsys.readouterr()
    variants.work(options)  # all of them are there
    assert "searching" not in capsys.readouterr().out
