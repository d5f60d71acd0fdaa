"""Finds the tensors of an ``RNNModel`` in a checkpoint, saved whole or as a state dict.

A module that was saved whole also holds its settings. Settings that change what the weights mean
are checked here; the others (dropout, training mode, gradients) are ignored.
"""

from collections.abc import Mapping
from typing import Any

from converters.state_dict import as_mapping, checked, renamed, unwrap
from converters.torch_pickle import Checkpoint, CheckpointError
from jaxmask.files.inert_pickle import Record, brief

CLASSES = {
    "encoder": "torch.nn.modules.sparse.Embedding",
    "rnn": "torch.nn.modules.rnn.LSTM",
    "decoder": "torch.nn.modules.linear.Linear",
    "drop": "torch.nn.modules.dropout.Dropout",
}
# Settings under which the same weights mean another function, with the value that we can read.
SETTINGS: dict[str, dict[str, Any]] = {
    "encoder": {"max_norm": None},
    "rnn": {"mode": "LSTM", "bidirectional": False, "batch_first": False, "proj_size": 0},
    "decoder": {},
    "drop": {},
    "": {"rnn_type": "LSTM"},
}
FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def find_tensors(
    checkpoint: Checkpoint, names: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, dict], list[str]]:
    """The tensors, not decoded yet, by our names; the settings by module; and what was renamed.

    Args:
        checkpoint: to search.
        names: see `converters.state_dict.renamed`.

    Raises:
        CheckpointError: the checkpoint is neither a state dict nor such a module.
    """
    root, notes = unwrap(checkpoint.root)
    tensors = checked(checkpoint, root)
    settings: dict[str, dict] = {}
    if tensors is None:
        tensors, settings = module_tensors(checkpoint, root, names)
    tensors, more = renamed(tensors, names)
    return tensors, settings, notes + more


def module_tensors(
    checkpoint: Checkpoint, root: Any, names: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, dict]]:
    """The tensors and settings of a pickled ``RNNModel``, whose modules may have other names."""
    source, ours = checkpoint.source, {name: role for role, name in names.items()}
    attributes = module_attributes(root, "the model", source)
    check_attributes(attributes, SETTINGS[""], "", source)
    children = attributes["_modules"]
    settings = {"": attributes}
    tensors = own_tensors(attributes, "")
    for name, module in children.items():
        child = ours.get(name, name)
        if child not in CLASSES:
            raise CheckpointError(f"{source}: unknown module {brief(name)} in the model")
        inner = module_attributes(module, child, source)
        if module.name != CLASSES[child]:
            raise CheckpointError(
                f"{source}: {child}: expected a {CLASSES[child]}, found {brief(module)}"
            )
        check_attributes(inner, SETTINGS[child], child, source)
        if inner["_modules"]:
            raise CheckpointError(f"{source}: {child}: holds modules of its own")
        tensors |= own_tensors(inner, f"{child}.")
        settings[child] = inner
    return tensors, settings


def module_attributes(module: Any, name: str, source: str) -> dict[str, Any]:
    """The attributes of a pickled ``nn.Module``, with the three dictionaries of any module."""
    attributes = module.state if isinstance(module, Record) else None
    wanted = ("_modules", "_parameters", "_buffers")
    if not isinstance(attributes, dict):
        attributes = {}
    parts = {key: as_mapping(attributes.get(key)) for key in wanted}
    if None in parts.values():
        raise CheckpointError(f"{source}: {name}: expected a torch module or a state dict")
    for key in FORWARD_HOOKS:
        if as_mapping(attributes.get(key, {})) != {}:
            raise CheckpointError(f"{source}: {name}: has {key}, which may change what it does")
    return attributes | parts


def own_tensors(attributes: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Parameters and buffers of one module; None stands for a parameter it doesn't have."""
    both = attributes["_parameters"] | attributes["_buffers"]
    return {f"{prefix}{key}": value for key, value in both.items() if value is not None}


def check_attributes(
    attributes: Mapping[str, Any], wanted: Mapping[str, Any], module: str, source: str
) -> None:
    """Checks that those attributes that a module has are as expected.

    Raises:
        CheckpointError: one hasn't.
    """
    for key, expected in wanted.items():
        found = attributes.get(key, expected)
        if type(found) is not type(expected) or found != expected:
            where = f"{module}.{key}".removeprefix(".")
            raise CheckpointError(f"{source}: {where}: expected {expected}, found {brief(found)}")
