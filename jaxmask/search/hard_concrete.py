"""The Hard Concrete distribution: a relaxed coin flip with probability mass at exactly 0 and 1.

A Binary Concrete sample is stretched from (0, 1) to (l, r) and clipped to [0, 1]:

    s = sigmoid((log u - log(1 - u) + location) / temperature),   u ~ Uniform(0, 1)
    z = clip(s (r - l) + l, 0, 1)

Eq. 9 of the paper prints the stretch as ``s (l - r) + r``, which exchanges 0 and 1; this module has
the form of Louizos et al. All functions are elementwise in ``location`` (gamma in the paper).

Source: De Cao et al., Section 3.5; Louizos, Welling and Kingma, "Learning Sparse Neural Networks
through L0 Regularization", 2018, Section 2.2 and Appendix B.

Every function checks temperature and support, unless they are being traced. A `ValueError` says
what was expected.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmask.search.checks import check_range

Number = float | Float[Array, ""]  # may be traced, as all settings of a search

TEMPERATURE = 1 / 3
SUPPORT = (-0.1, 1.1)
_GRID = 64  # number of quantiles that `mean` averages


def check(temperature: Any, support: tuple[Any, Any]) -> None:
    """Checks temperature and support; numbers that are being traced can't be checked.

    Args:
        temperature: see `quantile`.
        support: see `quantile`.

    Raises:
        ValueError: the temperature isn't above 0, or the support (l, r) isn't l <= 0, r >= 1.

    Example:
        >>> try:
        ...     check(0.0, SUPPORT)
        ... except ValueError as fault:
        ...     print(fault)
        temperature: expected above 0, found 0.0
    """
    left, right = support
    check_range("temperature", temperature, 0.0, above=True)
    check_range("support, left end", left, high=0.0)
    check_range("support, right end", right, 1.0)


def quantile(
    u: Float[Array, "*shape"],
    location: Float[Array, "*#shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
) -> Float[Array, "*shape"]:
    """The value below which a fraction ``u`` of the distribution lies.

    Args:
        u: in (0, 1).
        location: logit of the coin.
        temperature: above 0; the smaller it is, the closer is the distribution to that of a coin.
        support: (l, r) with l <= 0 and r >= 1. With r = 1 there is no mass at 1.

    Example:
        >>> u = jnp.array([0.1, 0.5, 0.9])
        >>> quantile(u, jnp.zeros(3)).tolist()
        [0.0, 0.5, 1.0]
    """
    check(temperature, support)
    left, right = support
    s = jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + location) / temperature)
    return jnp.clip(s * (right - left) + left, 0.0, 1.0)


def sample(
    key: Key[Array, ""],
    location: Float[Array, "*shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
    shape: tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """Samples in [0, 1], differentiable with respect to ``location``.

    Args:
        key: of the random numbers; used once.
        location: see `quantile`.
        temperature: see `quantile`.
        support: see `quantile`.
        shape: of the result, to which ``location`` is broadcast; by default the shape of
            ``location``.

    Example:
        >>> location = jnp.array([-9.0, 9.0])
        >>> sample(jax.random.key(0), location).tolist()
        [0.0, 1.0]
    """
    shape = location.shape if shape is None else shape
    tiny = jnp.finfo(jnp.float32).tiny
    u = jax.random.uniform(key, shape, jnp.float32, minval=tiny, maxval=1.0)
    return quantile(u, jnp.broadcast_to(location, shape), temperature, support)


def prob_nonzero(
    location: Float[Array, "*shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
) -> Float[Array, "*shape"]:
    """``P(z != 0) = sigmoid(location - temperature log(-l / r))``; 1 if l = 0.

    Args:
        location: see `quantile`.
        temperature: see `quantile`.
        support: see `quantile`.

    Example:
        >>> prob_nonzero(jnp.array([-9.0, 9.0])).round(3).tolist()
        [0.0, 1.0]
    """
    return jax.nn.sigmoid(location - _offsets(temperature, support)[0])


def prob_one(
    location: Float[Array, "*shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
) -> Float[Array, "*shape"]:
    """``P(z = 1) = sigmoid(location - temperature log((1 - l) / (r - 1)))``; 0 if r = 1.

    Args:
        location: see `quantile`.
        temperature: see `quantile`.
        support: see `quantile`.

    Example:
        >>> prob_one(jnp.array(0.0), support=(-0.1, 1.0)).item()
        0.0
    """
    return jax.nn.sigmoid(location - _offsets(temperature, support)[1])


def prob_fractional(
    location: Float[Array, "*shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
) -> Float[Array, "*shape"]:
    """``P(0 < z < 1) = P(z != 0) - P(z = 1)``, which constraint (7) keeps small.

    With ``P(z != 0) = sigmoid(a)`` and ``P(z = 1) = sigmoid(b)`` it is computed as
    ``sigmoid(a) sigmoid(-b) (1 - exp(b - a))``, which loses no digits if both are close to 1.

    Args:
        location: see `quantile`.
        temperature: see `quantile`.
        support: see `quantile`.

    Example:
        >>> location = jnp.array(0.0)
        >>> difference = prob_nonzero(location) - prob_one(location)
        >>> abs(float(prob_fractional(location) - difference)) < 1e-6
        True
    """
    nonzero, one = _offsets(temperature, support)
    both = jax.nn.sigmoid(location - nonzero) * jax.nn.sigmoid(one - location)
    return both * -jnp.expm1(nonzero - one)


def _offsets(temperature: Number, support: tuple[Number, Number]) -> tuple[Array, Array]:
    """The locations at which P(z != 0) and P(z = 1) are 0.5; either may be infinite."""
    check(temperature, support)
    left, right = support
    return (
        temperature * (jnp.log(-left) - jnp.log(right)),
        temperature * (jnp.log1p(-left) - jnp.log(right - 1.0)),
    )


def mean(
    location: Float[Array, "*shape"],
    temperature: Number = TEMPERATURE,
    support: tuple[Number, Number] = SUPPORT,
) -> Float[Array, "*shape"]:
    """``E[z]``, as the average of the quantiles at the midpoints of 64 equal parts of (0, 1).

    Args:
        location: see `quantile`.
        temperature: see `quantile`.
        support: see `quantile`.

    Example:
        >>> round(float(mean(jnp.array(0.0))), 3)
        0.5
    """
    u = (jnp.arange(_GRID, dtype=jnp.float32) + 0.5) / _GRID
    u = jnp.broadcast_to(u, (*location.shape, _GRID))
    return quantile(u, location[..., None], temperature, support).mean(axis=-1)
