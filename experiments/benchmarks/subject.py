"""What all parts of the benchmark share: options, sizes, the model, and how time is taken."""

import dataclasses
import functools
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from experiments.shared.loading import load_model_named
from experiments.shared.option_types import (
    CountOrZero,
    Fraction,
    Model,
    NotEmpty,
    OptionError,
    ResultFolder,
    Runs,
    TextFile,
    check,
)
from jaxmask.intervention import Kind
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.lstm import network
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.pipeline.plan import Design, Plan
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.search import SearchConfig
from jaxmask.tasks import number_agreement
from jaxmask.text.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary

Section = Literal["gradient", "memory", "search", "evaluation", "start", "scaling", "growth"]
SECTIONS: tuple[Section, ...] = (
    "gradient", "memory", "search", "evaluation", "start", "scaling", "growth"
)  # fmt: skip
OF_TRANSFORMERS: tuple[Section, ...] = ("gradient", "search", "start", "growth")


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Options of the benchmark."""

    only: Annotated[tuple[Section, ...], NotEmpty] = SECTIONS
    """What to measure; of a transformer only gradient, search, start and growth."""
    model: Model | None = None
    """A model folder, also of Hugging Face, a .pt file (with --vocab), `demo`; an LSTM of 2 x 650
    with random weights if not given."""
    vocab: TextFile | None = None
    """Vocabulary of a .pt file: one word a line."""
    alpha: Fraction = 0.02
    """Largest fraction of the hidden units to intervene on."""
    seeds: Runs = 10
    """Searches at once."""
    naive_steps: CountOrZero = 10
    """Steps timed with the naive versions, from which whole searches follow; 0 for none."""
    torch_search: bool = False
    """Run one whole search of the PyTorch version too, to see what it finds: many minutes."""
    quick: bool = False
    """Tiny sizes, to see that all of it runs."""
    out: ResultFolder | None = None
    """Folder for the results; results/benchmark-MODEL if not given."""

    def benchmark(self) -> "Benchmark":
        """What is measured, as values.

        Raises:
            OptionError: an option is out of its range, or PyTorch is asked for and isn't there.
        """
        check(self)
        if self.torch_search and not torch_there():
            raise OptionError("--torch-search: expected PyTorch to be installed, found none")
        return Benchmark(*(getattr(self, name) for name in Benchmark._fields))


class Benchmark(NamedTuple):
    """What is measured.

    Attributes:
        model: as the scripts' ``--model``; None for random weights.
        vocab: as the scripts' ``--vocab``.
        alpha: largest fraction of the hidden units to intervene on.
        seeds: searches at once.
        naive_steps: steps timed with the naive versions; 0 for none.
        torch_search: run one whole search of the PyTorch version too.
        quick: use tiny sizes.
    """

    model: str | None = None
    vocab: Path | None = None
    alpha: float = 0.02
    seeds: int = 10
    naive_steps: int = 10
    torch_search: bool = False
    quick: bool = False


class Sizes(NamedTuple):
    """What ``--quick`` makes small.

    Attributes:
        hidden: units a layer of the random model, of two layers.
        words: of its vocabulary.
        square: side of the matrices whose product is timed.
        repeats: of what is timed; an odd number.
        steps: of a search, the default's if None.
        rounds: of exchange, likewise.
        scaling: for each size that is varied, its values.
        scaling_at: the values of those that aren't.
        growth: numbers of seeds in one program.
    """

    hidden: int
    words: int
    square: int
    repeats: int
    steps: int | None
    rounds: int | None
    scaling: Mapping[str, tuple[int, ...]]
    scaling_at: Mapping[str, int]
    growth: tuple[int, ...]


PAPER = Sizes(
    hidden=650,
    words=50_001,
    square=2048,
    repeats=5,
    steps=None,
    rounds=None,
    scaling={
        "seeds": (1, 2, 5, 10, 20, 50),
        "batch": (16, 64, 128, 256),
        "suffix": (1, 2, 4, 16),
        "words": (5_000, 20_000, 50_001),
        "hidden": (128, 300, 650, 1024),
    },
    scaling_at={"seeds": 1, "batch": 64, "suffix": 2, "words": 50_001, "hidden": 650},
    growth=(1, 10, 100, 1000),
)
QUICK = Sizes(
    hidden=6,
    words=200,
    square=64,
    repeats=3,
    steps=10,
    rounds=1,
    scaling={"seeds": (1, 2), "batch": (16, 32), "suffix": (1, 2), "words": (200, 300),
             "hidden": (6, 8)},
    scaling_at={"seeds": 1, "batch": 16, "suffix": 2, "words": 200, "hidden": 6},
    growth=(1, 2),
)  # fmt: skip


def sizes(benchmark: Benchmark) -> Sizes:
    """The sizes of a benchmark."""
    return QUICK if benchmark.quick else PAPER


def plan(benchmark: Benchmark) -> Plan:
    """The plan of the searches that are timed."""
    of = sizes(benchmark)
    lengths = {"steps": of.steps, "exchange_rounds": of.rounds}
    config = SearchConfig().replace(
        alpha=benchmark.alpha,
        **{name: value for name, value in lengths.items() if value is not None},
    )
    model = subject(benchmark)
    kind = Kind(next(iter(model.sites)), values=model.usual_values)
    return Plan(config, Design(kind, model.contexts[0]), seeds=benchmark.seeds)


def random_model(hidden: int, words: int) -> LSTMModel:
    """Random weights; the vocabulary holds all words of number agreement, then made-up ones."""
    known = [*number_agreement.WORDS, UNKNOWN, END_OF_SENTENCE]
    vocabulary = Vocabulary([*known, *(f"word{n}" for n in range(words - len(known)))])
    config = network.LSTMConfig(words, embedding=hidden, hidden=hidden)
    params = jax.jit(network.init_params, static_argnums=1)(jax.random.key(0), config)
    return LSTMModel("random", config, params, vocabulary)


@functools.cache
def subject(benchmark: Benchmark) -> LanguageModel:
    """The model that is searched."""
    of = sizes(benchmark)
    if benchmark.model is None:
        return random_model(of.hidden, of.words)
    return load_model_named(benchmark.model, benchmark.vocab)


@functools.cache
def prepared(benchmark: Benchmark) -> Prepared:
    """The model and number agreement, ready to be searched at a single step."""
    task = number_agreement.PHENOMENON.generate()
    return prepare(subject(benchmark), task, plan(benchmark).design)


def torch_there() -> bool:
    """Is PyTorch installed?"""
    return importlib.util.find_spec("torch") is not None


def rival_there(model: LanguageModel) -> bool:
    """Is what a model is searched with in PyTorch installed?"""
    hooked = isinstance(model, TransformerModel)
    return torch_there() and (not hooked or importlib.util.find_spec("transformers") is not None)


def all_ready(makers: Mapping[Hashable, Callable[[], Any]]) -> dict[Hashable, Any]:
    """What each of several functions makes; as many at a time as there are cores.

    Compiling keeps but one of them busy.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(makers, pool.map(lambda make: make(), makers.values()), strict=True))


class Taken(NamedTuple):
    """Seconds that a piece of work took.

    Attributes:
        wall: from its beginning to its end.
        cpu: of all cores together; other work on the machine hardly changes them.
    """

    wall: float
    cpu: float


def medians(work: Mapping[Hashable, Callable[[], Any]], repeats: int) -> dict[Hashable, Taken]:
    """Median seconds of each of several pieces of work, after a run that isn't counted.

    They are run in turns, so that whatever else the machine does meanwhile hits all of them.
    """
    seconds: dict[Hashable, list[Taken]] = {name: [] for name in work}
    for name in [*work] + [*work] * repeats:
        start, used = time.perf_counter(), time.process_time()
        work[name]()
        seconds[name].append(Taken(time.perf_counter() - start, time.process_time() - used))
    return {
        name: Taken(*map(statistics.median, zip(*taken[1:], strict=True)))
        for name, taken in seconds.items()
    }


def square_matmul(side: int) -> Callable[[], Any]:
    """A float32 product of two square matrices."""
    a, b = jax.random.normal(jax.random.key(0), (2, side, side))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(a, b))


def matmul_rate(benchmark: Benchmark) -> float:
    """Float32 operations a second of a big square matmul on this machine, now."""
    side = sizes(benchmark).square
    (taken,) = medians({"matmul": square_matmul(side)}, 2 * sizes(benchmark).repeats + 1).values()
    return 2.0 * side**3 / taken.wall
