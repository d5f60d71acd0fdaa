"""What a search asks of an objective: how a model responds to interventions on some examples.

Nothing here knows of language models: whatever can say how log-ratios respond to a mask and a
baseline can be searched. `jaxmask.models.lstm.objective.LSTMObjective` is the objective of LSTM
language models; `LinearObjective` is small enough to check a search by hand.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmask.intervention import Intervention, Range, intervene
from jaxmask.products import exact


@dataclasses.dataclass(frozen=True)
class NoKL:
    """The KL isn't computed: an outcome has 0 in its place.

    Example:
        >>> str(NoKL())
        'none'
    """

    def __str__(self) -> str:
        return "none"


@dataclasses.dataclass(frozen=True)
class SampledKL:
    """The KL is estimated, without bias, from some rows of the batch.

    Attributes:
        rows: how many of them, at least 1.

    Example:
        >>> str(SampledKL(8))
        '8 rows'
    """

    rows: int

    def __str__(self) -> str:
        return f"{self.rows} rows"


@dataclasses.dataclass(frozen=True)
class ExactKL:
    """The KL is computed at all positions of all rows.

    Example:
        >>> str(ExactKL())
        'exact'
    """

    def __str__(self) -> str:
        return "exact"


KL = NoKL | SampledKL | ExactKL


class Outcome(NamedTuple):
    """What an intervention did to a batch.

    A row is a sentence with a place to intervene on and a direction; its pairs are the examples
    that differ in the two word forms only.

    Attributes:
        log_ratio: log p(d) - log p(t) after the intervention.
        weight: of each entry in the mean over examples; they sum to 1, and are 0 where a row has
            no such pair.
        kl: mean over examples and sentence positions of KL(original || intervened), in nats;
            0 if it wasn't asked for.
        kl_elsewhere: the part of this mean that the target's position doesn't give, where a
            decision can't flip without a change: the sum over all other positions, divided by the
            number of all positions. None if an objective doesn't tell the two apart.

    Example:
        The decision of the first of two rows has flipped:

        >>> outcome = Outcome(jnp.array([[-0.5], [2.0]]), jnp.full((2, 1), 0.5), jnp.zeros(()))
        >>> float(jnp.sum(outcome.weight, where=outcome.log_ratio < 0))
        0.5
    """

    log_ratio: Float[Array, "rows pairs"]
    weight: Float[Array, "rows pairs"]
    kl: Float[Array, ""]
    kl_elsewhere: Float[Array, ""] | None = None


class Batch(Protocol):
    """Some rows of an objective; a pytree of static shapes."""

    direction: Int[Array, " rows"]  # index of the form that a row's decisions are to turn to


@runtime_checkable
class Objective(Protocol):
    """A frozen model and its examples; a pytree, so that it can be an argument under ``jit``.

    Example:
        See `LinearObjective`.
    """

    @property
    def n_units(self) -> int:
        """Number of units that can be replaced."""

    @property
    def value_range(self) -> Range:
        """What each unit can be set to; baselines are places in it, from -1 to 1."""

    def everything(self, by_direction: bool = False) -> Any:
        """All examples as one batch, a row each at most once.

        ``by_direction`` promises that rows of one direction will be intervened on alike, which an
        objective may use to compute what they share once.
        """

    def sample(self, key: Key[Array, ""], size: int) -> Any:
        """A batch of about ``size`` rows, whose weighted sums estimate means over all examples.

        A search with ``batches="independent"`` adds ``independent=True``, for rows that are drawn
        without regard to their order.
        """

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
    """Numbers that are uniform on [0, 1) each, one in each of ``size`` equal parts, ascending.

    Means over the rows that they point at are never less exact than with independent numbers, and
    much more exact where neighbours are alike (stratified sampling).

    Args:
        key: used once.
        size: how many numbers.

    Example:
        >>> import jax
        >>> from jaxmask.objective import evenly
        >>> (4 * evenly(jax.random.key(0), 4)).astype(int).tolist()
        [0, 1, 2, 3]

    Example:
        See `LinearObjective`.
    """
    return (jnp.arange(size, dtype=jnp.float32) + jax.random.uniform(key, (size,))) / size


class LinearBatch(flax.struct.PyTreeNode):
    """Some rows of a `LinearObjective`."""

    row: Int[Array, " rows"]
    direction: Int[Array, " rows"]


class LinearObjective(flax.struct.PyTreeNode):
    """A model whose log-ratios are linear in its units: small enough to check a search by hand.

    A row has hidden states ``h`` and the log-ratio ``margin + effect . (h' - h)``, where ``h'`` are
    the states after the intervention (Eq. 1). The mean of ``cost . (h' - h)^2`` stands in for the
    KL, all of it elsewhere than at the target; it is always exact.

    Attributes:
        effect: of each unit on the log-ratio of each row.
        direction: of each row, 0 or 1.
        margin: the log-ratio of each row without an intervention, or of all rows.
        hidden: states of each row, or one number for all of them.
        cost: of moving each unit, or any unit.

    Example:
        Two rows of opposite directions; with unit 2 at 1 and at -1 both decisions flip:

        >>> import jax.numpy as jnp
        >>> from jaxmask.intervention import Intervention
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> batch = objective.everything()
        >>> mask, baseline = jnp.array([[0.0, 1.0]] * 2), jnp.array([[0.0, 1.0], [0.0, -1.0]])
        >>> objective(Intervention(mask, baseline), batch).log_ratio.tolist()
        [[-2.0], [-2.0]]
    """

    effect: Float[Array, "rows units"]
    direction: Int[Array, " rows"]
    margin: float | Float[Array, " rows"] = 1.0
    hidden: float | Float[Array, "rows units"] = 0.0
    cost: float | Float[Array, " units"] = 0.0

    @property
    def n_units(self) -> int:
        """Number of units of the model."""
        return self.effect.shape[1]

    @property
    def value_range(self) -> Range:
        """From -1 to 1."""
        return Range.same(self.n_units)

    def everything(self, by_direction: bool = False) -> LinearBatch:
        """All rows."""
        return LinearBatch(jnp.arange(len(self.direction)), self.direction)

    def sample(self, key: Key[Array, ""], size: int, independent: bool = True) -> LinearBatch:
        """Rows drawn uniformly, or all of them where ``size`` asks for as many or more.

        They are independent in any case.
        """
        rows = len(self.direction)
        if size >= rows:
            return self.everything()
        row = jax.random.randint(key, (size,), 0, rows)
        return LinearBatch(row, self.direction[row])

    def __call__(
        self,
        intervention: Intervention,
        batch: LinearBatch,
        key: Key[Array, ""] | None = None,
        kl: KL = ExactKL(),
    ) -> Outcome:
        """Intervenes on a batch; see `Objective`."""
        hidden = jnp.broadcast_to(self.hidden, self.effect.shape)[batch.row]
        moved = intervene(hidden, *intervention) - hidden
        margin = jnp.broadcast_to(self.margin, self.direction.shape)[batch.row]
        log_ratio = margin + jnp.sum(self.effect[batch.row] * moved, axis=1)
        weight = jnp.full((len(batch.row), 1), 1 / len(batch.row))
        cost = jnp.broadcast_to(self.cost, self.n_units)
        mean_cost = jnp.zeros(()) if isinstance(kl, NoKL) else jnp.mean(exact(moved**2, cost))
        return Outcome(log_ratio[:, None], weight, mean_cost, mean_cost)
