"""How a script runs: options from the command line, then its work, and faults in a line."""

import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import jax

from converters.torch_pickle import CheckpointError
from experiments.shared import (
    command_line,
    device,
    hosts,
    option_types,
    programs_cache,
    stopping,
)
from experiments.shared.option_types import OptionError
from experiments.shared.options import PRECISION
from jaxmask.files.intervention_file import InterventionFileError
from jaxmask.files.run_folder import RunFolderError
from jaxmask.models.language_model import ModelError
from jaxmask.pipeline.prepare import SplitError
from jaxmask.report.page import PageError
from jaxmask.text.examples import TaskDataError
from jaxmask.text.vocabulary import VocabularyError

# Faults that a person can mend: reported in a line, without a traceback.
USER_ERRORS = (
    OptionError,
    CheckpointError,
    ModelError,
    VocabularyError,
    TaskDataError,
    RunFolderError,
    InterventionFileError,
    PageError,
)


def run_script(options: type, script: str, description: str, work: Callable[[Any], Any]) -> None:
    """What the ``main`` of a script does.

    Args:
        options: dataclass of the script's options.
        script: name of the module below ``experiments``.
        description: docstring of the script, shown by ``--help``.
        work: what the script does with its options.
    """
    stopping.begin()
    try:
        chosen = parse(options, script, description)
        option_types.check(chosen)
        device.check()
        work(chosen)
    except SplitError as fault:
        sys.exit(f"error: --{fault}")
    except USER_ERRORS as fault:
        sys.exit(f"error: {fault}")
    except KeyboardInterrupt:
        stopping.leave()
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as fault:  # a full disk, a folder that is gone
        sys.exit(f"error: {fault.filename or 'a file'}: {fault.strerror or fault}")
    except jax.errors.JaxRuntimeError as fault:
        if "RESOURCE_EXHAUSTED" not in str(fault):
            raise
        sys.exit("error: not enough memory; fewer --seeds, or a smaller model, take less")
    finally:
        stopping.end()


def parse(options: type, script: str, description: str) -> Any:
    """Options from the command line; also sets up the process: JAX's cache, precision, hosts."""
    chosen = command_line.read(options, script, description)
    cache = programs_cache.folder()
    jax.config.update("jax_compilation_cache_dir", None if cache is None else str(cache))
    # All programs are kept, as a start compiles dozens of small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    precision = getattr(chosen, "precision", PRECISION)
    jax.config.update("jax_default_matmul_precision", None if precision == "default" else precision)
    hosts.join()
    # What is imported stays: without this, tracing would set off garbage collections that search
    # all of it and take a tenth of a start.
    gc.freeze()
    return chosen
