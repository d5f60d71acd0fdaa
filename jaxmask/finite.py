"""Keeps the last finite state when a step gives NaN or infinity.

The functions are pure and elementwise. Under `jax.vmap` a run that stops therefore doesn't change
the other runs by a single bit.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether a tree of arrays is free of NaN and infinity.

    Example:
        >>> bool(all_finite({"loss": jnp.ones(2)})), bool(all_finite({"loss": jnp.array(jnp.nan)}))
        (True, False)
    """
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def take(after: Any, before: Any) -> Any:
    """The state after a step that is finite, else the one before it, marked as stopped.

    Args:
        after: a NamedTuple with ``finite``: were this step and all before it finite?
        before: of the same type.

    Example:
        >>> from typing import NamedTuple
        >>> class State(NamedTuple):
        ...     count: jax.Array
        ...     finite: jax.Array
        >>> before = State(jnp.array(1), jnp.array(True))
        >>> kept = take(State(jnp.array(2), jnp.array(False)), before)
        >>> int(kept.count), bool(kept.finite)
        (1, False)
    """
    return choose(after.finite, after, before._replace(finite=after.finite))


def choose(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """``new`` if the condition holds, else ``old``.

    Args:
        condition: one truth value.
        new: a tree of arrays.
        old: a tree with the same shapes.

    Example:
        >>> choose(jnp.array(False), {"step": jnp.array(2)}, {"step": jnp.array(1)})["step"].item()
        1
    """
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
