"""Flat tokens and padded rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.models.transformer import layout

COUNTS = (4, 3, 3, 1)  # rows of 4, 3, 3 and 1 tokens


def test_rows_come_back_flat():
    flat = jnp.arange(1.0, 12.0)
    rows = layout.padded(COUNTS, flat)
    assert rows.tolist() == [
        [1.0, 5.0, 8.0, 11.0], [2.0, 6.0, 9.0, 0.0], [3.0, 7.0, 10.0, 0.0], [4.0, 0.0, 0.0, 0.0],
    ]  # fmt: skip
    np.testing.assert_array_equal(layout.flattened(COUNTS, rows), flat)
    assert layout.of_rows(COUNTS, jnp.arange(4.0)).tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("move", "shape"),
    [(layout.padded, (11, 2)), (layout.flattened, (4, 4, 2)), (layout.of_rows, (4, 2))],
)
def test_gradients_are_those_of_a_linear_map(move, shape):
    """``<A x, y> = <x, A^T y>`` for all x and y."""
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], shape)
    out, transpose = jax.vjp(lambda x: move(COUNTS, x), x)
    y = jax.random.normal(keys[1], out.shape)
    np.testing.assert_allclose(jnp.vdot(out, y), jnp.vdot(x, transpose(y)[0]), rtol=1e-5)
