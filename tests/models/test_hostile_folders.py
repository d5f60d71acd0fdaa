"""Hostile, damaged and hand-edited model folders: refused with file, what was expected and found.

As with checkpoints (`test_hostile_checkpoints`): nothing runs, nothing is written, nothing takes
long, and an error is short and safe to print.
"""

import itertools
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from string import ascii_letters
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save
from support.watched import attempt, checked, unwatched

from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm import storage
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params, param_shapes
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.models.weights import check_params, flatten
from jaxmask.text.vocabulary import Vocabulary, VocabularyError

WORDS = ("<unk>", "<eos>", "the", "dog", "dogs")
CONFIG = LSTMConfig(len(WORDS), 2, 3)
MODEL = LSTMModel("tiny", CONFIG, init_params(jax.random.key(0), CONFIG), Vocabulary(WORDS))
FLAT = {name: np.asarray(leaf) for name, leaf in flatten(MODEL.params).items()}
FIELDS = {"name": "tiny", **CONFIG._asdict()}
BIAS = "decoder/bias"

CONFIG_FILE, WEIGHTS, VOCABULARY = "config.json", "params.safetensors", "vocab.txt"
MEMORY = 2e6
MULTIPLE = 50  # a vocabulary of short words: an object and a place in a table for each


class Reader:
    """Loads a sound folder with some files replaced, and checks all that is promised."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        save_model(folder, MODEL)
        self.sound = {file.name: file.read_bytes() for file in folder.iterdir()}
        load_model(folder)  # what is imported or compiled once is, now

    def __call__(self, replaced: dict[str, bytes], case: str = "") -> LSTMModel | str:
        """The model, or the error's message without the folder."""
        files = self.sound | replaced
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        paths = [self.folder / name for name in files]
        outcome = attempt(lambda: load_model(self.folder), *paths)
        assert set(os.listdir(self.folder)) == set(files), case
        most = MEMORY + MULTIPLE * sum(map(len, files.values()))
        found = checked(outcome, case, most, (ModelError, VocabularyError), self.folder)
        if isinstance(found, str):
            return found.removeprefix(f"{self.folder}/")
        check_params(flatten(found.params), param_shapes(found.config), case)
        return found


@pytest.fixture
def read(tmp_path, monkeypatch):
    # It gets sizes alone, and in tests jaxtyping compiles its checks there.
    monkeypatch.setattr(storage, "param_shapes", unwatched(storage.param_shapes))
    return Reader(tmp_path)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_sound_folder_is_a_model(read):
    assert read({}).fingerprint == MODEL.fingerprint


# config.json


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": -3}, "hidden: expected a whole number from 1 to 2147483647, found -3"),
        ({"hidden": 0}, "hidden: expected a whole number from 1 to 2147483647, found 0"),
        ({"hidden": 3.0}, "hidden: expected a whole number .* found 3.0"),
        ({"hidden": "3"}, "hidden: expected a whole number .* found '3'"),
        ({"hidden": True}, "hidden: expected a whole number .* found True"),
        ({"hidden": None}, "hidden: expected a whole number .* found None"),
        ({"hidden": [3]}, r"hidden: expected a whole number .* found \[3\]"),
        ({"hidden": 2**31}, "hidden: expected a whole number .* found 2147483648"),
        ({"hidden": 10**4000}, "hidden: expected a whole number .* found 1000"),
        ({"layers": 0}, "layers: expected a whole number from 1 to 50, found 0"),
        ({"layers": 10**12}, "layers: expected a whole number from 1 to 50, found 1000000000000"),
        ({"tied": 1}, "tied: expected true or false, found 1"),
        ({"tied": True}, "expected as many embedding columns as hidden units .* found 2 and 3"),
        ({"surprise": 1}, r"not a model configuration \(surprise: unknown\)"),
        ({"\x1b[2J" * 999: 1}, r"not a model configuration \(\\x1b\[2J.*: unknown\)"),
        ({str(i): i for i in range(9999)}, "0: unknown; .* and 9989 more"),
        ({"name": 5}, "name: expected at most 100 printable characters, .* found 5"),
        ({"name": "../../elsewhere"}, "name: .* none of them / or .* found '../../elsewhere'"),
        ({"name": "/etc/cron.d/x"}, "name: expected at most 100 printable characters"),
        ({"name": "a\\b"}, "name: expected at most 100 printable characters"),
        ({"name": ".."}, "name: expected at most 100 printable characters, .* not . or .."),
        ({"name": "."}, "name: expected at most 100 printable characters"),
        ({"name": "a\0b"}, r"name: .* found 'a\\x00b'"),
        ({"name": "\x1b[2J"}, r"name: .* found '\\x1b\[2J'"),
        ({"name": "\ud800"}, r"name: .* found '\\ud800'"),
        ({"name": "x" * 10**6}, "name: .* found 'xxxxxxxxxxxx...xxxxxxxxxxxxx'"),
    ],
)
def test_a_field_that_can_not_be_is_refused(read, change, message):
    found = read({CONFIG_FILE: as_json(FIELDS | change)})
    assert found.startswith("config.json: ")
    assert_matches(found, message)


def assert_matches(found: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        raise ModelError(found)


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(read, field):
    without = {name: value for name, value in FIELDS.items() if name != field}
    assert f"({field}: missing)" in read({CONFIG_FILE: as_json(without)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", r"expected an object, found \[\]"),
        (b"null", "expected an object, found None"),
        (b'"text"', "expected an object, found 'text'"),
        (b"[" * 10**6, "nested too deeply"),
        (b'{"name":' * 10**5, "nested too deeply"),
        (b'{"hidden": 3, "hidden": 4}', "'hidden' is there twice"),
        (b'{"hidden": NaN}', "NaN is no number in JSON"),
        (b'{"hidden": -Infinity}', "-Infinity is no number in JSON"),
        (b'{"hidden": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (as_json(FIELDS).decode().encode("utf-16"), "can't decode byte"),
        (as_json(FIELDS | {"name": "caf"}).replace(b"caf", b"caf\xe9"), "can't decode byte"),
        (b"\xef\xbb\xbf" + as_json(FIELDS), "Unexpected UTF-8 BOM"),
        (as_json(FIELDS) + b"{}", "Extra data"),
        (as_json(FIELDS)[:-1], "Expecting ',' delimiter"),
        (b"\x80\x02cos\nsystem\n(S'true'\ntR.", "can't decode byte"),
    ],
)
def test_what_is_no_configuration_is_refused(read, content, message):
    assert_matches(
        read({CONFIG_FILE: content}), rf"config\.json: not a model configuration \(.*{message}"
    )


def test_many_names_one_of_them_twice_take_no_longer(read):
    names = ", ".join(f'"{number % 29_999}": 0' for number in range(30_000))
    assert "'0' is there twice" in read({CONFIG_FILE: f"{{{names}}}".encode()})


# vocab.txt


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: expected one word, found ''"),
        (b"<unk>\n<eos>\nthe\ndog\n", "expected 5 words, found 4"),
        (b"<unk>\n<eos>\nthe\ndog\ndogs\ncats\n", "expected 5 words, found 6"),
        (b"<unk>\n<eos>\nthe\ndog\nthe\n", "line 5: 'the' again, first in line 3"),
        (b"<unk>\n<eos>\nthe\ndog\nbig dogs\n", "line 5: expected one word, found 'big dogs'"),
        (b"<unk>\n<eos>\nthe\ndog\ndogs\n\n", "line 6: expected one word, found ''"),
        (b"<unk>\n<end>\nthe\ndog\ndogs\n", "<eos> is missing"),
        (b"\xef\xbb\xbfthe\n<unk>\n<eos>\ndog\ndogs\n", "line 1: .*byte order mark"),
        (b"<unk>\n<eos>\nthe\ndog\ncaf\xe9\n", "can't be read as UTF-8"),
        ("\n".join(WORDS).encode("utf-16"), "can't be read as UTF-8"),
        ("\n".join(WORDS).encode("utf-16-le"), "<eos> is missing"),
        (b"<unk>\n<eos>\n" + b"x y" * 10**5, r"line 3: expected one word, found 'x yx .*\.\.\.'"),
        (b"<unk>\n<eos>\n\x1b[2J \n", r"line 3: expected one word, found '\\x1b\[2J '"),
        (b"\n" * 10**5, "line 1: expected one word, found ''"),
        (
            "\n".join(map("".join, itertools.product(ascii_letters, repeat=3))).encode(),
            "<eos> is missing",
        ),
    ],
)
def test_what_is_no_vocabulary_of_the_model_is_refused(read, content, message):
    assert_matches(read({VOCABULARY: content}), rf"vocab\.txt(,|:) .*{message}")


def test_line_ends_of_any_system_are_one(read):
    for end in ("\n", "\r\n", "\r"):
        content = end.join((*WORDS, "")).encode()
        assert read({VOCABULARY: content}).fingerprint == MODEL.fingerprint


# params.safetensors


def safetensors(header: Any, data: bytes, length: int | None = None) -> bytes:
    """A file of weights with any header."""
    text = header if isinstance(header, bytes) else as_json(header)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def parts() -> tuple[dict, bytes]:
    """Header and data of the sound weights."""
    content = save(FLAT)
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_bias(**changes: Any) -> Callable[[], bytes]:
    """The sound file, but for what its header says of one tensor."""

    def make() -> bytes:
        header, data = parts()
        return safetensors(header | {BIAS: header[BIAS] | changes}, data)

    return make


def with_header(change: Callable[[dict, bytes], bytes]) -> Callable[[], bytes]:
    """A file made of the sound header and data."""
    return lambda: change(*parts())


def with_flat(**changes: np.ndarray | None) -> Callable[[], bytes]:
    """Soundly written tensors, some of them changed; ``_`` stands for ``/``."""
    names = {name.replace("/", "_"): name for name in FLAT}
    flat = FLAT | {names.get(name, name): array for name, array in changes.items()}
    return lambda: save({name: array for name, array in flat.items() if array is not None})


NO_FILE = "not a safetensors file"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", NO_FILE),
        (lambda: b"\0" * 8, NO_FILE),
        (lambda: save(FLAT) + b"x", NO_FILE),
        (lambda: save(FLAT)[:-1], NO_FILE),
        (with_header(lambda header, data: safetensors(header, data, 2**40)), NO_FILE),
        (with_header(lambda header, data: safetensors(header, data, 2**64 - 1)), NO_FILE),
        (with_header(lambda header, data: safetensors(header, data, 0)), NO_FILE),
        (with_header(lambda _, data: safetensors(b'{"a":' * 10**5, data)), NO_FILE),
        (with_header(lambda _, data: safetensors([], data)), NO_FILE),
        (with_header(lambda _, data: safetensors(b"\xff\xfe", data)), NO_FILE),
        (with_bias(dtype="F128"), NO_FILE),
        (with_bias(dtype="\x1b[2J" * 99), NO_FILE),
        (with_bias(shape=[2**40]), NO_FILE),
        (with_bias(shape=[2**63, 2**63]), NO_FILE),
        (with_bias(shape=[-5]), NO_FILE),
        (with_bias(shape=[5.0]), NO_FILE),
        (with_bias(shape=[0] * 10**5), NO_FILE),
        (with_bias(data_offsets=[0, 2**40]), NO_FILE),
        (with_bias(data_offsets=[20, 0]), NO_FILE),
        (with_bias(data_offsets=[4, 24]), NO_FILE),  # overlaps with the next tensor
        (with_bias(data_offsets=[0]), NO_FILE),
        (with_bias(dtype="F4", shape=[40]), NO_FILE),
        (with_bias(shape=[5, 1]), rf"{BIAS}: expected shape \(5,\), found \(5, 1\)"),
        (with_bias(dtype="I32"), f"{BIAS}: expected one of float16, .* found int32"),
        (with_bias(dtype="U32"), f"{BIAS}: expected one of float16, .* found uint32"),
        (with_flat(decoder_bias=None), f"{BIAS}: missing"),
        (with_flat(extra=np.zeros(1)), "extra: unknown"),
        (with_flat(**{"\x1b[2J" * 999: np.zeros(1)}), r"\\x1b\[2J.*: unknown"),
        (with_flat(**{str(i): np.zeros(0) for i in range(9999)}), "0: unknown; .* 9989 more"),
        (with_flat(decoder_bias=np.zeros((5, 5))), rf"{BIAS}: expected shape .* \(5, 5\)"),
        (with_flat(decoder_bias=np.zeros(5, np.int8)), f"{BIAS}: expected .* found int8"),
        (with_flat(decoder_bias=np.zeros(5, bool)), f"{BIAS}: expected .* found bool"),
        (with_flat(decoder_bias=np.zeros(5, np.complex64)), f"{BIAS}: .* found complex64"),
        (
            with_flat(decoder_bias=np.zeros(5, ml_dtypes.float8_e4m3fn)),
            r"that can be read \(.*float8",
        ),
        (with_flat(decoder_bias=np.full(5, np.nan)), f"{BIAS}: holds NaN or infinity"),
        (with_flat(decoder_bias=np.full(5, np.inf, np.float16)), f"{BIAS}: holds NaN or infinity"),
        (with_flat(decoder_bias=np.full(5, 1e300)), f"{BIAS}: holds .* numbers .* too large"),
    ],
)
def test_what_are_no_weights_of_the_model_is_refused(read, make, message):
    assert_matches(read({WEIGHTS: make()}), rf"^params\.safetensors: .*{message}")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_weights_of_every_floating_type_are_float32(read, dtype):
    found = flatten(read({WEIGHTS: save({n: a.astype(dtype) for n, a in FLAT.items()})}).params)
    for name, array in FLAT.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array.astype(dtype).astype(np.float32))


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path):
    large = jax.tree.map(lambda leaf: leaf * 1e6, MODEL.params)
    for model in (MODEL._replace(name="../x"), MODEL._replace(config=CONFIG._replace(layers=99))):
        with pytest.raises(ModelError, match="expected"):
            save_model(tmp_path / "not", model)
    with pytest.raises(ModelError, match=r"tiny: .* numbers that are too large"):
        save_model(tmp_path / "not", MODEL._replace(params=large), np.float16)
    assert not (tmp_path / "not").exists()


# All three, damaged at random.


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS, VOCABULARY])
def test_truncated_and_altered_files_are_refused_or_models(read, name):
    sound = read.sound[name]
    rng = random.Random(name)
    for length in range(0, len(sound), 13):
        found = read({name: sound[:length]}, f"{length}")
        same = sound[:length] + b"\n" == sound
        assert isinstance(found, str) or same or name == VOCABULARY, length  # "do" for "dogs"
    for number in range(100):
        altered = bytearray(sound)
        for _ in range(rng.choice([1, 1, 2, 9])):
            altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
        read({name: bytes(altered)}, f"{name} {number}")


@pytest.mark.slow
def test_files_truncated_anywhere_and_many_flipped_bits(read):
    for name, sound in read.sound.items():
        for length in range(len(sound)):
            read({name: sound[:length]}, f"{name} {length}")
        for bit in range(0, 8 * len(sound), 11):
            altered = bytearray(sound)
            altered[bit // 8] ^= 1 << bit % 8
            read({name: bytes(altered)}, f"{name} bit {bit}")
