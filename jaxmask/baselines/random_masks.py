"""Random units with learned values: what any set of that size can do."""

import jax
from jaxtyping import Array, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.protocol import Objective


def run(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Draws ``floor(alpha k)`` units uniformly, without replacement, and learns their values.

    The same key draws nested sets for different alphas.
    """
    score_key, learn_key = jax.random.split(key)
    score = jax.random.uniform(score_key, (objective.n_units,))
    return selection.learned(learn_key, score, objective, config), Selection(score)
