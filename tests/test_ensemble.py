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


def test_settings_may_differ_from_run_to_run():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    alphas = jnp.array([0.3, 0.5])
    both = ensemble.run(keys, objective, CONFIG.replace(alpha=alphas))
    np.testing.assert_array_equal(both.interventions.mask.sum(axis=2), [[2, 2], [4, 4]])
    for number, alpha in enumerate(alphas):
        alone = ensemble.run(keys[number : number + 1], objective, CONFIG.replace(alpha=alpha))
        np.testing.assert_array_equal(both.interventions.mask[number], alone.interventions.mask[0])
        np.testing.assert_allclose(
            both.history.steps.loss[number], alone.history.steps.loss[0], rtol=1e-3, atol=1e-3
        )


def test_programs_are_compiled_once_for_each_shape():
    objective = toy.toy(seed=4, units=8)
    config = CONFIG.replace(steps=100, exchange_rounds=4)
    programs = ensemble.Programs()
    keys = jax.random.split(jax.random.key(0), 2)
    ensemble.run(keys, objective, config, programs=programs)
    compiled = dict(programs._compiled)
    assert len(compiled) == 4  # init, a chunk of steps, harden, a chunk of rounds
    again = ensemble.run(keys, objective, config.replace(alpha=0.5), programs=programs)
    assert programs._compiled == compiled
    assert again.compile_seconds < 0.1 < programs.compiling
    ensemble.run(keys, objective, config.replace(alpha=jnp.array([0.3, 0.5])), programs=programs)
    assert len(programs._compiled) == 2 * len(compiled)


def test_relaxations_are_those_of_the_masks():
    objective = toy.toy(seed=4, units=8)
    keys = jax.random.split(jax.random.key(0), 2)
    config = CONFIG.replace(exchange_rounds=0, beta=0.05)
    result = ensemble.run(keys, objective, config)
    gap = ensemble.relaxations(result.relaxed, objective, config)
    # Without exchange what is found is the thresholded mask.
    np.testing.assert_allclose(
        gap.hard_accuracy, ensemble.evaluations(result.interventions, objective).accuracy, rtol=1e-5
    )
    np.testing.assert_array_equal(gap.hard_units, result.interventions.mask[:, 0].sum(axis=1))
    assert ((gap.sampled_accuracy >= 0) & (gap.sampled_accuracy <= 1)).all()
