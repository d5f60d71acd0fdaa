"""What the units of an LSTM can be set to: all that a state can be, or what it usually is."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxmask.intervention import Kind, Range
from jaxmask.models import ranges
from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.text.examples import Examples


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
    seen = ranges.beginnings(examples, where)
    states = LSTMState(*map(jnp.asarray, reading.read_all(params, context, tuple(seen))))
    of_units = np.asarray(network.of_site(states, kind), np.float64)
    times = np.array(list(seen.values()), np.float64)
    if kind.values == "natural":
        return ranges.between_percentiles(of_units, times)
    low, high = ranges.around_mean(of_units, times)
    if "hidden" in kind.states:
        hidden = slice(0, states.hidden.shape[-1])
        low, high = low.at[hidden].set(-1.0), high.at[hidden].set(1.0)
    return Range(low, high)
