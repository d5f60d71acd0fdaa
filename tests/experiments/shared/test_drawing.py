"""Names of figures' files, and figures that fail."""

from experiments.shared.drawing import LONGEST_NAME, file_names, save_figure


def test_every_group_has_a_file_of_its_own():
    groups = ("obj/rel: anim?", "obj_rel: anim?", "Simple", "simple", "simple_2", "sim ple", "é")
    names = file_names(groups)
    assert set(names) == set(groups)
    assert len({name.casefold() for name in names.values()}) == len(groups)
    assert names["obj/rel: anim?"] == "obj_rel_anim_"
    assert names["obj_rel: anim?"] == "obj_rel_anim__2"
    assert file_names(groups[::-1]) == names


def test_names_of_files_are_short():
    long, longer = file_names(["日" * 60, "日" * 59 + "月"]).values()
    assert len(long.encode()) <= LONGEST_NAME + 3
    assert long != longer


def test_a_figure_that_fails_is_a_line(tmp_path, capsys):
    def make():
        raise ValueError("no\nnumbers [bold]")

    assert not save_figure(tmp_path / "mine.png", make)
    assert capsys.readouterr().out == (
        "warning: the figure mine.png couldn't be drawn (ValueError: no numbers [bold]); no "
        "result is lost\n"
    )
    assert not save_figure(tmp_path / "mine.png", lambda: None)
    assert not list(tmp_path.iterdir())
