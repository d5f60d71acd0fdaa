"""What a model decides, and what a hard intervention does to it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.intervention import Intervention
from jaxmask.models.logsumexp import linear_logsumexp
from jaxmask.models.lstm import network, reading
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.objective import KL, ExactKL, Objective
from jaxmask.search import losses
from jaxmask.text.examples import Examples


class Evaluation(NamedTuple):
    """How an intervention does on all examples of an objective.

    Attributes:
        accuracy: fraction of examples whose decision flipped.
        accuracy_by_direction: the same for each direction; NaN where it has no examples.
        kl: mean over examples and positions of KL(original || intervened), in nats.
    """

    accuracy: Float[Array, ""]
    accuracy_by_direction: Float[Array, " directions"]
    kl: Float[Array, ""]


def read_context(params: Params, tokens: list[int]) -> LSTMState:
    """The state, from zero, after reading ``tokens``; what every sentence starts from."""
    zeros = jnp.zeros((len(params["lstm"]) * network.hidden_per_layer(params),), jnp.float32)
    state = LSTMState(zeros, zeros)
    if not tokens:
        return state
    return _read(params, state, np.array(tokens))


@jax.jit
def _read(params: Params, state: LSTMState, tokens: Int[Array, " time"]) -> LSTMState:
    return network.unroll(
        params, state, network.input_gates(params, network.embed(params, tokens))
    )[1]


def log_odds(
    params: Params, examples: Examples, context: LSTMState
) -> Float[np.ndarray, " examples"]:
    """The log-odds log p(pair[0]) - log p(pair[1]) of the untouched model, for each example."""
    sentences: dict[tuple[int, ...], int] = {}
    which = [
        sentences.setdefault(tuple(tokens[:length]), len(sentences))
        for tokens, length in zip(examples.tokens.tolist(), examples.length.tolist(), strict=True)
    ]
    hidden, _ = reading.read_all(params, context, tuple(sentences))
    top = network.top_layer(params, hidden)[np.array(which, int)]
    weight, bias = np.asarray(network.decoder_weight(params)), np.asarray(params["decoder"]["bias"])
    a, b = examples.pair.T
    with np.errstate(over="ignore", invalid="ignore"):  # seen by the result
        return np.einsum("nh,nh->n", top, weight[a] - weight[b]) + bias[a] - bias[b]


def log_probs(
    params: Params,
    top: Float[Array, "rows hidden"],
    words: Int[Array | np.ndarray, "rows forms"],
) -> Float[Array, "rows forms"]:
    """Log-probabilities, in nats, of a few words after each of many states.

    ``log p(w) = x_w - logsumexp(x)`` with the decoder's ``x = W h + b``, of which only the rows of
    the given words are kept.

    Args:
        params: the parameter tree.
        top: states of the top layer, see `network.top_layer`.
        words: indices of the words asked for at each state.
    """
    weight, bias = network.decoder_weight(params), params["decoder"]["bias"]
    logits = jnp.einsum("nh,nfh->nf", top, weight[words]) + bias[words]
    return logits - linear_logsumexp(top, weight, bias)[:, None]


def directed(params: Params, examples: Examples, context: LSTMState) -> Examples:
    """The examples with their directions: toward the form the model finds less probable (Eq. 2).

    Raises:
        ValueError: the model doesn't tell: its log-odds aren't finite.
    """
    odds = log_odds(params, examples, context)
    if unknown := int(np.sum(~np.isfinite(odds))):
        raise ValueError(
            f"expected finite log-odds of the two forms, found NaN or infinity for {unknown} of "
            f"{len(odds)} examples"
        )
    return examples._replace(direction=(odds > 0).astype(np.int32))


def evaluate(intervention: Intervention, objective: Objective, kl: KL = ExactKL()) -> Evaluation:
    """Accuracy and KL of an intervention, over all examples of an objective."""
    batch = objective.everything(by_direction=True)
    outcome = objective(intervention.toward(batch.direction), batch, None, kl)
    flipped = losses.flipped(outcome)
    directions = jnp.arange(len(intervention.baseline))
    here = (batch.direction == directions[:, None])[:, :, None]
    return Evaluation(
        flipped.sum(),
        jnp.sum(flipped * here, axis=(1, 2)) / jnp.sum(outcome.weight * here, axis=(1, 2)),
        outcome.kl,
    )
