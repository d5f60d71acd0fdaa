"""What the units of an LSTM can be set to: all that a state can be, or what it usually is."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxmask.intervention import Kind, Range
from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.examples import Examples

DEVIATIONS = 3.0  # on either side of the mean, where nothing bounds a state
PERCENTILES = (1.0, 99.0)


def value_range(
    params: Params,
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    context: LSTMState,
    kind: Kind,
) -> Range:
    """The range of each unit of a site, over the words at which an intervention acts.

    With ``free`` values it is -1 to 1 for hidden states and ``mean - 3 std`` to ``mean + 3 std``
    for cell states; with ``natural`` values it is the 1st to the 99th percentile. The statistics
    are those of the untouched model.

    Args:
        params: the frozen model.
        examples: to take statistics over.
        where: the words at which the intervention acts.
        context: the state before the first word of every sentence.
        kind: of intervention.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> import jax
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> where = np.array([[True, True]])
        >>> found = value_range(params, examples, where, zero_state(config), Kind(values="natural"))
        >>> bool((found.low < found.high).all() and (found.high < 1.0).all())
        True
    """
    if kind.values == "free" and kind.states == ("hidden",):
        return Range.same(network.site_units(params, kind))
    words = examples.tokens.tolist()
    seen = Counter(
        tuple(words[example][: time + 1]) for example, time in np.argwhere(where).tolist()
    )
    states = LSTMState(*map(jnp.asarray, reading.read_all(params, context, tuple(seen))))
    of_units = np.asarray(network.of_site(states, kind), np.float64)
    times = np.array(list(seen.values()), np.float64)
    if kind.values == "natural":
        return _between(*_percentiles(of_units, times))
    mean = np.average(of_units, axis=0, weights=times)
    far = DEVIATIONS * np.sqrt(np.average((of_units - mean) ** 2, axis=0, weights=times))
    low, high = mean - far, mean + far
    if "hidden" in kind.states:
        hidden = slice(0, states.hidden.shape[-1])
        low[hidden], high[hidden] = -1.0, 1.0
    return _between(low, high)


def _percentiles(
    values: Float[np.ndarray, "states units"], weights: Float[np.ndarray, " states"]
) -> Float[np.ndarray, "ends units"]:
    """`PERCENTILES` of each unit, over states with weights."""
    shares = np.array(PERCENTILES) / 100.0
    return np.quantile(values, shares, axis=0, weights=weights, method="inverted_cdf")


def _between(low: Float[np.ndarray, " units"], high: Float[np.ndarray, " units"]) -> Range:
    return Range(*(jnp.asarray(end, jnp.float32) for end in (low, high)))
