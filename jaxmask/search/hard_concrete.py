"""The Hard Concrete distribution: a relaxed coin with mass at exactly 0 and exactly 1.

A Binary Concrete sample is stretched from (0, 1) to (l, r) and clipped to [0, 1]:

    s = sigmoid((log u - log(1 - u) + location) / temperature),   u ~ Uniform(0, 1)
    z = clip(s (r - l) + l, 0, 1)

The paper's Eq. 9 prints the stretch as ``s (l - r) + r``, which turns the gate upside down; this is
the form of Louizos et al. All functions are elementwise in ``location`` (gamma in the paper).

Source: De Cao et al., Section 3.5; Louizos, Welling and Kingma, "Learning Sparse Neural Networks
through L0 Regularization", 2018, Section 2.2 and Appendix B.

Temperature and support are checked by every function, unless they are being traced: a `ValueError`
says what was expected.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.search.checks import check_range

TEMPERATURE = 1 / 3
SUPPORT = (-0.1, 1.1)
_GRID = 64  # quantiles averaged by `mean`


def check(temperature: float | Array, support: tuple[float | Array, float | Array]) -> None:
    """Checks what shapes the distribution; numbers that are being traced can't be checked.

    Raises:
        ValueError: the temperature isn't above 0, or the support (l, r) isn't l <= 0, r >= 1.
    """
    left, right = support
    check_range("temperature", temperature, 0.0, above=True)
    check_range("support, left end", left, high=0.0)
    check_range("support, right end", right, 1.0)


def quantile(
    u: Float[Array, "*shape"],
    location: Float[Array, "*#shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
) -> Float[Array, "*shape"]:
    """The value below which a fraction ``u`` of the distribution lies.

    Args:
        u: in (0, 1).
        location: logit of the coin.
        temperature: above 0; the smaller, the closer to a coin.
        support: (l, r) with l <= 0 and r >= 1. With r = 1 there is no mass at 1.
    """
    check(temperature, support)
    left, right = support
    s = jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + location) / temperature)
    return jnp.clip(s * (right - left) + left, 0.0, 1.0)


def sample(
    key: Key[Array, ""],
    location: Float[Array, "*shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
    shape: tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """Samples in [0, 1], differentiable in ``location``.

    Args:
        key: used once.
        location: logits.
        temperature: see `quantile`.
        support: see `quantile`.
        shape: of the result, ``location`` broadcasts to it; its own shape if not given.
    """
    shape = location.shape if shape is None else shape
    tiny = jnp.finfo(jnp.float32).tiny
    u = jax.random.uniform(key, shape, jnp.float32, minval=tiny, maxval=1.0)
    return quantile(u, jnp.broadcast_to(location, shape), temperature, support)


def prob_nonzero(
    location: Float[Array, "*shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
) -> Float[Array, "*shape"]:
    """P(z != 0) = sigmoid(location - temperature log(-l / r)); 1 where l = 0."""
    return jax.nn.sigmoid(location - _offsets(temperature, support)[0])


def prob_one(
    location: Float[Array, "*shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
) -> Float[Array, "*shape"]:
    """P(z = 1) = sigmoid(location - temperature log((1 - l) / (r - 1))); 0 where r = 1."""
    return jax.nn.sigmoid(location - _offsets(temperature, support)[1])


def prob_fractional(
    location: Float[Array, "*shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
) -> Float[Array, "*shape"]:
    """P(0 < z < 1) = P(z != 0) - P(z = 1): what constraint (7) keeps small.

    With ``P(z != 0) = sigmoid(a)`` and ``P(z = 1) = sigmoid(b)`` it is computed as
    ``sigmoid(a) sigmoid(-b) (1 - exp(b - a))``, which loses no digits where both are close to 1.
    """
    nonzero, one = _offsets(temperature, support)
    both = jax.nn.sigmoid(location - nonzero) * jax.nn.sigmoid(one - location)
    return both * -jnp.expm1(nonzero - one)


def _offsets(temperature: float, support: tuple[float, float]) -> tuple[Array, Array]:
    """The locations at which P(z != 0) and P(z = 1) are a half; either may be infinite."""
    check(temperature, support)
    left, right = support
    return (
        temperature * (jnp.log(-left) - jnp.log(right)),
        temperature * (jnp.log1p(-left) - jnp.log(right - 1.0)),
    )


def mean(
    location: Float[Array, "*shape"],
    temperature: float = TEMPERATURE,
    support: tuple[float, float] = SUPPORT,
) -> Float[Array, "*shape"]:
    """E[z], as the average of the quantile function over the midpoints of 64 equal parts."""
    u = (jnp.arange(_GRID, dtype=jnp.float32) + 0.5) / _GRID
    return quantile(u, location[..., None], temperature, support).mean(axis=-1)
