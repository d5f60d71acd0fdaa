import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmask.search import losses

LOG_RATIOS = np.array([-3.0, -0.5, 0.0, 0.5, 2.0], np.float32)


def test_surrogates_are_what_their_names_say():
    d = np.exp(LOG_RATIOS) / (1 + np.exp(LOG_RATIOS))  # p(d) where p(d) + p(t) = 1
    t = 1 - d
    expected = {
        "ratio": d / t,
        "log_ratio": np.log(d / t),
        "log1p_ratio": np.log(1 + d / t),
        "share": d,
    }
    assert expected.keys() == losses.SURROGATES.keys()
    for name, values in expected.items():
        found = losses.SURROGATES[name](jnp.asarray(LOG_RATIOS))
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6, err_msg=name)
    found = losses.failure(jnp.asarray(LOG_RATIOS))
    np.testing.assert_allclose(found, d**2 / (d**2 + t**2), rtol=1e-5)


def test_success_is_a_ratio_below_one():
    assert losses.success(jnp.asarray(LOG_RATIOS)).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("name", [*losses.SURROGATES, "failure"])
def test_surrogates_rise_and_stay_finite(name):
    surrogate = losses.SURROGATES.get(name, losses.failure)
    far = jnp.array([-1e4, -200.0, -20.0, 0.0, 20.0, 200.0, 1e4])
    values, slopes = jax.vmap(jax.value_and_grad(surrogate))(far)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    assert (np.diff(values) >= 0).all()
    assert slopes[3] > 0


def test_kl_of_two_coins():
    p, q = 0.9, 0.4
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    logits = [jnp.log(jnp.array([x, 1 - x])) + shift for x, shift in ((p, 3.0), (q, -5.0))]
    np.testing.assert_allclose(losses.kl_divergence(*logits), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.kl_divergence(logits[0], logits[0]), 0.0, atol=1e-7)
