"""Several sweeps in one figure and one table."""

import json

import pytest
from support import summaries

from experiments import frontier
from experiments.frontier import FrontierOptions
from experiments.shared.option_types import OptionError
from experiments.studies import frontiers
from jaxmask import report


def sweep(folder, fingerprint="f", **kind):
    settings = [
        {
            "kl_weight": weight,
            "n_units": report.mean_std([units]),
            "accuracy": report.mean_std([80.0 + units, 82.0 + units]),
            "kl": report.mean_std([0.1 * units]),
            "kl_elsewhere": report.mean_std([0.04 * units]),
            "runs": [{"accuracy": 80.0 + units}, {"accuracy": 82.0 + units}],
        }
        for weight in (0.0, 1.0)
        for units in (2, 5)
    ]
    summary = summaries.summary([summaries.run(0, [1])], **kind) | {"settings": settings}
    summary["model"] = summary["model"] | {"fingerprint": fingerprint}
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_a_line_for_each_kind_and_kl_weight(tmp_path, capsys):
    sweeps = (sweep(tmp_path / "a"), sweep(tmp_path / "b", site="cell", values="natural"))
    frontier.work(FrontierOptions(sweeps, tmp_path / "out"))
    table = (tmp_path / "out" / "frontier.md").read_text()
    assert "| cell, natural, KL weight 1 | 5.0 ± 0.0 | 86.0 ± 1.4" in table
    assert table.count("hidden, free") == table.count("cell, natural") == 4
    assert "written to" in capsys.readouterr().out
    assert (tmp_path / "out" / "frontier.png").stat().st_size > 10_000


def test_the_figure_has_units_and_kl_and_the_result_of_the_paper(tmp_path):
    figure = frontiers.figure([frontier.read(sweep(tmp_path / "a"))])
    for axes, x in zip(figure.axes, ([2, 5], [0.2, 0.5]), strict=True):
        lines = axes.get_lines()
        assert [pytest.approx(line.get_xdata()) for line in lines[:2]] == 2 * [x]
        assert list(lines[0].get_ydata()) == [83.0, 86.0]
    assert [axes.get_lines()[2].get_xdata()[0] for axes in figure.axes] == [5.7, 0.035]


def test_sweeps_that_do_not_belong_together_are_refused(tmp_path):
    sweeps = (sweep(tmp_path / "a"), sweep(tmp_path / "b", fingerprint="other"))
    with pytest.raises(OptionError, match="one task and one model"):
        frontier.work(FrontierOptions(sweeps, tmp_path / "out"))
    with pytest.raises(OptionError, match=r"expected a finished run of experiments\.pareto"):
        frontier.work(FrontierOptions((tmp_path,), tmp_path / "out"))
