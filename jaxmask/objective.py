"""What a search asks of an objective: how a model responds to interventions on some examples.

Nothing here knows of language models: whoever can say how log-ratios respond to a mask and a
baseline can be searched. `jaxmask.models.lstm.objective.LSTMObjective` is the one for LSTM language
models.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmask.intervention import Intervention


@dataclasses.dataclass(frozen=True)
class NoKL:
    """The KL isn't computed: an outcome has 0 in its place."""

    def __str__(self) -> str:
        return "none"


@dataclasses.dataclass(frozen=True)
class SampledKL:
    """The KL is estimated, without bias, from some rows of the batch.

    Attributes:
        rows: how many of them, at least 1.
    """

    rows: int

    def __str__(self) -> str:
        return f"{self.rows} rows"


@dataclasses.dataclass(frozen=True)
class ExactKL:
    """The KL is computed at all positions of all rows."""

    def __str__(self) -> str:
        return "exact"


KL = NoKL | SampledKL | ExactKL


class Outcome(NamedTuple):
    """What an intervention did to a batch.

    A row is a sentence with a place to intervene and a direction; its pairs are the examples that
    differ in nothing but the two word forms.

    Attributes:
        log_ratio: log p(d) - log p(t) after the intervention.
        weight: of each entry in the mean over examples; they sum to 1, and are 0 where a row has
            no such pair.
        kl: mean over examples and sentence positions of KL(original || intervened), in nats;
            0 if it wasn't asked for.
    """

    log_ratio: Float[Array, "rows pairs"]
    weight: Float[Array, "rows pairs"]
    kl: Float[Array, ""]


class Batch(Protocol):
    """Some rows of an objective; a pytree of static shapes."""

    direction: Int[Array, " rows"]  # index of the form that a row's decisions are to turn to


@runtime_checkable
class Objective(Protocol):
    """A frozen model and its examples; a pytree, so that it can be an argument under ``jit``."""

    @property
    def n_units(self) -> int:
        """Hidden units of all layers together."""

    def everything(self, by_direction: bool = False) -> Any:
        """All examples as one batch, a row each at most once.

        ``by_direction`` promises that rows of one direction will be intervened on alike, which an
        objective may use to compute what they share once.
        """

    def sample(self, key: Key[Array, ""], size: int) -> Any:
        """A batch of about ``size`` rows, whose weighted sums estimate means over all examples."""

    def __call__(
        self,
        intervention: Intervention,
        batch: Any,
        key: Key[Array, ""] | None = None,
        kl: KL = ExactKL(),
    ) -> Outcome:
        """Intervenes, with a row of mask and baseline for each row of the batch.

        ``kl`` says how the KL is computed; the rows of a `SampledKL` are drawn with ``key``.
        `jaxmask.runs.devices.spread` of the batch's rows and of the intervention divides the work
        where a run has several devices.
        """


def evenly(key: Key[Array, ""], size: int) -> Float[Array, " {size}"]:
    """Numbers that are uniform on [0, 1) each, one in each of as many equal parts, ascending.

    Means over what they point at are never less exact than with independent numbers, and much more
    where neighbours are alike (stratified sampling).
    """
    return (jnp.arange(size) + jax.random.uniform(key, (size,))) / size
