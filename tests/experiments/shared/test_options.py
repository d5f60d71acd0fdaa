"""What the groups of options stand for."""

import json
import lzma
from pathlib import Path
from typing import get_args

import pytest

from experiments.shared.loading import data_name, load_task
from experiments.shared.option_types import OptionError
from experiments.shared.options import Options, SplitOptions, TaskName, TextOptions
from jaxmask.intervention import Kind
from jaxmask.models import model_folder
from jaxmask.objective import ExactKL, NoKL, SampledKL
from jaxmask.pipeline.plan import Design, Plan, Split, TextSample
from jaxmask.search import PAPER, SearchConfig
from jaxmask.tasks import minimal_pairs
from jaxmask.tasks.registry import PHENOMENA

EXAMPLE = model_folder.BUNDLED_MODEL.parents[1] / "docs" / "examples" / "animacy.tsv"
FIXTURES = Path(__file__).parents[2] / "fixtures"
PAIRS = "sentence\tposition\ta\tb\n"


@pytest.mark.parametrize(
    "fault",
    [{"alpha": 0.0}, {"alpha": 1.5}, {"alpha": float("nan")}, {"beta": 0.0}, {"kl_weight": -1.0},
     {"seeds": 0}, {"steps": 0}, {"rounds": -1}, {"evaluation": 0}, {"split_seed": -1},
     {"checkpoint_minutes": -1}],
)  # fmt: skip
def test_options_out_of_range_are_refused(fault):
    (name,) = fault
    for use in (Options.check, Options.plan):
        with pytest.raises(OptionError, match=name.replace("_", "-")):
            use(Options(**fault))


def test_the_paper_s_method_exchanges_no_units():
    with pytest.raises(OptionError, match=r"^--rounds: expected none with --method .* found 2$"):
        Options(method="hard_concrete_paper", rounds=2).plan()
    config = Options(method="hard_concrete_paper").config()
    assert {name: getattr(config, name) for name in PAPER} == PAPER


def test_every_task_can_be_asked_for():
    assert get_args(TaskName) == tuple(PHENOMENA)


def test_options_reach_the_search():
    config = Options(alpha=0.3, kl_weight=0.0, steps=7, surrogate="log_ratio").config()
    assert (config.alpha, config.most_fractional, config.kl, config.steps) == (0.3, 0.3, NoKL(), 7)
    assert config.surrogate == "log_ratio"
    config = Options(beta=0.1, rounds=3, shared_mask=False).config()
    assert (config.alpha, config.beta, config.kl) == (0.02, 0.1, SampledKL(8))
    assert (config.exchange_rounds, config.shared_mask) == (3, False)


def test_options_reach_the_relaxed_mask():
    config = Options(
        temperature=0.2, support_low=-0.2, support_high=1.0, initial_location=0.0,
        location_low=-20.0, location_high=20.0, multiplier_decay=0.0, batch_size=32,
        batches="independent", gates="batch", kl_rows=3,
    ).config()  # fmt: skip
    assert config == SearchConfig(
        temperature=0.2, support=(-0.2, 1.0), initial_location=0.0, lowest=-20.0, highest=20.0,
        multiplier_decay=0.0, batch_size=32, batches="independent", gates="batch",
        kl=SampledKL(3),
    )  # fmt: skip
    assert Options(support_high=1.0).config().support == (SearchConfig().support[0], 1.0)
    assert Options(kl_rows=0).config().kl == ExactKL()
    assert Options(kl_rows=0, kl_weight=0.0).config().kl == NoKL()
    with pytest.raises(OptionError, match=r"^--location-high: expected more than 5, found 3$"):
        Options(location_low=5.0).config()


def test_without_options_the_plan_is_the_package_s():
    assert Options().plan() == Plan()
    assert Options().config() == SearchConfig()
    assert SplitOptions().held_out() == Split()


def test_options_reach_the_design(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The doctor ran .\n" * 9)
    chosen = Options(
        place="every", site="cell", reach="all", values="natural", context="primer", evaluation=7,
        split="word", split_seed=3, data=tmp_path, text=text, text_sentences=2, seeds=4,
        development=5,
    )  # fmt: skip
    plan = chosen.plan()
    kind = Kind("cell", "all", "natural", "every")
    assert plan.design == Design(kind, "primer", Split(7, "word", 3, 5), tmp_path.name)
    assert plan.text == TextSample("text.txt", [["The", "doctor", "ran", "."]] * 2, 2)
    assert (plan.seeds, plan.method) == (4, "hard_concrete")


def test_sentences_are_drawn_from_plain_and_compressed_text(tmp_path):
    lines = [f"word{number} word ." for number in range(50)]
    plain, compressed = tmp_path / "a.txt", tmp_path / "b.txt.xz"
    plain.write_text("\n".join(lines))
    with lzma.open(compressed, "wt") as file:
        file.write("\n".join(lines))
    first, again, other = (
        TextOptions(file, text_sentences=20).draw_text(seed)
        for file, seed in ((plain, 5), (compressed, 5), (plain, 6))
    )
    assert len(first.sentences) == first.limit == 20
    assert first.sentences == again.sentences != other.sentences
    assert TextOptions().draw_text(0) is None


def write(folder, *rows, name="mine.tsv"):
    file = folder / name
    file.write_text(PAIRS + "".join("\t".join(row) + "\n" for row in rows))
    return file


def test_data_of_another_kind_are_an_error_that_says_what_to_do(tmp_path):
    file = write(tmp_path, ("The box", "1", "c", "d"))
    with pytest.raises(OptionError, match=r"--data: expected the folder of number_agreement's"):
        load_task("number_agreement", file)
    with pytest.raises(OptionError, match=r"expected a file of minimal pairs, found the folder"):
        load_task("minimal_pairs", tmp_path)
    with pytest.raises(OptionError, match=r"expected a file of minimal pairs, see docs/.*none"):
        load_task("minimal_pairs", None)
    named = write(tmp_path, ("The box", "1", "c", "d"), name="gender_bias.tsv")
    with pytest.raises(OptionError, match=r"isn't called like a task \(gender_bias\)"):
        load_task("minimal_pairs", named)
    assert load_task("minimal_pairs", file).name == "mine"


@pytest.mark.parametrize("name", ["weights.pth", "weights.bin", "weights.pt"])
def test_how_a_checkpoint_was_read_is_said(name, tmp_path, capsys):
    file, vocab = tmp_path / name, tmp_path / "vocab.txt"
    file.write_bytes((FIXTURES / "state.zip.pt").read_bytes())
    words = (FIXTURES / "vocab.txt").read_text()
    vocab.write_text(words)
    model = Options(model=str(file), vocab=vocab).load_model()
    assert model.name == "weights"
    assert capsys.readouterr().out == ""
    vocab.write_text(json.dumps(words.splitlines()))
    again = Options(model=str(file), vocab=vocab).load_model()
    assert again.fingerprint == model.fingerprint
    assert capsys.readouterr().out == f"{vocab}: read as JSON\n"
    with pytest.raises(OptionError, match=r"^--dtype: expected float32 for a PyTorch"):
        Options(model=str(file), vocab=vocab, dtype="bfloat16").load_model()


def test_a_file_is_told_from_an_edited_one_of_the_same_name(tmp_path):
    before = data_name(write(tmp_path, ("The box", "1", "c", "d")))
    after = data_name(write(tmp_path, ("The box", "1", "c", "e")))
    assert before.startswith("mine.tsv, sha256 ")
    assert before != after
    assert (data_name(None), data_name(tmp_path)) == ("generated", tmp_path.name)


def test_a_folder_is_named_after_what_is_searched(model, tmp_path):
    task, tiny = minimal_pairs.read(EXAMPLE), Options(model=str(model)).load_model()
    assert Options(out=tmp_path).folder(task, tiny) == tmp_path
    found = Options(place="every").folder(task, tiny)
    assert found.as_posix() == "results/animacy-tiny-every"
