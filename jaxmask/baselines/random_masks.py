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
    """Uniform in [0, 1)."""
    return jax.random.uniform(key, (objective.n_units,))


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Draws ``floor(alpha k)`` units uniformly, without replacement, and learns their values.

    The same key draws nested sets for different alphas.
    """
    return selection.run(key, score, selection.learned, objective, config)
