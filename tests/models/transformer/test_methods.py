"""What a transformer model offers, against whole sentences read with interventions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from support.small_model import examples
from support.small_transformer import CONFIGS, model

from jaxmask.intervention import Intervention, Kind
from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer import altered, naive, reading
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.text.ordinary_text import Text
from jaxmask.text.tokenizer import Tokenizer

CONTEXT = (9, 8)
KIND = Kind("mlp", "all", "natural", "every")


@pytest.fixture(scope="module")
def tiny():
    words = {f"w{number}": number for number in range(28)} | {"?": 28}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    config = CONFIGS["llama"]
    return TransformerModel("tiny", config, model(config), Tokenizer(inner.to_str()))


@pytest.fixture(scope="module")
def given():
    keys = jax.random.split(jax.random.key(1))
    return Intervention(
        (jax.random.uniform(keys[0], (2, 24)) < 0.3).astype(jnp.float32),
        jax.random.uniform(keys[1], (2, 24), minval=-1.0),
    )


def of_examples(tiny, some, where, given):
    action = Action(given.toward(jnp.asarray(some.direction)), where)
    return naive.respond(tiny.params, tiny.config, some, action, KIND.site, CONTEXT)


def test_an_intervention_is_read(tiny, given):
    some = examples(size=40)
    where = np.arange(4) < some.length[:, None]
    read = tiny.read(some, KIND, CONTEXT, given)
    ratio = np.where(some.direction == 0, -read.log_odds, read.log_odds)
    np.testing.assert_allclose(ratio, of_examples(tiny, some, where, given).log_ratio, atol=1e-5)
    untouched = tiny.read(some, KIND, CONTEXT)
    np.testing.assert_allclose(untouched.log_odds, tiny.log_odds(some, CONTEXT), atol=1e-5)
    assert np.abs(untouched.log_odds - read.log_odds).max() > 0.1
    mask = np.asarray(given.mask[some.direction])[:, None] * where[..., None] > 0
    values = np.broadcast_to(np.asarray(given.baseline[some.direction])[:, None], mask.shape)
    np.testing.assert_array_equal(read.states[mask], values[mask])


def test_an_objective_answers_in_places_of_its_range(tiny, given):
    some = examples(size=40)
    found = tiny.value_range(some, KIND, CONTEXT)
    objective = tiny.objective(some, KIND, CONTEXT, found)
    batch = objective.everything(by_direction=True)
    outcome = jax.jit(lambda o: o(given.toward(batch.direction), batch))(objective)
    where = np.arange(4) < some.length[:, None]
    expected = of_examples(tiny, some, where, given.within(found))
    np.testing.assert_allclose(outcome.kl, expected.kl.mean(), atol=1e-5)
    mean = np.sum(outcome.weight * outcome.log_ratio)
    np.testing.assert_allclose(mean, expected.log_ratio.mean(), atol=1e-5)


@pytest.mark.parametrize("values", ["free", "natural"])
def test_ranges_are_those_of_the_intervened_tokens(tiny, values):
    some = examples(size=40)
    found = tiny.value_range(some, KIND._replace(values=values), CONTEXT)
    states = tiny.read(some, KIND, CONTEXT).states
    seen = states[np.arange(states.shape[1]) < some.length[:, None]]
    if values == "natural":
        low, high = np.quantile(seen, [0.01, 0.99], axis=0, method="inverted_cdf")
    else:
        low, high = (seen.mean(axis=0) + sign * 3 * seen.std(axis=0) for sign in (-1, 1))
    np.testing.assert_allclose(found.low, low, atol=1e-5)
    np.testing.assert_allclose(found.high, high, atol=1e-5)


def test_the_kl_on_text_is_that_of_its_sentences(tiny, given):
    some = examples(size=20)
    text = Text(some.tokens, some.length)
    inside = np.arange(some.tokens.shape[1]) < some.length[:, None]
    where = inside & (np.arange(20) % 2 == 0)[:, None]
    many = jax.tree.map(lambda x: jnp.stack([x, 0.0 * x]), given)
    found = tiny.text_kl(many, text, KIND, where, CONTEXT)
    assert found.shape == (2, 2)
    for direction in range(2):
        turned = some._replace(direction=np.full(20, direction, np.int32))
        expected = of_examples(tiny, turned, where, given).kl.mean()
        np.testing.assert_allclose(found[0, direction], expected, atol=1e-5)
    np.testing.assert_allclose(found[1], 0.0, atol=1e-5)


def test_kinds_and_places_that_there_are_not(tiny):
    some = examples(size=10)
    with pytest.raises(ModelError, match="tiny: reach: expected all, found 'time'"):
        tiny.objective(some, KIND._replace(reach="time"), CONTEXT)
    with pytest.raises(ModelError, match="site: expected mlp or residual or attention"):
        tiny.value_range(some, KIND._replace(site="hidden"), CONTEXT)
    with pytest.raises(ValueError, match="example 0: expected a context or a token before"):
        tiny.objective(some, KIND._replace(place="single"), ())


def test_the_first_token_is_never_intervened_on(tiny, given):
    some = examples(size=10)
    long = some.take(np.flatnonzero(some.length > 1))
    read = tiny.read(long, KIND, (), given)
    untouched = tiny.read(long, KIND, ())
    np.testing.assert_array_equal(read.states[:, 0], untouched.states[:, 0])
    assert (read.states[:, 1] != untouched.states[:, 1]).any()


def test_beginnings_are_read_with_what_they_begin(tiny):
    sequences = [(1, 2, 3), (1, 2), (4,), (1, 2, 5), (1,), (1, 2, 3)]
    found = reading.read_all(tiny.params, tiny.config, sequences, ("mlp",))
    for row, sequence in enumerate(sequences):
        state, units = altered.read(tiny.params, tiny.config, jnp.array([sequence]), "mlp")
        np.testing.assert_allclose(found.state[row], state[0, -1], atol=1e-5)
        np.testing.assert_allclose(found.kept["mlp"][:, row], units[:, 0, -1], atol=1e-5)
    row, read = reading._hosts(sequences)
    assert sorted(read) == [(1, 2, 3), (1, 2, 5), (4,)]
    assert all(read[host][: len(one)] == one for host, one in zip(row, sequences, strict=True))
