"""Hostile and damaged checkpoints: nothing runs, nothing is written, nothing hangs or swells.

`hostile_checkpoints` makes the files. What is promised of each, here and in SECURITY.md: it is
refused by an error of ours that is short, names the file and is safe to print, or it is a sound
model; within a second of processor time; with at most `MEMORY` and `MULTIPLE` times the file's
size.
"""

import codecs
import contextlib
import os
import pickle
import re
import runpy
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.hostile_archives import EMPTY
from support.hostile_checkpoints import FILES, KINDS, WEIGHTS, around, file, make, state, stored
from support.hostile_pickles import BOMBS, CANARY, real_call
from support.torch_files import Name, tensor, zipped
from support.watched import attempt, checked, watch

from converters import to_torch
from converters.gulordava import convert
from converters.torch_pickle import CheckpointError
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, param_shapes
from jaxmask.models.weights import check_params, flatten
from jaxmask.text.vocabulary import Vocabulary, VocabularyError

# pickletools has Python read escapes, which then warns; as outside the tests, nobody is told.
pytestmark = pytest.mark.filterwarnings("ignore:invalid:DeprecationWarning")

VOCABULARY = Path(__file__).parents[1] / "fixtures" / "vocab.txt"
MEMORY = 16e6  # bytes that a pickle of few bytes may take, whatever the file's size
MULTIPLE = 6
QUICK = 200  # of each kind; all others are slow
NEVER_MODELS = {"nested calls", "bombs", "recursion", "numbers"}


class Reader:
    """Converts files in a folder of their own, and checks all that is promised."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "model.pt"
        self.file.write_bytes(FILES["zip"])
        convert(self.file, VOCABULARY)  # what is imported or compiled once is, now
        for codec in ("raw_unicode_escape", "unicode_escape", "cp437"):
            codecs.lookup(codec)  # of old text in pickles and archives

    def __call__(self, content: bytes, case: str, vocabulary: Path = VOCABULARY) -> object:
        """The model, or the error's message."""
        self.file.write_bytes(content)
        outcome = attempt(lambda: convert(self.file, vocabulary), self.file, vocabulary)
        assert os.listdir(self.folder) == ["model.pt"], case
        assert self.file.read_bytes() == content, case
        most = MEMORY + MULTIPLE * len(content)
        found = checked(outcome, case, most, (CheckpointError, VocabularyError), self.file)
        if isinstance(found, LSTMModel):
            check_params(flatten(found.params), param_shapes(found.config), case)
            assert found.config.vocabulary == len(found.vocabulary), case
        return found


@pytest.fixture
def read(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Reader(tmp_path / "here")


# A call that opens a file and drops it is one of the harms.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_watch_sees_what_a_real_reader_of_pickles_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text("1 + 1")
    harms = {
        "os.system": real_call(os.system, f"touch {CANARY}"),
        "subprocess.Popen": real_call(subprocess.check_output, ["touch", CANARY]),
        f"open ('{CANARY}'": real_call(open, CANARY, "w"),
        "open ('/dev/null'": real_call(open, "/dev/null"),
        "exec": real_call(eval, "1 + 1"),
        "import": real_call(__import__, "a_module_that_is_nowhere"),
        "compile": real_call(runpy.run_path, "script.py"),
    }
    for event, harm in harms.items():
        with watch() as acts, contextlib.suppress(ImportError):
            pickle.loads(harm)
        assert any(act.startswith(event) for act in acts), (event, acts)
        assert any(act.startswith("pickle.find_class") for act in acts)
    assert (tmp_path / CANARY).exists()


def test_the_measures_see_time_and_memory():
    outcome = attempt(lambda: np.ones(10**6).sum())
    assert (outcome.value, outcome.fault, outcome.acts) == (1e6, None, [])
    assert outcome.peak > 8e6
    assert attempt(lambda: sum(range(10**6))).seconds > outcome.seconds / 100 > 0


@pytest.mark.parametrize("name", FILES)
def test_sound_files_are_models(read, name):
    assert read(FILES[name], name).config == LSTMConfig(11, 4, 3, 1)


def check(read, kind, cases):
    """Reads cases of a kind, and says how many of them are models."""
    found = [read(make(kind, number), f"{kind} {number}") for number in cases]
    models = sum(isinstance(one, LSTMModel) for one in found)
    if kind == "numbers":
        assert all("holds NaN, infinity, or more than float32 can" in message for message in found)
    if kind in NEVER_MODELS:
        assert models == 0
    if kind in ("bits", "archives", "zip bombs"):  # or the cases would be too dull
        assert 0.05 * len(found) < models < 0.95 * len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_some_hostile_files(read, kind):
    check(read, kind, range(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_more_hostile_files(read, kind):
    check(read, kind, range(QUICK, KINDS[kind][1]))


def check_truncated(read, name, lengths):
    for length in lengths:
        message = read(FILES[name][:length], f"{name} {length}")
        assert isinstance(message, str), f"{name}: {length} of {len(FILES[name])} bytes are a model"


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_refused(read, name):
    check_truncated(read, name, range(0, len(FILES[name]), 17))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_files_truncated_anywhere_are_refused(read, name):
    check_truncated(read, name, range(len(FILES[name])))


def test_there_are_ten_thousand_cases():
    cut = sum(len(content) for content in FILES.values())
    assert cut > 5000
    assert sum(count for _, count in KINDS.values()) > 10_000
    assert len({make(kind, number) for kind in KINDS for number in range(9)}) > 100
    assert make("bits", 1) == make("bits", 1)


@pytest.mark.parametrize("name", BOMBS)
def test_the_largest_bombs(read, name):
    read(around(False, b"\x80\x04" + BOMBS[name](45_000)), name)


# What once got through.


def test_counts_of_any_size_are_refused(read):
    for old in (False, True):
        for count in (10**5000, 2**52, True, 0):
            root = state(old) | {"decoder.bias": tensor(stored(old, "6", count), (11,))}
            assert isinstance(read(file(old, root), f"{old}, {count.bit_length()} bits"), str)


def test_empty_tensors_of_any_size_are_refused(read):
    for size in [(2**47, 2**47, 0), (0, 2**51, 2**51), (2**47,) * 7 + (0,), (0,)]:
        root = state(False) | {"encoder.weight": tensor(stored(False, "0", 44), size, (1,) * 8)}
        root["encoder.weight"].args = (*root["encoder.weight"].args[:3], (1,) * len(size))
        assert "encoder.weight: " in read(file(False, root), str(size))


def test_names_do_not_steer_the_terminal(read):
    harm = "\x1b[2J\x07" * 1000
    lie = {"decoder.bias": tensor(stored(True, harm, 12), (11,))}
    kind = {"decoder.bias": tensor(stored(True, "6", 11, Name("torch", harm[:99])), (11,))}
    sound = state(True)
    keys = ["0", "1", "2", "3", "4", "5", harm]
    cases = {
        "tensor": file(False, state(False) | {harm: state(False)["decoder.bias"]}),
        "key": file(True, sound | {harm: lie["decoder.bias"]}, keys),
        "key twice": file(True, sound | lie | {"again": tensor(stored(True, harm, 11), (11,))}),
        "type": file(True, sound | kind),
        "global": file(True, sound | {"decoder.bias": Name("torch", harm[:99])}),
        "member": zipped(state(False), {harm: b"x" * 999}, compression=zipfile.ZIP_DEFLATED),
    }
    for name, content in cases.items():
        message = read(content, name)  # which checks that all of it can be printed
        assert "\\x1b[2J\\x07" in message or name in ("key", "global", "member"), message


def test_two_members_of_one_name_are_refused(read):
    twice = FILES["zip"].replace(b"top/data/0", b"top/data/1")
    assert "two members of one name" in read(twice, "twice")


def test_a_member_elsewhere_is_refused(read):
    moved = bytearray(FILES["zip"])
    at = moved.rfind(b"top/data/3") - 46 + 42
    moved[at : at + 4] = struct.pack("<I", 40)
    assert "'top/data/3' isn't where the archive says" in read(bytes(moved), "moved")


def test_long_directories_are_refused_unread(read):
    content = FILES["zip"]
    end = content.rindex(b"PK\5\6")
    entry = bytearray(content[content.index(b"PK\1\2") :][: 46 + len("top/data.pkl")])
    entry[30:32] = struct.pack("<H", 64_000)
    entries = b"".join(
        bytes(entry).replace(b"data.pkl", b"%08d" % number) + EMPTY * 16_000 for number in range(99)
    )
    tail = bytearray(content[end:])
    tail[12:16] = struct.pack("<I", end - content.index(b"PK\1\2") + len(entries))
    assert "more than 131072" in read(content[:end] + entries + tail, "directory")


# Memory, where the file's size counts.


@pytest.mark.parametrize(("kind", "dtype"), [("Half", "<f2"), ("Float", "<f4"), ("Double", "<f8")])
def test_a_large_file_takes_a_small_multiple_of_its_size(read, tmp_path, kind, dtype):
    words, width, hidden = 12_000, 100, 100
    sizes = {"encoder.weight": (words, width), "decoder.weight": (words, hidden)}
    sizes |= {"decoder.bias": (words,)}
    sizes |= {f"rnn.{part}_l0": (4 * hidden, hidden) for part in ("weight_ih", "weight_hh")}
    sizes |= {f"rnn.{part}_l0": (4 * hidden,) for part in ("bias_ih", "bias_hh")}
    assert sizes.keys() == WEIGHTS.keys()
    root, data = {}, {}
    for key, (name, size) in enumerate(sizes.items()):
        array = np.full(size, key, dtype)
        data[str(key)] = array.tobytes()
        root[name] = tensor(
            stored(False, str(key), array.size, Name("torch", f"{kind}Storage")), size
        )
    Vocabulary(["<unk>", "<eos>", *map(str, range(words - 2))]).save(tmp_path / "large.txt")
    assert read(zipped(root, data), kind, tmp_path / "large.txt").config.vocabulary == words
    # All tensors in one storage that is as large as the largest: refused before it all adds up.
    one = {
        name: tensor(stored(False, "0", words * width, Name("torch", f"{kind}Storage")), size)
        for name, size in sizes.items()
    }
    message = read(zipped(one, {"0": data["0"]}), f"one {kind}", tmp_path / "large.txt")
    assert "tensors overlap in the file" in message


# What would undo it all.

UNSAFE = re.compile(
    r"\b(c?[pP]ickle|dill|joblib|torch|marshal|shelve)\.(load|loads|Unpickler|open)\("
    r"|\ballow_pickle\b|\.extract(all)?\(|(?<![.\w])(eval|exec|__import__)\("
)


@pytest.mark.parametrize("package", ["jaxmask", "converters", "experiments"])
def test_nothing_in_the_project_loads_pickles_or_runs_text(package):
    files = list((Path(__file__).parents[2] / package).rglob("*.py"))
    assert files
    for source in files:
        code = source.read_text(encoding="utf-8")
        found = [line for line in code.splitlines() if UNSAFE.search(line) and "``" not in line]
        assert found == [], source
    assert UNSAFE.search("x = pickle.load(f)")
    assert UNSAFE.search("eval(x)")
    assert not UNSAFE.search("jax.eval_shape(f)")


def test_to_torch_takes_no_hostile_folder(tmp_path):
    (tmp_path / "config.json").write_text("[" * 10**5)
    (tmp_path / "params.safetensors").write_bytes(b"")
    (tmp_path / "vocab.txt").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"error: .*config\.json: not a model configuration"):
        to_torch.main([str(tmp_path), str(tmp_path / "out.pt")])
    assert not (tmp_path / "out.pt").exists()
