"""The LSTM, with and without interventions, against a loop over tokens and layers in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.compiling import optimized_jit

from jaxmask.intervention import Intervention, Kind
from jaxmask.models.lstm import forward as lstm_forward
from jaxmask.models.lstm import network
from jaxmask.models.lstm.flax_module import LSTMLanguageModel
from jaxmask.models.lstm.forward import Action, Dropout, drop, read_states, unroll

pytestmark = pytest.mark.usefixtures("optimized")

CONFIG = network.LSTMConfig(vocabulary=11, embedding=3, hidden=4, layers=3)
TIED = network.LSTMConfig(vocabulary=11, embedding=4, hidden=4, layers=2, tied=True)
BATCH, TIME = 3, 5
TOKENS = jax.random.randint(jax.random.key(0), (BATCH, TIME), 0, 11)

forward = optimized_jit(lstm_forward.forward)


def model(config=CONFIG):
    """Parameters ten times Gulordava's, so that nothing is nearly linear, and a decoder bias."""
    params = jax.tree.map(lambda x: 10 * x, network.init_params(jax.random.key(0), config))
    params["lstm"] = jax.tree.map(lambda x: x / 4, params["lstm"])
    params["decoder"]["bias"] = jax.random.normal(jax.random.key(1), (config.vocabulary,))
    return params


def state(config=CONFIG):
    keys = jax.random.split(jax.random.key(2))
    return network.LSTMState(
        *(jax.random.uniform(k, (BATCH, config.units), minval=-1) for k in keys)
    )


def intervention(config=CONFIG, hard=True, kind=Kind()):
    """Another mask and baseline for each sentence."""
    keys = jax.random.split(jax.random.key(3))
    shape = BATCH, len(kind.states) * config.units
    mask = jax.random.uniform(keys[0], shape)
    baseline = jax.random.uniform(keys[1], shape, minval=-1)
    return Intervention((mask > 0.6).astype(jnp.float32) if hard else mask, baseline)


PLACES = {
    "single": jnp.arange(TIME)[None, :] == jnp.array([0, 2, 4])[:, None],
    "every": jnp.ones((BATCH, TIME), bool),
    "random": jax.random.bernoulli(jax.random.key(1), 0.5, (BATCH, TIME)),
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop(params, config, start, tokens, mask=None, baseline=None, where=None, kind=Kind()):
    """Logits and final states of one sentence, unit by unit as the paper has them, in float64."""
    sized = (len(kind.states), config.layers, config.hidden)

    def replaced(state, name, layer, time):
        if mask is None or not where[time] or name not in kind.states:
            return state
        number = kind.states.index(name)
        chosen, values = (np.reshape(x, sized)[number, layer] for x in (mask, baseline))
        return np.where(chosen > 0, values, state)

    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    h, c = (np.array(x, np.float64).reshape(config.layers, config.hidden) for x in start)
    logits = []
    for time, token in enumerate(np.asarray(tokens)):
        below = params["encoder"]["embedding"][token]
        for layer in range(config.layers):
            part = params["lstm"][f"layer_{layer + 1}"]
            gates = below @ part["input_kernel"] + h[layer] @ part["recurrent_kernel"]
            i, f, g, o = np.split(gates + part["bias"], 4)
            original = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
            c[layer] = replaced(original, "cell", layer, time)
            h[layer] = replaced(sigmoid(o) * np.tanh(c[layer]), "hidden", layer, time)
            below = h[layer] if kind.reach == "all" else sigmoid(o) * np.tanh(original)
        decoder = params["encoder"]["embedding"] if config.tied else params["decoder"]["weight"]
        logits.append(decoder @ h[-1] + params["decoder"]["bias"])
    return np.array(logits), h.ravel(), c.ravel()


def assert_is_the_loop(found, params, config, start, **changes):
    logits, final = found
    for row in range(BATCH):
        own = {k: v if k == "kind" else np.asarray(v)[row] for k, v in changes.items()}
        expected, hidden, cell = loop(params, config, [x[row] for x in start], TOKENS[row], **own)
        np.testing.assert_allclose(logits[row], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(final.hidden[row], hidden, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(final.cell[row], cell, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, TIED])
def test_reads_as_a_loop_does(config):
    params, start = model(config), state(config)
    assert_is_the_loop(forward(params, start, TOKENS), params, config, start)


@pytest.mark.parametrize("reach", ["time", "all"])
@pytest.mark.parametrize("site", ["hidden", "cell", "hidden+cell"])
def test_intervenes_as_a_loop_does(site, reach):
    kind = Kind(site, reach)
    params, start, (mask, baseline) = model(), state(), intervention(kind=kind)
    for where in PLACES.values():
        action = Action(Intervention(mask, baseline), where, kind)
        found = forward(params, start, TOKENS, action)
        assert_is_the_loop(
            found, params, CONFIG, start, mask=mask, baseline=baseline, where=where, kind=kind
        )


@pytest.mark.parametrize("site", ["hidden", "cell"])
def test_states_after_every_token_are_those_of_each_beginning(site):
    kind = Kind(site, reach="all")
    params, start, where = model(), state(), PLACES["random"]
    change = intervention(kind=kind)
    states = optimized_jit(read_states)(params, start, TOKENS, Action(change, where, kind))
    for end in range(1, TIME + 1):
        _, expected = forward(params, start, TOKENS[:, :end], Action(change, where[:, :end], kind))
        np.testing.assert_allclose(states.hidden[:, end - 1], expected.hidden, atol=1e-5)
        np.testing.assert_allclose(states.cell[:, end - 1], expected.cell, atol=1e-5)


def test_intervenes_at_every_token_if_not_told_where():
    params, start, change = model(), state(), intervention(hard=False)
    found, _ = forward(params, start, TOKENS, Action(change))
    expected, _ = forward(params, start, TOKENS, Action(change, PLACES["every"]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_mask_of_zeros_is_the_untouched_model_bit_for_bit(compiled):
    function = forward if compiled else lstm_forward.forward
    params, start, change = model(), state(), intervention()
    change = change._replace(mask=jnp.zeros_like(change.mask))
    untouched = function(params, start, TOKENS)
    for where in (None, PLACES["single"], PLACES["every"]):
        jax.tree.map(
            np.testing.assert_array_equal,
            function(params, start, TOKENS, Action(change, where)),
            untouched,
        )
    nowhere = jnp.zeros((BATCH, TIME), bool)
    jax.tree.map(
        np.testing.assert_array_equal,
        function(params, start, TOKENS, Action(intervention(), nowhere)),
        untouched,
    )


def test_a_mask_of_ones_leaves_only_the_baseline():
    params, change = model(), intervention()
    change = change._replace(mask=jnp.ones_like(change.mask))
    gates = network.input_gates(params, network.embed(params, TOKENS))
    hidden, final = optimized_jit(unroll)(params, state(), gates, Action(change))
    np.testing.assert_array_equal(
        hidden, np.broadcast_to(change.baseline[:, None], (BATCH, TIME, CONFIG.units))
    )
    np.testing.assert_array_equal(final.hidden, change.baseline)


def test_an_intervention_changes_nothing_before_it():
    params, start = model(), state()
    untouched, _ = forward(params, start, TOKENS)
    changed, _ = forward(params, start, TOKENS, Action(intervention(), PLACES["single"]))
    for row, place in enumerate([0, 2, 4]):
        np.testing.assert_array_equal(changed[row, :place], untouched[row, :place])
        assert np.all(np.any(changed[row, place:] != untouched[row, place:], axis=-1))


def test_reads_without_a_batch():
    params, start, change = model(), state(), intervention()
    action = Action(change, PLACES["random"])
    expected, _ = forward(params, start, TOKENS, action)
    one = jax.tree.map(lambda x: x[1], (start, TOKENS, action))
    np.testing.assert_allclose(forward(params, *one)[0], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, TIED])
def test_the_flax_module_is_the_pure_forward(config):
    module = LSTMLanguageModel(config, dropout_rate=0.5)
    variables = module.init(jax.random.key(0), TOKENS)
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), variables["params"])
    assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), network.param_shapes(config))
    params, start, change = model(config), state(config), intervention(config)
    apply = optimized_jit(module.apply)
    jax.tree.map(
        np.testing.assert_array_equal,
        apply({"params": params}, TOKENS),
        forward(params, network.zero_state(config, (BATCH,)), TOKENS),
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        apply({"params": params}, TOKENS, start, Action(change, PLACES["single"])),
        forward(params, start, TOKENS, Action(change, PLACES["single"])),
    )


def test_dropout_needs_a_key():
    params, start = model(), state()
    plain, _ = forward(params, start, TOKENS)
    noisy = [
        forward(params, start, TOKENS, dropout=Dropout(jax.random.key(seed), 0.5))[0]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert np.any(noisy[0] != noisy[2])
    assert np.any(noisy[0] != plain)
    module = LSTMLanguageModel(CONFIG, dropout_rate=0.5)
    inputs = {"params": params}, TOKENS, start
    np.testing.assert_array_equal(optimized_jit(module.apply)(*inputs)[0], plain)
    rngs = {"dropout": jax.random.key(0)}
    assert np.any(module.apply(*inputs, rngs=rngs)[0] != plain)


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    found = np.asarray(drop(Dropout(jax.random.key(0), 0.3), jnp.ones(20_000)))
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((found == 0).mean() - 0.3) < 4.5 * np.sqrt(0.3 * 0.7 / 20_000)


def test_random_parameters_follow_the_recipe():
    config = network.LSTMConfig(vocabulary=50, embedding=30, hidden=16)
    params = network.init_params(jax.random.key(0), config)
    bounds = jax.tree.map(lambda x: float(np.abs(x).max()), params)
    assert 0.099 < bounds["encoder"]["embedding"] <= 0.1
    assert 0.099 < bounds["decoder"]["weight"] <= 0.1
    assert bounds["decoder"]["bias"] == 0
    for layer in bounds["lstm"].values():
        assert 0.23 < layer["input_kernel"] <= 0.25
        assert 0.2 < layer["bias"] <= 0.25
    kernels = [np.asarray(x).ravel()[:20] for x in jax.tree.leaves(params) if x.ndim == 2]
    kernels = [np.sign(x).tolist() for x in kernels]
    assert len({tuple(x) for x in kernels}) == len(kernels)  # no key was used twice
