"""An ensemble is the mapped search, told in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import toy

from jaxmask import ensemble, search
from jaxmask.evaluate import evaluate
from jaxmask.search import SearchConfig

CONFIG = SearchConfig(alpha=0.3, steps=70, batch_size=24, exchange_rounds=3, exchange_rows=24)


def test_equals_the_mapped_search_and_reports_progress():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 3)
    seen = []
    result = ensemble.run(keys, objective, CONFIG, lambda done, info: seen.append((done, info)))

    mapped = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))
    interventions, history = mapped(keys, objective, CONFIG)
    for ours, theirs in zip(
        jax.tree.leaves((result.interventions, result.history)),
        jax.tree.leaves((interventions, history)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)

    # Steps in chunks of 50, rounds in chunks of 2, each with a shorter last one.
    assert [(done, type(info)) for done, info in seen] == [
        (50, search.SearchInfo), (70, search.SearchInfo),
        (2, search.ExchangeInfo), (3, search.ExchangeInfo),
    ]  # fmt: skip
    np.testing.assert_array_equal(seen[1][1].loss, result.history.steps.loss[:, -1])
    assert result.seconds > 0
    assert result.compile_seconds > 0


def test_evaluations_are_those_of_each_intervention():
    objective = toy.toy(seed=1, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    config = CONFIG.replace(steps=10, exchange_rounds=0)
    found = ensemble.run(keys, objective, config).interventions
    both = ensemble.evaluations(found, objective)
    for number in range(2):
        one = evaluate(jax.tree.map(lambda x, n=number: jnp.asarray(x)[n], found), objective)
        jax.tree.map(
            lambda a, b, n=number: np.testing.assert_allclose(a[n], b, rtol=1e-5), both, one
        )
