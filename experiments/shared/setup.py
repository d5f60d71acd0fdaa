"""What the experiments share: their options, and how options become models and examples."""

import dataclasses
import functools
import gc
import hashlib
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import tyro

from converters.gulordava import convert
from converters.torch_pickle import CheckpointError
from experiments.shared import hosts, option_types
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    Data,
    Fraction,
    Model,
    OptionError,
    ResultFolder,
    Runs,
    Seed,
    TextFile,
    Weight,
)
from jaxmask import search
from jaxmask.evaluate import directed, read_context
from jaxmask.files.intervention_file import InterventionFileError
from jaxmask.files.run_folder import RunFolderError
from jaxmask.intervention import every_step, single_step
from jaxmask.models.lstm import network, objective
from jaxmask.models.lstm.network import LSTMState
from jaxmask.models.lstm.objective import LSTMObjective
from jaxmask.models.model_folder import BUNDLED_MODEL, LanguageModel, ModelError, load_model
from jaxmask.report.page import PageError
from jaxmask.search import SearchConfig
from jaxmask.tasks import gender_bias, minimal_pairs, number_agreement
from jaxmask.text import examples, splits
from jaxmask.text.examples import Encoded, Examples, Task, TaskDataError
from jaxmask.text.vocabulary import VocabularyError

GENERATOR_SEED = 0  # of the sentences drawn where --data isn't given


class Phenomenon(NamedTuple):
    """What scripts know of a task, beside its stimuli.

    Attributes:
        read: its stimuli, from ``--data``.
        generate: its stimuli, without any files; None where there is no such way.
        evaluation: examples that the paper held out; None where it's no task of the paper's.
        shown: group whose sentences make good figures; None where all do.
        patterns: of each group, its words; those in capitals stand for many.
    """

    read: Callable[[Path], Task]
    generate: Callable[[], Task] | None = None
    evaluation: int | None = None
    shown: str | None = None
    patterns: Mapping[str, str] = {}


PHENOMENA = {
    number_agreement.NAME: Phenomenon(
        number_agreement.read,
        lambda: number_agreement.generate(GENERATOR_SEED),
        1000,
        "nounpp",
        number_agreement.PATTERNS,
    ),
    gender_bias.NAME: Phenomenon(
        gender_bias.read,
        gender_bias.generate,
        200,
        "was promoted because",
        {template: f"The PROFESSION {template}" for template in gender_bias.TEMPLATES},
    ),
    minimal_pairs.NAME: Phenomenon(minimal_pairs.read),
}
TaskName = Literal["number_agreement", "gender_bias", "minimal_pairs"]
DESCRIBED = "see docs/your_phenomenon.md"
HELD_OUT = 0.2  # of the examples, where the paper doesn't say how many


@dataclasses.dataclass(frozen=True)
class Options:
    """Options that all experiments understand."""

    model: Model = "demo"
    """A model folder, a PyTorch .pt file (with --vocab), or `demo`, the bundled model."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    data: Data | None = None
    """Folder of the task's original files; if not given, the task is generated. For minimal pairs:
    their file."""
    intervention: Literal["single", "every"] = "single"
    """Intervene at one word, or at every word of the sentence."""
    context: Literal["eos", "none", "primer"] = "eos"
    """What the model reads before each sentence."""
    alpha: Fraction = 0.02
    """Largest fraction of the hidden units to intervene on."""
    beta: Fraction | None = None
    """Largest mean probability of a gate between 0 and 1; as alpha if not given."""
    kl_weight: Weight = 1.0
    """Weight of the KL from the untouched model; 0 leaves it out."""
    surrogate: Literal["share", "ratio", "log_ratio", "log1p_ratio"] | None = None
    """What is minimised in place of unflipped decisions; the method's own if not given."""
    method: Literal["hard_concrete", "hard_concrete_paper"] = "hard_concrete"
    """The full search, or the paper's as written: fixed target, no exchange of units."""
    shared_mask: bool = True
    """One mask for both directions, or one each."""
    seeds: Runs = 10
    """How many searches to run at once."""
    steps: Count | None = None
    """Gradient steps of the relaxed search; the method's own number if not given."""
    rounds: CountOrZero | None = None
    """Rounds of exchanging units after that; the method's own number if not given."""
    evaluation: Count | None = None
    """Examples held out of the search, on which results are reported; as many as in the paper if
    not given: 1000 for number agreement, 200 for gender bias; a fifth of minimal pairs."""
    split: Literal["example", "word"] = "example"
    """Hold out examples, as the paper did, or words: no subject (profession) is in both parts."""
    split_seed: Seed = 0
    """Seed of the choice of these."""
    text: TextFile | None = None
    """Ordinary text, a sentence a line, plain or .xz, on which the KL is measured too."""
    text_sentences: Count = 200
    """How many of its sentences."""
    checkpoint_minutes: Weight = 1.0
    """Minutes between checkpoints: started again, a run that was stopped goes on from the last."""
    out: ResultFolder | None = None
    """Folder for the results; results/TASK-MODEL-INTERVENTION if not given."""


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


@dataclasses.dataclass(frozen=True)
class Material:
    """A model and a task, ready to be searched; objectives are built when they are first needed."""

    task: Task
    model: LanguageModel
    context: LSTMState
    encoded: Encoded
    train: Examples
    evaluation: Examples
    intervention: Literal["single", "every"]
    model_accuracy: float | None  # of the untouched model on all examples that have a right form
    both_directions: bool = False  # see `jaxmask.models.lstm.packing.pack`

    @functools.cached_property
    def train_objective(self) -> LSTMObjective:
        """Of the examples to search on."""
        return self._objective(self.train)

    @functools.cached_property
    def evaluation_objective(self) -> LSTMObjective:
        """Of the examples held out."""
        return self._objective(self.evaluation)

    def _objective(self, part: Examples) -> LSTMObjective:
        return objective.build(
            self.model.params,
            part,
            where(self.intervention, part),
            self.context,
            both_directions=self.both_directions,
        )

    def examples_toward(self, direction: int, part: Literal["train", "evaluation"]) -> int:
        """How many examples of a part are to be turned to a direction."""
        return int(np.sum(getattr(self, part).direction == direction))


def run_script(options: type, script: str, description: str, work: Callable[[Any], Any]) -> None:
    """What a script's ``main`` does: options from the command line, work, faults in a line."""
    chosen = parse(options, script, description)
    try:
        option_types.check(chosen)
        work(chosen)
    except USER_ERRORS as fault:
        sys.exit(f"error: {fault}")
    except OSError as fault:  # a full disk, a folder that is gone
        sys.exit(f"error: {fault.filename or 'a file'}: {fault.strerror or fault}")
    except jax.errors.JaxRuntimeError as fault:
        if "RESOURCE_EXHAUSTED" not in str(fault):
            raise
        sys.exit("error: not enough memory; fewer --seeds, or a smaller model, take less")


def parse(options: type, script: str, description: str) -> Any:
    """Options from the command line; also sets up the process, JAX's cache and hosts."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", Path.home() / ".cache" / "jaxmask")
    jax.config.update("jax_compilation_cache_dir", str(cache))
    # Of all programs: a start compiles dozens of small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    chosen = tyro.cli(
        options,
        prog=f"python -m experiments.{script}",
        description=_described(description),
        config=(tyro.conf.DisallowNone,),  # what isn't given is None; nobody types it
    )
    hosts.join()
    gc.freeze()  # what is imported stays: tracing would set off searches of it, a tenth of a start
    return chosen


def _described(docstring: str) -> str:
    """A script's docstring on 80 columns, its commands indented.

    Lines that begin with a space are those that tyro doesn't join.
    """
    described = ""
    for paragraph in docstring.strip().split("\n\n"):
        if paragraph.lstrip().startswith("python -m"):
            for command in paragraph.replace("\\\n", " ").splitlines():
                whole = re.sub(r"(--\S+) +(?!-)", "\\1\xa0", command.strip())  # not cut apart
                lines = textwrap.wrap(whole, 72, subsequent_indent="    ", break_on_hyphens=False)
                described += "\n" + textwrap.indent(" \\\n".join(lines), "    ")
        else:
            described += "\n\n" + textwrap.fill(paragraph, 79, subsequent_indent="  ")
    return described.strip().replace("\xa0", " ")


def check(options: Options) -> None:
    """Raises an `OptionError` for what can't be searched, before any work is done."""
    option_types.check(options)
    if options.method == "hard_concrete_paper" and options.rounds:
        raise OptionError(
            "--rounds: expected none with --method hard_concrete_paper, which exchanges no units, "
            f"found {options.rounds}"
        )


def read_model(options: Any) -> LanguageModel:
    """The model that ``--model`` and ``--vocab`` name."""
    if options.model == "demo":
        return load_model(BUNDLED_MODEL)
    if Path(options.model).suffix == ".pt":
        return convert(options.model, options.vocab)
    return load_model(options.model)


def phenomenon(name: str) -> Phenomenon:
    """What is known of a task by its name; files of minimal pairs have names of their own."""
    return PHENOMENA.get(name, PHENOMENA[minimal_pairs.NAME])


def load_task(name: str, data: Path | None) -> Task:
    """The stimuli of one of `PHENOMENA`, or those of a file of minimal pairs."""
    known = phenomenon(name)
    of_a_file = known is PHENOMENA[minimal_pairs.NAME]
    if data is None:
        if known.generate is None:
            raise OptionError(f"--data: expected a file of minimal pairs, {DESCRIBED}; none given")
        return known.generate()
    if data.is_dir() and of_a_file:
        raise OptionError(f"--data: expected a file of minimal pairs, found the folder {data}")
    if data.is_file() and not of_a_file:
        raise OptionError(
            f"--data: expected the folder of {name}'s original files, found the file {data}; for "
            "minimal pairs of your own there is python -m experiments.search, or "
            f"--task {minimal_pairs.NAME}"
        )
    if of_a_file and data.stem in PHENOMENA:
        raise OptionError(
            f"--data: {data}: expected a file that isn't called like a task ({data.stem}), as its "
            "results would be"
        )
    return known.read(data)


def data_name(data: Path | None) -> str:
    """What is remembered of ``--data``: its name, of a file also what tells its content."""
    if data is None:
        return "generated"
    if data.is_file():
        return f"{data.name}, sha256 {hashlib.sha256(data.read_bytes()).hexdigest()[:16]}"
    return data.name


def held_out(options: Any, task: Task) -> int:
    """How many examples to hold out: as ``--evaluation`` says, else as the task."""
    of_paper = phenomenon(task.name).evaluation
    return options.evaluation or of_paper or max(1, int(HELD_OUT * len(task.stimuli)))


def prepare(
    options: Options,
    task: Task,
    model: LanguageModel | None = None,
    *,
    both_directions: bool = False,
) -> Material:
    """Reads the model (if not given), encodes and splits the task.

    With ``both_directions`` models of one size share compiled programs, see
    `jaxmask.models.lstm.packing.pack`.
    """
    model = read_model(options) if model is None else model
    encoded = examples.encode(task, model.vocabulary)
    rows = split_rows(options, task, encoded)  # before anything is compiled
    words = model.vocabulary.encode(examples.CONTEXTS[options.context])
    context = read_context(model.params, words)
    try:
        known = directed(model.params, encoded.examples, context)
    except ValueError as fault:
        raise ModelError(f"{model.name}: {fault}") from fault
    # No hidden state is beyond -1 or 1. Known without waiting for the logits of all examples.
    decoder = np.asarray(network.decoder_weight(model.params))
    with np.errstate(over="ignore"):
        most = np.abs(decoder).sum(axis=1) + np.abs(model.params["decoder"]["bias"])
    if not np.isfinite(most).all():
        raise ModelError(f"{model.name}: expected finite logits, found weights that exceed them")
    train, evaluation = map(known.take, rows)
    right = known.correct >= 0
    preferred = 1 - known.direction
    accuracy = (
        100.0 * float(np.mean(preferred[right] == known.correct[right])) if right.any() else None
    )
    return Material(
        task,
        model,
        context,
        encoded._replace(examples=known),
        train,
        evaluation,
        options.intervention,
        accuracy,
        both_directions,
    )


def split_rows(options: Options, task: Task, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the examples to search on, and of those that are held out."""
    together = splits.position_words(encoded.examples) if options.split == "word" else None
    try:
        return splits.split_rows(
            encoded.examples, held_out(options, task), options.split_seed, together
        )
    except ValueError as fault:
        raise OptionError(f"--{fault}") from fault


def where(intervention: Literal["single", "every"], part: Examples) -> np.ndarray:
    """At which words to intervene."""
    if intervention == "single":
        return single_step(part.position, part.length)
    return every_step(part.length)


def search_config(options: Options) -> SearchConfig:
    """Settings of the search that the options ask for."""
    config = SearchConfig(
        alpha=options.alpha,
        beta=options.alpha if options.beta is None else options.beta,
        kl_weight=options.kl_weight,
        shared_mask=options.shared_mask,
    )
    if options.kl_weight == 0.0:
        config = config.replace(kl_rows=0)
    if options.method == "hard_concrete_paper":
        config = config.replace(**search.PAPER)
    if options.surrogate is not None:
        config = config.replace(surrogate=options.surrogate)
    if options.steps is not None:
        config = config.replace(steps=options.steps)
    if options.rounds is not None:
        config = config.replace(exchange_rounds=options.rounds)
    return config
