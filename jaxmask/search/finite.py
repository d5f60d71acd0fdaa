"""Steps that give NaN or infinity aren't taken: what was there before stays.

All of it is pure and elementwise, so that under `jax.vmap` one run that stops leaves the others as
they are, bit for bit.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Does a tree of arrays hold neither NaN nor infinity?"""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def take(after: Any, before: Any) -> Any:
    """The state after a step that is finite, else the one before it, marked as stopped.

    Args:
        after: a NamedTuple with ``finite``: were this step and all before it finite?
        before: of the same type.
    """
    return choose(after.finite, after, before._replace(finite=after.finite))


def choose(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """``new`` where the condition holds, else ``old``: two trees of the same shapes."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
