"""From a file of other people to one that the other scripts read."""

import pytest

from experiments import check_data, import_pairs
from experiments.shared.option_types import OptionError
from jaxmask.tasks import minimal_pairs
from jaxmask.text.examples import TaskDataError

CLAMS = (
    "True\tthe boy greets\nFalse\tthe boy greet\n"
    "True\tthe boys greet\nFalse\tthe boys greets\n"
    "True\tno boy\nFalse\tthe boy\n"
)


def test_from_a_file_to_a_check(model, tmp_path, capsys):
    file, out = tmp_path / "simple.txt", tmp_path / "new" / "pairs.tsv"
    file.write_text(CLAMS)
    options = import_pairs.ImportOptions(
        file, out, case="capital", left_out=tmp_path / "left_out.tsv"
    )
    import_pairs.work(options)
    assert capsys.readouterr().out.splitlines() == [
        "simple: 2 pairs in the format clams; singular is right in 1, plural is right in 1",
        "left out: sentences that differ in their first word: 1",
        "directions: the forms of singular and plural in English",
        "  singular: greets",
        "  plural: greet",
        "position: another word there makes the other form right: 2 of 2, as in: The [boy]",
        f"written to {out}; next: jaxmask check --data {out}",
    ]
    assert out.read_text().splitlines()[1] == (
        "The boy\t2\tgreets\tgreet\tsimple\tsingular\tThe boys"
    )
    assert (tmp_path / "left_out.tsv").read_text().splitlines()[1].split("\t") == [
        "6", "sentences that differ in their first word"
    ]  # fmt: skip
    assert len(minimal_pairs.read(out).stimuli) == 2
    check_data.work(check_data.CheckOptions(data=out, model=str(model)))
    assert "kept: 2 pairs" in capsys.readouterr().out


def test_pairs_and_what_is_left_out_are_two_files(tmp_path):
    file, out = tmp_path / "simple.txt", tmp_path / "out.tsv"
    file.write_text(CLAMS)
    with pytest.raises(OptionError, match="--left-out: expected another file than"):
        import_pairs.work(
            import_pairs.ImportOptions(file, out, left_out=tmp_path / "." / "out.tsv")
        )
    assert not out.exists()


def test_the_format_can_be_named(tmp_path):
    file = tmp_path / "simple.txt"
    file.write_text(CLAMS)
    with pytest.raises(TaskDataError, match="expected pairs in the format zorro, found none"):
        import_pairs.work(import_pairs.ImportOptions(file, tmp_path / "out.tsv", format="zorro"))
    assert not (tmp_path / "out.tsv").exists()


def test_the_reasons_are_written_where_no_pair_is_left(tmp_path):
    file, reasons = tmp_path / "simple.txt", tmp_path / "left_out.tsv"
    file.write_text("True\tno boy\nFalse\tthe boy\n")
    with pytest.raises(TaskDataError, match=r"found none \(left out: sentences that differ"):
        import_pairs.work(import_pairs.ImportOptions(file, tmp_path / "out", left_out=reasons))
    assert reasons.read_text().splitlines() == [
        "line\treason", "2\tsentences that differ in their first word"
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()
