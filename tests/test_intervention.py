import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.intervention import (
    EDGE,
    Intervention,
    Kind,
    Range,
    Site,
    every_step,
    intervene,
    last_step,
    places,
    single_step,
    to_baseline,
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
    np.testing.assert_array_equal(last_step(length), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    position = np.array([2, 0, 1])
    np.testing.assert_array_equal(places("last", position, length), last_step(length))
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


@given(st.integers(1, 9), st.integers(1, 9))
def test_units_of_a_second_state_follow_those_of_the_first(layers, width):
    site = Site("hidden+cell", layers, width, ("hidden", "cell"))
    numbers = [
        site.number(layer, column, state)
        for state in site.states
        for layer in range(1, layers + 1)
        for column in range(1, width + 1)
    ]
    assert numbers == list(range(1, site.units + 1))
    assert [site.state(number) for number in numbers] == [
        *["hidden"] * (layers * width),
        *["cell"] * (layers * width),
    ]
    half = [site.place(number) for number in numbers[: layers * width]]
    assert half == [site.place(number) for number in numbers[layers * width :]]


@pytest.mark.parametrize("values", ["free", "natural"])
@pytest.mark.parametrize("reach", ["all", "time"])
@pytest.mark.parametrize("site", ["hidden", "cell", "hidden+cell"])
@pytest.mark.parametrize("place", ["single", "every", "last"])
def test_a_kind_is_read_as_it_was_written(site, reach, values, place):
    kind = Kind(site, reach, values, place)
    assert Kind.of_settings(kind.settings()) == kind


def test_values_reach_the_ends_of_their_range_at_the_edge():
    found = to_baseline(jnp.array([-EDGE, -1.0, 0.0, EDGE]))
    np.testing.assert_array_equal(found[jnp.array([0, 2, 3])], [-1.0, 0.0, 1.0])
    np.testing.assert_allclose(found[1], np.tanh(-1.0) / np.tanh(4.0), rtol=1e-6)


def test_settings_of_old_files_keep_their_meaning():
    assert Kind.of_settings({"intervention": "every"}) == Kind("hidden", "time", "free", "every")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected intervention single or every or last, found None"),
        ({"intervention": "single", "reach": ["all"]}, r"expected reach .* found \['all'\]"),
        ({"intervention": "single", "values": "any"}, "expected values free or natural"),
    ],
)
def test_settings_of_no_kind_are_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        Kind.of_settings(settings)


def test_a_unit_with_one_value_only_has_the_place_zero():
    one = Range(jnp.array([0.5]), jnp.array([0.5]))
    assert one.relative(jnp.array([0.9])).tolist() == [0.0]
    assert one.own(jnp.array([-1.0])).tolist() == [0.5]
