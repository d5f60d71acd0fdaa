"""Tokens of many sentences side by side: who stands where, and who may read whom.

Everything in a transformer but attention treats tokens one by one, so the tokens of a batch lie
flat, position by position, and nothing is computed for padding. Two layouts say how attention finds
its way: `Rows`, where each row of a batch is a sentence of its own, and `Branches`, where tokens
form a tree and sentences that begin alike share what they have in common.

The maps of `Rows` between flat and padded tokens are each other's transposes, which is stated here:
both directions are gathers, which are fast where scattered sums aren't.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

from jaxmask.models.packing import Stratum
from jaxmask.models.prefix_tree import Tree

Counts = tuple[int, ...]  # how many rows have a p-th token, p = 0, 1, ...; never rising


class Places(NamedTuple):
    """Where flat tokens are among rows padded to equal lengths.

    Attributes:
        row: of each token.
        time: of each token, its place in its row.
        token: of each place of the padded rows, 0 where there is none.
        inside: is there a token at a place?
    """

    row: Int[np.ndarray, " tokens"]
    time: Int[np.ndarray, " tokens"]
    token: Int[np.ndarray, "rows times"]
    inside: Bool[np.ndarray, "rows times"]


@lru_cache(maxsize=64)
def places(counts: Counts) -> Places:
    """The places of flat tokens: those of the first position come first.

    Example:
        >>> places((2, 1)).token.tolist()  # of two rows, the second of a single token
        [[0, 2], [1, 0]]
    """
    times = np.arange(len(counts))
    inside = np.arange(counts[0])[:, None] < np.array(counts)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    token = np.where(inside, before + np.arange(counts[0])[:, None], 0)
    row = np.concatenate([np.arange(count) for count in counts])
    return Places(row, np.repeat(times, counts), token, inside)


def running(strata: Sequence[Stratum], rows: Sequence[int]) -> Counts:
    """How many rows have a p-th token, where each stratum gives some rows, longest first.

    Example:
        >>> running([Stratum(0, 3, 1, 3), Stratum(3, 9, 0, 6)], [2, 4])
        (6, 2)
    """
    return tuple(
        sum(n for stratum, n in zip(strata, rows, strict=True) if stratum.steps >= step)
        for step in range(strata[0].steps + 1)
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def padded(counts: Counts, x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "rows times ..."]:
    """Flat tokens as rows, with zeros where a row has none.

    Example:
        >>> padded((2, 1), jnp.array([1.0, 2.0, 3.0])).tolist()
        [[1.0, 3.0], [2.0, 0.0]]
    """
    at = places(counts)
    inside = at.inside.reshape(*at.inside.shape, *[1] * (x.ndim - 1))
    taken = x[at.token]
    return jnp.where(jnp.broadcast_to(inside, taken.shape), taken, jnp.zeros((), x.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def flattened(counts: Counts, x: Shaped[Array, "rows times ..."]) -> Shaped[Array, "tokens ..."]:
    """The inverse of `padded`.

    Example:
        >>> flattened((2, 1), jnp.array([[1.0, 3.0], [2.0, 0.0]])).tolist()
        [1.0, 2.0, 3.0]
    """
    at = places(counts)
    return x[at.row, at.time]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def of_rows(counts: Counts, x: Shaped[Array, "rows ..."]) -> Shaped[Array, "tokens ..."]:
    """What each token's row has.

    Example:
        >>> of_rows((2, 1), jnp.array([5.0, 6.0])).tolist()
        [5.0, 6.0, 5.0]
    """
    return x if len(counts) == 1 else x[places(counts).row]


padded.defvjp(
    lambda counts, x: (padded(counts, x), None),
    lambda counts, _, gradient: (flattened(counts, gradient),),
)
flattened.defvjp(
    lambda counts, x: (flattened(counts, x), None),
    lambda counts, _, gradient: (padded(counts, gradient),),
)
of_rows.defvjp(
    lambda counts, x: (of_rows(counts, x), None),
    lambda counts, _, gradient: (padded(counts, gradient).sum(axis=1),),
)


class Rows(flax.struct.PyTreeNode):
    """Each row is a sentence of its own, with an intervention of its own.

    Attributes:
        counts: see `Counts` (static).
    """

    counts: Counts = flax.struct.field(pytree_node=False)

    def queries(self, x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "rows times ..."]:
        """Tokens that read together."""
        return padded(self.counts, x)

    def keys(self, x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "rows times ..."]:
        """Tokens that may be read by them."""
        return padded(self.counts, x)

    def flat(self, x: Shaped[Array, "rows times ..."]) -> Shaped[Array, "tokens ..."]:
        """The inverse of ``queries``."""
        return flattened(self.counts, x)

    def first(self, positions: int, x: Shaped[Array, "rows ..."]) -> Shaped[Array, "first ..."]:
        """What the rows of the tokens at the first few positions have."""
        return of_rows(self.counts[:positions], x)


class Branches(flax.struct.PyTreeNode):
    """Tokens form a tree: what they read follows from the direction and the words so far.

    Attributes:
        counts: tokens of each level (static).
        ancestors: of each token, from its first one to itself; 0 behind that.
        direction: in which each token is intervened on.
    """

    counts: tuple[int, ...] = flax.struct.field(pytree_node=False)
    ancestors: Int[Array, "tokens levels"]
    direction: Int[Array, " tokens"]

    def queries(self, x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "tokens 1 ..."]:
        """Tokens that read together: each for itself."""
        return x[:, None]

    def keys(self, x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "tokens levels ..."]:
        """Tokens that may be read by them."""
        return x[self.ancestors]

    def flat(self, x: Shaped[Array, "tokens 1 ..."]) -> Shaped[Array, "tokens ..."]:
        """The inverse of ``queries``."""
        return x[:, 0]

    def first(
        self, positions: int, x: Shaped[Array, "directions ..."]
    ) -> Shaped[Array, "first ..."]:
        """What the directions of the tokens on the first few levels have."""
        return x[self.direction[: sum(self.counts[:positions])]]


def branches(tree: Tree) -> Branches:
    """The tokens of a tree, level by level."""
    sizes = [len(level.word) for level in tree.levels]
    ancestors = np.zeros((sum(sizes), len(sizes)), np.int32)
    before = above = 0
    for depth, (level, size) in enumerate(zip(tree.levels, sizes, strict=True)):
        here = slice(before, before + size)
        if depth:
            parent = above + np.asarray(level.parents)[np.asarray(level.parent)]
            ancestors[here] = ancestors[parent]
        ancestors[here, depth] = np.arange(before, before + size)
        above, before = before, before + size
    direction = jnp.concatenate([level.direction for level in tree.levels])
    return Branches(tuple(sizes), jnp.asarray(ancestors), direction)
