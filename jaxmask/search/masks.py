"""Hard masks: how many units they may have, which ones, and which row answers for a direction.

A mask has one row if the directions share it, else a row for each direction; direction ``d`` is
answered for by row ``d % rows``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import DIRECTIONS


def budget(n_units: int, alpha: float | Float[Array, ""]) -> Float[Array, ""]:
    """The most units a hard mask may have: ``floor(alpha n_units)``, but at least 1.

    Args:
        n_units: units of the model.
        alpha: largest fraction of them.

    Example:
        >>> from jaxmask.search import budget
        >>> int(budget(1300, 0.02))
        26
    """
    return jnp.maximum(1.0, jnp.floor(alpha * n_units * (1.0 + 1e-6)))  # 0.29 * 100 is 29


def top(
    score: Float[Array, "*rows units"], count: int | Float[Array, ""]
) -> Float[Array, "*rows units"]:
    """1 for the ``count`` highest scores of a row (the first of equal ones), 0 for the others.

    Args:
        score: of each unit.
        count: how many of them; may be traced.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import masks
        >>> masks.top(jnp.array([0.5, 2.0, -1.0]), 2).tolist()
        [1.0, 1.0, 0.0]
    """
    rank = jnp.argsort(jnp.argsort(-score, axis=-1), axis=-1)
    return (rank.astype(score.dtype) < count).astype(score.dtype)


def row_of(direction: Int[Array, "*shape"], rows: int) -> Int[Array, "*shape"]:
    """The row that answers for a direction, in a mask of ``rows`` rows."""
    return direction % rows


def membership(rows: int, direction: Int[Array, " batch"]) -> Float[Array, "{rows} batch"]:
    """1 where a row of a mask answers for a row of a batch.

    Args:
        rows: number of rows of the mask.
        direction: of each row of the batch.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import masks
        >>> masks.membership(1, jnp.array([0, 0, 1])).tolist()  # a shared mask
        [[1.0, 1.0, 1.0]]
    """
    return (row_of(direction, rows)[None, :] == jnp.arange(rows)[:, None]).astype(jnp.float32)


def by_direction(direction: Int[Array, " batch"]) -> Float[Array, "directions batch"]:
    """1 where a row of a batch has a direction.

    The values are those of `membership` with a row for each direction; the layout is another one,
    in which products with it round as they always did.

    Args:
        direction: of each row of the batch.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import masks
        >>> masks.by_direction(jnp.array([0, 0, 1])).tolist()
        [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return jax.nn.one_hot(direction, DIRECTIONS).T


def choose_rows(which: Bool[Array, " masks"], new: Any, old: Any) -> Any:
    """Takes from ``new`` the rows of some rows of a mask, and from ``old`` the others.

    Args:
        which: the rows of the mask.
        new: a tree of arrays that have a row for each row of the mask, or for each direction.
        old: a tree of the same shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import masks
        >>> masks.choose_rows(jnp.array([True, False]), jnp.ones(2), jnp.zeros(2)).tolist()
        [1.0, 0.0]
    """

    def of_rows(new: Array, old: Array) -> Array:
        chosen = which[row_of(jnp.arange(len(new)), len(which))]
        return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(of_rows, new, old)
