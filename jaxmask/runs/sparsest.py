"""The smallest alpha at which a search reaches a given accuracy, found on the training examples.

The paper reports one alpha; how many units another model needs for the same accuracy isn't known
beforehand. Searches of several sizes run as one program, each with an alpha of its own; the sizes
close in on the smallest one that reaches the accuracy.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmask.evaluate import accuracies
from jaxmask.objective import Objective
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Session
from jaxmask.search import SearchConfig

PROBES = 8  # sizes tried at once, a search each
_SPREAD = (0.5, 0.65, 0.78, 0.88, 0.96, 1.04, 1.15, 1.3)  # first sizes, around the expected one
_CLOSE = 0.05  # how close, relative to the size, is close enough


class Probe(NamedTuple):
    """A size that was tried, and the training accuracy that it reached.

    Attributes:
        units: the size.
        accuracy: mean over the searches of this size.
    """

    units: int
    accuracy: float


class Goal(NamedTuple):
    """What is looked for.

    Attributes:
        accuracy: fraction of decisions to flip.
        expected: size at which to begin, such as that of greedy selection.
        most: largest size to try.
    """

    accuracy: float
    expected: int
    most: int


class Sparsest(NamedTuple):
    """What was found.

    Attributes:
        units: the smallest size tried that reaches the accuracy together with all larger ones,
            after falls are evened out; None if the largest size doesn't reach it.
        probes: all sizes tried, by size.
    """

    units: int | None
    probes: tuple[Probe, ...]


def find(
    key: Key[Array, ""],
    objective: Objective,
    config: SearchConfig,
    goal: Goal,
    session: Session | None = None,
) -> Sparsest:
    """The smallest number of units with which the search reaches an accuracy.

    Args:
        key: of the searches.
        objective: training examples.
        config: of the searches, but for ``alpha`` and ``beta``, which are set alike.
        goal: the accuracy wanted, and where to look.
        session: see `jaxmask.runs.ensemble.run`; its name begins the name of each set of searches.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.runs import sparsest
        >>> from jaxmask.search import SearchConfig
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = SearchConfig(steps=5, exchange_rounds=1)
        >>> goal = sparsest.Goal(accuracy=0.9, expected=1, most=2)
        >>> sparsest.find(jax.random.key(0), objective, config, goal).units
        1
    """
    accuracy, expected, most = goal
    session = Session() if session is None else session
    probes: dict[int, list[float]] = {}
    sizes = np.clip(np.round(np.array(_SPREAD) * expected), 1, most)
    low, high = 0, None
    for number in range(2 + int(np.ceil(np.log2(most)))):
        key, now = jax.random.split(key)
        named = session._replace(name=f"{session.name}set_{number}_")
        reached = _reached(now, objective, config, sizes, named)
        for size, one in zip(sizes, reached.tolist(), strict=True):
            probes.setdefault(int(size), []).append(one)
        low, high = _bracket(probes, accuracy)
        if high is None:
            if low >= most:
                break
            sizes = np.clip(np.round(low * np.geomspace(1.15, 4.0, PROBES)), low + 1, most)
        elif high - low <= max(1, int(_CLOSE * high)):
            break
        else:
            sizes = np.round(low + (high - low) * np.arange(1, PROBES + 1) / (PROBES + 1))
            sizes = np.clip(sizes, low + 1, high - 1)
    return Sparsest(high, tuple(Probe(n, float(np.mean(a))) for n, a in sorted(probes.items())))


def _reached(
    key: Key[Array, ""],
    objective: Objective,
    config: SearchConfig,
    sizes: Float[np.ndarray, " probes"],
    session: Session,
) -> Float[np.ndarray, " probes"]:
    """The training accuracy of a search of each size."""
    alpha = jnp.asarray(sizes / objective.n_units, jnp.float32)
    config = config.replace(alpha=alpha, beta=alpha)
    keys = jax.random.split(key, len(sizes))
    found = ensemble.run(keys, objective, config, session).interventions
    return np.asarray(accuracies(found, objective))


def _bracket(probes: Mapping[int, Sequence[float]], accuracy: float) -> tuple[int, int | None]:
    """(largest size that misses the accuracy, or 0; next larger size tried, None if none)."""
    misses = [size for size, reached in _rising(probes).items() if reached < accuracy]
    low = max(misses, default=0)
    return low, min((size for size in probes if size > low), default=None)


def _rising(probes: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """The accuracies, rising with size, that are closest to those of the probes (least squares).

    A larger set can do what a smaller one can, so that a fall is chance: one search may be out of
    luck. Neighbours that fall are given their mean (pool adjacent violators).
    """
    pools: list[tuple[list[int], list[float]]] = []  # sizes, and what all their searches reached
    for size in sorted(probes):
        sizes, reached = [size], list(probes[size])
        while pools and np.mean(pools[-1][1]) > np.mean(reached):
            before = pools.pop()
            sizes, reached = before[0] + sizes, before[1] + reached
        pools.append((sizes, reached))
    return {size: float(np.mean(reached)) for sizes, reached in pools for size in sizes}
