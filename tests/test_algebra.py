"""What interventions obey, on the pure function, the tiny LSTM, its fast objective and a search.

Bit for bit where the same numbers meet in the same order; to a few roundings where rows take other
places in a matrix product, whose sums a compiler may then order otherwise.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support import small_model, toy
from support.compiling import optimized_jit

from jaxmask import search
from jaxmask.evaluate import evaluate
from jaxmask.intervention import Intervention, every_step, intervene, single_step
from jaxmask.models.lstm import network, objective
from jaxmask.models.lstm.forward import Action, forward, unroll
from jaxmask.models.lstm.reading import log_odds
from jaxmask.runs import ensemble
from jaxmask.search import SearchConfig
from jaxmask.text.examples import Examples

UNITS = small_model.CONFIG.units
ROWS, TIME = 5, 4
ROUNDING = 1e-5

quick = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def real(low, high):
    """Float32 numbers, none so small that a device may take it for 0."""
    return st.floats(low, high, width=32, allow_subnormal=False)


values = arrays(np.float32, (ROWS, UNITS), elements=real(-1.0, 1.0))
masks = arrays(np.float32, (ROWS, UNITS), elements=st.sampled_from([0.0, 1.0]))
owners = arrays(np.int32, (ROWS, UNITS), elements=st.integers(0, 2))  # of no mask, one, the other
places = arrays(bool, (ROWS, TIME))
words = st.integers(0, small_model.CONFIG.vocabulary - 1)
sentences = arrays(np.int32, (ROWS, TIME), elements=words)
orders = st.permutations(range(ROWS)).map(np.array)

PARAMS = small_model.model()
CONTEXT = network.zero_state(small_model.CONFIG, ())
act = jax.jit(intervene)


@jax.jit
def read(tokens, intervention=None, where=None):
    """Hidden states and logits after every word."""
    state = network.zero_state(small_model.CONFIG, tokens.shape[:1])
    action = None if intervention is None else Action(intervention, where)
    gates = network.input_gates(PARAMS, network.embed(PARAMS, tokens))
    hidden, _ = unroll(PARAMS, state, gates, action)
    return hidden, forward(PARAMS, state, tokens, action)[0]


def same(one, other):
    np.testing.assert_array_equal(one, other)


# The pure function.


@quick
@given(values, values, masks)
def test_intervening_twice_is_intervening_once(hidden, baseline, mask):
    once = act(hidden, mask, baseline)
    same(act(once, mask, baseline), once)


@quick
@given(values, values, values, owners)
def test_disjoint_masks_commute_and_add_up(hidden, one, other, owner):
    first, second = np.float32(owner == 1), np.float32(owner == 2)
    either = act(act(hidden, first, one), second, other)
    same(act(act(hidden, second, other), first, one), either)
    same(act(hidden, first + second, first * one + second * other), either)


@quick
@given(values, values, values, masks, masks)
def test_of_masks_that_overlap_the_later_wins(hidden, one, other, first, second):
    both = np.maximum(first, second)
    found = act(act(hidden, first, one), second, other)
    same(act(hidden, both, np.where(second > 0, other, one)), found)


@quick
@given(
    values,
    values,
    real(0.0, 1.0),
    real(0.0, 1.0),
)
def test_fractional_masks_compose_too(hidden, baseline, a, b):
    """(1 - a) (1 - b) of the state is left: twice isn't once, but it is one mask."""
    a, b = np.full_like(hidden, a), np.full_like(hidden, b)
    twice = act(act(hidden, a, baseline), b, baseline)
    once = act(hidden, 1 - (1 - a) * (1 - b), baseline)
    np.testing.assert_allclose(twice, once, atol=1e-6)


# The language model.


@quick
@given(sentences, values, masks, places)
def test_altered_states_are_fixed_points(tokens, baseline, mask, where):
    hidden, _ = read(tokens, Intervention(mask, baseline), where)
    acting = mask[:, None] * where[:, :, None]
    same(act(hidden, acting, baseline[:, None]), hidden)


@pytest.fixture
def optimized_read(optimized):
    """`read`, compiled as outside the tests."""
    return optimized_jit(lambda *arguments: read.__wrapped__(*arguments))


@quick
@given(tokens=sentences, baseline=values, mask=masks, where=places)
def test_no_mask_or_no_place_is_the_untouched_model(optimized_read, tokens, baseline, mask, where):
    """Bit for bit, as (1 - 0) h + 0 b is h: at one word, at every word, at any, and at none."""
    untouched = optimized_read(tokens)
    nothing = Intervention(np.zeros_like(mask), baseline)
    single = np.zeros_like(where)
    single[:, 1] = True
    for acting in (single, np.ones_like(where), where):
        jax.tree.map(same, optimized_read(tokens, nothing, acting), untouched)
    jax.tree.map(
        same, optimized_read(tokens, Intervention(mask, baseline), np.zeros_like(where)), untouched
    )
    jax.tree.map(same, optimized_read(tokens, nothing), untouched)


@quick
@given(sentences, values, masks, places, orders)
def test_rows_do_not_know_of_each_other(tokens, baseline, mask, where, order):
    """To a few roundings: products of matrices may sum in another order for another row."""
    found = read(tokens, Intervention(mask, baseline), where)
    permuted = read(tokens[order], Intervention(mask[order], baseline[order]), where[order])
    for one, other in zip(permuted, found, strict=True):
        np.testing.assert_allclose(one, other[order], rtol=ROUNDING, atol=ROUNDING)


@quick
@given(sentences, sentences, values, masks, st.integers(1, TIME - 1))
def test_what_comes_after_a_sentence_changes_nothing_in_it(tokens, other, baseline, mask, length):
    """Bit for bit: the words before are read by the same program in the same order."""
    padded = np.concatenate([tokens[:, :length], other[:, length:]], axis=1)
    intervention, where = Intervention(mask, baseline), np.arange(TIME) < length
    where = np.broadcast_to(where, tokens.shape)
    one, two = (read(some, intervention, where) for some in (tokens, padded))
    jax.tree.map(lambda a, b: same(a[:, :length], b[:, :length]), one, two)


# The fast objective.


def build(examples: Examples, kind: str):
    return objective.build(PARAMS, examples, small_model.places(kind, examples), CONTEXT)


def some_intervention(seed: int) -> Intervention:
    random = np.random.default_rng(seed)
    mask = np.float32(random.random((2, UNITS)) < 0.4)
    return Intervention(jnp.asarray(mask), jnp.asarray(random.uniform(-1, 1, mask.shape), "f4"))


evaluated = jax.jit(lambda *x: evaluate(*x))


def close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["single", pytest.param("random", marks=pytest.mark.slow)])
def test_padding_of_examples_changes_nothing(kind):
    """Bit for bit: what is packed holds no padding, so that the arrays are the same."""
    examples = small_model.examples()
    where = small_model.places(kind, examples)
    size = (examples.size, 3)
    longer = examples._replace(
        tokens=np.concatenate([examples.tokens, np.full(size, 7, np.int32)], axis=1)
    )
    beyond = np.arange(examples.tokens.shape[1]) >= examples.length[:, None]
    other = examples._replace(tokens=np.where(beyond, 11, examples.tokens).astype(np.int32))
    found = objective.build(PARAMS, examples, where, CONTEXT)
    wider = np.concatenate([where, np.zeros(size, bool)], axis=1)
    for changed, at in ((longer, wider), (other, where)):
        jax.tree.map(same, objective.build(PARAMS, changed, at, CONTEXT), found)
        np.testing.assert_allclose(
            log_odds(PARAMS, changed, CONTEXT), log_odds(PARAMS, examples, CONTEXT), rtol=1e-5
        )


@pytest.mark.parametrize("kind", ["single", pytest.param("every", marks=pytest.mark.slow)])
def test_the_order_of_examples_changes_nothing(kind):
    """To a few roundings: rows take other places in products and sums."""
    examples = small_model.examples()
    order = np.random.default_rng(3).permutation(examples.size)
    for seed in range(3):
        one, other = (
            evaluated(some_intervention(seed), build(part, kind))
            for part in (examples, examples.take(order))
        )
        close(one, other)


def test_at_every_word_of_one_is_at_the_only_word():
    """Bit for bit: it is the same question."""
    examples = small_model.examples(longest=1)
    assert (examples.length == 1).all()
    same(single_step(examples.position, examples.length), every_step(examples.length))
    single, every = build(examples, "single"), build(examples, "every")
    jax.tree.map(same, single, every)
    jax.tree.map(same, *(evaluated(some_intervention(0), one) for one in (single, every)))


@pytest.mark.parametrize("kind", ["single", pytest.param("random", marks=pytest.mark.slow)])
def test_an_empty_mask_turns_no_decision(kind):
    examples = small_model.examples()
    odds = log_odds(PARAMS, examples, CONTEXT)
    toward = examples._replace(direction=(odds > 0).astype(np.int32))
    nothing = some_intervention(0)._replace(mask=jnp.zeros((2, UNITS)))
    found = evaluated(nothing, build(toward, kind))
    assert found.accuracy == 0.0
    np.testing.assert_allclose(found.kl, 0.0, atol=ROUNDING)


# The search.


@pytest.mark.slow
def test_the_order_of_seeds_changes_nothing():
    """Bit for bit: runs of one program are independent, wherever they stand in it."""
    config = SearchConfig(
        alpha=0.3, steps=20, batch_size=16, exchange_rounds=2, exchange_rows=16, refit_steps=3
    )
    keys, order = jax.random.split(jax.random.key(0), ROWS), np.array([3, 0, 4, 1, 2])
    one, other = (ensemble.run(some, toy.toy(), config) for some in (keys, keys[order]))
    jax.tree.map(lambda a, b: same(np.asarray(a)[order], b), one.interventions, other.interventions)
    jax.tree.map(lambda a, b: same(a[order], b), one.history, other.history)
    assert (np.ptp(one.interventions.baseline, axis=0) > 0).any()
    assert search.stopped_at(jax.tree.map(lambda x: x[0], one.history), config) == 0
