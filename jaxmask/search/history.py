"""What a run observed, and what follows from it: did it converge, after how many steps?"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxmask.intervention import Intervention
from jaxmask.search.config import SearchConfig
from jaxmask.search.exchange import ExchangeInfo
from jaxmask.search.masks import budget
from jaxmask.search.relax import SearchInfo

_LAST_ROUNDS, _MOST_RISE = 3, 0.005
_MARGIN = 0.05  # of a limit, by which the relaxed mask may miss it


class History(NamedTuple):
    """All that a run observed.

    Attributes:
        steps: an entry for each gradient step of the relaxation.
        rounds: an entry for each round of exchange.

    Example:
        See `converged`.
    """

    steps: SearchInfo
    rounds: ExchangeInfo


class Convergence(NamedTuple):
    """What convergence asks of a run, each with the answer; a run has converged if all hold.

    Attributes:
        finite: all steps and rounds were finite.
        units: the hard mask has at most as many units as alpha allows.
        expected_units: the relaxed mask ended within 5% of the limit of constraint (6).
        fractional_gates: the relaxed mask ended within 5% of the limit of constraint (7), if it has
            this constraint.
        settled: the accuracy no longer rose.

    Example:
        See `convergence`.
    """

    finite: Bool[Array, ""]
    units: Bool[Array, ""]
    expected_units: Bool[Array, ""]
    fractional_gates: Bool[Array, ""]
    settled: Bool[Array, ""]


def convergence(intervention: Intervention, history: History, config: SearchConfig) -> Convergence:
    """Which conditions of convergence a run has met.

    The accuracy counts as risen if the last rounds of exchange gained more than 0.5 points in all;
    without exchange, if the mean over the last tenth of the steps is that much above the mean over
    the tenth before.

    Args:
        intervention: what the run found.
        history: what it observed.
        config: its settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5, beta=0.1, steps=10, exchange_rounds=0)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> met = search.convergence(found, history, config)
        >>> [name for name, holds in met._asdict().items() if not holds]
        ['fractional_gates']
    """
    masks, units = 1 if config.shared_mask else len(intervention.mask), intervention.mask.shape[1]
    observed = history.rounds if config.exchange_rounds else history.steps
    if config.exchange_rounds:
        rise = history.rounds.gain[-_LAST_ROUNDS:].sum()
    else:
        tenth = max(1, config.steps // 10)
        late, before = history.steps.accuracy[-tenth:], history.steps.accuracy[-2 * tenth : -tenth]
        rise = late.mean() - before.mean()
    most = 1.0 + _MARGIN
    return Convergence(
        finite=observed.finite[-1],
        units=jnp.all(intervention.mask[:masks].sum(axis=1) <= budget(units, config.alpha)),
        expected_units=history.steps.expected_l0[-1] <= most * config.alpha * units,
        fractional_gates=history.steps.fractional_gates[-1]
        <= most * config.most_fractional * units,
        settled=rise <= _MOST_RISE,
    )


def converged(
    intervention: Intervention, history: History, config: SearchConfig
) -> Bool[Array, ""]:
    """Has a run met all conditions of `convergence`?

    Args:
        intervention: what the run found.
        history: what it observed.
        config: its settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5, beta=1.0, steps=10, exchange_rounds=0)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> bool(search.converged(found, history, config))
        True
    """
    return jnp.stack(convergence(intervention, history, config)).all()


def steps_taken(history: History, config: SearchConfig) -> Int[Array, ""]:
    """Gradient steps of a run, of relaxation and refitting together, up to one that stopped it.

    A run that is settled refits nothing in the rounds that are left.

    Args:
        history: what the run observed.
        config: its settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5, steps=10, exchange_rounds=0)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> int(search.steps_taken(history, config))
        10
    """
    steps = jnp.asarray(config.steps, jnp.int32)
    if config.exchange_rounds:
        rounds = 1 + jnp.sum(~history.rounds.settled[:-1], dtype=jnp.int32)
        steps += rounds * config.refit_steps
    stopped = stopped_at(history, config)
    return jnp.where(stopped > 0, stopped, steps)


def stopped_at(history: History, config: SearchConfig) -> Int[Array, ""]:
    """The gradient step, from 1, that wasn't finite and ended the run; 0 if there was none.

    Rounds of exchange go on counting, ``refit_steps`` each; one that isn't finite ends the run at
    its last.

    Args:
        history: what the run observed.
        config: its settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5, steps=10, exchange_rounds=0)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> int(search.stopped_at(history, config))  # all steps were finite
        0
    """
    taken = jnp.sum(history.steps.finite, dtype=jnp.int32)
    stopped = jnp.where(taken < config.steps, taken + 1, 0)
    if config.exchange_rounds:
        rounds = jnp.sum(history.rounds.finite, dtype=jnp.int32)
        later = config.steps + (rounds + 1) * config.refit_steps
        in_rounds = (taken == config.steps) & (rounds < config.exchange_rounds)
        stopped = jnp.where(in_rounds, later, stopped)
    return stopped
