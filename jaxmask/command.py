"""The console command ``jaxmask``: a word for each script that most people need.

    jaxmask search --data mine.tsv --alpha 0.01

is ``python -m experiments.search --data mine.tsv --alpha 0.01``, and works outside of a clone. The
wheel has the scripts in a folder of this package, not beside it: installed packages that are called
``experiments`` and ``converters`` would hide folders with these names in other people's projects.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

import jaxmask


class Command(NamedTuple):
    """A word of the console command.

    Attributes:
        script: the module whose ``main`` it runs.
        does: what it does, in a line.

    Example:
        >>> COMMANDS["convert"].script
        'converters.gulordava'
    """

    script: str
    does: str


COMMANDS = {
    "import": Command(
        "experiments.import_pairs", "turn minimal pairs in another format into a file for `search`"
    ),
    "check": Command(
        "experiments.check_data", "report which pairs a model reads, and which forms it prefers"
    ),
    "search": Command(
        "experiments.search", "find the units that carry the phenomenon of a file of minimal pairs"
    ),
    "convert": Command(
        "converters.gulordava", "turn a PyTorch LSTM language model into a model folder"
    ),
}


def command_name(script: str) -> str:
    """What a person types to run a script.

    Args:
        script: a module of ``experiments`` or ``converters``, by its whole name.

    Example:
        >>> command_name("experiments.search"), command_name("experiments.pareto")
        ('jaxmask search', 'python -m experiments.pareto')
    """
    words = {command.script: word for word, command in COMMANDS.items()}
    return f"jaxmask {words[script]}" if script in words else f"python -m {script}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script that the first word stands for, with the words after it.

    Args:
        arguments: of the command line; those of this process if not given.

    Example:
        >>> main(["--version"])
        jaxmask ...
    """
    word, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if word in ("-h", "--help"):
        print(usage())
    elif word == "--version":
        print(f"jaxmask {jaxmask.__version__}")
    elif word in COMMANDS:
        _run(word, rest)
    else:
        meant = get_close_matches(word, COMMANDS, 1)
        hint = f" (did you mean {meant[0]!r}?)" if meant else ""
        sys.exit(f"error: jaxmask: expected {' or '.join(COMMANDS)}, found {word!r}{hint}")


def usage() -> str:
    """What ``jaxmask --help`` prints.

    Example:
        >>> usage().splitlines()[0]
        'usage: jaxmask COMMAND [OPTIONS]'
    """
    lines = [f"  {word:<8}  {command.does}" for word, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jaxmask COMMAND [OPTIONS]",
            "",
            "Which few units of a language model carry a linguistic feature?",
            "",
            *lines,
            "",
            "`jaxmask COMMAND --help` lists the options of a command; `jaxmask --version`",
            "prints the version. In Python, `jaxmask.find` does what `search` does.",
        ]
    )


def _run(word: str, rest: list[str]) -> None:
    """Runs a script in this process, as ``python -m`` would."""
    sys.path.insert(0, str(scripts()))
    sys.argv = [f"jaxmask {word}", *rest]
    end_at_interrupt()
    importlib.import_module(COMMANDS[word].script).main()


def end_at_interrupt() -> None:
    """Lets Ctrl-C end the process in a line, until a script handles it.

    For the seconds in which a script is imported: nothing is lost then, and an exception would come
    out of other packages as tracebacks of their own.

    Example:
        >>> before = signal.getsignal(signal.SIGINT)
        >>> end_at_interrupt()
        >>> handler = signal.signal(signal.SIGINT, before)
    """
    signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"stopped\n")
    os._exit(128 + number)


def scripts() -> Path:
    """The folder that has the packages ``experiments`` and ``converters``.

    Example:
        >>> (scripts() / "experiments" / "search.py").exists()
        True
    """
    installed = Path(__file__).parent / "scripts"
    return installed if installed.is_dir() else Path(__file__).parents[1]
