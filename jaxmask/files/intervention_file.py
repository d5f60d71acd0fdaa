"""An intervention as one JSON file, tied to the model it was found in.

    {"format": "jaxmask intervention 1",
     "model": {"name": "demo", "fingerprint": "0f3c...", "layers": 2, "hidden": 650},
     "task": "number_agreement",
     "settings": {"alpha": 0.02, ...},
     "metrics": {"accuracy": 91.5, ...},
     "units": [79, 776],
     "values": {"singular": {"79": -0.96, "776": -0.81}, "plural": {"79": 0.99, "776": 0.96}}}

Units are numbered from 1. A value is written with the digits that give back the same float32.
"""

import json
import reprlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import DIRECTIONS, Intervention, units
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.lstm import network
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.lstm.reading import read_context
from jaxmask.models.model_folder import check_fields, read_json
from jaxmask.text.examples import CONTEXTS, Task
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
    """What an intervention file holds.

    Attributes:
        intervention: a hard one; the baseline of units outside the mask is 0.
        task: name of the task it was found on.
        directions: names of the rows of mask and baseline.
        settings: of the search.
        metrics: what it reached.
    """

    intervention: Intervention
    task: str
    directions: tuple[str, ...]
    settings: dict[str, Any]
    metrics: dict[str, Any]


def save_intervention(
    file: str | Path,
    intervention: Intervention,
    model: LanguageModel,
    task: str,
    directions: Sequence[str],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Writes an intervention file.

    Args:
        file: to write; its folder is made if missing.
        intervention: a hard one: each entry of its mask is 0 or 1.
        model: the one it was found in.
        task: name of the task.
        directions: names of the rows of mask and baseline, two different ones.
        settings: of the search, in JSON's types.
        metrics: what it reached, in JSON's types.

    Raises:
        InterventionFileError: mask or baseline are of another shape than ``directions`` and
            ``model`` ask for, there aren't two directions, a mask entry is neither 0 nor 1, or a
            value is outside [-1, 1].
    """
    mask, baseline = (np.asarray(part, np.float32) for part in intervention)
    _check_directions(directions, f"{file}: directions")
    expected = (DIRECTIONS, model.config.units)
    for name, part in (("mask", mask), ("baseline", baseline)):
        if part.shape != expected:
            raise InterventionFileError(
                f"{file}: {name}: expected shape {expected} (directions, units), found {part.shape}"
            )
    if not np.all((mask == 0) | (mask == 1)):
        raise InterventionFileError(f"{file}: expected a mask of zeros and ones, found fractions")
    content = {
        "format": FORMAT,
        "model": _identity(model),
        "task": task,
        "settings": dict(settings),
        "metrics": dict(metrics),
        "units": units(jnp.asarray(mask)),
        "values": {
            direction: _values(row_mask, row, f"{file}: values toward {direction}")
            for direction, row_mask, row in zip(directions, mask, baseline, strict=True)
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
    """Reads an intervention file for the model it was found in.

    Args:
        file: to read.
        model: the one it is to be for.
        task: the one it is to be for, whose order of directions the rows then have; without it they
            have the order of the file, which programs that write JSON may change.

    Raises:
        InterventionFileError: the file is missing or isn't an intervention file, a field is
            missing, unknown or there twice, its model or task is another one, or a unit or value is
            out of range, missing, or there twice.
    """
    content = _read(file)
    found, expected = content["model"], _identity(model)
    for key in ("layers", "hidden", "fingerprint"):
        if found[key] != expected[key]:
            raise InterventionFileError(
                f"{file}: is of another model: {key} {reprlib.repr(found[key])} "
                f"({reprlib.repr(found['name'])}), this model has {expected[key]!r} "
                f"({expected['name']!r})"
            )
    _check_directions(content["values"], f"{file}: values")
    directions = tuple(content["values"])
    if task is not None:
        _check_task(content, task, file)
        directions = task.directions
    rows = {
        direction: _row(
            content["values"][direction],
            model.config.units,
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
    words: Sequence[str],
    toward: str | None,
    position: int | None = None,
) -> Float[Array, "words vocabulary"]:
    """What a model expects after each word, intervened on as in the run that found how.

    The model first reads the context that the run had it read. A single-step intervention acts at
    one word, an every-step intervention at all words of the sentence.

    Args:
        saved: of a run's ``interventions`` folder, see `load_intervention`.
        model: the one it was found in.
        words: a sentence, or its beginning; words out of vocabulary are read as ``<unk>``.
        toward: the direction, one of ``saved.directions``; None leaves the model untouched.
        position: index, from 0, of the word at which a single-step intervention acts.

    Returns:
        Log-probabilities, in nats, of the next word.

    Raises:
        InterventionFileError: there is no such direction or position, there are no words, or
            ``saved.settings`` don't hold ``context`` and ``intervention``.
    """
    context, kind = (saved.settings.get(name) for name in ("context", "intervention"))
    if context not in tuple(CONTEXTS) or kind not in ("single", "every"):
        raise InterventionFileError(
            f"settings: expected context ({', '.join(CONTEXTS)}) and intervention (single, every), "
            f"found {reprlib.repr(context)} and {reprlib.repr(kind)}"
        )
    if toward not in (None, *saved.directions):
        raise InterventionFileError(
            f"toward: expected {' or '.join(map(shown, saved.directions))}, found {toward!r}"
        )
    single = toward is not None and kind == "single"
    if not words or (single and (position is None or not 0 <= position < len(words))):
        raise InterventionFileError(
            f"position: expected a word of the sentence, from 0 to {len(words) - 1}, at which to "
            f"intervene, found {position}"
        )
    return _log_probs(
        model.params,
        read_context(model.params, model.vocabulary.encode(CONTEXTS[context])),
        jnp.array(model.vocabulary.encode(words)),
        None if toward is None else saved.intervention.toward(saved.directions.index(toward)),
        jnp.arange(len(words)) == position if single else None,
    )


@jax.jit
def _log_probs(
    params: Params,
    state: LSTMState,
    tokens: Int[Array, " words"],
    intervention: Intervention | None,
    where: Bool[Array, " words"] | None,
) -> Float[Array, "words vocabulary"]:
    return jax.nn.log_softmax(network.forward(params, state, tokens, intervention, where)[0])


def _identity(model: LanguageModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "layers": model.config.layers,
        "hidden": model.config.hidden,
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
    mask: Float[np.ndarray, " units"], baseline: Float[np.ndarray, " units"], place: str
) -> dict[str, float]:
    """The masked values by unit number; `str` of a float32 has just the digits it needs."""
    values = {str(i + 1): float(str(baseline[i])) for i in np.flatnonzero(mask)}
    for unit, value in values.items():
        _check_value(value, f"{place}, unit {unit}")
    return values


def _row(values: Any, size: int, place: str) -> Float[np.ndarray, " units"]:
    """Values by unit number as an array, NaN where there is none."""
    if not isinstance(values, dict):
        raise InterventionFileError(
            f"{place}: expected values by unit, found {reprlib.repr(values)}"
        )
    row = np.full(size, np.nan, np.float32)
    index = {str(i + 1): i for i in range(size)}
    for unit, value in values.items():
        if unit not in index:
            raise InterventionFileError(
                f"{place}: expected a unit from 1 to {size}, found '{shown(unit)}'"
            )
        _check_value(value, f"{place}, unit {unit}")
        row[index[unit]] = value
    return row


def _check_value(value: Any, place: str) -> None:
    if type(value) not in (int, float) or not -1 <= value <= 1:
        raise InterventionFileError(
            f"{place}: expected a number from -1 to 1, found {reprlib.repr(value)}"
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
