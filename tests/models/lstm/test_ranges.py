"""What units can be set to, against statistics over a list of all states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model

from jaxmask.intervention import Intervention, Kind, places
from jaxmask.models.lstm import ranges
from jaxmask.models.lstm.forward import read_states
from jaxmask.models.lstm.network import of_site
from jaxmask.models.lstm.reading import read_context

EXAMPLES = small_model.examples(size=30)
PARAMS = small_model.model()
CONTEXT = read_context(PARAMS, [1])


def states(kind, where):
    """Those of all examples at the words at which an intervention acts, repetitions too."""
    rows = []
    for row, length in enumerate(EXAMPLES.length):
        read = of_site(read_states(PARAMS, CONTEXT, EXAMPLES.tokens[row, :length]), kind)
        rows.extend(np.asarray(read)[where[row, :length]])
    return np.array(rows)


def found_range(kind):
    where = places(kind.place, EXAMPLES.position, EXAMPLES.length)
    return ranges.value_range(PARAMS, EXAMPLES, where, CONTEXT, kind), states(kind, where)


@pytest.mark.parametrize("place", ["single", "every", "last"])
@pytest.mark.parametrize("site", ["hidden", "cell", "hidden+cell"])
def test_natural_values_are_between_percentiles(site, place):
    found, seen = found_range(Kind(site, values="natural", place=place))
    low, high = np.percentile(seen, (1, 99), axis=0, method="inverted_cdf")
    np.testing.assert_allclose(found.low, low, atol=1e-6)
    np.testing.assert_allclose(found.high, high, atol=1e-6)
    assert (found.low < found.high).all()


@pytest.mark.parametrize("place", ["single", "every"])
def test_free_values_of_cells_are_three_deviations_around_the_mean(place):
    found, seen = found_range(Kind("hidden+cell", place=place))
    half = seen.shape[1] // 2
    np.testing.assert_array_equal(found.low[:half], -1.0)
    np.testing.assert_array_equal(found.high[:half], 1.0)
    mean, std = seen.mean(axis=0), seen.std(axis=0)
    np.testing.assert_allclose(found.low[half:], (mean - 3 * std)[half:], atol=1e-5)
    np.testing.assert_allclose(found.high[half:], (mean + 3 * std)[half:], atol=1e-5)


def test_free_hidden_values_are_their_own_places():
    found, seen = found_range(Kind())
    values = jax.random.uniform(jax.random.key(0), (2, seen.shape[1]), minval=-1.0)
    np.testing.assert_array_equal(found.own(values), values)
    np.testing.assert_array_equal(found.zero, 0.0)


def test_values_and_places_are_inverse():
    found, seen = found_range(Kind("cell", values="natural"))
    inside = jax.random.uniform(jax.random.key(0), (2, seen.shape[1]), minval=-1.0)
    values = np.asarray(Intervention(inside, inside).within(found).baseline)
    assert ((np.asarray(found.low) <= values) & (values <= np.asarray(found.high))).all()
    np.testing.assert_allclose(found.relative(jnp.asarray(values)), inside, atol=1e-4)
    np.testing.assert_allclose(found.own(found.zero), 0.0, atol=1e-5)
