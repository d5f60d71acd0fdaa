"""The graph for MIB against what the model's nodes write, read as MIB's format says."""

import json
import re

import numpy as np
import pytest
import tokenizers
from support.small_transformer import CONFIGS, model

from jaxmask.intervention import Intervention
from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer.mib import to_mib
from jaxmask.models.transformer.model import TransformerModel
from jaxmask.text.tokenizer import Tokenizer


def tiny(family):
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, "?"))
    return TransformerModel(
        "tiny", CONFIGS[family], model(CONFIGS[family]), Tokenizer(inner.to_str())
    )


def random_intervention(units):
    random = np.random.default_rng(0)
    mask = np.zeros((2, units), np.float32)
    mask[:, : units // 2] = random.random(units // 2) < 0.3  # none in the last layer
    return Intervention(mask, random.uniform(-1, 1, mask.shape).astype(np.float32))


def read(graph):
    """Scores and flags of all neurons by the number of their node, as the format defines them.

    The numbers of nodes: 0 is the input, then come for each layer its heads and its MLP. What
    stands at a head belongs to all heads of its layer.
    """
    sizes = graph["cfg"]
    layers, heads, width = sizes["n_layers"], sizes["n_heads"], sizes["d_model"]
    scores = np.full((1 + layers * (heads + 1), width), np.nan)
    flags = np.zeros(scores.shape, bool)
    for name, node in graph["nodes"].items():
        if name == "logits":
            continue
        if name == "input":
            rows = slice(0, 1)
        elif name.startswith("m"):
            last = (1 + int(name[1:])) * (heads + 1)
            rows = slice(last, last + 1)
        else:
            layer, head = map(int, re.fullmatch(r"a(\d+)\.h(\d+)", name).groups())
            assert head < heads
            first = 1 + layer * (heads + 1)
            rows = slice(first, first + heads)
        scores[rows], flags[rows] = node["neurons_scores"], node["neurons"]
    return scores, flags


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("site", ["mlp", "attention"])
def test_scores_are_what_the_nodes_write_toward_one_direction_but_not_the_other(family, site):
    given = tiny(family)
    config, blocks = given.config, given.params["blocks"]
    found = random_intervention(config.layers * config.site_width(site))
    graph = json.loads(json.dumps(to_mib(found, given, site), allow_nan=False))
    scores, flags = read(graph)
    assert not np.isnan(scores).any()  # MIB would keep those
    np.testing.assert_array_equal(flags, scores != 0)

    states = np.random.default_rng(1).normal(size=found.mask.shape[1])
    to_0, to_1 = (np.where(found.mask[d] > 0, found.baseline[d], states) for d in (0, 1))
    moved = np.asarray(to_1 - to_0).reshape(config.layers, -1)
    expected = np.zeros((config.layers, config.heads + 1, config.width))
    for layer in range(config.layers):
        if site == "mlp":
            expected[layer, -1] = moved[layer] @ blocks["down"]["kernel"][layer]
            continue
        for head in range(config.heads):
            own = np.zeros_like(moved[layer])
            columns = slice(head * config.head_width, (head + 1) * config.head_width)
            own[columns] = moved[layer][columns]
            expected[layer, head] = own @ blocks["output"]["kernel"][layer]
    np.testing.assert_allclose(scores[1:], expected.reshape(-1, config.width), atol=1e-5)
    assert np.abs(expected).max() > 0.1
    in_graph = [name for name, node in graph["nodes"].items() if node["in_graph"]]
    names = list(graph["nodes"])
    numbers = 1 + np.flatnonzero(np.abs(expected).reshape(len(scores) - 1, -1).max(axis=1) > 0)
    assert in_graph == [*(names[number] for number in numbers), "logits"]


@pytest.mark.parametrize(
    ("family", "site", "message"),
    [
        ("llama", "residual", "expected the site mlp or attention, .* found 'residual'"),
        ("gemma", "mlp", "found one that normalises what they write"),
    ],
)
def test_what_mib_has_no_place_for_is_refused(family, site, message):
    with pytest.raises(ModelError, match=message):
        to_mib(random_intervention(24), tiny(family), site)


def test_a_unit_with_one_value_is_refused():
    found = random_intervention(24)
    found.mask[0, 5] = 1.0 - found.mask[1, 5]
    with pytest.raises(ModelError, match="found unit 6 with one value"):
        to_mib(found, tiny("llama"), "mlp")
