"""What the units of a transformer can be set to: what they usually do, or somewhat more."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxmask.intervention import Kind, Range
from jaxmask.models import ranges
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.reading import read_all
from jaxmask.models.transformer.untouched import Context
from jaxmask.text.examples import Examples


def value_range(
    params: Params,
    config: TransformerConfig,
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    kind: Kind,
    context: Context,
) -> Range:
    """The range of each unit of a site, over the tokens at which an intervention acts.

    With ``free`` values it is ``mean - 3 std`` to ``mean + 3 std``, with ``natural`` values the 1st
    to the 99th percentile. The statistics are those of the untouched model.

    Args:
        params: the parameter tree.
        config: of the model.
        examples: to take statistics over.
        where: the tokens at which the intervention acts.
        kind: of intervention.
        context: tokens before every sentence.

    Example:
        >>> import jax
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> where, kind = np.array([[True, True]]), Kind("mlp", values="natural")
        >>> found = value_range(params, tiny, examples, where, kind, (0,))
        >>> found.low.shape, bool((found.low < found.high).all())
        ((24,), True)
    """
    seen = ranges.beginnings(examples, where)
    sequences = [(*context, *beginning) for beginning in seen]
    of_layers = read_all(params, config, sequences, (kind.site,)).kept[kind.site]
    times = np.array(list(seen.values()), np.float64)
    of = ranges.between_percentiles if kind.values == "natural" else ranges.around_mean
    ends = [of(layer.astype(np.float64), times) for layer in of_layers]
    low, high = (jnp.concatenate(end) for end in zip(*ends, strict=True))
    return Range(low, high)
