"""Interventions as files: of another model, edited by hand or damaged, and why each is refused.

A value from -1 to 1 of a unit that is listed can't be told from another: that is not refused.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.watched import attempt, checked

from jaxmask.files.intervention_file import (
    InterventionFileError,
    SavedIntervention,
    load_intervention,
    save_intervention,
)
from jaxmask.intervention import Intervention, units
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params
from jaxmask.models.model_folder import load_model, save_model
from jaxmask.text.examples import Task
from jaxmask.text.vocabulary import Vocabulary

MEMORY = 2e6
MULTIPLE = 40  # names and numbers of a byte or two are objects
WORDS = ("<unk>", "<eos>", "the", "dog")


def language_model(seed: int = 0, name: str = "tiny", **sizes: Any) -> LSTMModel:
    config = LSTMConfig(**({"vocabulary": len(WORDS), "embedding": 2, "hidden": 3} | sizes))
    words = [*WORDS, "cats", "cars"][: config.vocabulary]
    return LSTMModel(name, config, init_params(jax.random.key(seed), config), Vocabulary(words))


MODEL = language_model()
BASELINE = jnp.array([[0, 0.9, 0, 0, 0, 1 / 3], [0, -1.0, 0, 0, 0, -0.6]], jnp.float32)
FOUND = Intervention(jnp.array([[0.0, 1, 0, 0, 0, 1]] * 2), BASELINE)


class Reader:
    """Loads a file for `MODEL` or another, and checks all that is promised."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "units.json"
        directions, settings = ("singular", "plural"), {"alpha": 0.02}
        saved = SavedIntervention(FOUND, "task", directions, settings, {"accuracy": 91.5})
        save_intervention(self.file, saved, MODEL)
        self.sound = self.file.read_bytes()
        self.fields = json.loads(self.sound)
        load_intervention(self.file, MODEL)  # what is imported or compiled once is, now

    def __call__(
        self,
        content: bytes | dict,
        model: LSTMModel = MODEL,
        case: str = "",
        task: Task | None = None,
    ) -> SavedIntervention | str:
        """What was saved, or the error's message without the folder."""
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.file.write_bytes(written)
        outcome = attempt(lambda: load_intervention(self.file, model, task), self.file)
        assert os.listdir(self.folder) == ["units.json"], case
        most = MEMORY + MULTIPLE * len(written)
        found = checked(outcome, case, most, (InterventionFileError,), self.file)
        if isinstance(found, str):
            return found.removeprefix(f"{self.folder}/")
        check_sound(found.intervention)
        return found


def check_sound(found: Intervention) -> None:
    """Whatever was edited, an intervention is two rows of values that a unit can have."""
    mask, baseline = (np.asarray(part) for part in found)
    assert mask.shape == baseline.shape == (2, 6)
    assert np.all((mask == 0) | (mask == 1))
    assert np.all(np.abs(baseline) <= 1)
    assert np.all(baseline[mask == 0] == 0)


@pytest.fixture
def read(tmp_path):
    return Reader(tmp_path)


def matches(found: Any, message: str) -> None:
    with pytest.raises(InterventionFileError, match=message):
        raise InterventionFileError(found)


def test_a_sound_file_is_the_intervention(read):
    np.testing.assert_array_equal(read(read.sound).intervention.baseline, FOUND.baseline)


# Another model.


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (language_model(seed=1), "another model: fingerprint '[0-9a-f]{16}' .'tiny'., this model"),
        (language_model(hidden=4), "another model: hidden 3 .'tiny'., this model has 4"),
        (language_model(layers=3), "another model: layers 2 .'tiny'., this model has 3"),
        (language_model(embedding=3), "another model: fingerprint"),
        (language_model(vocabulary=6), "another model: fingerprint"),
        (MODEL._replace(vocabulary=Vocabulary((*WORDS[:3], "cat"))), "another model: fingerprint"),
        (MODEL._replace(vocabulary=Vocabulary(WORDS[::-1])), "another model: fingerprint"),
    ],
)
def test_it_is_refused_for_another_model(read, model, message):
    matches(read(read.sound, model), f"^units.json: is of {message}")


def test_a_single_changed_weight_is_another_model(read):
    params = jax.tree.map(jnp.asarray, MODEL.params)
    bias = params["decoder"]["bias"]
    params["decoder"]["bias"] = bias.at[0].set(np.nextafter(np.asarray(bias[0]), np.float32(1)))
    matches(read(read.sound, MODEL._replace(params=params)), "another model: fingerprint")


def test_the_same_model_under_another_name_or_from_disk_is_the_same(read, tmp_path_factory):
    assert not isinstance(read(read.sound, MODEL._replace(name="other")), str)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, MODEL)
    assert not isinstance(read(read.sound, load_model(folder)), str)
    save_model(folder, MODEL, np.float16)  # rounded, so not the same
    matches(read(read.sound, load_model(folder)), "another model: fingerprint")


# Another task.


def test_it_is_refused_for_another_task(read):
    for task, message in (
        (Task("other", ("singular", "plural"), ()), "is of another task: 'task', expected 'other'"),
        (Task("task", ("he", "she"), ()), "values: expected the directions he, she, found"),
    ):
        matches(read(read.sound, task=task), f"^units.json: {message}")


def test_rows_follow_the_task_whatever_the_order_in_the_file(read):
    task = Task("task", ("singular", "plural"), ())
    by_name = json.dumps(read.fields, sort_keys=True)
    assert by_name.index('"plural"') < by_name.index('"singular"')
    found = read(by_name.encode(), task=task)
    assert found.directions == ("singular", "plural")
    np.testing.assert_array_equal(found.intervention.baseline, FOUND.baseline)
    assert read(by_name.encode()).directions == ("plural", "singular")  # as the file has it


# Edited by hand.


def put(*path: str, value: Any) -> Callable[[dict], None]:
    """A change that sets the field at ``path``."""

    def change(content: dict) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[dict], None]:
    """A change that removes the field at ``path``."""

    def change(content: dict) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


UNIT = ("values", "plural", "2")
ESCAPE = "\x1b[2J" * 999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(*UNIT, value=1.0000001), "toward plural, unit 2: expected a number from -1 to 1"),
        (put(*UNIT, value=-1.5), "unit 2: expected a number from -1 to 1, found -1.5"),
        (put(*UNIT, value=10**4000), "unit 2: expected a number from -1 to 1, found 1000"),
        (put(*UNIT, value="0.5"), "unit 2: expected a number from -1 to 1, found '0.5'"),
        (put(*UNIT, value=True), "unit 2: expected a number from -1 to 1, found True"),
        (put(*UNIT, value=None), "unit 2: expected a number from -1 to 1, found None"),
        (put(*UNIT, value=[0.5]), r"unit 2: expected a number from -1 to 1, found \[0.5\]"),
        (put(*UNIT, value=ESCAPE), r"unit 2: expected a number .* found '\\x1b"),
        (put(*UNIT, value=float("nan")), "NaN is no number in JSON"),
        (put(*UNIT, value=float("inf")), "Infinity is no number in JSON"),
        (put("settings", value={"alpha": float("nan")}), "NaN is no number in JSON"),
        (put("metrics", value={"kl": float("-inf")}), "-Infinity is no number in JSON"),
        (put("values", "plural", "0", value=0.5), "plural: expected a unit from 1 to 6, found '0'"),
        (put("values", "plural", "7", value=0.5), "expected a unit from 1 to 6, found '7'"),
        (put("values", "plural", "-1", value=0.5), "expected a unit from 1 to 6, found '-1'"),
        (put("values", "plural", "02", value=0.5), "expected a unit from 1 to 6, found '02'"),
        (put("values", "plural", "2.0", value=0.5), "expected a unit from 1 to 6, found '2.0'"),
        (
            put("values", "plural", "\u0662", value=0.5),
            "expected a unit from 1 to 6, found '\u0662'",
        ),
        (put("values", "plural", ESCAPE, value=0.5), r"a unit from 1 to 6, found '\\x1b"),
        (put("values", "plural", "3", value=0.5), r"those that have values, \[2, 3, 6\], found"),
        (drop(*UNIT[:2]), r"values: expected 2 directions, found \['singular'\]"),
        (put("values", "third", value={}), "values: expected 2 directions, found .*'third'"),
        (put("values", value={str(i): {} for i in range(50_000)}), "expected 2 directions"),
        (put("values", "plural", value=[0.5]), r"expected values by unit, found \[0.5\]"),
        (put("values", value=[]), r"values: expected a dict, found \[\]"),
        (put("units", value=[2]), r"units: expected .* \[2, 6\], found \[2\]"),
        (put("units", value=[6, 2]), r"units: expected .* \[2, 6\], found \[6, 2\]"),
        (put("units", value=[2, 2, 6]), r"units: expected .* \[2, 6\], found \[2, 2, 6\]"),
        (put("units", value=[1, 6]), r"units: expected .* \[2, 6\], found \[1, 6\]"),
        (put("units", value=[[[[2]]]]), r"units: expected .* \[2, 6\], found"),
        (
            put("units", value=list(range(10**5))),
            r"units: expected .* found \[0, 1, 2, 3, 4, 5, \.\.\.",
        ),
        (put("units", value=[ESCAPE]), r"units: expected .* found \['\\x1b"),
        (put("units", value={}), "units: expected a list, found {}"),
        (put("surprise", value=1), "surprise: unknown"),
        (put(ESCAPE, value=1), r"\\x1b\[2J.*: unknown"),
        (put("model", "surprise", value=1), "model: surprise: unknown"),
        (put("format", value="jaxmask intervention 2"), "expected a file of format 'jaxmask inter"),
        (put("format", value=None), "expected a file of format"),
        (put("task", value=5), "task: expected a str, found 5"),
        (put("settings", value=[]), r"settings: expected a dict, found \[\]"),
        (put("metrics", value=None), "metrics: expected a dict, found None"),
        (put("model", value="tiny"), "model: expected a dict, found 'tiny'"),
        (put("model", "fingerprint", value="0" * 16), "of another model: fingerprint '0000"),
        (put("model", "fingerprint", value=None), "of another model: fingerprint None"),
        (put("model", "fingerprint", value=[ESCAPE] * 999), r"fingerprint \['\\x1b"),
        (put("model", "hidden", value=4), "of another model: hidden 4"),
        (put("model", "layers", value="2"), "of another model: layers '2'"),
        (lambda fields: fields["model"].update(name=ESCAPE, hidden=4), r"hidden 4 \('\\x1b"),
        *((drop(field), f"{field}: missing") for field in ("task", "settings", "metrics")),
        *((drop(field), f"{field}: missing") for field in ("model", "units", "values")),
        *((drop("model", field), f"model: {field}: missing") for field in ("name", "fingerprint")),
        *((drop("model", field), f"model: {field}: missing") for field in ("layers", "hidden")),
        (drop("format"), "expected a file of format"),
    ],
)
def test_what_was_edited_is_refused(read, change, message):
    change(read.fields)
    matches(read(read.fields), f"^units.json: .*{message}")


def test_a_value_within_range_is_what_it_says(read):
    """The files aren't signed: SECURITY.md says so."""
    put(*UNIT, value=0.25)(read.fields)
    assert read(read.fields).intervention.baseline[1, 1] == 0.25


# Not such a file.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b"[1]", r"expected an object, found \[1\]"),
        (b"{}", "expected a file of format"),
        (b"[" * 10**6, "nested too deeply"),
        (b'{"a":' * 10**5, "nested too deeply"),
        (b'{"units": [1], "units": [2]}', "'units' is there twice"),
        (b"\x80\x02cos\nsystem\n(S'true'\ntR.", "can't decode byte"),
        (b'{"format": "\xff"}', "can't decode byte"),
        (b'{"format": ' + b"9" * 10**5 + b"}", "Exceeds the limit"),
        ("{" + ", ".join(f'"{i % 29_999}": 0' for i in range(30_000)) + "}", "is there twice"),
    ],
)
def test_what_is_no_intervention_file_is_refused(read, content, message):
    content = content if isinstance(content, bytes) else content.encode()
    matches(read(content), f"^units.json: .*{message}")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_other_encodings_are_refused(read, encoding):
    assert isinstance(read(read.sound.decode().encode(encoding)), str)


def test_line_ends_do_not_matter(read):
    found = read(read.sound.replace(b"\n", b"\r\n"))
    assert units(found.intervention.mask) == [2, 6]


@pytest.mark.parametrize("unit", ["2", "6"])
def test_a_unit_that_is_there_twice_is_refused(read, unit):
    text = read.sound.decode()
    twice = text.replace(f'"{unit}": ', f'"{unit}": 0.5, "{unit}": ', 1)
    matches(read(twice.encode()), f"'{unit}' is there twice")


def test_truncated_and_altered_files_are_refused_or_sound(read):
    for length in range(len(read.sound) - 1):
        assert isinstance(read(read.sound[:length], case=f"{length}"), str), length
    rng = random.Random(0)
    for number in range(300):
        altered = bytearray(read.sound)
        for _ in range(rng.choice([1, 1, 2, 9])):
            altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
        read(bytes(altered), case=f"{number}")
