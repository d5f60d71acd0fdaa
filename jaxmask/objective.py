"""What a search asks of an objective: how a model responds to interventions on some examples.

Nothing here knows of language models: whoever can say how log-ratios respond to a mask and a
baseline can be searched. `jaxmask.models.lstm.objective.LSTMObjective` is the one for LSTM language
models.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Key

from jaxmask.intervention import Intervention


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

    @property
    def n_directions(self) -> int:
        """Ways a decision can be turned."""

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
        kl_rows: int | None = None,
    ) -> Outcome:
        """Intervenes, with a row of mask and baseline for each row of the batch.

        The KL is exact if ``kl_rows`` is None, not computed if it is 0, else an unbiased estimate
        from that many rows, drawn with ``key``. `jaxmask.runs.devices.spread` of the batch's rows
        and of the intervention divides the work where a run has several devices.
        """
