"""Turns a PyTorch LSTM language model into a model folder, without torch.

    jaxmask convert MODEL.pt VOCAB.txt OUT_DIR

For checkpoints of the ``word_language_model`` family, which Gulordava et al.'s model belongs to:
an ``RNNModel`` with an ``encoder`` (Embedding), an ``rnn`` (LSTM) and a ``decoder`` (Linear), saved
whole or as a state dict. PyTorch has the gates in the same order as we (input, forget, cell,
output), stores the transposed matrices, and has two biases that are only ever added.

Whatever is wrong with the checkpoint is a `CheckpointError`; a vocabulary that can't be read or has
another number of words is a `VocabularyError`.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from converters.rnn_model import check_attributes, find_tensors
from converters.state_dict import parse_names, suggested_names
from converters.torch_pickle import Checkpoint, CheckpointError, read_checkpoint, read_tensor
from converters.vocabulary_file import Marks, read_vocabulary
from jaxmask.command import command_name
from jaxmask.files.run_folder import RunFolderError, check_writable
from jaxmask.models.language_model import ModelError
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMConfig
from jaxmask.models.model_folder import CONFIG, save_model, some
from jaxmask.models.weights import unflatten
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, VocabularyError, shown


class Foreign(NamedTuple):
    """How the files of another program are read, where their content doesn't say it.

    Attributes:
        names: for the encoder, the rnn and the decoder the name of the module, if it is another.
        marks: of the vocabulary.
    """

    names: Mapping[str, str] = {}
    marks: Marks = Marks()


class Converted(NamedTuple):
    """A model, and how it was read.

    Attributes:
        model: as a model folder holds it.
        table: the parameter that each tensor became.
        notes: what was unwrapped, renamed or understood in the files, in lines of text.
    """

    model: LSTMModel
    table: "list[Mapped]"
    notes: list[str]


class Mapped(NamedTuple):
    """One tensor of the checkpoint, and the parameter that it became.

    Attributes:
        source: PyTorch's name of the tensor.
        target: name of the parameter, see `jaxmask.models.weights.flatten`.
        shape: of the tensor.
        dtype: of the tensor.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    dtype: str


def convert(
    model_file: str | Path,
    vocab_file: str | Path,
    name: str | None = None,
    foreign: Foreign = Foreign(),  # noqa: B008
) -> LSTMModel:
    """Reads a checkpoint and its vocabulary; writes nothing.

    Args:
        model_file: what ``torch.save`` wrote.
        vocab_file: the words in the order of the model's indices, see `converters.vocabulary_file`.
        name: of the model; if not given, the name of the checkpoint's file without its ending.
        foreign: what the files don't say themselves.

    Raises:
        CheckpointError: the checkpoint can't be read, or isn't such a model.
        VocabularyError: the vocabulary can't be read, or has another size than the model.
    """
    return convert_with_account(model_file, vocab_file, name, foreign).model


def convert_with_account(
    model_file: str | Path,
    vocab_file: str | Path,
    name: str | None = None,
    foreign: Foreign = Foreign(),  # noqa: B008
) -> Converted:
    """`convert`, with an account of how the files were read."""
    checkpoint = read_checkpoint(model_file)
    vocabulary, of_vocabulary = read_vocabulary(vocab_file, foreign.marks)
    described, settings, notes = find_tensors(checkpoint, foreign.names)
    arrays = read_tensors(checkpoint, described)
    config = find_config(arrays, str(model_file))
    check_sizes(settings, config, str(model_file))
    if len(vocabulary) != config.vocabulary:
        raise VocabularyError(
            f"{vocab_file}: expected {config.vocabulary} words, as {model_file} has, "
            f"found {len(vocabulary)}"
        )
    flat = {
        target: jnp.asarray(array) for target, array in map_tensors(arrays, config.tied).items()
    }
    table = [
        Mapped(source, target_of(source, config.tied), array.shape, array.dtype.name)
        for source, array in arrays.items()
    ]
    name = Path(model_file).stem if name is None else name
    notes = [f"{model_file}: {note}" for note in notes]
    notes += [f"{vocab_file}: {note}" for note in of_vocabulary]
    return Converted(LSTMModel(name, config, unflatten(flat), vocabulary), table, notes)


def read_tensors(checkpoint: Checkpoint, described: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Decodes all tensors, after checking their names.

    Raises:
        CheckpointError: names a tensor that is missing, unknown or can't be read.
    """
    layers = 0
    while f"rnn.weight_hh_l{layers}" in described:
        layers += 1
    expected = expected_names(max(layers, 1))
    faults = [f"{name}: missing" for name in expected if name not in described]
    faults += [f"{shown(name)}: unknown" for name in described.keys() - set(expected)]
    if faults:
        names = suggested_names(described)
        raise CheckpointError(
            f"{checkpoint.source}: {some(sorted(faults))}"
            + (f"; name the modules: jaxmask convert ... {names}" if names else "")
        )
    arrays, total = {}, 0
    for name in expected:
        arrays[name] = read_tensor(checkpoint, described[name], name)
        total += arrays[name].nbytes
        if total > 2 * checkpoint.size:  # once over when encoder and decoder are tied
            raise CheckpointError(f"{checkpoint.source}: {name}: tensors overlap in the file")
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.all(np.isfinite(arrays[name].astype(np.float32)))
        if not finite:
            raise CheckpointError(
                f"{checkpoint.source}: {name}: holds NaN, infinity, or more than float32 can"
            )
    return arrays


def expected_names(layers: int) -> list[str]:
    """The names in the state dict of an ``RNNModel`` with that many layers.

    Example:
        >>> expected_names(1)[:3]
        ['encoder.weight', 'rnn.weight_ih_l0', 'rnn.weight_hh_l0']
    """
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    recurrent = [f"rnn.{part}_l{layer}" for layer in range(layers) for part in parts]
    return ["encoder.weight", *recurrent, "decoder.weight", "decoder.bias"]


def find_config(arrays: Mapping[str, np.ndarray], source: str) -> LSTMConfig:
    """The sizes of the model, read from the shapes of its tensors.

    Raises:
        CheckpointError: shapes disagree; all tensors that do are named.
    """
    for name in ("encoder.weight", "rnn.weight_hh_l0"):
        if arrays[name].ndim != 2 or 0 in arrays[name].shape:
            raise CheckpointError(
                f"{source}: {name}: expected a matrix, found shape {arrays[name].shape}"
            )
    words, width = arrays["encoder.weight"].shape
    rows, hidden = arrays["rnn.weight_hh_l0"].shape
    alike = all(array.shape[:1] == (rows,) for name, array in arrays.items() if name[:3] == "rnn")
    if alike and rows in (hidden, 3 * hidden):
        kind = "1 gate: a plain RNN" if rows == hidden else "3 gates: a GRU"
        raise CheckpointError(
            f"{source}: rnn.weight_hh_l0: expected the 4 gates of an LSTM, {4 * hidden} rows for "
            f"{hidden} columns, found {rows} rows, {kind}; only LSTMs can be converted"
        )
    layers = sum(name.startswith("rnn.weight_hh") for name in arrays)
    shapes = {
        "encoder.weight": (words, width),
        "decoder.weight": (words, hidden),
        "decoder.bias": (words,),
    }
    for layer in range(layers):
        below = hidden if layer else width
        shapes[f"rnn.weight_ih_l{layer}"] = (4 * hidden, below)
        shapes[f"rnn.weight_hh_l{layer}"] = (4 * hidden, hidden)
        shapes[f"rnn.bias_ih_l{layer}"] = shapes[f"rnn.bias_hh_l{layer}"] = (4 * hidden,)
    faults = [
        f"{name}: expected shape {shapes[name]}, found {array.shape}"
        for name, array in arrays.items()
        if array.shape != shapes[name]
    ]
    if faults:
        raise CheckpointError(f"{source}: not an LSTM's shapes: {some(faults)}")
    tied = np.array_equal(arrays["encoder.weight"], arrays["decoder.weight"])
    return LSTMConfig(words, width, hidden, layers, tied)


def check_sizes(settings: Mapping[str, dict], config: LSTMConfig, source: str) -> None:
    """Checks the sizes that a pickled module states; a state dict states none.

    Raises:
        CheckpointError: a size disagrees with the tensors' shapes.
    """
    sizes = {
        "": {"nhid": config.hidden, "nlayers": config.layers},
        "encoder": {"num_embeddings": config.vocabulary, "embedding_dim": config.embedding},
        "rnn": {
            "input_size": config.embedding,
            "hidden_size": config.hidden,
            "num_layers": config.layers,
        },
        "decoder": {"in_features": config.hidden, "out_features": config.vocabulary},
    }
    for module, wanted in sizes.items():
        check_attributes(settings.get(module, {}), wanted, module, source)


def target_of(source: str, tied: bool) -> str:
    """The name of the parameter that a tensor becomes; both biases of a layer become one.

    Example:
        >>> target_of("rnn.bias_hh_l0", tied=False)
        'lstm/layer_1/bias'
    """
    if source == "decoder.weight" and tied:
        return "encoder/embedding"
    fixed = {"encoder.weight": "encoder/embedding", "decoder.weight": "decoder/weight"}
    if match := re.fullmatch(r"rnn\.(\w+?)_l(\d+)", source):
        part = {"weight_ih": "input_kernel", "weight_hh": "recurrent_kernel"}
        return f"lstm/layer_{int(match[2]) + 1}/{part.get(match[1], 'bias')}"
    return fixed.get(source, "decoder/bias")


def map_tensors(arrays: Mapping[str, np.ndarray], tied: bool) -> dict[str, np.ndarray]:
    """The flat parameter tree: kernels are transposed, the two biases of a layer are added."""
    flat: dict[str, np.ndarray] = {}
    for source, array in arrays.items():
        target, value = target_of(source, tied), array.astype(np.float32)
        if target.endswith("kernel"):
            value = np.ascontiguousarray(value.T)
        if source.startswith("rnn.bias_hh"):
            value = flat[target] + value
        if not (tied and source == "decoder.weight"):
            flat[target] = value
    return flat


def format_table(table: list[Mapped]) -> str:
    """The table as text: a line for each tensor with both names, its shape and its type."""
    rows = [(m.source, m.target, " x ".join(map(str, m.shape)), m.dtype) for m in table]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  ->  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}"
        for row in rows
    )


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=command_name("converters.gulordava"),
        description="Turn a PyTorch LSTM language model (an RNNModel of the word_language_model "
        "family, saved whole or as a state dict) into a model folder. Needs no torch and runs "
        "nothing from the file.",
    )
    parser.add_argument("model", metavar="MODEL.pt", help="what torch.save wrote, either format")
    parser.add_argument("vocab", metavar="VOCAB.txt", help="one word a line, in index order")
    parser.add_argument("out", metavar="OUT_DIR", help="folder for weights, sizes and vocabulary")
    parser.add_argument("--name", help="the model's name (default: MODEL.pt without its ending)")
    parser.add_argument(
        "--names", nargs="+", default=[], metavar="ROLE=NAME",
        help="names of the modules: encoder=embedding rnn=lstm decoder=fc",
    )  # fmt: skip
    parser.add_argument("--unknown", default=UNKNOWN, help="the vocabulary's mark of unknown words")
    parser.add_argument(
        "--end", default=END_OF_SENTENCE, help="the vocabulary's mark of the end of a sentence"
    )
    parser.add_argument(
        "--duplicates", choices=("refuse", "first", "last"), default="refuse",
        help="which of several equal words counts",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        if not options.out:
            raise RunFolderError("OUT_DIR: expected a folder, found an empty name")
        check_writable(options.out)
        if (Path(options.out) / CONFIG).exists():
            raise ModelError(
                f"{options.out}: holds a model already: remove it, or name another folder"
            )
        marks = Marks(options.unknown, options.end, options.duplicates)
        foreign = Foreign(parse_names(options.names), marks)
        model, table, notes = convert_with_account(
            options.model, options.vocab, options.name, foreign
        )
        save_model(options.out, model)
    except (CheckpointError, VocabularyError, ModelError, RunFolderError, OSError) as fault:
        sys.exit(f"error: {fault}")
    c = model.config
    for note in notes:
        print(note)
    print(format_table(table))
    print(
        f"{model.name}: {c.vocabulary} words, {c.embedding} embedding columns, {c.layers} x "
        f"{c.hidden} hidden units, {'tied' if c.tied else 'untied'} decoder; in {options.out}"
    )


if __name__ == "__main__":
    main()
