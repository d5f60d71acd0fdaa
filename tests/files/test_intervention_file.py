import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.files.intervention_file import (
    InterventionFileError,
    SavedIntervention,
    apply,
    load_intervention,
    save_intervention,
)
from jaxmask.intervention import Intervention, Kind
from jaxmask.models.lstm.forward import Action, forward
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
from jaxmask.text.vocabulary import Vocabulary

DIRECTIONS = ("singular", "plural")
SETTINGS = {"alpha": 0.02, "intervention": "single"}
METRICS = {"accuracy": 91.5, "n_units": 2, "kl": None}
WORDS = ("<unk>", "<eos>", "the", "dog")


def language_model(seed=0, hidden=3):
    config = LSTMConfig(len(WORDS), 2, hidden)
    return LSTMModel("tiny", config, init_params(jax.random.key(seed), config), Vocabulary(WORDS))


MODEL = language_model()
BASELINE = jnp.array([[-0.1, 0.9, 0.3, 0.2, 0.7, 1 / 3], [0.5, -1.0, 0.3, 0.2, -0.0, -0.6]])
SHARED = Intervention(jnp.array([[0.0, 1, 0, 0, 0, 1]] * 2), BASELINE)


def save(file, intervention=SHARED, **changes):
    model = changes.pop("model", MODEL)
    fields = {"task": "number_agreement", "directions": DIRECTIONS}
    fields |= {"settings": SETTINGS, "metrics": METRICS} | changes
    save_intervention(file, SavedIntervention(intervention, **fields), model)
    return file


def edit(file, change):
    """Applies ``change`` to the fields of a file."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def test_loads_back_to_the_same(tmp_path):
    found = load_intervention(save(tmp_path / "found" / "units.json"), MODEL)
    np.testing.assert_array_equal(found.intervention.mask, SHARED.mask)
    np.testing.assert_array_equal(found.intervention.baseline, SHARED.mask * SHARED.baseline)
    assert found.intervention.mask.dtype == found.intervention.baseline.dtype == jnp.float32
    assert found[1:] == ("number_agreement", DIRECTIONS, SETTINGS, METRICS)


def test_a_person_can_read_it(tmp_path):
    content = json.loads(save(tmp_path / "units.json").read_text())
    assert content["units"] == [2, 6]
    assert content["values"] == {
        "singular": {"2": 0.9, "6": 0.33333334},
        "plural": {"2": -1.0, "6": -0.6},
    }
    assert content["model"]["fingerprint"] == MODEL.fingerprint


def test_separate_masks(tmp_path):
    mask = jnp.array([[1.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
    file = save(tmp_path / "units.json", SHARED._replace(mask=mask))
    found = load_intervention(file, MODEL).intervention
    np.testing.assert_array_equal(found.mask, mask)
    assert json.loads(file.read_text())["units"] == [1, 5]


def test_no_unit_at_all(tmp_path):
    file = save(tmp_path / "units.json", SHARED._replace(mask=jnp.zeros((2, 6))))
    assert not load_intervention(file, MODEL).intervention.mask.any()


@given(st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=6))
def test_float32_is_exact(tmp_path_factory, values):
    baseline = np.array([values, values[::-1]], np.float32)
    everything = Intervention(jnp.ones((2, 6)), jnp.asarray(baseline))
    file = save(tmp_path_factory.mktemp("exact") / "units.json", everything)
    found = np.asarray(load_intervention(file, MODEL).intervention.baseline)
    assert found.tobytes() == np.asarray(everything.baseline).tobytes()


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (language_model(seed=1), "another model: fingerprint"),
        (language_model(hidden=4), "another model: hidden 3 .*has 4"),
    ],
)
def test_another_model_is_refused(tmp_path, model, named):
    with pytest.raises(InterventionFileError, match=named):
        load_intervention(save(tmp_path / "units.json"), model)


def put(*path, value):
    """A change that sets the field at ``path``."""

    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (put("format", value="other"), "expected a file of format"),
        (put("units", value="2"), "units: expected a list, found '2'"),
        (put("units", value=[2]), r"units: expected .*\[2, 6\], found \[2\]"),
        (put("values", value={}), r"values: expected 2 directions, found \[\]"),
        (put("values", "plural", value=[1]), "toward plural: expected values by unit"),
        (put("values", "plural", "0", value=0.5), "unit from 1 to 6, found '0'"),
        (put("values", "plural", "7", value=0.5), "unit from 1 to 6, found '7'"),
        (put("values", "plural", "02", value=0.5), "unit from 1 to 6, found '02'"),
        (put("values", "plural", "x", value=0.5), "unit from 1 to 6, found 'x'"),
        (put("values", "plural", "2", value="0.5"), "unit 2: expected a number from -1 to 1"),
        (put("values", "plural", "2", value=True), "unit 2: expected a number from -1 to 1"),
        (put("values", "plural", "2", value=None), "unit 2: expected a number from -1 to 1"),
        (put("values", "plural", "2", value=1.5), "unit 2: expected a number from -1 to 1"),
        (put("values", "plural", "2", value=10**400), "unit 2: expected a number from -1 to 1"),
        (put("values", "plural", "2", value=float("nan")), "expected JSON, .* NaN is no number"),
        (put("values", "plural", "3", value=0.5), r"\[2, 3, 6\], found \[2, 6\]"),
        (lambda content: content.pop("settings"), "settings: missing"),
    ],
)
def test_nonsense_is_refused(tmp_path, change, named):
    file = edit(save(tmp_path / "units.json"), change)
    with pytest.raises(InterventionFileError, match=named) as fault:
        load_intervention(file, MODEL)
    assert str(file) in str(fault.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "expected JSON"),
        (b"\xff", "expected JSON"),
        (b"[1]", r"expected JSON, .* expected an object, found \[1\]"),
        (b"{}", "expected a file of format"),
        (b'{"units": [1], "units": [2]}', "'units' is there twice"),
    ],
)
def test_what_is_no_intervention_file_is_refused(tmp_path, content, named):
    file = tmp_path / "units.json"
    file.write_bytes(content)
    with pytest.raises(InterventionFileError, match=named):
        load_intervention(file, MODEL)


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(InterventionFileError, match="can't be read"):
        load_intervention(tmp_path / "none.json", MODEL)


@pytest.mark.parametrize(
    ("intervention", "named"),
    [
        (SHARED._replace(mask=SHARED.mask * 0.5), "zeros and ones"),
        (SHARED._replace(mask=SHARED.mask[:, :5]), r"mask: expected shape \(2, 6\).*\(2, 5\)"),
        (SHARED._replace(baseline=SHARED.baseline[:1]), r"baseline: expected shape \(2, 6\)"),
        (SHARED._replace(baseline=SHARED.baseline * 2), "singular, unit 2: expected a number"),
        (SHARED._replace(baseline=SHARED.baseline / 0.0), "singular, unit 2: .* found inf"),
    ],
)
def test_what_can_not_be_loaded_is_not_saved(tmp_path, intervention, named):
    with pytest.raises(InterventionFileError, match=named):
        save(tmp_path / "units.json", intervention)
    assert not (tmp_path / "units.json").exists()


@pytest.mark.parametrize("site", ["mlp", ["hidden"], None])
def test_a_site_that_the_model_lacks_is_refused(tmp_path, site):
    message = r"units\.json: settings: expected the site hidden or cell or hidden\+cell, found "
    with pytest.raises(InterventionFileError, match=message):
        save(tmp_path / "units.json", settings={"site": site})
    named = save(tmp_path / "units.json", settings={"site": "hidden"})
    load_intervention(named, MODEL)
    with pytest.raises(InterventionFileError, match=message):
        load_intervention(edit(named, lambda content: content["settings"].update(site=site)), MODEL)


def test_settings_without_place_in_json_are_refused(tmp_path):
    with pytest.raises(InterventionFileError, match="settings or metrics"):
        save(tmp_path / "units.json", metrics={"accuracy": float("nan")})


def of_site(site):
    """An intervention on units of any site; cells are set to values beyond -1 and 1."""
    units, scale = MODEL.sites[site].units, 1.0 if site == "hidden" else 3.0
    mask = (jnp.arange(units) % 3 == 1).astype(jnp.float32)
    values = jnp.linspace(-scale, scale, 2 * units).reshape(2, units)
    return Intervention(jnp.stack([mask, mask]), values)


@pytest.mark.parametrize("context", ["eos", "none"])
@pytest.mark.parametrize(
    "kind",
    [
        Kind(reach="time"),
        Kind(reach="all", place="every"),
        Kind("cell", reach="time", place="last"),
        Kind("hidden+cell", reach="all"),
    ],
)
def test_it_is_applied_as_it_was_found(tmp_path, context, kind):
    settings = {"context": context, **kind.settings()}
    file = save(tmp_path / "units.json", of_site(kind.site), settings=settings)
    saved = load_intervention(file, MODEL)
    found = apply(saved, MODEL, ["the", "cat", "dog"], "plural", 1)
    before = [1] if context == "eos" else []
    tokens = np.array([*before, 2, 0, 3])
    index = jnp.arange(len(tokens)) - len(before)
    where = {"every": index >= 0, "single": index == 1, "last": index == 2}[kind.place]
    start, row = zero_state(MODEL.config), saved.intervention.toward(1)
    logits, _ = forward(MODEL.params, start, tokens, Action(row, where, kind))
    expected = jax.nn.log_softmax(logits[len(before) :])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(apply(saved, MODEL, "the cat dog", "plural", 1), found)
    untouched, _ = forward(MODEL.params, start, tokens)
    expected = jax.nn.log_softmax(untouched[len(before) :])
    np.testing.assert_allclose(
        apply(saved, MODEL, ["the", "cat", "dog"], None), expected, atol=1e-6
    )
    assert np.abs(found - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"toward": "dual"}, "toward: expected singular or plural, found 'dual'"),
        ({"position": None}, "position: expected the word at which a single-step .* from 0 to 1"),
        ({"position": 2}, "position: .* found 2"),
        ({"position": -1}, "position: .* found -1"),
        ({"words": [], "toward": None}, "words: expected a sentence, found no words"),
        ({"settings": {}}, "settings: expected context .* found None"),
        (
            {"settings": {"context": "eos", "intervention": "single", "fingerprint": "of another"}},
            "intervention: is of another model: fingerprint 'of another' .* this model has ",
        ),
        ({"settings": {"context": ["eos"], "intervention": "single"}}, r"found \['eos'\]"),
        (
            {"settings": {"context": "eos", "intervention": "every", "reach": ["all"]}},
            r"settings: expected reach all or time, found \['all'\]",
        ),
    ],
)
def test_what_it_can_not_be_applied_to_is_refused(tmp_path, changes, message):
    settings = changes.pop("settings", {"context": "eos", "intervention": "single"})
    saved = load_intervention(save(tmp_path / "units.json", settings=settings), MODEL)
    arguments = {"words": ["the", "dog"], "toward": "plural", "position": 1} | changes
    with pytest.raises(InterventionFileError, match=message):
        apply(saved, MODEL, **arguments)


def test_a_direction_to_which_nothing_was_learned_is_refused(tmp_path):
    """Of a task in which no pair could be flipped in this direction."""
    saved = load_intervention(save(tmp_path / "units.json"), MODEL)
    mask = np.array(saved.intervention.mask)
    mask[0] = 0
    saved = saved._replace(
        intervention=saved.intervention._replace(mask=mask),
        settings={"context": "eos", "intervention": "every"},
    )
    assert apply(saved, MODEL, "the dog", "plural").shape[0] == 2
    with pytest.raises(InterventionFileError, match="toward 'singular': no values were learned"):
        apply(saved, MODEL, "the dog", "singular")


def test_a_model_that_is_not_loaded_is_refused(tmp_path):
    with pytest.raises(InterventionFileError, match="model: expected a model of load_model"):
        load_intervention(tmp_path / "any.json", "demo")
