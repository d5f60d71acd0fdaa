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


def converged(
    intervention: Intervention, history: History, config: SearchConfig
) -> Bool[Array, ""]:
    """Does the hard mask keep the constraint, and did its accuracy no longer rise?

    A run that stopped early has not converged.

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
        >>> config = search.SearchConfig(alpha=0.5, steps=10, exchange_rounds=0)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> bool(search.converged(found, history, config))
        True
    """
    masks = 1 if config.shared_mask else len(intervention.mask)
    allowed = budget(intervention.mask.shape[1], config.alpha)
    constraint = jnp.all(intervention.mask[:masks].sum(axis=1) <= allowed)
    observed = history.rounds if config.exchange_rounds else history.steps
    finite = observed.finite[-1]
    if config.exchange_rounds:
        rise = history.rounds.gain[-_LAST_ROUNDS:].sum()
    else:
        tenth = max(1, config.steps // 10)
        late, before = history.steps.accuracy[-tenth:], history.steps.accuracy[-2 * tenth : -tenth]
        rise = late.mean() - before.mean()
    return finite & constraint & (rise <= _MOST_RISE)


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
