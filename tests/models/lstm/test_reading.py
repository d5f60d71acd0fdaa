"""Many sequences read at once against each read on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.forward import forward

read_alone = jax.jit(forward)
CONFIG = network.LSTMConfig(vocabulary=13, embedding=5, hidden=4, layers=2)
PARAMS = network.init_params(jax.random.key(0), CONFIG)


@pytest.fixture
def context():
    noise = jax.random.normal(jax.random.key(1), (2, CONFIG.units))
    return network.LSTMState(*noise)


def sequences(n, longest=6):
    random = np.random.default_rng(2)
    # Few words, so that much is shared, and also what differs only further on.
    return [
        tuple(random.integers(0, 3, random.integers(0, longest + 1)).tolist()) for _ in range(n)
    ]


@pytest.mark.parametrize("fewest", [1, 64])  # levels that fill their width, and that don't
def test_states_are_those_of_each_sequence_on_its_own(context, monkeypatch, fewest):
    monkeypatch.setattr(reading, "_FEWEST", fewest)
    given = [*sequences(80), (), (12, 0, 12)]
    found = reading.read_all(PARAMS, context, given)
    for row, words in enumerate(given):
        expected = read_alone(PARAMS, context, jnp.array(words))[1] if words else context
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a[row], b, rtol=1e-5, atol=1e-6)


def test_no_sequence_or_an_empty_one_is_no_special_case(context):
    assert [x.shape for x in reading.read_all(PARAMS, context, [])] == [(0, CONFIG.units)] * 2
    (hidden, cell) = reading.read_all(PARAMS, context, [()])
    np.testing.assert_array_equal(hidden[0], context.hidden)
    np.testing.assert_array_equal(cell[0], context.cell)


def test_what_sequences_share_is_read_once(context, monkeypatch):
    widths = []
    read = reading._read

    def counting(params, before, word):
        widths.append(len(word))
        return read(params, before, word)

    monkeypatch.setattr(reading, "_read", counting)
    monkeypatch.setattr(reading, "_FEWEST", 1)
    monkeypatch.setattr(reading, "_GROWTH", 2)
    shared = tuple(range(5))
    reading.read_all(PARAMS, context, [(*shared, word) for word in range(8)] * 3 + [shared])
    assert widths == [1, 1, 1, 1, 1, 8]
