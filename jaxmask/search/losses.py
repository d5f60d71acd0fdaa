"""What a search minimises: surrogates of the decision, and the divergence it shouldn't cause.

Everything is stated in the log-ratio ``log p(d) - log p(t) = logit_d - logit_t`` of an example,
where ``d`` is the form that the untouched model prefers and ``t`` the other (Eq. 2): the softmax
normaliser cancels. An intervention succeeds where the log-ratio is below 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmask.objective import Outcome

# About the log of the mean ratio of a language model as confident as the paper's (median
# |log-ratio| of 2). Surrogates are measured in units of their value there, and the KL in units of
# the ratio's, so that rates and KL weights keep their meaning whichever surrogate is in use.
TYPICAL_LOG_RATIO = 3.0

_LARGEST_EXPONENT = 60.0  # exp stays finite in float32, so gradients do too


def ratio(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """Eq. 2: p(d) / p(t), flat beyond exp(60), where its gradient is 0."""
    return jnp.exp(jnp.minimum(log_ratio, _LARGEST_EXPONENT))


def log1p_ratio(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """log(1 + p(d) / p(t)): the cross-entropy of choosing ``t`` of the two."""
    return jax.nn.softplus(log_ratio)


def identity(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """log(p(d) / p(t)) itself."""
    return log_ratio


def share(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """p(d) / (p(d) + p(t)): the share of the pair's mass left on ``d``, in (0, 1).

    Bounded, so that a few examples that can't be flipped don't outweigh all that can.
    """
    return jax.nn.sigmoid(log_ratio)


SURROGATES: dict[str, Callable[[Array], Array]] = {
    "ratio": ratio,
    "log_ratio": identity,
    "log1p_ratio": log1p_ratio,
    "share": share,
}


def scale(surrogate: Callable[[Array], Array]) -> Float[Array, ""]:
    """The unit that a surrogate is measured in: its value at `TYPICAL_LOG_RATIO`."""
    return surrogate(jnp.asarray(TYPICAL_LOG_RATIO))


def kl_weight(weight: float | Float[Array, ""]) -> Float[Array, ""]:
    """A weight of the KL in the ratio's units, to use beside a surrogate divided by its `scale`.

    Args:
        weight: of the KL beside the ratio, as in Eq. 8.

    Example:
        >>> from jaxmask.search import kl_weight
        >>> round(float(kl_weight(1.0)), 4)  # the ratio is exp(3) at a typical log-ratio of 3
        0.0498
    """
    return weight / scale(ratio)


def failure(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """A smoothed 1 - `success`: p(d)^2 / (p(d)^2 + p(t)^2), steeper than `share` around 0."""
    return jax.nn.sigmoid(2.0 * log_ratio)


def success(log_ratio: Float[Array, "*examples"]) -> Bool[Array, "*examples"]:
    """Has the decision flipped? True where p(d) / p(t) < 1."""
    return log_ratio < 0.0


def flipped(outcome: Outcome) -> Float[Array, "rows pairs"]:
    """The weight of each decision that has flipped, 0 for the others; they sum to the accuracy."""
    return success(outcome.log_ratio) * outcome.weight


def smoothed_failures(outcome: Outcome) -> Float[Array, " rows"]:
    """The weighted `failure` of each row; they sum to the smoothed failure rate."""
    return (failure(outcome.log_ratio) * outcome.weight).sum(axis=1)


def kl_divergence(
    original: Float[Array, "*batch vocabulary"], intervened: Float[Array, "*batch vocabulary"]
) -> Float[Array, "*batch"]:
    """Eq. 8: KL(p || q) in nats between the softmaxes of two arrays of logits.

    What ``p`` rules out, as by a logit of minus infinity, adds nothing; infinite where ``q`` rules
    out what ``p`` doesn't.
    """
    log_p, log_q = jax.nn.log_softmax(original), jax.nn.log_softmax(intervened)
    p = jnp.exp(log_p)
    return jnp.sum(p * jnp.where(p > 0.0, log_p - log_q, 0.0), axis=-1)
