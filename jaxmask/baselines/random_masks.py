"""Random units: what any set of that size can do, with learned values or with those of a set."""

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmask.baselines import selection
from jaxmask.baselines.selection import Selection, SelectionConfig
from jaxmask.intervention import Intervention, Site
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


def matched(found: Intervention, site: Site, sets: int, rng: np.random.Generator) -> Intervention:
    """Random sets that have as many units in each layer as a found set, with its values.

    A unit of the found set hands its row of mask and baseline to a random unit of its layer (and
    of its state, where a site has several) that isn't in the found set; if a layer has too few
    others, all of its units may be drawn.

    Args:
        found: one intervention; its baselines are places in the range of each unit.
        site: the units that were searched.
        sets: how many sets to draw.
        rng: of the draws.

    Returns:
        A stack of interventions, ``sets directions units``.

    Example:
        >>> import numpy as np
        >>> from jaxmask.baselines import random_masks
        >>> from jaxmask.intervention import Intervention, Site
        >>> mask = np.array([[1.0, 0.0, 0.0, 0.0]] * 2, np.float32)
        >>> found, site = Intervention(mask, 0.5 * mask), Site("hidden", layers=2, width=2)
        >>> drawn = random_masks.matched(found, site, 3, np.random.default_rng(0))
        >>> drawn.mask[:, 0].tolist()
        [[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    mask, baseline = (np.asarray(x) for x in found)
    chosen = np.flatnonzero((mask > 0).any(axis=0))
    masks, baselines = np.zeros((2, sets, *mask.shape), mask.dtype)
    for number in range(sets):
        for block in np.unique(chosen // site.width):
            here = chosen[chosen // site.width == block]
            drawn = rng.permutation(_others(here, int(block), site.width))[: len(here)]
            masks[number][:, drawn] = mask[:, here]
            baselines[number][:, drawn] = baseline[:, here]
    return Intervention(masks, baselines)


def _others(here: Int[np.ndarray, " chosen"], block: int, width: int) -> Int[np.ndarray, " others"]:
    """The units of a block that weren't chosen; all of them if these are fewer than the chosen."""
    units = np.arange(block * width, (block + 1) * width)
    others = np.setdiff1d(units, here)
    return others if len(others) >= len(here) else units
