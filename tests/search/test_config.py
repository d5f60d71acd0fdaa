"""The limit of constraint 7 is that of constraint 4, unless it has one of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from jaxmask import search
from jaxmask.runs import ensemble
from jaxmask.search import SearchConfig

CONFIG = SearchConfig(steps=30, batch_size=24, exchange_rounds=0)
ALPHAS = jnp.array([0.1, 0.3])


@jax.jit
@jax.vmap
def run(config):
    return search.run(jax.random.key(0), toy.toy(), config)


def swept(**beta):
    """A run for each alpha, with settings of one number a run."""
    config = CONFIG.replace(alpha=ALPHAS, **beta)
    return run(jax.tree.map(lambda x: jnp.broadcast_to(jnp.float32(x), ALPHAS.shape), config))


def test_beta_follows_an_alpha_that_is_traced():
    found, history = swept()
    same = swept(beta=ALPHAS)
    for one, other in zip(jax.tree.leaves((found, history)), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(one, other)
    _, loose = swept(beta=1.0)
    assert (loose.steps.loss != history.steps.loss).any()


def test_convergence_asks_for_the_same_limit():
    found, history = jax.tree.map(lambda x: x[1], swept())
    gates = history.steps.fractional_gates
    for share, met in ((1.04, True), (1.06, False)):
        last = gates.at[-1].set(share * ALPHAS[1] * toy.toy().n_units)
        seen = history._replace(steps=history.steps._replace(fractional_gates=last))
        config = CONFIG.replace(alpha=ALPHAS[1])
        assert search.convergence(found, seen, config).fractional_gates == met


def test_a_grid_of_alphas_has_a_beta_for_each():
    keys, config = ensemble.grid(jax.random.split(jax.random.key(0), 2), CONFIG, alpha=(0.1, 0.3))
    np.testing.assert_array_equal(config.most_fractional, config.alpha)
    _, config = ensemble.grid(keys, CONFIG, alpha=(0.1, 0.3), beta=(0.2,))
    np.testing.assert_array_equal(config.most_fractional, np.full(8, 0.2, np.float32))


def test_a_record_has_the_number():
    """So that a run of before goes on, whose record always had one."""
    followed, given = SearchConfig(alpha=0.25), SearchConfig(alpha=0.25, beta=0.25)
    assert search.settings(followed) == search.settings(given)
    assert search.settings(SearchConfig(alpha=0.25, beta=0.02))["beta"] == 0.02


def test_an_impossible_alpha_is_named_once():
    with pytest.raises(ValueError, match=r"^alpha: expected above 0, at most 1, found 0\.0$"):
        search.check(SearchConfig(alpha=0.0))
    with pytest.raises(ValueError, match=r"^beta: expected above 0, at most 1, found 2\.0$"):
        search.check(SearchConfig(beta=2.0))
