"""Random units with learned values: what any set of that size can do."""

import jax
from jaxtyping import Array, Float, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.objective import Objective


def score(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> Float[Array, " units"]:
    """Uniform in [0, 1), whatever the model does.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import random_masks, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig()
        >>> random_masks.score(jax.random.key(0), objective, config).shape
        (2,)
    """
    return jax.random.uniform(key, (objective.n_units,))


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Draws ``floor(alpha k)`` units uniformly, without replacement, and learns their values.

    The same key draws nested sets for different alphas.

    Args:
        key: used once.
        objective: how the model responds.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import random_masks, selection
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> found, _ = jax.jit(random_masks.run)(jax.random.key(0), objective, config)
        >>> found.mask.sum(axis=1).tolist()
        [1.0, 1.0]
    """
    return selection.run(key, score, selection.learned, objective, config)
