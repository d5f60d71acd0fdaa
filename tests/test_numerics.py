"""Float32 against float64, and gradients that stay finite, over extreme numbers.

References are closed forms in numpy's float64. What can't be better is the rounding of the
arguments: a logit of 1e4 has an error of 5e-4 in float32, and tolerances grow with it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxmask import search
from jaxmask.models.logsumexp import cross_entropy, linear_logsumexp
from jaxmask.search import SearchConfig, hard_concrete, losses, minmax

N = 16
EPSILON = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)  # what is smaller is 0 on some devices
BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))

quick = settings(suppress_health_check=[HealthCheck.too_slow])


def real(low, high):
    """Float32 numbers, none so small that a device may take it for 0."""
    return st.floats(low, high, width=32, allow_subnormal=False)


def numbers(low, high, shape=N):
    """Arrays of float32, both ends and numbers around 0 among the likely ones."""
    near = real(max(low, -10.0), min(high, 10.0))
    one = st.one_of(real(low, high), st.sampled_from([low, high]), near)
    return arrays(np.float32, shape, elements=one)


def f32(x):
    return float(np.float32(x))


shapes = st.tuples(
    real(f32(0.01), 10.0),
    st.tuples(
        real(-2.0, 0.0),
        real(1.0, 3.0),
    ),
)
SHAPES = [
    (hard_concrete.TEMPERATURE, hard_concrete.SUPPORT),
    (0.2, (-0.2, 1.0)),
    (2 / 3, (0.0, 1.1)),
    (1.0, (0.0, 1.0)),
]


def sigmoid(x):
    """In float64, exact at both ends."""
    with np.errstate(all="ignore"):
        return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


def close(found, expected, error):
    """Relative error below ``error``, but for what float32 flushes to 0."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert np.isfinite(found).all()
    assert (np.abs(found - expected) <= error * np.abs(expected) + 2 * TINY).all(), (
        found,
        expected,
    )


# The Hard Concrete distribution.


@pytest.fixture(scope="module")
def distribution():
    """Each function with its gradient in the location, compiled once for all shapes."""

    def with_gradient(function):
        def of_all(location, temperature, left, right, *more):
            one = jax.value_and_grad(
                lambda x, *m: (
                    function(*m, x, temperature, (left, right))
                    if m
                    else function(x, temperature, (left, right))
                )
            )
            return jax.vmap(one)(location, *more)

        return jax.jit(of_all)

    names = ("prob_nonzero", "prob_one", "prob_fractional", "mean")
    functions = {name: with_gradient(getattr(hard_concrete, name)) for name in names}
    return functions | {"quantile": with_gradient(hard_concrete.quantile)}


def offsets(temperature, left, right):
    with np.errstate(divide="ignore"):
        return (
            temperature * (np.log(-left) - np.log(right)),
            temperature * (np.log1p(-left) - np.log(right - 1.0)),
        )


def references(name, location, temperature, left, right):
    nonzero, one = offsets(temperature, left, right)
    if name == "prob_nonzero":
        return sigmoid(location - nonzero)
    if name == "prob_one":
        return sigmoid(location - one)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))
    return sigmoid(location - nonzero) * sigmoid(one - location) * -np.expm1(nonzero - one)


@pytest.mark.parametrize("name", ["prob_nonzero", "prob_one", "prob_fractional"])
@quick
@given(location=numbers(-1e4, 1e4), shape=st.one_of(st.sampled_from(SHAPES), shapes))
def test_probabilities(distribution, name, location, shape):
    temperature, (left, right) = (np.float32(shape[0]), tuple(map(np.float32, shape[1])))
    value, slope = distribution[name](location, temperature, left, right)
    double = [np.float64(x) for x in (temperature, left, right)]
    expected = references(name, location.astype(np.float64), *double)
    # log(r - 1) and log(-l) are as exact as float32 has r and l, times the temperature.
    error = 8 * EPSILON * (2 + np.abs(location) + 100 * temperature)
    close(value, expected, error)
    assert (np.asarray(value) >= 0).all()
    assert (np.asarray(value) <= 1 + EPSILON).all()
    assert np.isfinite(slope).all()


def test_probabilities_add_up_and_keep_their_digits():
    location = jnp.linspace(-30, 30, 61)
    for shape in SHAPES:
        parts = [
            function(location, *shape)
            for function in (hard_concrete.prob_fractional, hard_concrete.prob_one)
        ]
        np.testing.assert_allclose(sum(parts), hard_concrete.prob_nonzero(location, *shape), 1e-6)
    naive = hard_concrete.prob_nonzero(location) - hard_concrete.prob_one(location)
    expected = references("prob_fractional", np.linspace(-30, 30, 61), 1 / 3, -0.1, 1.1)
    assert np.abs(naive[-1] / expected[-1] - 1) > 0.5  # what differences come to
    close(hard_concrete.prob_fractional(location), expected, 1e-5)


@quick
@given(
    u=numbers(TINY, BELOW_ONE),
    location=numbers(-1e4, 1e4),
    shape=st.one_of(st.sampled_from(SHAPES), shapes),
)
def test_quantiles(distribution, u, location, shape):
    u = np.clip(u, np.float32(TINY), np.float32(BELOW_ONE))
    temperature, (left, right) = (np.float32(shape[0]), tuple(map(np.float32, shape[1])))
    value, slope = distribution["quantile"](location, temperature, left, right, u)
    exact, wide = u.astype(np.float64), location.astype(np.float64)
    logit = np.log(exact) - np.log1p(-exact)
    s = sigmoid((logit + wide) / np.float64(temperature))
    expected = np.clip(s * (np.float64(right) - left) + left, 0.0, 1.0)
    # d s / d x is at most 1 / 4; x is off by the rounding of its terms.
    error = 4 * EPSILON * (1 + (np.abs(logit) + np.abs(wide)) / temperature)
    assert (np.abs(value - expected) <= 2 * EPSILON + (right - left) * error).all()
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert ((value >= 0) & (value <= 1)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_ends_of_the_distribution(shape):
    u = jnp.array([0.0, TINY, BELOW_ONE, 1.0])
    for location in (-1e4, 0.0, 1e4):
        value, slope = jax.vmap(
            jax.value_and_grad(lambda x, u: hard_concrete.quantile(u, x, *shape)), (None, 0)
        )(jnp.float32(location), u)
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()
        if location == 0.0:
            np.testing.assert_allclose(value[jnp.array([0, 3])], [0.0, 1.0], atol=1e-6)


def test_draws_are_never_0_or_1():
    """What `sample` draws: of 2^23 numbers in [tiny, 1), the last is 1 - 2^-23."""
    u = jax.random.uniform(jax.random.key(0), (10**6,), jnp.float32, minval=TINY, maxval=1.0)
    assert TINY <= float(u.min()) < float(u.max()) < 1.0
    last = np.float32(1 - 2.0**-23) * np.float32(1 - TINY) + np.float32(TINY)
    assert last < 1.0
    location = jnp.array([-1e4, -88.0, 0.0, 88.0, 1e4])[:, None]
    for shape in SHAPES:
        gates = hard_concrete.sample(jax.random.key(1), location, *shape, shape=(5, 1000))
        assert np.isfinite(gates).all()
        assert ((gates >= 0) & (gates <= 1)).all()


@quick
@given(location=numbers(-1e4, 1e4), shape=st.sampled_from(SHAPES))
def test_means(distribution, location, shape):
    temperature, (left, right) = shape
    value, slope = distribution["mean"](location, temperature, left, right)
    u = (np.arange(64) + 0.5) / 64
    s = sigmoid((np.log(u) - np.log1p(-u) + location.astype(np.float64)[:, None]) / temperature)
    expected = np.clip(s * (right - left) + left, 0.0, 1.0).mean(axis=1)
    error = 4 * EPSILON * (2 + np.where(np.abs(location) > 50, 0, np.abs(location)) / temperature)
    assert (np.abs(value - expected) <= error).all()
    assert np.isfinite(slope).all()


# Losses.

LARGEST = float(np.finfo(np.float32).max)
REFERENCES = {
    "ratio": lambda x: np.exp(np.minimum(x, 60.0)),
    "log_ratio": lambda x: x,
    "log1p_ratio": lambda x: np.logaddexp(0.0, x),
    "share": sigmoid,
    "failure": lambda x: sigmoid(2 * x),
}
SLOPES = {
    "ratio": lambda x: np.where(x < 60.0, np.exp(np.minimum(x, 60.0)), 0.0),
    "log_ratio": np.ones_like,
    "log1p_ratio": sigmoid,
    "share": lambda x: sigmoid(x) * sigmoid(-x),
    "failure": lambda x: 2 * sigmoid(2 * x) * sigmoid(-2 * x),
}


@pytest.mark.parametrize("name", REFERENCES)
@quick
@given(log_ratio=st.one_of(numbers(-200.0, 200.0), numbers(-LARGEST, LARGEST)))
def test_surrogates(name, log_ratio):
    assert set(REFERENCES) == {*losses.SURROGATES, "failure"}
    value, slope = SURROGATES[name](log_ratio)
    exact = log_ratio.astype(np.float64)
    error = 8 * EPSILON * (1 + np.minimum(np.abs(exact), 1e3))
    close(value, REFERENCES[name](exact), error)
    elsewhere = exact != 60.0  # where the ratio has a corner
    # 1 - s in float32 is exact to EPSILON only: slopes of a sigmoid near 1 are small, not exact.
    assert np.isfinite(slope).all()
    expected = SLOPES[name](exact)
    rounding = 2 * EPSILON if name == "failure" else EPSILON  # the slope of s(2x) is twice s'(2x)
    assert (np.abs(slope - expected) <= error * np.abs(expected) + rounding)[elsewhere].all()
    np.testing.assert_array_equal(losses.success(jnp.asarray(log_ratio)), exact < 0)


SURROGATES = {
    name: jax.jit(jax.vmap(jax.value_and_grad(losses.SURROGATES.get(name, losses.failure))))
    for name in REFERENCES
}
divergence = jax.jit(jax.value_and_grad(losses.kl_divergence, argnums=1))


def log_softmax(x):
    top = x.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return x - top - np.log(np.exp(x - top).sum(axis=-1, keepdims=True))


@quick
@given(numbers(-1e4, 1e4), numbers(-1e4, 1e4), st.sampled_from([1e-4, 1.0]))
def test_divergences(original, intervened, scale):
    original, intervened = (np.float32(scale) * x for x in (original, intervened))
    value, gradient = divergence(original, intervened)
    log_p, log_q = (log_softmax(x.astype(np.float64)) for x in (original, intervened))
    expected = np.sum(np.exp(log_p) * (log_p - log_q))
    size = 1 + np.abs(original).max() + np.abs(intervened).max()
    assert abs(value - expected) <= 8 * EPSILON * size * (1 + abs(expected) / size)
    assert value >= -8 * EPSILON * size
    np.testing.assert_allclose(gradient, np.exp(log_q) - np.exp(log_p), atol=8 * EPSILON * size)


def test_what_is_ruled_out_adds_nothing_to_a_divergence():
    ruled_out = jnp.array([-jnp.inf, 0.0, 1.0])
    within = np.array([0.3, 1.0, -2.0], np.float32)
    value, gradient = divergence(ruled_out, within)
    log_p, log_q = log_softmax(np.array([0.0, 1.0])), log_softmax(within.astype(np.float64))[1:]
    np.testing.assert_allclose(value, np.sum(np.exp(log_p) * (log_p - log_q)), rtol=1e-5)
    assert np.isfinite(gradient).all()
    value, gradient = divergence(ruled_out, ruled_out)
    assert value == 0.0
    assert np.isfinite(gradient).all()
    assert divergence(within, ruled_out)[0] == np.inf


# Sums over the vocabulary.

WORDS, HIDDEN, BATCH = 9, 3, 4
summed = jax.jit(
    lambda h, w, b: (
        linear_logsumexp(h, w, b),
        jax.grad(lambda h: linear_logsumexp(h, w, b).sum())(h),
    )
)
entropy = jax.jit(jax.value_and_grad(cross_entropy, argnums=(0, 1, 2)))


def layers():
    return st.tuples(
        numbers(-1.0, 1.0, (BATCH, HIDDEN)),
        numbers(-1e4, 1e4, (WORDS, HIDDEN)),
        numbers(-1e4, 1e4, WORDS),
    )


@quick
@given(layers(), st.sampled_from([1e-4, 1e-2, 1.0]))
def test_sums_over_the_vocabulary(layer, scale):
    hidden, weight, bias = layer
    weight, bias = np.float32(scale) * weight, np.float32(scale) * bias
    h, w, b = (x.astype(np.float64) for x in (hidden, weight, bias))
    logits = h @ w.T + b
    top = logits.max(axis=1, keepdims=True)
    expected = (top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))[:, 0]
    softmax = np.exp(logits - expected[:, None])
    terms = 1 + np.abs(h) @ np.abs(w).max(axis=0) + np.abs(b).max()  # what rounding is relative to
    error = 8 * EPSILON * terms
    value, gradient = summed(hidden, weight, bias)
    assert (np.abs(value - expected) <= error).all()
    most = np.abs(w).max() + TINY
    assert (np.abs(gradient - softmax @ w) <= (2 * error[:, None] + 1e-6) * most).all()

    targets, weights = np.array([0, 8, 3, 0]), np.array([1.0, 0.5, 0.0, 2.0], np.float32)
    loss, gradients = entropy(hidden, weight, bias, targets, weights)
    chosen = logits[np.arange(BATCH), targets]
    assert abs(loss - np.sum(weights * (expected - chosen))) <= 8 * np.sum(error)
    error_of = (softmax - np.eye(WORDS)[targets]) * weights[:, None]
    for found, exact, size in zip(
        gradients, (error_of @ w, error_of.T @ h, error_of.sum(axis=0)), (most, 1, 1), strict=True
    ):
        assert np.isfinite(found).all()
        assert (np.abs(found - exact) <= 8 * (error.max() + 1e-6) * size).all()


# The search's own.


project = jax.jit(jax.vmap(minmax.project, (0, 0, None)))  # of one multiplier each


@quick
@given(numbers(-1e6, 1e6), numbers(-1e6, 1e6), real(0.0, 1.0))
def test_multipliers_stay_finite_and_not_below_0(multiplier, violation, decay):
    found = project({"a": multiplier}, {"a": violation}, jnp.float32(decay))["a"]
    expected = np.maximum(multiplier.astype(np.float64), 0.0)
    expected = np.where(violation < 0, (1.0 - np.float64(np.float32(decay))) * expected, expected)
    np.testing.assert_allclose(found, expected, rtol=4 * EPSILON, atol=1e6 * EPSILON)
    assert (np.asarray(found) >= 0).all()


target = jax.jit(search.shrinking_target)


@quick
@given(
    real(f32(1e-6), 1.0),
    real(0.0, 1.0),
    real(0.0, 1.0),
    st.integers(0, 199),
)
def test_targets(limit, initial, warmup, step):
    config = SearchConfig(initial_alpha=initial, warmup=warmup)
    found = target(jnp.asarray(step), limit, config)
    start, ramp = max(initial, limit), max(warmup * config.steps, 1.0)
    expected = start * (limit / start) ** np.clip((step + 1) / ramp, 0.0, 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert limit * (1 - 1e-5) <= found <= start * (1 + 1e-5)


@pytest.mark.parametrize("n_units", [1, 12, 100, 600, 1300, 4096])
def test_a_fraction_of_the_units_is_as_many(n_units):
    """0.29 of 100 units are 29, though 0.29 * 100 isn't."""
    units = np.arange(1, n_units + 1)
    found = jax.jit(jax.vmap(lambda alpha: search.budget(n_units, alpha)))(
        (units / n_units).astype(np.float32)
    )
    np.testing.assert_array_equal(found, units)
