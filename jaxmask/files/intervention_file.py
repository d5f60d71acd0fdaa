"""An intervention as one JSON file, tied to the model it was found in.

    {"format": "jaxmask intervention 1",
     "model": {"name": "demo", "fingerprint": "0f3c...", "layers": 2, "hidden": 650},
     "task": "number_agreement",
     "settings": {"alpha": 0.02, ...},
     "metrics": {"accuracy": 91.5, ...},
     "units": [79, 776],
     "values": {"singular": {"79": -0.96, "776": -0.81}, "plural": {"79": 0.99, "776": 0.96}}}

Units are numbered from 1. A value is written with the digits that give back the same float32. The
settings say of which kind the intervention is, see `jaxmask.intervention.Kind.settings`.
"""

import json
import reprlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmask.intervention import DIRECTIONS, Intervention, Kind, Place, Site, places, units
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.model_folder import check_fields, read_json
from jaxmask.text.examples import Task
from jaxmask.text.vocabulary import shown

FORMAT = "jaxmask intervention 1"
_FIELDS = {
    "format": str,
    "model": dict,
    "task": str,
    "settings": dict,
    "metrics": dict,
    "units": list,
    "values": dict,
}
_MODEL_FIELDS = ("name", "fingerprint", "layers", "hidden")


class InterventionFileError(ValueError):
    """An intervention that can't be written to or read from a file; says where and why."""


class SavedIntervention(NamedTuple):
    """What is written to and read from an intervention file.

    Attributes:
        intervention: a hard one, each entry of whose mask is 0 or 1. Baselines of units outside the
            mask aren't written, and are 0 when they are read.
        task: name of the task on which it was found.
        directions: names of the rows of mask and baseline, two different ones.
        settings: of the search, in JSON's types.
        metrics: of the intervention, in JSON's types.

    Example:
        >>> nothing = Intervention(jnp.zeros((2, 3)), jnp.zeros((2, 3)))
        >>> settings = {"context": "eos", "intervention": "single"}
        >>> SavedIntervention(nothing, "animacy", ("person", "thing"), settings, {}).directions
        ('person', 'thing')
    """

    intervention: Intervention
    task: str
    directions: tuple[str, ...]
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]


def save_intervention(file: str | Path, saved: SavedIntervention, model: LanguageModel) -> None:
    """Writes an intervention file.

    Args:
        file: to write; its folder is made if missing.
        saved: what the file will hold.
        model: the one in which the intervention was found.

    Raises:
        InterventionFileError: mask or baseline don't have a row for each direction and a column for
            each unit of the model's site, there aren't two directions, a mask entry is neither 0
            nor 1, or a value is beyond what the site's states can be.

    Example:
        >>> import jax
        >>> from tempfile import TemporaryDirectory
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> words = Vocabulary(("<unk>", "<eos>", "the", "dog", "dogs"))
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, words)
        >>> mask = jnp.zeros((2, 4)).at[:, 2].set(1.0)
        >>> found = Intervention(mask, 0.5 * mask)
        >>> saved = SavedIntervention(found, "animacy", ("person", "thing"), {}, {})
        >>> with TemporaryDirectory() as folder:
        ...     save_intervention(f"{folder}/found.json", saved, model)
        ...     again = load_intervention(f"{folder}/found.json", model)
        >>> units(again.intervention.mask), again.directions
        ([3], ('person', 'thing'))
    """
    site = _site(saved.settings, model, f"{file}: ")
    mask, baseline = (np.asarray(part, np.float32) for part in saved.intervention)
    _check_directions(saved.directions, f"{file}: directions")
    expected = (DIRECTIONS, site.units)
    for name, part in (("mask", mask), ("baseline", baseline)):
        if part.shape != expected:
            raise InterventionFileError(
                f"{file}: {name}: expected shape {expected} (directions, units), found {part.shape}"
            )
    if not np.all((mask == 0) | (mask == 1)):
        raise InterventionFileError(f"{file}: expected a mask of zeros and ones, found fractions")
    content = {
        "format": FORMAT,
        "model": _identity(model, site),
        "task": saved.task,
        "settings": dict(saved.settings),
        "metrics": dict(saved.metrics),
        "units": units(jnp.asarray(mask)),
        "values": {
            direction: _values(row_mask, row, site, f"{file}: values toward {direction}")
            for direction, row_mask, row in zip(saved.directions, mask, baseline, strict=True)
        },
    }
    try:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as fault:
        raise InterventionFileError(f"{file}: settings or metrics: {fault}") from fault
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text, encoding="utf-8")


def load_intervention(
    file: str | Path, model: LanguageModel, task: Task | None = None
) -> SavedIntervention:
    """Reads an intervention file for the model in which the intervention was found.

    Args:
        file: to read.
        model: the intervention has to be one of this model.
        task: the intervention has to be one of this task, if a task is given; the rows then have
            the order of the task's directions. Otherwise they have the order of the file, which
            programs that write JSON may change.

    Raises:
        InterventionFileError: the file is missing or isn't an intervention file, a field is
            missing, unknown or there twice, its model or task is another one, or a unit or value is
            out of range, missing, or there twice.

    Example:
        See `save_intervention`.
    """
    if not isinstance(model, LanguageModel):
        raise InterventionFileError(f"model: expected a model of load_model, found {model!r}")
    content = _read(file)
    found = content["model"]
    try:
        site = _site(content["settings"], model, f"{file}: ")
    except InterventionFileError:  # a model of another family has other sites
        _check_model(file, found, {"fingerprint": model.fingerprint, "name": model.name})
        raise
    _check_model(file, found, _identity(model, site))
    _check_directions(content["values"], f"{file}: values")
    directions = tuple(content["values"])
    if task is not None:
        _check_task(content, task, file)
        directions = task.directions
    rows = {
        direction: _row(
            content["values"][direction],
            site,
            f"{file}: values toward {shown(direction)}",
        )
        for direction in directions
    }
    baseline = np.stack(list(rows.values()))
    mask = jnp.asarray(~np.isnan(baseline), jnp.float32)
    if content["units"] != units(mask):
        raise InterventionFileError(
            f"{file}: units: expected those that have values, {units(mask)}, "
            f"found {reprlib.repr(content['units'])}"
        )
    return SavedIntervention(
        Intervention(mask, jnp.asarray(np.nan_to_num(baseline))),
        content["task"],
        directions,
        content["settings"],
        content["metrics"],
    )


def apply(
    saved: SavedIntervention,
    model: LanguageModel,
    words: str | Sequence[str],
    toward: str | None,
    position: int | None = None,
) -> Float[Array, "words vocabulary"]:
    """What a model expects after each word of a sentence, with a saved intervention.

    The model first reads the context that it read in the search. A single-step intervention acts at
    one word, an every-step intervention at all words of the sentence, others at its last word.

    Args:
        saved: from `load_intervention`.
        model: the one in which the intervention was found.
        words: a sentence, as words or as a text; words out of vocabulary are read as ``<unk>``.
        toward: the direction, one of ``saved.directions``; None leaves the model untouched.
        position: index, from 0, of the word at which a single-step intervention acts.

    Returns:
        Log-probabilities, in nats, of the next word.

    Raises:
        InterventionFileError: there is no such direction or position, no unit is replaced toward
            the direction, there are no words, the model isn't that of the intervention, or
            ``saved.settings`` don't say which context and which kind of intervention.

    Example:
        >>> import jax
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> words = Vocabulary(("<unk>", "<eos>", "the", "dog", "dogs"))
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> model = LSTMModel("tiny", config, init_params(jax.random.key(0), config), words)
        >>> settings = {"context": "none", "intervention": "every"}
        >>> found = Intervention(jnp.ones((2, 4)), jnp.array([[0.5] * 4, [-0.5] * 4]))
        >>> saved = SavedIntervention(found, "animacy", ("person", "thing"), settings, {})
        >>> apply(saved, model, ["the", "dog"], toward="thing").shape
        (2, 5)
    """
    words = words.split() if isinstance(words, str) else words
    kind, context = _kind(saved.settings, model), saved.settings["context"]
    if toward not in (None, *saved.directions):
        raise InterventionFileError(
            f"toward: expected {' or '.join(map(shown, saved.directions))}, found {toward!r}"
        )
    one = None if toward is None else saved.intervention.toward(saved.directions.index(toward))
    here = {"fingerprint": model.fingerprint, "name": model.name}
    of = {**here, **saved.settings, "name": saved.settings.get("model", model.name)}
    _check_model("intervention", of, here)
    if one is not None and saved.intervention.mask.any() and not one.mask.any():
        raise InterventionFileError(
            f"toward {toward!r}: no values were learned, so nothing is replaced"
        )
    if not words:
        raise InterventionFileError("words: expected a sentence, found no words")
    if toward is not None and kind.place == "single" and position not in range(len(words)):
        raise InterventionFileError(
            f"position: expected the word at which a single-step intervention acts, from 0 to "
            f"{len(words) - 1}, found {position}"
        )
    return model.log_probs(
        tuple(words),
        kind,
        model.read_context(context),
        one,
        None if toward is None else _where(kind.place, len(words), position),
    )


def _where(place: Place, words: int, position: int | None) -> Bool[np.ndarray, " words"]:
    """The words of one sentence at which an intervention acts."""
    return places(place, np.array([position or 0]), np.array([words]))[0]


def _kind(settings: Mapping[str, Any], model: LanguageModel) -> Kind:
    """The kind of intervention that settings describe, which also have to name a context."""
    if (context := settings.get("context")) not in model.contexts:
        raise InterventionFileError(
            f"settings: expected context {' or '.join(model.contexts)}, "
            f"found {reprlib.repr(context)}"
        )
    _site(settings, model)
    try:
        return Kind.of_settings(settings)
    except ValueError as fault:
        raise InterventionFileError(f"settings: {fault}") from fault


def _check_model(file: str | Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Checks that a file is of a model; what isn't known of the model isn't compared."""
    for key in ("layers", "hidden", "fingerprint"):
        if key in expected and found[key] != expected[key]:
            raise InterventionFileError(
                f"{file}: is of another model: {key} {reprlib.repr(found[key])} "
                f"({reprlib.repr(found['name'])}), this model has {expected[key]!r} "
                f"({expected['name']!r})"
            )


def _site(settings: Mapping[str, Any], model: LanguageModel, source: str = "") -> Site:
    """The site that settings name; the model's default site if they name none."""
    name = settings.get("site", next(iter(model.sites)))
    if name not in tuple(model.sites):
        raise InterventionFileError(
            f"{source}settings: expected the site {' or '.join(model.sites)}, "
            f"found {reprlib.repr(name)}"
        )
    return model.sites[name]


def _identity(model: LanguageModel, site: Site) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "layers": site.layers,
        "hidden": site.width,
    }


def _check_task(content: dict[str, Any], task: Task, file: str | Path) -> None:
    if content["task"] != task.name:
        raise InterventionFileError(
            f"{file}: is of another task: {reprlib.repr(content['task'])}, expected {task.name!r}"
        )
    if set(content["values"]) != set(task.directions):
        raise InterventionFileError(
            f"{file}: values: expected the directions {', '.join(task.directions)}, "
            f"found {reprlib.repr(list(content['values']))}"
        )


def _check_directions(directions: Collection[str], place: str) -> None:
    if len(set(directions)) != DIRECTIONS or len(directions) != DIRECTIONS:
        raise InterventionFileError(
            f"{place}: expected {DIRECTIONS} directions, found {reprlib.repr(list(directions))}"
        )


def _values(
    mask: Float[np.ndarray, " units"], baseline: Float[np.ndarray, " units"], site: Site, place: str
) -> dict[str, float]:
    """The masked values by unit number; `str` of a float32 has just the digits it needs."""
    values = {str(i + 1): float(str(baseline[i])) for i in np.flatnonzero(mask)}
    for unit, value in values.items():
        _check_value(value, site, f"{place}, unit {unit}")
    return values


def _row(values: Any, site: Site, place: str) -> Float[np.ndarray, " units"]:
    """Values by unit number as an array, NaN where there is none."""
    if not isinstance(values, dict):
        raise InterventionFileError(
            f"{place}: expected values by unit, found {reprlib.repr(values)}"
        )
    row = np.full(site.units, np.nan, np.float32)
    index = {str(i + 1): i for i in range(site.units)}
    for unit, value in values.items():
        if unit not in index:
            raise InterventionFileError(
                f"{place}: expected a unit from 1 to {site.units}, found '{shown(unit)}'"
            )
        _check_value(value, site, f"{place}, unit {unit}")
        row[index[unit]] = value
    return row


def _check_value(value: Any, site: Site, place: str) -> None:
    bound = min(site.bound, float(np.finfo(np.float32).max))
    if type(value) not in (int, float) or not -bound <= value <= bound:
        raise InterventionFileError(
            f"{place}: expected a number from {-bound:g} to {bound:g}, found {reprlib.repr(value)}"
        )


def _read(file: str | Path) -> dict[str, Any]:
    """The fields of an intervention file, each of its type."""
    try:
        content = read_json(file)
    except OSError as fault:
        raise InterventionFileError(f"{file}: can't be read ({fault.strerror})") from fault
    except ValueError as fault:
        raise InterventionFileError(f"{file}: expected JSON, found a fault: {fault}") from fault
    if content.get("format") != FORMAT:
        raise InterventionFileError(f"{file}: expected a file of format {FORMAT!r}")
    try:
        check_fields(content, _FIELDS)
    except ValueError as fault:
        raise InterventionFileError(f"{file}: {fault}") from fault
    for name, kind in _FIELDS.items():
        if not isinstance(content[name], kind):
            raise InterventionFileError(
                f"{file}: {name}: expected a {kind.__name__}, found {reprlib.repr(content[name])}"
            )
    try:
        check_fields(content["model"], _MODEL_FIELDS)
    except ValueError as fault:
        raise InterventionFileError(f"{file}: model: {fault}") from fault
    return content
