import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy
from support.small_model import CONFIG, examples, model, places

from jaxmask.evaluate import accuracies_in_parts, evaluate
from jaxmask.intervention import Intervention
from jaxmask.models import logsumexp
from jaxmask.models.lstm import naive as naive
from jaxmask.models.lstm import network
from jaxmask.models.lstm.forward import forward
from jaxmask.models.lstm.objective import build
from jaxmask.models.lstm.reading import log_odds, log_probs, read_context
from jaxmask.objective import LinearObjective, NoKL
from jaxmask.text.examples import directed

PARAMS = model()
NOTHING = Intervention(jnp.zeros((2, CONFIG.units)), jnp.zeros((2, CONFIG.units)))
SOME = Intervention(
    jnp.broadcast_to(jnp.arange(CONFIG.units) % 2, (2, CONFIG.units)).astype(jnp.float32),
    jax.random.uniform(jax.random.key(0), (2, CONFIG.units), minval=-1),
)


@pytest.fixture(scope="module")
def context():
    return read_context(PARAMS, [1])


def naive_response(given, context, intervention):
    by_example = jax.tree.map(lambda x: x[given.direction], intervention)
    return naive.respond(PARAMS, given, places("every", given), context, by_example)


def test_context_is_read_from_a_zero_state():
    start = network.zero_state(CONFIG)
    jax.tree.map(np.testing.assert_array_equal, read_context(PARAMS, []), start)
    _, expected = forward(PARAMS, start, jnp.array([1, 5, 2]))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        read_context(PARAMS, [1, 5, 2]),
        expected,
    )


@pytest.mark.parametrize("tokens", [[], [1, 5]])
def test_a_context_is_read_inside_of_a_traced_function_too(tokens):
    traced = jax.jit(lambda params: read_context(params, tokens))(PARAMS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        traced,
        read_context(PARAMS, tokens),
    )


def test_log_odds_and_directions_are_the_naive_ones(context):
    given = examples()
    odds = log_odds(PARAMS, given, context)
    toward_first = given._replace(direction=np.zeros(given.size, np.int32))
    expected = -naive_response(toward_first, context, NOTHING).log_ratio
    np.testing.assert_allclose(odds, expected, rtol=1e-4, atol=1e-4)
    # Toward the form that the model finds less probable.
    np.testing.assert_array_equal(directed(given, odds).direction, np.where(expected > 0, 1, 0))


def test_nothing_is_flipped_without_an_intervention(context):
    given = directed(examples(), log_odds(PARAMS, examples(), context))
    found = evaluate(NOTHING, build(PARAMS, given, places("every", given), context))
    np.testing.assert_array_equal(found.accuracy, 0.0)
    np.testing.assert_array_equal(found.accuracy_by_direction, 0.0)
    assert abs(float(found.kl)) < 1e-6


def test_accuracies_and_kl_are_the_naive_ones(context):
    given = directed(examples(), log_odds(PARAMS, examples(), context))
    found = evaluate(SOME, build(PARAMS, given, places("every", given), context))
    response = naive_response(given, context, SOME)
    flipped = np.asarray(response.log_ratio) < 0
    assert 0.1 < flipped.mean() < 0.9
    np.testing.assert_allclose(found.accuracy, flipped.mean(), rtol=1e-5)
    for way in (0, 1):
        expected = flipped[given.direction == way].mean()
        np.testing.assert_allclose(found.accuracy_by_direction[way], expected, rtol=1e-5)
    np.testing.assert_allclose(found.kl, response.kl.mean(), atol=1e-5)


@pytest.mark.parametrize("runs", [1, 8, 11])
def test_interventions_are_judged_in_parts_of_a_size(runs):
    objective = toy.toy()
    mask = jax.random.bernoulli(jax.random.key(0), 0.5, (runs, 2, objective.n_units))
    mask = mask.astype(jnp.float32)
    values = jnp.broadcast_to(toy.good_values(objective), mask.shape)
    found = accuracies_in_parts(Intervention(mask, values), objective)
    expected = [evaluate(Intervention(m, values[0]), objective).accuracy for m in mask]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_direction_without_examples_has_no_accuracy():
    objective = toy.toy()
    objective = objective.replace(direction=jnp.ones_like(objective.direction))
    mask = jnp.ones((2, objective.n_units))
    found = jax.jit(evaluate)(Intervention(mask, toy.good_values(objective)), objective)
    assert np.isnan(found.accuracy_by_direction[0])
    np.testing.assert_allclose(found.accuracy_by_direction[1], found.accuracy)
    assert found.accuracy > 0.5


def test_log_probs_are_those_of_the_whole_softmax(monkeypatch):
    monkeypatch.setattr(logsumexp, "CHUNK", 8)  # 29 words are no multiple of it
    random = np.random.default_rng(0)
    top = jnp.asarray(random.uniform(-1, 1, (7, CONFIG.hidden)), jnp.float32)
    words = random.integers(0, CONFIG.vocabulary, (7, 3))
    whole = jax.nn.log_softmax(network.decode(PARAMS, top))
    np.testing.assert_allclose(
        log_probs(PARAMS, top, words), np.take_along_axis(whole, words, axis=1), atol=1e-5
    )


def test_rounding_gives_no_accuracy_above_1():
    objective = LinearObjective(-jnp.ones((3, 1)), direction=jnp.array([0, 0, 1]))
    batch = objective.everything(by_direction=True)

    class Rounded:
        """Its weights add up to more than 1, as rounded ones may."""

        def everything(self, by_direction):
            return batch

        def __call__(self, *arguments):
            outcome = objective(*arguments)
            return outcome._replace(weight=outcome.weight * 1.0001)

    everywhere = Intervention(jnp.ones((2, 1)), 5 * jnp.ones((2, 1)))
    found = evaluate(everywhere, Rounded(), NoKL())
    assert found.accuracy == 1
    np.testing.assert_array_equal(found.accuracy_by_direction, 1)
