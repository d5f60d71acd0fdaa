import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.intervention import (
    Intervention,
    Site,
    every_step,
    intervene,
    places,
    single_step,
    units,
)


def arrays(seed, shape=(3, 7)):
    return jax.random.uniform(jax.random.key(seed), shape, minval=-1.0)


@pytest.mark.parametrize("function", [intervene, jax.jit(intervene)])
def test_hard_masks_copy_bit_for_bit(function):
    hidden, baseline = arrays(0), arrays(1)
    np.testing.assert_array_equal(function(hidden, jnp.zeros((3, 7)), baseline), hidden)
    np.testing.assert_array_equal(function(hidden, jnp.ones((3, 7)), baseline), baseline)


def test_a_fractional_mask_mixes():
    found = intervene(jnp.array([0.4]), jnp.array([0.25]), jnp.array([-0.8]))
    np.testing.assert_allclose(found, [0.75 * 0.4 - 0.25 * 0.8], rtol=1e-6)


def test_rows_follow_directions():
    intervention = Intervention(arrays(0, (2, 3)), arrays(1, (2, 3)))
    mask, baseline = intervention.toward(jnp.array([1, 0, 1]))
    np.testing.assert_array_equal(mask, intervention.mask[np.array([1, 0, 1])])
    np.testing.assert_array_equal(baseline, intervention.baseline[np.array([1, 0, 1])])


def test_places_of_intervention():
    length = np.array([3, 1, 2])
    np.testing.assert_array_equal(
        single_step(np.array([2, 0, 0]), length), [[0, 0, 1], [1, 0, 0], [1, 0, 0]]
    )
    np.testing.assert_array_equal(every_step(length), [[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    position = np.array([2, 0, 1])
    np.testing.assert_array_equal(places("every", position, length), every_step(length))
    np.testing.assert_array_equal(places("single", position, length), single_step(position, length))


@pytest.mark.parametrize("position", [-1, 2])
def test_a_position_outside_its_sentence_is_an_error(position):
    with pytest.raises(ValueError, match=rf"example 1: position {position} .* 2 words"):
        single_step(np.array([0, position]), np.array([3, 2]))


def test_units_are_numbered_as_in_the_paper():
    site = Site("hidden", layers=2, width=650)
    assert site.units == 1300
    assert site.number(2, 126) == 776
    assert site.place(776) == (2, 126)
    assert site.place(650) == (1, 650)
    assert units(jnp.array([[0.0, 1, 0, 0], [0, 0, 0, 1]])) == [2, 4]


@given(st.integers(1, 5000), st.integers(1, 700))
def test_numbers_and_places_of_units_are_inverse(number, hidden):
    site = Site("hidden", layers=-(-number // hidden), width=hidden)
    layer, column = site.place(number)
    assert 1 <= column <= hidden
    assert 1 <= layer <= site.layers
    assert site.number(layer, column) == number
