"""One gradient: how long it takes, and what of that the arithmetic alone would take.

What is timed is a step of the search: sampling a batch and a gate for each unit and row of it, the
gradient of surrogate and KL in the gates' locations and the units' values, and the update of these
few thousand numbers, which takes next to nothing. The versions:

- *ours*: `jaxmask.models.lstm.objective`;
- *naive JAX*: whole sentences and all softmaxes, compiled as ours is (`jaxmask.models.lstm.naive`);
- *PyTorch*: the same in PyTorch (`in_torch`); for a transformer with the library transformers and
  hooks (`in_transformers`). There is no naive JAX for a transformer.

The *necessary* arithmetic of an LSTM is counted for all of them alike: the products of a matrix
with the states of the rows that no way of computing this gradient can do without. With L layers of
H units and V words these are

- for each word after the intervened one of each row, ``(2L - 1) 8 H^2`` operations forward (the
  recurrent product of each layer, the input product of each but the first, whose inputs come from a
  table) and as many backward; none for gradients of the weights, which are frozen;
- for each row and position that the KL is taken at, ``2 H V`` for the logits and ``2 H V`` for
  their gradient in the state, ``softmax W``.

All else (differences of two decoder rows, elementwise functions, sampling) is left out, so that the
share of the matmul rate is understated rather than overstated.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import numpy as np

from experiments.benchmarks.subject import (
    Benchmark,
    all_ready,
    medians,
    prepared,
    rival_there,
    sizes,
    square_matmul,
    subject,
)
from jaxmask import search
from jaxmask.intervention import single_step
from jaxmask.models.language_model import LanguageModel
from jaxmask.models.lstm import naive
from jaxmask.models.lstm.naive import NaiveObjective
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.objective import KL, ExactKL, NoKL, Objective, SampledKL
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig

if TYPE_CHECKING:  # needs PyTorch
    from experiments.benchmarks.in_torch import PlainSearch

BATCH = SearchConfig().batch_size
LAST_WORD = "no KL, last word"  # no softmax but there, as one might do without a KL
KLS: dict[str, KL] = {
    "no KL": NoKL(),
    LAST_WORD: NoKL(),
    "sampled KL": SearchConfig().kl,
    "exact KL": ExactKL(),
}


class Case(NamedTuple):
    """What is timed."""

    objective: str  # of `KLS`
    version: str  # ours, naive JAX or PyTorch
    seeds: int = 1


MATMUL = Case("square matmul", "")


def cases(seeds: int, model: LanguageModel) -> list[Case]:
    """All that can be timed here."""
    ours = [
        Case(kl, "ours", n)
        for n in dict.fromkeys((1, seeds))
        for kl in ("no KL", "sampled KL", "exact KL")
    ]
    naive = [Case(kl, "naive JAX") for kl in ("no KL", "exact KL")]
    plain = [Case(kl, "PyTorch") for kl in ("no KL", LAST_WORD, "exact KL")]
    if isinstance(model, TransformerModel):
        naive, plain = [], [plain[0], plain[2]]
    return ours + naive + (plain if rival_there(model) else [])


def measure(benchmark: Benchmark) -> dict[str, Any]:
    """Milliseconds of a gradient for each case, a seed, and what that is of the matmul rate."""
    of, examples = sizes(benchmark), prepared(benchmark)
    chosen = cases(benchmark.seeds, subject(benchmark))
    work = all_ready({case: partial(ready, case, benchmark) for case in chosen})
    work[MATMUL] = square_matmul(of.square)
    taken = medians(work, of.repeats)
    seconds = {case: one.wall for case, one in taken.items()}
    rate = 2.0 * of.square**3 / seconds.pop(MATMUL)

    def times(case: Case, version: str, clock: str = "wall") -> float | None:
        """How many times as long another version takes for a seed; its KL is exact or none."""
        same = {"sampled KL": "exact KL", LAST_WORD: "no KL"}.get(case.objective, case.objective)
        other = taken.get(Case(same, version))
        if other is None:
            return None
        return getattr(other, clock) * case.seeds / getattr(taken[case], clock)

    measured = []
    for case, wall in seconds.items():
        operations = necessary_operations(examples, case.objective)
        measured.append(
            {
                **case._asdict(),
                "ms": 1e3 * wall / case.seeds,
                "cpu_ms": 1e3 * taken[case].cpu / case.seeds,
                "necessary_gflop": None if operations is None else operations / 1e9,
                "matmul_share": None
                if operations is None
                else 100.0 * operations * case.seeds / wall / rate,
                "times_naive_jax": times(case, "naive JAX"),
                "times_pytorch": times(case, "PyTorch"),
                "times_pytorch_cpu": times(case, "PyTorch", "cpu"),
            }
        )
    return {
        "matmul_gflops": rate / 1e9,
        "square": of.square,
        "repeats": of.repeats,
        "batch": BATCH,
        "cases": measured,
    }


def ready(case: Case, benchmark: Benchmark) -> Callable[[], Any]:
    """A case, ready to run."""
    examples = prepared(benchmark)
    config = SearchConfig(kl=KLS[case.objective])
    if case.version == "PyTorch":
        plain = in_torch(benchmark, config, "last" if case.objective == LAST_WORD else "all")
        return lambda: plain.step(*plain.draw(BATCH))
    ours = case.version == "ours"
    objective = examples.train_objective if ours else naive_objective(examples)
    return compiled(objective, case.seeds, config)


def naive_objective(examples: Prepared) -> NaiveObjective:
    """The naive counterpart of the objective to search on."""
    part = examples.train
    return naive.build(
        examples.model.params, part, single_step(part.position, part.length), examples.context
    )


def in_torch(
    benchmark: Benchmark, config: SearchConfig, softmaxes: Literal["all", "last"] = "all"
) -> "PlainSearch":
    """The search in PyTorch; call it only where that is installed."""
    examples = prepared(benchmark)
    from experiments.benchmarks import in_torch

    if isinstance(examples.model, TransformerModel):
        from experiments.benchmarks.in_transformers import HookedModel

        model = HookedModel(benchmark.model, examples.value_range)
    else:
        model = in_torch.LanguageModel(examples.model.params)
    return in_torch.PlainSearch(model, examples.train, examples.context, config, softmaxes)


def compiled(objective: Objective, seeds: int, config: SearchConfig) -> Callable[[], Any]:
    """The first step of several searches as one compiled program."""
    keys = jax.random.split(jax.random.key(0), seeds)
    states = jax.vmap(search.init, (0, None, None))(keys, objective, config)
    step = jax.vmap(search.step, (0, None, None))
    program = Programs().compile("step", step, states, objective, config)
    return lambda: jax.block_until_ready(program(states, objective, config))


def necessary_operations(examples: Prepared, kl: str) -> float | None:
    """Floating-point operations of a gradient, see above; of an average batch.

    None for a transformer.
    """
    if isinstance(examples.model, TransformerModel):
        return None
    config, part = examples.model.config, examples.train
    words = BATCH * float(np.mean(part.length - part.position - 1))
    match KLS[kl]:
        case NoKL():
            states = 0.0
        case SampledKL(rows):
            states = rows
        case ExactKL():
            states = words + BATCH
    products = (2 * config.layers - 1) * 8 * config.hidden**2
    return 2.0 * products * words + 4.0 * config.hidden * config.vocabulary * states
