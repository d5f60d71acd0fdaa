"""From what units do to what they can be set to: around the mean, or between percentiles."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxmask.intervention import Range
from jaxmask.text.examples import Examples

DEVIATIONS = 3.0  # on either side of the mean, where nothing bounds a state
PERCENTILES = (1.0, 99.0)


def beginnings(
    examples: Examples, where: Bool[np.ndarray, "examples time"]
) -> dict[tuple[int, ...], int]:
    """The distinct beginnings of sentences that end at a place of intervention, with their number.

    Args:
        examples: with the sentences.
        where: the places.

    Example:
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> beginnings(examples, np.array([[True, True]]))
        {(2,): 1, (2, 3): 1}
    """
    words = examples.tokens.tolist()
    return dict(
        Counter(tuple(words[example][: time + 1]) for example, time in np.argwhere(where).tolist())
    )


def around_mean(
    values: Float[np.ndarray, "states units"], times: Float[np.ndarray, " states"]
) -> Range:
    """``mean - 3 std`` to ``mean + 3 std`` of each unit.

    Args:
        values: of each unit in some states.
        times: how often each of the states occurs.

    Example:
        >>> around_mean(np.array([[1.0], [3.0]]), np.ones(2)).high.tolist()
        [5.0]
    """
    mean = np.average(values, axis=0, weights=times)
    far = DEVIATIONS * np.sqrt(np.average((values - mean) ** 2, axis=0, weights=times))
    return _between(mean - far, mean + far)


def between_percentiles(
    values: Float[np.ndarray, "states units"], times: Float[np.ndarray, " states"]
) -> Range:
    """The 1st to the 99th percentile of each unit; arguments are those of `around_mean`.

    Example:
        >>> between_percentiles(np.array([[1.0], [3.0]]), np.ones(2)).high.tolist()
        [3.0]
    """
    shares = np.array(PERCENTILES) / 100.0
    return _between(*np.quantile(values, shares, axis=0, weights=times, method="inverted_cdf"))


def _between(low: Float[np.ndarray, " units"], high: Float[np.ndarray, " units"]) -> Range:
    return Range(*(jnp.asarray(end, jnp.float32) for end in (low, high)))
