"""The naive objective, beside what it is made of."""

import jax
import numpy as np
from support.small_model import CONFIG, examples, model, places

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.models.lstm import naive
from jaxmask.models.lstm.reading import read_context
from jaxmask.objective import Objective


def test_the_naive_objective_can_be_searched_like_the_fast_one():
    params, some = model(), examples()._replace(direction=np.arange(40, dtype=np.int32) % 2)
    context, where = read_context(params, [1]), places("single", some)
    slow = naive.build(params, some, where, context)
    assert isinstance(slow, Objective)
    keys = jax.random.split(jax.random.key(0))
    chosen = Intervention(
        (jax.random.uniform(keys[0], (2, CONFIG.units)) < 0.5).astype(np.float32),
        jax.random.uniform(keys[1], (2, CONFIG.units), minval=-1.0),
    )
    found = jax.jit(evaluate)(chosen, slow)
    response = naive.respond(params, some, where, context, chosen.toward(slow.examples.direction))
    flipped = np.asarray(response.log_ratio) < 0
    assert 0.1 < flipped.mean() < 0.9
    np.testing.assert_allclose(found.accuracy, flipped.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.kl, response.kl.mean(), rtol=1e-5)

    def identity(examples, row):
        return tuple(np.concatenate([np.ravel(field[row]) for field in examples]))

    batch = slow.sample(jax.random.key(1), 500)
    drawn = {identity(batch.examples, row) for row in range(500)}
    assert drawn == {identity(some, row) for row in range(some.size)}
    np.testing.assert_array_equal(batch.where.sum(axis=1), 1)
