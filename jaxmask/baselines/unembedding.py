"""Units by what the decoder reads from them: the mean slope of the two forms' log-odds.

At the last word before the target nothing stands between the top layer of an LSTM and the decoder.
The slope of ``log p(pair[0]) - log p(pair[1])`` by one of its states is there the difference of two
decoder rows, so that this ranking reads the weights of the decoder, and costs nothing to find. A
search whose units are no better, or are the same ones, has found the output.

For that, the objective has to intervene at the last word only; with the reach ``time`` units of
lower layers have no slope. Where layers or norms stand between a state and the decoder, the slope
goes through them.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective


def score(
    key: Key[Array, ""], objective: Objective, config: SelectionConfig
) -> Float[Array, " units"]:
    """The absolute mean slope, times half the width of the unit's range; the steepest come first.

    With the mask ``m`` at 0 and the baselines ``high`` and ``low``, the slopes by ``m`` differ by
    ``(high - low) dF/dh``: an objective's answers are all that is needed.

    Args:
        key: used once.
        objective: intervenes at the last word only.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import selection, unembedding
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig()
        >>> unembedding.score(jax.random.key(0), objective, config).tolist()
        [0.0, 3.0]
    """
    batch = objective.sample(key, config.rows)
    shape = len(batch.direction), objective.n_units
    sign = jnp.where(batch.direction == 0, -1.0, 1.0)[:, None]  # the log-ratio is log p(d) / p(t)

    def mean_log_odds(mask: Float[Array, " units"], baseline: float) -> Float[Array, ""]:
        rows = Intervention(jnp.broadcast_to(mask, shape), jnp.full(shape, baseline))
        outcome = objective(rows, batch, None, NoKL())
        return (sign * outcome.log_ratio * outcome.weight).sum()

    slope = jax.grad(mean_log_odds)
    nothing = jnp.zeros(shape[1])
    return jnp.abs(slope(nothing, 1.0) - slope(nothing, -1.0)) / 2.0


def run_learned(
    key: Key[Array, ""], last: Objective, objective: Objective, config: SelectionConfig
) -> tuple[Intervention, Selection]:
    """Learns values for the ``floor(alpha k)`` units that the decoder reads most.

    Args:
        key: used once.
        last: the objective by which units are scored: it intervenes at the last word only.
        objective: the objective on which values are learned.
        config: settings.

    Returns:
        The intervention, and the scores of all units.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.baselines import selection, unembedding
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = selection.SelectionConfig(alpha=0.5, refit_steps=20)
        >>> run = jax.jit(unembedding.run_learned)
        >>> found, _ = run(jax.random.key(0), objective, objective, config)
        >>> units(found.mask)
        [2]
    """

    def of_last(
        key: Key[Array, ""], _: Objective, config: SelectionConfig
    ) -> Float[Array, " units"]:
        return score(key, last, config)

    return selection.run(key, of_last, selection.learned, objective, config)
