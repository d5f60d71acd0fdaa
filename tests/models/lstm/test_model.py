"""What an LSTM offers to the rest of the package, against the functions that it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model

from jaxmask.intervention import Intervention, Kind, Site, every_step, places
from jaxmask.models.language_model import LanguageModel, ModelError
from jaxmask.models.lstm import naive, network, reading
from jaxmask.models.lstm.forward import Action, forward, read_states
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import zero_state
from jaxmask.models.lstm.text_kl import text_kl
from jaxmask.text.ordinary_text import Text
from jaxmask.text.vocabulary import Vocabulary

CONFIG = small_model.CONFIG
WORDS = Vocabulary(("<unk>", "<eos>", *(f"w{n}" for n in range(2, CONFIG.vocabulary))))
MODEL = LSTMModel("tiny", CONFIG, small_model.model(), WORDS)
EXAMPLES = small_model.examples(size=12)
KINDS = [
    Kind(site, reach, place=place)
    for site, reach, place in (
        ("hidden", "time", "single"),
        ("hidden", "time", "every"),
        ("hidden", "all", "single"),
        ("hidden", "all", "every"),
        ("cell", "all", "last"),
        ("hidden+cell", "time", "single"),
    )
]


@pytest.fixture(scope="module")
def context():
    return MODEL.read_context("eos")


def intervention(*stack, kind=Kind()):
    keys = jax.random.split(jax.random.key(3))
    mask = jax.random.uniform(keys[0], (*stack, 2, MODEL.sites[kind.site].units)) < 0.4
    baseline = jax.random.uniform(keys[1], mask.shape, minval=-1.0)
    return Intervention(mask.astype(jnp.float32), baseline)


def test_it_is_a_language_model():
    assert isinstance(MODEL, LanguageModel)
    sizes = CONFIG.layers, CONFIG.hidden
    assert MODEL.sites == {
        "hidden": Site("hidden", *sizes, bound=1.0),
        "cell": Site("cell", *sizes, ("cell",)),
        "hidden+cell": Site("hidden+cell", *sizes, ("hidden", "cell")),
    }
    assert MODEL.description() == {
        "name": "tiny",
        "fingerprint": MODEL.fingerprint,
        "layers": CONFIG.layers,
        "hidden": CONFIG.hidden,
        "vocabulary": CONFIG.vocabulary,
    }


def test_contexts_are_read_from_a_zero_state(context):
    expected = reading.read_context(MODEL.params, [1])
    jax.tree.map(np.testing.assert_array_equal, context, expected)
    jax.tree.map(np.testing.assert_array_equal, MODEL.read_context("none"), zero_state(CONFIG))


@pytest.mark.parametrize("kind", KINDS)
def test_it_reads_with_the_rows_of_each_example(kind, context):
    found = MODEL.read(EXAMPLES, kind, context, intervention(kind=kind))
    where = places(kind.place, EXAMPLES.position, EXAMPLES.length)
    for row, length in enumerate(EXAMPLES.length):
        toward = intervention(kind=kind).toward(int(EXAMPLES.direction[row]))
        action = Action(toward, where[row, :length], kind)
        tokens = EXAMPLES.tokens[row, :length]
        expected = network.of_site(read_states(MODEL.params, context, tokens, action), kind)
        np.testing.assert_allclose(found.states[row, :length], expected, rtol=1e-5, atol=1e-6)
        logits, _ = forward(MODEL.params, context, tokens, action)
        first, second = EXAMPLES.pair[row]
        expected = logits[-1, first] - logits[-1, second]
        np.testing.assert_allclose(found.log_odds[row], expected, rtol=1e-4, atol=1e-4)


def test_an_untouched_reading_has_the_log_odds_of_all_examples(context):
    found = MODEL.read(EXAMPLES, Kind(), context)
    expected = MODEL.log_odds(EXAMPLES, context)
    np.testing.assert_allclose(found.log_odds, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_its_objective_is_of_the_kind_that_is_asked_for(kind, context):
    objective = MODEL.objective(EXAMPLES, kind, context)
    batch = objective.everything()
    change = intervention(kind=kind)
    outcome = objective(change.toward(batch.direction), batch)
    where = places(kind.place, EXAMPLES.position, EXAMPLES.length)
    toward = change.toward(jnp.asarray(EXAMPLES.direction))
    expected = naive.respond(MODEL.params, EXAMPLES, where, context, toward, kind)
    np.testing.assert_allclose(outcome.kl, expected.kl.mean(), rtol=1e-4, atol=1e-6)
    flipped = float(jnp.sum(outcome.weight, where=outcome.log_ratio < 0))
    np.testing.assert_allclose(flipped, (expected.log_ratio < 0).mean(), atol=1e-6)


@pytest.mark.parametrize("where", [None, np.array([False, True, False])])
def test_log_probs_are_those_of_the_forward_pass(where, context):
    one = intervention().toward(1)
    found = MODEL.log_probs(("w2", "unheard", "w5"), Kind(reach="all"), context, one, where)
    tokens = jnp.array([2, 0, 5])
    logits, _ = forward(MODEL.params, context, tokens, Action(one, where, Kind(reach="all")))
    np.testing.assert_allclose(found, jax.nn.log_softmax(logits), atol=1e-5)
    untouched = MODEL.log_probs(("w2", "unheard", "w5"), Kind(), context)
    expected, _ = forward(MODEL.params, context, tokens)
    np.testing.assert_allclose(untouched, jax.nn.log_softmax(expected), atol=1e-5)
    assert np.abs(found - untouched).max() > 0.01


def test_the_kl_on_text_is_of_each_run_and_reach(context):
    text, where = Text(EXAMPLES.tokens, EXAMPLES.length), every_step(EXAMPLES.length)
    stack = intervention(3)
    found = {kind.reach: MODEL.text_kl(stack, text, kind, where, context) for kind in KINDS[:4:2]}
    assert np.abs(found["time"] - found["all"]).max() > 1e-3
    for reach, kls in found.items():
        for row, one in enumerate(zip(*stack, strict=True)):
            expected = text_kl(
                Intervention(*one), MODEL.params, text, where, context, Kind(reach=reach)
            )
            np.testing.assert_allclose(kls[row], expected, rtol=1e-4, atol=1e-6)


def test_a_site_that_it_lacks_is_an_error(context):
    kind = Kind(site="mlp")
    for ask in (
        lambda: MODEL.objective(EXAMPLES, kind, context),
        lambda: MODEL.read(EXAMPLES, kind, context),
        lambda: MODEL.log_probs(("w2",), kind, context),
    ):
        with pytest.raises(ModelError, match=r"tiny: site: .* found 'mlp'"):
            ask()


def test_log_odds_that_are_not_finite_are_an_error(context):
    def with_bias(bias):
        return MODEL._replace(
            params=MODEL.params | {"decoder": MODEL.params["decoder"] | {"bias": bias}}
        )

    with pytest.raises(ModelError, match=r"tiny: expected finite log-odds .* of 12 examples"):
        with_bias(jnp.full(CONFIG.vocabulary, jnp.nan)).log_odds(EXAMPLES, context)
    largest = jnp.zeros(CONFIG.vocabulary).at[-1].set(jnp.inf)
    with pytest.raises(ModelError, match="tiny: expected finite logits"):
        with_bias(largest).log_odds(EXAMPLES, context)
