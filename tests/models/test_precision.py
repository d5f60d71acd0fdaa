"""No product whose small differences matter is left to the precision that a device prefers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model, toy

from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention
from jaxmask.models.lstm import network
from jaxmask.models.lstm.objective import build
from jaxmask.objective import ExactKL, NoKL, SampledKL
from jaxmask.search import exchange, trials
from jaxmask.search.exchange import ExchangeConfig, RefitConfig
from jaxmask.search.losses import KLTerm

HIGHEST = 2 * (jax.lax.Precision.HIGHEST,)


def products(jaxpr):
    """All products of a program: the shapes of their operands, and whether they are exact."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            shapes = tuple(x.aval.shape for x in equation.invars)
            yield shapes, equation.params["precision"] == HIGHEST
        for parameter in jax.tree.leaves(
            tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def inexact(function, *arguments):
    """The operands of products that aren't exact."""
    found = list(products(jax.make_jaxpr(function)(*arguments).jaxpr))
    assert any(exact for _, exact in found)
    return [shapes for shapes, exact in found if not exact]


@pytest.fixture(autouse=True)
def as_jax_has_it():
    """No precision was asked for, whatever scripts in this process asked for before."""
    with jax.default_matmul_precision(None):
        yield


@pytest.fixture(scope="module")
def objective():
    given = small_model.examples()
    where = small_model.places("every", given)
    context = network.zero_state(small_model.CONFIG)
    return build(small_model.model(), given, where, context)


@pytest.fixture(scope="module")
def gates(objective):
    """The number of a layer's gates, which the products of its recurrence and its input give."""
    return objective.params["lstm"]["layer_1"]["recurrent_kernel"].shape[1]


def zeros(objective, rows=2):
    return Intervention(*np.zeros((2, rows, objective.n_units), np.float32))


@pytest.mark.parametrize("kl", [NoKL(), SampledKL(4), ExactKL()])
@pytest.mark.parametrize("by_direction", [False, True])
def test_decisions_and_kl_of_an_lstm_are_exact(objective, gates, by_direction, kl):
    """All but the gates' inputs, whose errors a sigmoid or a tanh follows."""

    def respond(objective, one):
        batch = objective.everything(by_direction)
        return objective(one.toward(batch.direction), batch, jax.random.key(0), kl)

    one = jax.tree.map(jnp.asarray, zeros(objective))
    left = inexact(respond, objective, one)
    assert left  # there are such products
    assert all(shapes[1][-1] == gates for shapes in left)


def test_evaluation_and_exchange_add_up_exactly(objective, gates):
    one = jax.tree.map(jnp.asarray, zeros(objective))
    refit = RefitConfig(KLTerm(jnp.ones(())), steps=1, rows=8, kl=SampledKL(4))
    judge = partial(exchange.judge, config=ExchangeConfig(refit, rows=8))
    for left in (
        inexact(evaluate, one, objective),
        inexact(judge, jax.random.key(0), one.mask[:1], one.baseline, objective),
    ):
        assert all(shapes[1][-1] == gates for shapes in left)


def test_predictions_of_exchanges_are_exact():
    plain = toy.toy()
    batch = plain.everything()
    mask, values = toy.start(plain, 3)
    linear = trials.linearise(mask, values, plain, batch)
    assert not inexact(trials.failures_after_adding, linear, linear.log_ratio, linear.weight)


def test_a_setting_of_jax_makes_all_of_them_exact(objective):
    one = jax.tree.map(jnp.asarray, zeros(objective))
    with jax.default_matmul_precision("highest"):
        assert not inexact(evaluate, one, objective)
