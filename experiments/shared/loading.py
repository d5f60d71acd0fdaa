"""What names on the command line stand for: models and stimuli."""

from pathlib import Path

import jax

from converters.gulordava import convert_with_account
from experiments.shared.console import console
from experiments.shared.option_types import OptionError, is_checkpoint
from jaxmask import found
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.model_folder import BUNDLED, load_model
from jaxmask.tasks import minimal_pairs
from jaxmask.tasks.registry import PHENOMENA, phenomenon
from jaxmask.text.examples import Task

MINIMAL_PAIRS_PAGE = "docs/your_phenomenon.md"


def load_model_named(
    name: str, vocab: Path | None, dtype: str = "float32", divide: bool = False
) -> LanguageModel:
    """A bundled model (``demo``, ``demo-gpt2``), a PyTorch checkpoint or a model folder.

    How a checkpoint and its vocabulary were read is printed, where their content left a choice.

    Args:
        name: what the model is called on the command line.
        vocab: vocabulary of a checkpoint.
        dtype: type of the matrices of a transformer.
        divide: whether the weights of a transformer are divided over all devices.

    Raises:
        OptionError: the model is of a kind that has no such option.
    """
    if divide:
        from jaxmask.models.transformer.model import TransformerModel
        from jaxmask.models.transformer.sharding import sharded

        # It is read into the memory of the host, as no device may hold all of it.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            whole = load_model_named(name, vocab, dtype)
        if not isinstance(whole, TransformerModel):
            raise OptionError(f"--divide: expected a transformer, found {whole.name}")
        return sharded(whole)
    if is_checkpoint(name):
        if dtype != "float32":
            raise OptionError(f"--dtype: expected float32 for a PyTorch checkpoint, found {dtype}")
        if vocab is None:
            raise OptionError(f"--vocab: expected the vocabulary of {name}, found none")
        read = convert_with_account(name, vocab)
        for note in read.notes:
            console().print(note, soft_wrap=True, markup=False)
        return read.model
    return load_model(BUNDLED.get(name, name), dtype)


def load_task(name: str, data: Path | None) -> Task:
    """The stimuli of one of `jaxmask.tasks.registry.PHENOMENA`, or those of a file of pairs.

    Args:
        name: of the task.
        data: file or folder of the stimuli; None for stimuli that the task makes itself.

    Raises:
        OptionError: a file was given where a folder was expected, or the other way round.
        TaskDataError: the data can't be used.
    """
    chosen = phenomenon(name)
    of_a_file = chosen is PHENOMENA[minimal_pairs.NAME]
    if data is None:
        if chosen.generate is None:
            raise OptionError(
                f"--data: expected a file of minimal pairs, see {MINIMAL_PAIRS_PAGE}; none given"
            )
        return chosen.generate()
    if data.is_dir() and of_a_file:
        raise OptionError(f"--data: expected a file of minimal pairs, found the folder {data}")
    if data.is_file() and not of_a_file:
        raise OptionError(
            f"--data: expected the folder of {name}'s original files, found the file {data}; for "
            "minimal pairs of your own there is jaxmask search, or "
            f"--task {minimal_pairs.NAME}"
        )
    if of_a_file and data.stem in PHENOMENA:
        raise OptionError(
            f"--data: {data}: expected a file that isn't called like a task ({data.stem}), as its "
            "results would be"
        )
    return chosen.read(data)


def data_name(data: Path | None) -> str:
    """What the record says of ``--data``: its name; for a file, also its hash."""
    if data is None:
        return "generated"
    if data.is_file():
        return found.data_name(data)
    return data.name
