"""What no intervention changes, computed once for all of an objective's gradients.

Keys and values of the tokens before the first intervened one, once for each distinct beginning of
a sentence; what decides between two tokens; and what the KL needs of the untouched model. From them
on, only tokens from the first intervened one on are computed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models.kl import Predictions
from jaxmask.models.packing import Packed
from jaxmask.models.transformer import decisions
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.reading import read_all

Context = tuple[int, ...]  # tokens before every sentence


class Past(NamedTuple):
    """Keys and values of what stands before the tokens of an objective.

    Attributes:
        keys: of each distinct beginning's last token.
        values: the same.
        path: of each prefix, its beginnings from the first token on, 0 behind its end.
        length: number of tokens of each prefix.
    """

    keys: Float[Array, "layers beginnings kv_heads w"]
    values: Float[Array, "layers beginnings kv_heads w"]
    path: Int[Array, "prefixes longest"]
    length: Int[Array, " prefixes"]


class Tables(NamedTuple):
    """Tables of packed examples.

    Attributes:
        past: of the prefixes, without their last tokens, which are intervened on.
        before: of each packed prefix, the one of ``past``.
        pair_rows: see `jaxmask.models.transformer.decisions.pair_rows`.
        original: the untouched model's predictions at all nodes.
    """

    past: Past
    before: Int[np.ndarray, " prefixes"]
    pair_rows: Float[Array, "differences rows width"]
    original: Predictions


def compute(params: Params, config: TransformerConfig, packed: Packed, context: Context) -> Tables:
    """All tables.

    Args:
        params: the parameter tree.
        config: of the model.
        packed: examples; no first token of a sequence is intervened on.
        context: tokens before every sentence.
    """
    prefixes = [(*context, *prefix[:-1]) for prefix in packed.prefixes]
    distinct = {prefix: number for number, prefix in enumerate(dict.fromkeys(prefixes))}
    states = read_all(params, config, [(*context, *node) for node in packed.nodes]).state
    rows = decisions.pair_rows(params, config, packed.differences)
    return Tables(
        _past(params, config, list(distinct)),
        np.array([distinct[prefix] for prefix in prefixes], np.int32),
        rows,
        jax.jit(decisions.predictions, static_argnums=1)(params, config, jnp.asarray(states)),
    )


def _past(params: Params, config: TransformerConfig, prefixes: list[tuple[int, ...]]) -> Past:
    beginnings: dict[tuple[int, ...], int] = {}
    length = np.array([len(prefix) for prefix in prefixes], np.int32)
    path = np.zeros((len(prefixes), length.max()), np.int32)
    for row, prefix in enumerate(prefixes):
        for end in range(len(prefix)):
            path[row, end] = beginnings.setdefault(prefix[: end + 1], len(beginnings))
    kept = read_all(params, config, list(beginnings), ("keys", "values")).kept
    return Past(
        jnp.asarray(kept["keys"]),
        jnp.asarray(kept["values"]),
        jnp.asarray(path),
        jnp.asarray(length),
    )
