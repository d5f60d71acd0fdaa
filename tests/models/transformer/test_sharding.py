"""A model divided over eight devices of this machine's CPU, in new processes."""

import json

import numpy as np
import pytest
from support.processes import EIGHT, printed, started
from support.small_transformer import CONFIGS

from jaxmask.models.transformer.parameters import param_shapes
from jaxmask.models.transformer.sharding import spec
from jaxmask.models.weights import flatten

SETTING = """
import dataclasses
import jax.numpy as jnp
import tokenizers
from support.small_model import examples
from support.small_transformer import CONFIGS, model
from jaxmask.intervention import Intervention, Kind
from jaxmask.models.transformer import forward
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.models.transformer.sharding import sharded
from jaxmask.objective import SampledKL
from jaxmask.text.tokenizer import Tokenizer

family, changes, site, place = json.loads(sys.argv[1])
words = {f"w{number}": number for number in range(28)} | {"?": 28}
inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "?"))
config = dataclasses.replace(CONFIGS[family], **changes)
whole = TransformerModel("tiny", config, model(config), Tokenizer(inner.to_str()))
some, kind, context = examples(size=24), Kind(site, "all", "natural", place), (9, 8)
numbers = lambda tree: [np.asarray(x, float).tolist() for x in jax.tree.leaves(tree)]

def objective_of(model):
    return model.objective(some, kind, context, model.value_range(some, kind, context))
"""

# Two key heads for eight query heads; as many key heads; heads that the devices don't divide.
CASES = [
    ("llama", {"heads": 8, "mlp": 16}, "mlp", "single"),
    pytest.param(
        ("gpt2", {"heads": 8, "kv_heads": 8, "head_width": 2, "mlp": 16}, "attention", "every"),
        marks=pytest.mark.slow,
    ),
    pytest.param(("gemma", {"mlp": 16}, "residual", "last"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("case", CASES)
def test_logits_objectives_and_gradients_equal_those_of_the_whole_model(case):
    code = """
def computed(model):
    tokens = jnp.asarray(some.tokens)
    state, _ = jax.jit(forward.read, static_argnums=1)(model.params, config, tokens)
    objective = objective_of(model)
    batch = objective.everything()
    keys = jax.random.split(jax.random.key(0))
    shape = (len(batch.direction), objective.n_units)
    given = Intervention(jax.random.uniform(keys[0], shape),
                         jax.random.uniform(keys[1], shape, minval=-1))

    def of(given, objective):
        exact = objective(given, batch)
        sampled = objective(given, batch, keys[0], SampledKL(4))
        return jnp.sum(exact.log_ratio * exact.weight) + exact.kl, (exact, sampled.kl)

    (_, outcomes), gradient = jax.jit(jax.value_and_grad(of, has_aux=True))(given, objective)
    return numbers((forward.logits(model.params, config, state), outcomes, gradient))

parts = sharded(whole)
kernel = parts.params["blocks"]["down"]["kernel"]
print(json.dumps({
    "ours": computed(parts),
    "theirs": computed(whole),
    "kernel": kernel.addressable_shards[0].data.shape,
    "devices": len(kernel.sharding.device_set),
    "same": parts.fingerprint == whole.fingerprint,
}))
"""
    result = printed(started(SETTING + code, json.dumps(case), XLA_FLAGS=EIGHT))
    assert len(result["ours"]) == len(result["theirs"]) == 8
    for ours, theirs in zip(result["ours"], result["theirs"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)
    assert max(np.abs(theirs).max() for theirs in result["theirs"][-2:]) > 0.01  # gradients
    assert (result["kernel"], result["devices"]) == ([2, 2, 16], 8)
    assert result["same"]


@pytest.mark.slow
def test_a_search_takes_the_steps_that_it_takes_in_the_whole_model():
    code = """
from jaxmask.models.language_model import ModelError

def computed(model):
    objective = objective_of(model)
    config = SearchConfig(alpha=0.1, steps=6, batch_size=8, exchange_rounds=2, exchange_rows=8)
    keys = jax.random.split(jax.random.key(0), 2)
    result = ensemble.run(keys, objective, config)
    judged = ensemble.evaluations(result.interventions, objective)
    return numbers((result.history.steps.loss, result.interventions, judged.accuracy))

try:
    sharded(whole, jax.devices()[:3])
except ModelError as fault:
    refused = str(fault)
ours, theirs = computed(sharded(whole, jax.devices()[:4])), computed(whole)
print(json.dumps({"ours": ours, "theirs": theirs, "refused": refused}))
"""
    result = printed(started(SETTING + code, json.dumps(CASES[0]), XLA_FLAGS=EIGHT))
    for ours, theirs in zip(result["ours"], result["theirs"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert (
        "divides that of the heads, 8, or of the neurons of a layer, 16, found 3"
        in (result["refused"])
    )


def test_which_weights_are_divided():
    config = CONFIGS["llama"]  # four heads, two key heads, 12 neurons
    leaves = flatten(param_shapes(config))
    divided = {
        parts: {path.split("/")[1] for path in leaves if any(spec(path, config, parts))}
        for parts in (2, 3, 4, 8)
    }
    neurons = {"up", "gate", "down"}
    assert divided[2] == neurons | {"query", "key", "value", "output"}
    assert divided[4] == neurons | {"query", "output"}
    assert divided[3] == neurons
    assert divided[8] == set()
    for path, leaf in leaves.items():
        assert len(spec(path, config, 2)) in (0, len(leaf.shape))
