"""The terms that a search minimises: surrogates of the decision, and the KL divergence.

The surrogates are functions of the log-ratio ``log p(d) - log p(t) = logit_d - logit_t`` of an
example, where ``d`` is the form that the untouched model prefers and ``t`` the other form (Eq. 2).
The normaliser of the softmax cancels. An intervention succeeds if the log-ratio is below 0.
"""

from collections.abc import Callable
from typing import Literal

import flax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmask.objective import Outcome

# About the log of the mean ratio of a language model that is as confident as that of the paper,
# whose median |log-ratio| is 2. Surrogates are measured in units of their value here, and the KL in
# units of the value of `ratio`. Rates and KL weights are of one order of magnitude then, but they
# don't do the same with every surrogate.
TYPICAL_LOG_RATIO = 3.0

_LARGEST_EXPONENT = 60.0  # exp and its gradient stay finite in float32


def ratio(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """Eq. 2: ``p(d) / p(t)``, at most exp(60); the gradient is 0 beyond.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> ratio(jnp.array([0.0, 1000.0])).tolist() == [1.0, float(jnp.exp(60.0))]
        True
    """
    return jnp.exp(jnp.minimum(log_ratio, _LARGEST_EXPONENT))


def log1p_ratio(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """``log(1 + p(d) / p(t))``, the cross-entropy of the choice of ``t`` among the two forms.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> round(float(log1p_ratio(jnp.array(0.0))), 4)  # log 2
        0.6931
    """
    return jax.nn.softplus(log_ratio)


def identity(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """``log(p(d) / p(t))``, the log-ratio itself.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> float(identity(jnp.array(-2.0)))
        -2.0
    """
    return log_ratio


def share(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """``p(d) / (p(d) + p(t))``, the share of ``d`` in the probability of the two forms, in (0, 1).

    It is bounded, so that a few examples that can't be flipped don't outweigh the others.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> float(share(jnp.array(0.0)))
        0.5
    """
    return jax.nn.sigmoid(log_ratio)


SURROGATES: dict[str, Callable[[Array], Array]] = {
    "ratio": ratio,
    "log_ratio": identity,
    "log1p_ratio": log1p_ratio,
    "share": share,
}


def scale(surrogate: Callable[[Array], Array]) -> Float[Array, ""]:
    """The unit that a surrogate is measured in: its value at `TYPICAL_LOG_RATIO`.

    Args:
        surrogate: one of `SURROGATES`.

    Example:
        >>> float(scale(identity))
        3.0
    """
    return surrogate(jnp.asarray(TYPICAL_LOG_RATIO))


def kl_weight(weight: float | Float[Array, ""]) -> Float[Array, ""]:
    """The weight of the KL next to a surrogate that is divided by its ``scale``.

    It is the weight of Eq. 8 divided by the ``scale`` of the ratio. One weight is then of one order
    of magnitude for all surrogates, but it doesn't buy the same KL with each of them.

    Args:
        weight: of the KL next to the ratio, as in Eq. 8.

    Example:
        >>> from jaxmask.search import kl_weight
        >>> round(float(kl_weight(1.0)), 4)  # the ratio is exp(3) at a typical log-ratio of 3
        0.0498
    """
    return weight / scale(ratio)


class KLTerm(flax.struct.PyTreeNode):
    """How the KL counts in what a search minimises.

    Attributes:
        weight: of the KL, see `kl_weight`.
        at_most: limit of the KL in nats; None for no limit.
        positions: ``all`` counts the KL at all positions of a sentence (Eq. 8), ``elsewhere``
            leaves out the target's, where a decision can't flip without a change (static).

    Example:
        >>> nothing = jnp.zeros((1, 1))
        >>> outcome = Outcome(nothing, nothing, jnp.array(0.5), jnp.array(0.25))
        >>> KLTerm(jnp.array(0.1)).of(outcome).item()
        0.5
        >>> KLTerm(jnp.array(0.1), at_most=0.2, positions="elsewhere").penalty(outcome).item()
        0.275
    """

    weight: Float[Array, ""]
    at_most: float | Float[Array, ""] | None = None
    positions: Literal["all", "elsewhere"] = flax.struct.field(pytree_node=False, default="all")

    def of(self, outcome: Outcome) -> Float[Array, ""]:
        """The KL that counts.

        Raises:
            ValueError: it is to leave out the target, and the objective doesn't say what is left.
        """
        if self.positions == "all":
            return outcome.kl
        if outcome.kl_elsewhere is None:
            raise ValueError(
                "kl_positions: expected 'all', as this objective doesn't report a kl_elsewhere, "
                f"found {self.positions!r}"
            )
        return outcome.kl_elsewhere

    def excess(self, outcome: Outcome) -> Float[Array, ""]:
        """By what fraction of its limit the KL is above it; below 0 where it is below.

        There has to be a limit.
        """
        return self.of(outcome) / jnp.asarray(self.at_most, jnp.float32) - 1.0

    def penalty(self, outcome: Outcome) -> Float[Array, ""]:
        """What the KL adds to a loss: ``weight KL + max(0, KL / at_most - 1)``.

        Failures count 1 at most: a KL that is twice its limit costs as much as all decisions.
        """
        weighted = self.weight * self.of(outcome)
        return weighted if self.at_most is None else weighted + jax.nn.relu(self.excess(outcome))


def failure(log_ratio: Float[Array, "*examples"]) -> Float[Array, "*examples"]:
    """``p(d)^2 / (p(d)^2 + p(t)^2)``, a smooth form of 1 - `success`.

    It is steeper around 0 than `share`.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> failure(jnp.array([-9.0, 0.0, 9.0])).round(3).tolist()
        [0.0, 0.5, 1.0]
    """
    return jax.nn.sigmoid(2.0 * log_ratio)


def success(log_ratio: Float[Array, "*examples"]) -> Bool[Array, "*examples"]:
    """Whether the decision has flipped: ``p(d) / p(t) < 1``.

    Args:
        log_ratio: ``log p(d) - log p(t)`` of each example.

    Example:
        >>> success(jnp.array([-0.1, 0.0, 0.1])).tolist()
        [True, False, False]
    """
    return log_ratio < 0.0


def flipped(outcome: Outcome) -> Float[Array, "rows pairs"]:
    """The weight of each decision that has flipped, 0 for the others; they sum to the accuracy.

    Args:
        outcome: of a batch.

    Example:
        >>> outcome = Outcome(jnp.array([[-0.5], [2.0]]), jnp.full((2, 1), 0.5), jnp.zeros(()))
        >>> float(flipped(outcome).sum())
        0.5
    """
    return success(outcome.log_ratio).astype(outcome.weight.dtype) * outcome.weight


def smoothed_failures(outcome: Outcome) -> Float[Array, " rows"]:
    """The weighted `failure` of each row; they sum to the smoothed failure rate.

    Args:
        outcome: of a batch.

    Example:
        >>> outcome = Outcome(jnp.zeros((2, 1)), jnp.full((2, 1), 0.5), jnp.zeros(()))
        >>> smoothed_failures(outcome).tolist()
        [0.25, 0.25]
    """
    return (failure(outcome.log_ratio) * outcome.weight).sum(axis=1)


def kl_divergence(
    original: Float[Array, "*batch vocabulary"], intervened: Float[Array, "*batch vocabulary"]
) -> Float[Array, "*batch"]:
    """Eq. 8: ``KL(p || q) = sum_w p(w) (log p(w) - log q(w))`` of two softmaxes.

    A word with ``p(w) = 0``, that is, with a logit of minus infinity, adds nothing. The KL is
    infinite if a word has ``q(w) = 0`` but not ``p(w) = 0``.

    Args:
        original: logits of ``p``.
        intervened: logits of ``q``.

    Returns:
        The KL in nats.

    Example:
        >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(kl_divergence(p, q)), 4), float(kl_divergence(p, p))
        (0.1438, 0.0)
    """
    log_p, log_q = jax.nn.log_softmax(original), jax.nn.log_softmax(intervened)
    p = jnp.exp(log_p)
    return jnp.sum(p * jnp.where(p > 0.0, log_p - log_q, 0.0), axis=-1)
