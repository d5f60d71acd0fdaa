"""Which rows a batch takes, and at which of their words a KL is estimated.

Examples that come from templates are like their neighbours, so both are spread evenly over the
examples in their order: means of 64 rows are then as exact as those of several hundred rows that
are drawn without regard to order, and where neighbours aren't alike, no less exact than those of
64 such rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmask.intervention import Range
from jaxmask.models.packing import Stratum
from jaxmask.objective import evenly


class Batch(flax.struct.PyTreeNode):
    """Rows of an objective, grouped by stratum.

    Attributes:
        rows: of the objective.
        weight: of their pairs.
        direction: index of the form that the decisions of each row are to turn to.
        counts: how many rows of each stratum (static).
        as_tree: are these all rows, and those of a direction intervened on alike (static)?
    """

    rows: Int[Array, " rows"]
    weight: Float[Array, "rows pairs"]
    direction: Int[Array, " rows"]
    counts: tuple[int, ...] = flax.struct.field(pytree_node=False)
    as_tree: bool = flax.struct.field(pytree_node=False, default=False)


class Draw(NamedTuple):
    """Rows drawn from strata.

    Attributes:
        rows: of the objective, stratum by stratum.
        weight: of each row in the mean over examples; they sum to 1.
        counts: how many rows of each stratum.
    """

    rows: Int[Array, " rows"]
    weight: Float[np.ndarray, " rows"]
    counts: tuple[int, ...]


def draw(
    key: Key[Array, ""],
    size: int,
    strata: Sequence[Stratum],
    examples_up_to: Int[Array, " all_rows"],
    independent: bool = False,
) -> Draw:
    """About ``size`` rows, drawn in proportion to their examples.

    Each stratum gives rows in proportion to its examples, at least one; weights correct for the
    rounding, so that weighted sums estimate means over all examples without bias. Of a stratum's
    examples, in their order, one is drawn from each of as many equal parts as rows are asked for.

    Args:
        key: for the draws.
        size: how many rows, about.
        strata: of the objective.
        examples_up_to: number of examples in each row of the objective and those before.
        independent: draw the examples of a stratum independently, not one from each part.
    """
    examples = np.array([stratum.examples for stratum in strata])
    counts = np.maximum(1, np.round(size * examples / examples.sum())).astype(int)
    examples_drawn, weights = [], []
    keys = jax.random.split(key, len(strata))
    before = 0
    for stratum, count, key in zip(strata, counts.tolist(), keys, strict=True):
        at = jax.random.uniform(key, (count,)) if independent else evenly(key, count)
        drawn = (at * stratum.examples).astype(jnp.int32)
        drawn = before + jnp.minimum(drawn, stratum.examples - 1)
        examples_drawn.append(drawn)
        weights.append(np.full(count, stratum.examples / examples.sum() / count, np.float32))
        before += stratum.examples
    # Searched all at once, as each search is compiled on its own.
    rows = jnp.searchsorted(examples_up_to, jnp.concatenate(examples_drawn), side="right")
    return Draw(rows, np.concatenate(weights), tuple(counts.tolist()))


class PackedRows:
    """What objectives of packed rows have in common: a base class beside flax's ``PyTreeNode``.

    Attributes:
        direction: of each row.
        pair_weight: number of examples of each row's pairs.
        examples_up_to: number of examples in each row and those before.
        tree: all rows with what they share computed once; None if it would be too deep.
        value_range: what each unit can be set to.
        strata: of the rows.
    """

    direction: Int[Array, " rows"]
    pair_weight: Float[Array, "rows pairs"]
    examples_up_to: Int[Array, " rows"]
    tree: Any
    value_range: Range
    strata: tuple[Stratum, ...]

    @property
    def n_units(self) -> int:
        """Number of units of the site."""
        return len(self.value_range.low)

    def everything(self, by_direction: bool = False) -> Batch:
        """All rows, once; see `jaxmask.objective.Objective`."""
        return Batch(
            jnp.arange(len(self.direction)),
            self.pair_weight / self.pair_weight.sum(),
            self.direction,
            tuple(stratum.rows for stratum in self.strata),
            by_direction and self.tree is not None,
        )

    def sample(self, key: Key[Array, ""], size: int, independent: bool = False) -> Batch:
        """About ``size`` rows, each with all of its pairs; see `draw`."""
        drawn = draw(key, size, self.strata, self.examples_up_to, independent)
        of_rows = self.pair_weight[drawn.rows]
        share = of_rows / of_rows.sum(axis=1, keepdims=True)
        weight = share * drawn.weight[:, None]
        return Batch(drawn.rows, weight, self.direction[drawn.rows], drawn.counts)


class Positions(NamedTuple):
    """Positions drawn from some rows of a batch's stratum, one each.

    Attributes:
        row: number of the row in the stratum.
        step: of the row's suffix, 0 for the end of the prefix.
        factor: that makes a sum over these rows an estimate of the sum over all of them.
    """

    row: Int[Array, " drawn"]
    step: Int[Array, " drawn"]
    factor: float


def draw_positions(
    key: Key[Array, ""], size: int, steps: Sequence[Int[Array, " _"]]
) -> list[Positions]:
    """A random position of each of about ``size`` rows, for each stratum of a batch.

    Args:
        key: for the draws.
        size: how many rows of the batch, about; at least one of each stratum.
        steps: number of words in the suffix of each row, an array a stratum.
    """
    total = sum(map(len, steps))
    keys, counts = jax.random.split(key, 1 + len(steps)), jnp.array([len(x) for x in steps])
    uniform = jax.random.uniform(keys[0], (total,))
    firsts = jax.vmap(lambda key, count: jax.random.randint(key, (), 0, count))(keys[1:], counts)
    drawn, before = [], 0
    for of_stratum, first in zip(steps, firsts, strict=True):
        count = len(of_stratum)
        n = min(count, max(1, round(size * count / total)))
        # Evenly from the batch, which is in the order of the examples; each row is as likely as
        # any other.
        row = (first + np.arange(n) * count // n) % count
        at = (
            uniform[before : before + count][row] * (of_stratum[row] + 1).astype(uniform.dtype)
        ).astype(jnp.int32)
        drawn.append(Positions(row, jnp.minimum(at, of_stratum[row]), count / n))
        before += count
    return drawn


def in_proportion(
    key: Key[Array, ""], size: int, weight: Float[Array, " entries"]
) -> tuple[Int[Array, " {size}"], Float[Array, ""]]:
    """Entries drawn as often as they weigh, and the sum of all weights.

    The sum times the mean of anything over these entries estimates its weighted sum over all
    entries, without bias.

    Args:
        key: for the draws.
        size: how many entries.
        weight: of each entry, not negative.

    Example:
        >>> some, total = in_proportion(jax.random.key(0), 2, jnp.array([0.0, 3.0]))
        >>> some.tolist(), float(total)
        ([1, 1], 3.0)
    """
    up_to = jnp.cumsum(weight)
    some = jnp.searchsorted(up_to, up_to[-1] * evenly(key, size), side="right")
    return jnp.minimum(some, len(up_to) - 1), up_to[-1]
