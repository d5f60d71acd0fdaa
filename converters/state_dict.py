"""Finds the state dict in a checkpoint, and our names for its tensors.

Training programs wrap it: in a dictionary with the epoch, in ``module.`` of DataParallel or
``_orig_mod.`` of a compiled model. They also name the three modules as they like. What is unwrapped
or renamed here is said in lines of text.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from converters.torch_pickle import Checkpoint, CheckpointError, describes_tensor
from jaxmask.files.inert_pickle import Record
from jaxmask.text.vocabulary import shown

ROLES = ("encoder", "rnn", "decoder")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "lm.")
# Entries that hold the weights, by the names that they usually have; the first one counts.
ENTRIES = ("model_state_dict", "state_dict", "model_state", "model", "net", "network", "weights")

MOST = 30  # entries of a dictionary that are searched for weights

# rnns.0.module.weight_hh_l0_raw: a list of layers, and a weight whose elements are dropped
_RECURRENT = re.compile(
    r"(?P<module>[\w.]*?)(?:\.(?P<number>\d+))?(?:\.module)?"
    r"\.(?P<part>(?:weight|bias)_(?:ih|hh))_l(?P<layer>\d+)(?P<raw>_raw)?"
)


def as_mapping(value: Any) -> dict | None:
    """A dict or OrderedDict as a dict; None for anything else."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, Record) or value.name != "collections.OrderedDict":
        return None
    match value.args:
        case () | ([],):
            return value.items
        case (list(pairs),) if all(is_pair(pair) for pair in pairs):  # as Python 2 pickles it
            return dict(pairs) | value.items
    return None


def is_pair(value: Any) -> bool:
    """Is this a name and what it names?"""
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)


def is_state_dict(value: Any) -> bool:
    """Are these tensors by name?"""
    entries = as_mapping(value)
    return (
        entries is not None
        and all(isinstance(name, str) for name in entries)
        and any(describes_tensor(tensor) for tensor in entries.values())
    )


def unwrap(root: Any) -> tuple[Any, list[str]]:
    """The state dict or module in the object of a checkpoint, and what it was unwrapped from."""
    notes = []
    for _ in range(4):  # wrapped once or twice, and some to spare
        entries = as_mapping(root)
        if entries is not None and not is_state_dict(root):
            inside = [name for name in islice(entries, MOST) if _holds_weights(entries[name])]
            if not inside:
                break
            name = next((name for name in ENTRIES if name in inside), inside[0])
            notes.append(f"the weights are in the entry {shown(str(name))} of the checkpoint")
            root = entries[name]
        elif (inner := _only_module(root)) is not None:
            notes.append("the model is in the attribute module, as of DataParallel")
            root = inner
        else:
            break
    return root, notes


def _holds_weights(value: Any, depth: int = 2) -> bool:
    """Is this a state dict or a module, or a dictionary with one somewhere inside?"""
    if _is_module(value):
        return True
    entries = as_mapping(value)
    if entries is None:
        return False
    if is_state_dict(value):
        return any("weight" in name for name in entries)  # the state of an optimiser has none
    return depth > 0 and any(
        _holds_weights(inner, depth - 1) for inner in islice(entries.values(), MOST)
    )


def _is_module(value: Any) -> bool:
    return isinstance(value, Record) and isinstance(value.state, dict) and "_modules" in value.state


def _only_module(value: Any) -> Any | None:
    """The module in a wrapper such as DataParallel; None if this isn't one."""
    children = as_mapping(value.state["_modules"]) if _is_module(value) else None
    return children["module"] if children is not None and [*children] == ["module"] else None


def renamed(
    tensors: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The tensors under our names, and what was renamed.

    Args:
        tensors: not decoded yet, by their names in the state dict.
        names: for each of `ROLES` that has another name, that name.
    """
    found, notes = dict(tensors), []
    while found and (
        prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in found)), "")
    ):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        notes.append(f"all names begin with {prefix}, which is left away")
    for role, name in names.items():
        theirs = f"{name}."
        found = {
            f"{role}.{key.removeprefix(theirs)}" if key.startswith(theirs) else key: tensor
            for key, tensor in found.items()
        }
    return _recurrent(found, notes), notes


def _recurrent(tensors: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The tensors with the names of one LSTM of several layers, without dropped weights."""
    found: dict[str, Any] = {}
    raw: set[str] = set()
    for name, tensor in tensors.items():
        match = _RECURRENT.fullmatch(name)
        key = name
        if match:
            module = "rnn" if match["module"] == "rnns" else match["module"]
            layer = int(match["layer"]) + int(match["number"] or 0)
            key = f"{module}.{match['part']}_l{layer}"
            if match["raw"]:
                notes.append(f"{shown(name)}: the weight without dropout, as {key}")
                raw.add(key)
            elif key in raw:
                continue  # a copy with some elements dropped
        found[key] = tensor
    return found


def suggested_names(tensors: Iterable[str]) -> str:
    """The option that names the three modules of a state dict; empty if that isn't plain.

    The recurrent module has recurrent weights; of the others, the decoder has a bias.

    Example:
        >>> suggested_names(["embedding.weight", "lstm.weight_ih_l0", "fc.weight", "fc.bias"])
        '--names encoder=embedding rnn=lstm decoder=fc'
    """
    parts: dict[str, set[str]] = {}
    for name in tensors:
        module, _, part = name.rpartition(".")
        parts.setdefault(module, set()).add(part)
    recurrent = [module for module, found in parts.items() if "weight_ih_l0" in found]
    encoders = [module for module, found in parts.items() if found == {"weight"}]
    decoders = [module for module, found in parts.items() if found == {"weight", "bias"}]
    groups = encoders, recurrent, decoders
    if any(len(modules) != 1 or not modules[0] for modules in groups):
        return ""
    named = [
        f"{role}={shown(modules[0], 40)}"
        for role, modules in zip(ROLES, groups, strict=True)
        if modules[0] != role
    ]
    return f"--names {' '.join(named)}" if named else ""


def parse_names(options: Iterable[str]) -> dict[str, str]:
    """The names of modules, from ``ROLE=NAME`` on a command line.

    Raises:
        CheckpointError: an option isn't of this form, or a role is there twice.
    """
    names: dict[str, str] = {}
    for option in options:
        role, _, name = option.partition("=")
        if role not in ROLES or not name or role in names:
            raise CheckpointError(
                f"--names: expected {' '.join(f'{role}=NAME' for role in ROLES)}, found "
                f"'{shown(option)}'"
            )
        names[role] = name
    return names


def checked(checkpoint: Checkpoint, root: Any) -> dict[str, Any] | None:
    """The tensors of a state dict; None if the object isn't a dictionary.

    Raises:
        CheckpointError: it is a dictionary of something else.
    """
    entries = as_mapping(root)
    if entries is not None and not is_state_dict(root):
        raise CheckpointError(f"{checkpoint.source}: a dictionary, but not a state dict")
    return entries
