"""An intervention as scores for MIB, the Mechanistic Interpretability Benchmark.

MIB's circuits are graphs whose nodes write into the residual stream: ``input``, each attention head
(``a0.h0``) and each MLP (``m0``). Its neurons are components of what a node writes, as many as the
residual stream has; the units of jaxmask are what the node's last projection reads. That
projection is linear, so that the units of a file tell how each component changes.

Source: Mueller et al., "MIB: A Mechanistic Interpretability Benchmark", 2025; the format is what
``Graph.from_json`` of github.com/hannamw/EAP-IG reads (commit 795f560, July 2025).
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmask.intervention import Intervention
from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.model import TransformerModel

_PROJECTIONS = {"mlp": "down", "attention": "output"}


def to_mib(intervention: Intervention, model: TransformerModel, site: str) -> dict[str, Any]:
    """MIB's graph with a score for each neuron, to be written as JSON.

    The score of component ``c`` of what a node writes is how far the intervention moves it from
    direction 0 to direction 1,

        score[c] = sum over the units u of the node of  (b1[u] - b0[u]) W[u, c]

    where ``b`` are the values toward either direction and ``W`` is the node's last projection. A
    neuron is in the graph if its score isn't 0, and a node if one of its neurons is. There are no
    edges, as MIB itself adds those between the nodes that it selects.

    Args:
        intervention: a hard one with the model's own values, such as that of a file.
        model: the one in which it was found.
        site: of its units, ``mlp`` or ``attention``.

    Returns:
        ``cfg``, ``nodes`` and ``edges``. Each node has ``in_graph``, and but for ``logits`` also
        ``neurons`` and ``neurons_scores``: a list with an entry for each component; for a head of a
        layer in which heads have scores, the lists of all heads of that layer, since MIB's reader
        assigns what it finds there to all of them.

    Raises:
        ModelError: the site is another one, the model normalises what its nodes write (Gemma), or a
            unit has a value toward one direction only.

    Example:
        >>> import jax, tokenizers
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> from jaxmask.text.tokenizer import Tokenizer
        >>> words = tokenizers.models.WordLevel({"The": 0, "boys": 1, "?": 2}, "?")
        >>> config = TransformerConfig(
        ...     vocabulary=3, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), config)
        >>> model = TransformerModel(
        ...     "tiny", config, params, Tokenizer(tokenizers.Tokenizer(words).to_str())
        ... )
        >>> mask = np.zeros((2, 24), np.float32)
        >>> mask[:, 11] = 1.0  # neuron 4 of layer 2
        >>> graph = to_mib(Intervention(mask, mask * [[0.0], [2.0]]), model, "mlp")
        >>> graph["cfg"]["n_layers"], [name for name, node in graph["nodes"].items()
        ...                            if node["in_graph"]]
        (3, ['m1', 'logits'])
        >>> np.allclose(graph["nodes"]["m1"]["neurons_scores"],
        ...             2.0 * params["blocks"]["down"]["kernel"][1, 3])
        True
    """
    config = model.config
    if site not in _PROJECTIONS:
        raise ModelError(
            f"{model.name}: expected the site {' or '.join(_PROJECTIONS)}, as the units of others "
            f"belong to no node of MIB, found {site!r}"
        )
    if config.post_norms:
        raise ModelError(
            f"{model.name}: expected a model whose nodes write sums of their units, found one that "
            "normalises what they write"
        )
    mask, baseline = (np.asarray(part, np.float32) for part in intervention)
    if not np.array_equal(mask[0], mask[1]):
        unit = int(np.flatnonzero(mask[0] != mask[1])[0]) + 1
        raise ModelError(
            f"{model.name}: expected units with values toward both directions, found unit {unit} "
            "with one value"
        )
    change = (mask[1] * baseline[1] - mask[0] * baseline[0]).reshape(config.layers, -1)
    scores = _scores(change, model, site)
    nodes = {"input": _node(np.zeros(config.width))}
    for layer, rows in enumerate(scores):
        heads, mlp = rows[:-1], rows[-1]
        # A list of zeros means the same for one head as for all of them, and is shorter.
        shown = heads if heads.any() else heads[0]
        for head in range(config.heads):
            nodes[f"a{layer}.h{head}"] = _node(shown) | {"in_graph": bool(heads[head].any())}
        nodes[f"m{layer}"] = _node(mlp)
    nodes["logits"] = {"in_graph": True}
    return {"cfg": _sizes(config), "nodes": nodes, "edges": {}}


def _scores(
    change: Float[np.ndarray, "layers units"], model: TransformerModel, site: str
) -> Float[np.ndarray, "layers nodes width"]:
    """Of the heads of each layer and, last, of its MLP."""
    config = model.config
    kernels = model.params["blocks"][_PROJECTIONS[site]]["kernel"]
    scores = np.zeros((config.layers, config.heads + 1, config.width), np.float32)
    for layer in np.flatnonzero(change.any(axis=1)):
        moved = change[layer][:, None] * np.asarray(kernels[layer], np.float32)
        if site == "mlp":
            scores[layer, -1] = moved.sum(axis=0)
        else:
            of_heads = moved.reshape(config.heads, config.head_width, config.width)
            scores[layer, :-1] = of_heads.sum(axis=1)
    return scores


def _node(scores: Float[np.ndarray, "*heads width"]) -> dict[str, Any]:
    chosen = scores != 0.0
    return {
        "in_graph": bool(chosen.any()),
        "neurons": chosen.tolist(),
        "neurons_scores": scores.tolist(),
    }


def _sizes(config: TransformerConfig) -> dict[str, Any]:
    return {
        "n_layers": config.layers,
        "n_heads": config.heads,
        "parallel_attn_mlp": config.parallel,
        "d_model": config.width,
    }
