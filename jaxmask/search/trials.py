"""Exchanges of units inside a hard mask for units outside: predicted, made and tried.

A batch is linearised: giving a unit the value b adds about ``g (b - h)`` to the log-ratio of a row,
and taking a unit back subtracts the same. From that the failures after every exchange (i out, j in)
are predicted, with the better sign of j for each direction. The best exchange is made and its loss
computed exactly, on other examples than it was chosen by.

Predictions of single exchanges are accurate to a few percent on LSTMs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmask.finite import all_finite
from jaxmask.intervention import EDGE, Intervention
from jaxmask.objective import NoKL, Objective, Outcome
from jaxmask.products import exact
from jaxmask.search import losses, masks

TRIES = 6  # exchanges that a round tries at most
MISSES = 3  # exchanges that are no better, one after another, after which it tries no more
CANDIDATES = 48  # units on either side between which all exchanges are predicted
_NEXT_TO_NOTHING = 1e-6  # a mask at which a unit has gradients but no effect


class Linear(NamedTuple):
    """A batch linearised: what each unit adds to the log-ratio of each row.

    Attributes:
        log_ratio: at the mask, mean over the pairs of a row.
        weight: of the rows.
        direction: of the rows.
        high: what a unit outside adds with the value ``+1``, a unit inside with its own value.
        low: the same with the value ``-1``, or its own.
    """

    log_ratio: Float[Array, " batch"]
    weight: Float[Array, " batch"]
    direction: Int[Array, " batch"]
    high: Float[Array, "batch units"]
    low: Float[Array, "batch units"]


class Sets(NamedTuple):
    """The units of each row of a mask within a round, and the log-ratios predicted for them.

    Attributes:
        inside: the units.
        removable: those that may leave; units that came in this round may not.
        addable: those that may come in; units that left this round may not.
        values: baselines before `jaxmask.intervention.to_baseline`, at an edge for units that came
            in.
        log_ratio: predicted.
    """

    inside: Bool[Array, "masks units"]
    removable: Bool[Array, "masks units"]
    addable: Bool[Array, "masks units"]
    values: Float[Array, "directions units"]
    log_ratio: Float[Array, "masks batch"]


class Trial(NamedTuple):
    """The best sets of a round so far.

    Attributes:
        sets: the best ones.
        loss: the exact loss of each row of the mask.
        onward: the sets that the next exchange is made from.
        tried: number of exchanges tried; -1 before the sets to begin with are judged.
        missed: number of exchanges since one was better for any row of the mask.
        finite: were all losses finite?
    """

    sets: Sets
    loss: Float[Array, " masks"]
    onward: Sets
    tried: Int[Array, ""]
    missed: Int[Array, ""]
    finite: Bool[Array, ""]


def linearise(
    mask: Float[Array, "masks units"],
    baseline: Float[Array, "directions units"],
    objective: Objective,
    batch: Any,
) -> Linear:
    """Linearises the log-ratio of each row in every unit, at a mask.

    Args:
        mask: zeros and ones; one row if directions share it, else one for each direction.
        baseline: of the units inside.
        objective: how the model responds.
        batch: the rows.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import trials
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask, baseline = jnp.zeros((1, 2)), jnp.zeros((2, 2))
        >>> linear = trials.linearise(mask, baseline, objective, objective.everything())
        >>> jnp.round(linear.high).tolist()
        [[0.0, -3.0], [0.0, 3.0]]
    """
    inside = jnp.broadcast_to(mask, baseline.shape)[batch.direction] > 0
    # With d L / d h' = g at each step, the slope in the mask is sum g (b - h) and that in the
    # baseline sum g m: where m is next to nothing, both ends follow from one backward pass.
    given = Intervention(
        jnp.where(inside, 1.0, _NEXT_TO_NOTHING), jnp.where(inside, baseline[batch.direction], 0.0)
    )

    def respond(given: Intervention) -> tuple[Array, Outcome]:
        outcome = objective(given, batch, None, NoKL())
        share = outcome.weight / outcome.weight.sum(axis=1, keepdims=True)
        return (outcome.log_ratio * share).sum(), outcome

    slope, outcome = jax.grad(respond, has_aux=True)(given)
    reach = jnp.where(inside, 0.0, slope.baseline / _NEXT_TO_NOTHING)
    weight = outcome.weight.sum(axis=1)
    log_ratio = (outcome.log_ratio * outcome.weight).sum(axis=1) / weight
    return Linear(log_ratio, weight, batch.direction, slope.mask + reach, slope.mask - reach)


def failures_after_adding(
    linear: Linear, log_ratio: Float[Array, " batch"], weight: Float[Array, " batch"]
) -> tuple[Float[Array, "directions units"], Float[Array, "directions units"]]:
    """Predicted failures of the rows of each direction after adding a unit: at 1, and at -1.

    Args:
        linear: what each unit adds.
        log_ratio: before adding it.
        weight: of each row.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import trials
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask, baseline = jnp.zeros((1, 2)), jnp.zeros((2, 2))
        >>> linear = trials.linearise(mask, baseline, objective, objective.everything())
        >>> high, low = trials.failures_after_adding(linear, linear.log_ratio, linear.weight)
        >>> bool(high[0, 1] < low[0, 1]), bool(high[1, 1] > low[1, 1])
        (True, True)
    """
    member = masks.by_direction(linear.direction)
    high = exact(member, losses.failure(log_ratio[:, None] + linear.high) * weight[:, None])
    low = exact(member, losses.failure(log_ratio[:, None] + linear.low) * weight[:, None])
    return high, low


def first_sets(
    mask: Float[Array, "masks units"], values: Float[Array, "directions units"], linear: Linear
) -> Sets:
    """The sets that a round begins with: the mask that a batch was linearised at."""
    inside = mask > 0
    log_ratio = jnp.broadcast_to(linear.log_ratio, (len(mask), len(linear.log_ratio)))
    return Sets(inside, inside, ~inside, values, log_ratio)


def try_exchanges(
    sets: Sets,
    exchange: Callable[[Sets], Sets],
    loss_of: Callable[[Sets], Float[Array, " masks"]],
) -> Trial:
    """Makes the exchanges that prove to be better, until `MISSES` in a row don't.

    Two exchanges may be better together where the first one alone isn't: after one that is no
    better the next is made on top of it, and only after that the next best in its place.

    Args:
        sets: to begin with.
        exchange: makes the exchange that is predicted to be the best.
        loss_of: computes the exact loss.
    """

    def go_on(trial: Trial) -> Bool[Array, ""]:
        return (trial.tried < TRIES) & (trial.missed < MISSES)

    # The sets to begin with are judged by the same pass of the loop: computing their loss before it
    # would compile the model a second time.
    def one_more(trial: Trial) -> Trial:
        new = jax.lax.cond(trial.tried < 0, lambda sets: sets, exchange, trial.onward)
        loss = loss_of(new)
        better = loss < trial.loss  # each row of the mask decides on its own

        best = masks.choose_rows(better, new, trial.sets)
        best = best._replace(addable=best.addable & new.addable)  # what was no better isn't again
        return Trial(
            best,
            jnp.minimum(loss, trial.loss),
            masks.choose_rows(better | (trial.missed % 2 == 0), new, best),
            trial.tried + 1,
            jnp.where(jnp.any(better), 0, trial.missed + 1),
            trial.finite & all_finite(loss),
        )

    unjudged = jnp.full(len(sets.inside), jnp.inf, sets.values.dtype)
    before = jnp.full((), -1, jnp.int32)
    start = Trial(sets, unjudged, sets, before, before, jnp.ones((), bool))
    return jax.lax.while_loop(go_on, one_more, start)


def best_exchange(sets: Sets, linear: Linear) -> Sets:
    """The sets after the exchange that is predicted to be the best for each row of the mask."""
    rows, directions = jnp.arange(len(sets.inside)), jnp.arange(len(sets.values))
    possible, out, into, sign, log_ratio = jax.vmap(partial(_best_of_row, linear=linear))(
        sets.removable,
        sets.addable,
        sets.log_ratio,
        masks.membership(len(rows), linear.direction),
    )
    answering = masks.row_of(directions, len(rows))

    def put(x: Array, unit: Array, value: bool) -> Array:
        return x.at[rows, unit].set(jnp.where(possible, value, x[rows, unit]))

    came = into[answering]
    value = jnp.where(
        possible[answering], sign[answering, directions] * EDGE, sets.values[directions, came]
    )
    return Sets(
        put(put(sets.inside, out, False), into, True),
        put(sets.removable, out, False),
        put(sets.addable, into, False),
        sets.values.at[directions, came].set(value),
        jnp.where(possible[:, None], log_ratio, sets.log_ratio),
    )


def _best_of_row(
    removable: Bool[Array, " units"],
    addable: Bool[Array, " units"],
    log_ratio: Float[Array, " batch"],
    member: Float[Array, " batch"],
    linear: Linear,
) -> tuple[Array, Array, Array, Array, Array]:
    """(possible?, out, into, sign by direction, log-ratios after) for one row of the mask."""
    weight = linear.weight * member
    high, low = failures_after_adding(linear, log_ratio, weight)
    sign = jnp.where(high <= low, 1.0, -1.0)
    added = jnp.where(sign[linear.direction] > 0, linear.high, linear.low)
    after_adding = jnp.minimum(high, low).sum(axis=0)
    # A unit inside contributes ``high`` (= ``low``) at its own value: dropping it takes that away.
    after_dropping = (losses.failure(log_ratio[:, None] - linear.high) * weight[:, None]).sum(
        axis=0
    )

    few = min(CANDIDATES, len(addable))
    candidates_in = jax.lax.top_k(jnp.where(addable, -after_adding, -jnp.inf), few)[1]
    candidates_out = jax.lax.top_k(jnp.where(removable, -after_dropping, -jnp.inf), few)[1]

    def after_exchange(out: Array) -> Array:
        dropped = (log_ratio - linear.high[:, out])[:, None]
        return (losses.failure(dropped + added[:, candidates_in]) * weight[:, None]).sum(axis=0)

    predicted = jax.lax.map(after_exchange, candidates_out)
    allowed = removable[candidates_out][:, None] & addable[candidates_in][None, :]
    i, j = jnp.divmod(jnp.where(allowed, predicted, jnp.inf).argmin(), few)
    out, into = candidates_out[i], candidates_in[j]
    after = log_ratio - linear.high[:, out] + added[:, into]
    return allowed.any(), out, into, sign[:, into], after
