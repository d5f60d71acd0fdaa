"""A whole search: relax, harden, refine.

Two things go beyond the paper, and both can be switched off (`jaxmask.search.PAPER`): the limits of
the constraints shrink geometrically from ``initial_alpha`` to ``alpha`` and ``beta``, and the hard
mask is refined by exchanging units (`jaxmask.search.exchange`).

A step or a round that gives NaN or infinity isn't taken, and ends its run: the state stays at the
last finite one. `jaxmask.search.stopped_at` says where that was.

This is single-run code: `jaxmask.runs.ensemble` maps it over seeds, alphas, or both. Every number
of `jaxmask.search.SearchConfig` but the static ones may be traced.

Source: De Cao et al., Sections 3.1 to 3.5.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Key

from jaxmask.finite import take
from jaxmask.intervention import Intervention, from_values
from jaxmask.objective import Objective
from jaxmask.search import exchange, masks, relax
from jaxmask.search.config import SearchConfig
from jaxmask.search.exchange import ExchangeConfig, ExchangeInfo, Hard, RefitConfig
from jaxmask.search.history import History
from jaxmask.search.relax import SearchState


class HardState(NamedTuple):
    """What the refinement of a hard mask carries from round to round.

    Attributes:
        hard: mask and values, and what they do to all examples.
        key: for the rounds to come.
        judge_key: the same for all rounds.
        finite: were all steps and rounds finite so far?

    Example:
        See `harden`.
    """

    hard: Hard
    key: Key[Array, ""]
    judge_key: Key[Array, ""]
    finite: Bool[Array, ""]


def harden(state: SearchState, config: SearchConfig) -> HardState:
    """The hard mask at the end of the relaxation.

    Without refinement these are the units with E[z] > 0.5. With it they are the ``floor(alpha k)``
    units of each mask whose gates are the most open, which exchanges then improve.

    Args:
        state: after the last step of the relaxation.
        config: settings.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5)
        >>> state = search.init(jax.random.key(0), objective, config)
        >>> state.params["location"] = jnp.array([[-2.0, 1.0]])
        >>> search.harden(state, config).hard.mask.tolist()
        [[0.0, 1.0]]
    """
    location = state.params["location"]
    if config.exchange_rounds:
        mask = masks.top(location, masks.budget(location.shape[1], config.alpha))
    else:
        mask = relax.thresholded(location, config)
    key, judge_key = jax.random.split(state.key)
    hard = exchange.unjudged(mask, state.params["values"])
    return HardState(hard, key, judge_key, state.finite)


def refine(
    state: HardState, objective: Objective, config: SearchConfig
) -> tuple[HardState, ExchangeInfo]:
    """One round of exchange, which changes nothing if the run has stopped or stops in it.

    Args:
        state: before the round.
        objective: how the model responds.
        config: settings.

    Returns:
        The state after the round, and what the round did.

    Example:
        Unit 1 does nothing here, so that it is exchanged for unit 2:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5)
        >>> state = search.init(jax.random.key(0), objective, config)
        >>> state.params["location"] = jnp.array([[1.0, -2.0]])
        >>> hard = search.harden(state, config)
        >>> hard, info = jax.jit(search.refine)(hard, objective, config)
        >>> hard.hard.mask.tolist(), float(info.accuracy)
        ([[0.0, 1.0]], 1.0)
    """
    key, round_key = jax.random.split(state.key)
    refit = RefitConfig(
        kl_term=config.kl_term(),
        steps=config.refit_steps,
        rows=config.batch_size,
        kl=config.kl,
    )
    hard, info = exchange.round_of_exchange(
        round_key,
        state.judge_key,
        state.hard,
        objective,
        ExchangeConfig(refit, config.exchange_rows),
    )
    finite = state.finite & info.finite
    info = info._replace(finite=finite, settled=info.settled | ~finite)
    return take(HardState(hard, key, state.judge_key, finite), state), info


def found(state: HardState) -> Intervention:
    """The intervention of a hard mask, with a row for each direction.

    Args:
        state: before or after any round.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5)
        >>> state = search.init(jax.random.key(0), objective, config)
        >>> search.found(search.harden(state, config)).mask.tolist()  # the first of equal gates
        [[1.0, 0.0], [1.0, 0.0]]
    """
    return from_values(state.hard.mask, state.hard.values)


def run(
    key: Key[Array, ""], objective: Objective, config: SearchConfig
) -> tuple[Intervention, History]:
    """A whole search: relax, harden, refine. Put it under ``jit`` and, for an ensemble, ``vmap``.

    Args:
        key: of this run.
        objective: how the model responds, see `jaxmask.objective.Objective`.
        config: settings.

    Returns:
        The intervention with its hard mask, and what was observed on the way.

    Raises:
        ValueError: see `jaxmask.search.check`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.intervention import units
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = search.SearchConfig(alpha=0.5, steps=10, exchange_rounds=1)
        >>> found, history = jax.jit(search.run)(jax.random.key(0), objective, config)
        >>> units(found.mask), history.rounds.accuracy.tolist()
        ([2], [1.0])
    """
    start = relax.init(key, objective, config)
    relaxed, steps = jax.lax.scan(
        lambda state, _: relax.step(state, objective, config), start, None, length=config.steps
    )
    hard, rounds = jax.lax.scan(
        lambda state, _: refine(state, objective, config),
        harden(relaxed, config),
        None,
        length=config.exchange_rounds,
    )
    return found(hard), History(steps, rounds)
