"""Log-odds of two tokens, and the KL, from the normalised states that the decoder reads.

Logits are linear in the state, unless they are capped (Gemma 2): then a log-odds is a difference of
two capped logits, and the KL no Bregman divergence of states.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models import capped_kl, kl
from jaxmask.models.kl import Predictions
from jaxmask.models.transformer import forward
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params

# Decoder rows are read once for that many states: enough to keep the cores busy, few enough that
# memory doesn't grow with the examples.
STATES_AT_ONCE = 1024


def pair_rows(
    params: Params, config: TransformerConfig, pairs: Int[np.ndarray, "pairs 2"]
) -> Float[Array, "pairs rows width"]:
    """What `log_odds` needs of the decoder: the difference of two rows; both, if logits are capped.

    Args:
        params: the parameter tree.
        config: of the model.
        pairs: tokens.
    """
    rows = forward.decoder(params, config)[0][jnp.asarray(pairs)].astype(jnp.float32)
    return rows if config.logit_cap else rows[:, :1] - rows[:, 1:]


def log_odds(
    config: TransformerConfig,
    rows: Float[Array, "pairs rows width"],
    state: Float[Array, "states width"],
) -> Float[Array, "states pairs"]:
    """Log p(pair[0]) - log p(pair[1]) for each state and pair, in nats.

    Args:
        config: of the model.
        rows: see `pair_rows`.
        state: normalised.
    """
    logits = jnp.einsum("sd,prd->spr", state, rows, precision=jax.lax.Precision.HIGHEST)
    if not config.logit_cap:
        return logits[..., 0]
    logits = forward.cap(config.logit_cap, logits)
    return logits[..., 0] - logits[..., 1]


def predictions(
    params: Params, config: TransformerConfig, state: Float[Array, "states width"]
) -> Predictions:
    """What `divergence` needs of the untouched model, some states at a time.

    Args:
        params: the parameter tree.
        config: of the model.
        state: normalised.
    """
    weight, bias = forward.decoder(params, config)

    def at(one: Float[Array, " width"]) -> Predictions:
        if config.logit_cap:
            found = capped_kl.predictions(one[None], weight, config.logit_cap)
        else:
            found = kl.predictions(one[None], weight, bias)
        return jax.tree.map(lambda x: x[0], found)

    return jax.lax.map(at, state, batch_size=STATES_AT_ONCE)


def divergence(
    params: Params,
    config: TransformerConfig,
    original: Predictions,
    state: Float[Array, "states width"],
) -> Float[Array, " states"]:
    """KL(original || altered) of next-token predictions, in nats, some states at a time.

    Args:
        params: the parameter tree.
        config: of the model.
        original: of the untouched states.
        state: the altered ones, normalised.
    """
    weight, bias = forward.decoder(params, config)

    def of(original: Predictions, state: Float[Array, "n width"]) -> Float[Array, " n"]:
        if config.logit_cap:
            return capped_kl.divergence(original, state, weight, config.logit_cap)
        return kl.divergence(original, state, weight, bias)

    if len(state) <= STATES_AT_ONCE:
        return of(original, state)
    return jax.lax.map(
        lambda one: of(*jax.tree.map(lambda x: x[None], one))[0],
        (original, state),
        batch_size=STATES_AT_ONCE,
    )
