"""Refining a found set of units: exchange units one for one, refit their values.

A relaxation decides which units are worth their place while other gates still flicker; the hard
mask it leaves is improved by exchanging units inside for units outside. One round

1. refits the values of the units inside, by a few steps of gradient descent;
2. draws fresh examples and linearises each row's log-ratio in every unit at the present mask:
   giving a unit the value b adds about ``g (b - h)``, taking it back subtracts the same;
3. predicts from that the failures after every exchange (i out, j in), with each direction's better
   sign for j, makes the best exchange, and computes the loss after it exactly, on other examples
   than it was chosen by: if it is no better, even with the next exchange on top of it, the next
   best is made in its place;
4. goes on from there, with predictions for what has changed, for a few exchanges;
5. computes what the proposal does to all examples, and takes it if it is better there than what the
   round began with: a sample proposes, it doesn't decide. A mask that three rounds leave as it was
   stays so: whoever runs them may stop there.

Predictions of single exchanges are accurate to a few percent on LSTMs, so a round is one
linearisation and a handful of forward passes where greedy selection needs hundreds. All of it is
pure and of static shape, to be put under `jax.vmap` over seeds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import EDGE, Intervention, from_values, to_baseline
from jaxmask.objective import KL, NoKL, Objective, Outcome, SampledKL
from jaxmask.search import losses
from jaxmask.search.finite import all_finite, choose

TRIED_ON = 64  # rows, at least
TRIES = 6  # exchanges that a round tries at most
MISSES = 3  # exchanges that are no better, one after another, after which it tries no more
PATIENCE = 3  # rounds without an improvement after which a mask stays as it is
CANDIDATES = 48  # units on either side between which all exchanges are predicted
REFIT_RATE = 0.05
_NEXT_TO_NOTHING = 1e-6  # a mask at which a unit's gradients are there and the unit isn't


class Hard(NamedTuple):
    """A hard mask, its values, and what they do to all examples.

    Attributes:
        mask: zeros and ones; one row for a mask that directions share, else one a direction.
        values: baselines before `to_baseline`.
        loss: failures and weighted KL, for each row of the mask; infinite before the first round.
        accuracy: fraction of all decisions that are flipped and of a direction that this row of the
            mask answers for; they add up to the accuracy.
        idle: rounds since each row of the mask was last improved.
    """

    mask: Float[Array, "masks units"]
    values: Float[Array, "directions units"]
    loss: Float[Array, " masks"]
    accuracy: Float[Array, " masks"]
    idle: Int[Array, " masks"]


class ExchangeInfo(NamedTuple):
    """What a round did, on all examples.

    Attributes:
        loss: after the round.
        accuracy: after the round.
        gain: by how much the accuracy rose in the round.
        exchanges: how many units were exchanged, over all mask rows.
        finite: was all that it computed? Otherwise it left everything as it was.
        settled: will all further rounds leave everything as it is?
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    gain: Float[Array, ""]
    exchanges: Int[Array, ""]
    finite: Bool[Array, ""]
    settled: Bool[Array, ""]


class Linear(NamedTuple):
    """A batch linearised: what each unit adds to each row's log-ratio.

    Attributes:
        log_ratio: at the mask, mean over the row's pairs.
        weight: of the rows.
        high: with the value ``+edge``, or at its own value for a unit inside.
        low: with the value ``-edge``, likewise.
    """

    log_ratio: Float[Array, " batch"]
    weight: Float[Array, " batch"]
    high: Float[Array, "batch units"]
    low: Float[Array, "batch units"]


class _Sets(NamedTuple):
    """Within a round: a set of units and predicted log-ratios for each row of the mask."""

    inside: Bool[Array, "masks units"]
    removable: Bool[Array, "masks units"]
    addable: Bool[Array, "masks units"]
    values: Float[Array, "directions units"]  # at an edge for units that came in
    log_ratio: Float[Array, "masks batch"]


class _Trial(NamedTuple):
    """The best sets of a round so far, with the losses that they have exactly."""

    sets: _Sets
    loss: Float[Array, " masks"]
    onward: _Sets  # from which the next exchange is made
    tried: Int[Array, ""]
    missed: Int[Array, ""]  # exchanges that were no better for any mask row, the last ones
    finite: Bool[Array, ""]


_Rows = TypeVar("_Rows", Hard, _Sets)  # with a row for each row of the mask, or each direction


def unjudged(mask: Float[Array, "masks units"], values: Float[Array, "directions units"]) -> Hard:
    """A hard mask before the first round."""
    # Types are those of later rounds, or the first would be compiled on its own.
    nothing = jnp.zeros(len(mask), mask.dtype)
    return Hard(mask, values, nothing + jnp.inf, nothing, nothing.astype(jnp.int32))


def round_of_exchange(
    key: Key[Array, ""],
    judge_key: Key[Array, ""],
    present: Hard,
    objective: Objective,
    kl_weight: float | Float[Array, ""],
    *,
    rows: int,
    refit_steps: int,
    refit_rows: int,
    kl: KL,
) -> tuple[Hard, ExchangeInfo]:
    """One round: refit, then the exchanges that prove to be better.

    Args:
        key: used once.
        judge_key: of the estimate of the KL on all examples; the same in all rounds, so that they
            are judged alike.
        present: the mask to begin with.
        objective: how the model responds.
        kl_weight: weight of the KL beside failures.
        rows: of the sample by which exchanges are chosen; half as many others try them, or
            `TRIED_ON`.
        refit_steps: gradient steps on the values.
        refit_rows: batch size of these.
        kl: how the KL of such a batch is computed; a sampled one takes as large a part of larger
            batches.

    Returns:
        The new mask, with as many units in each row as before, the new values, and what was done.
    """
    improve = partial(_improve, rows=rows, refit_steps=refit_steps, refit_rows=refit_rows, kl=kl)

    # Under vmap one run after another: there are rows enough to keep a device busy, memory doesn't
    # grow with runs, and those that are settled cost nothing.
    @jax.custom_batching.sequential_vmap
    def of_run(present: Hard, *args: Any) -> tuple[Hard, Array, Bool[Array, ""]]:
        def leave(present: Hard, *_: Any) -> tuple[Hard, Array, Bool[Array, ""]]:
            return present, jnp.zeros_like(present.accuracy), jnp.ones((), bool)

        return jax.lax.cond(_settled(present), leave, improve, present, *args)

    weight = jnp.asarray(kl_weight, jnp.float32)
    kept, gain, finite = of_run(present, key, judge_key, objective, weight)
    kept = choose(finite, kept, present)
    gain = jnp.where(finite, gain, 0.0).sum()
    exchanges = (kept.mask * (1.0 - present.mask)).sum().astype(jnp.int32)
    return kept, ExchangeInfo(
        kept.loss.sum(), kept.accuracy.sum(), gain, exchanges, finite, _settled(kept)
    )


def _settled(hard: Hard) -> Bool[Array, ""]:
    return jnp.all(hard.idle >= PATIENCE)


def _improve(
    present: Hard,
    key: Key[Array, ""],
    judge_key: Key[Array, ""],
    objective: Objective,
    kl_weight: Float[Array, ""],
    *,
    rows: int,
    refit_steps: int,
    refit_rows: int,
    kl: KL,
) -> tuple[Hard, Float[Array, " masks"], Bool[Array, ""]]:
    """A round of a run that isn't settled.

    Also says by how much each mask row's accuracy rose, and whether all that it computed is finite.
    """
    refit_key, choice_key, trial_key, kl_key = jax.random.split(key, 4)
    mask, values = present.mask, present.values
    values = refit(refit_key, mask, values, objective, kl_weight, refit_steps, refit_rows, kl)
    batch = objective.sample(choice_key, rows)
    linear = linearise(mask, to_baseline(values), objective, batch)
    member = _membership(mask, batch.direction)
    first = _first(mask, values, linear, member)
    exchange = partial(_exchange, linear=linear, member=member, direction=batch.direction)

    others = objective.sample(trial_key, max(TRIED_ON, -(-rows // 2)))
    other_member = _membership(mask, others.direction)
    kl_of_others = scaled(kl, len(others.direction), refit_rows)

    def loss_of(sets: _Sets) -> Float[Array, " masks"]:
        inside = sets.inside.astype(values.dtype)
        outcome = _respond(inside, sets.values, objective, others, kl_key, kl_of_others)
        return _of_masks(other_member, _smoothed(outcome), kl_weight * outcome.kl)

    trial = _try_exchanges(first, loss_of(first), exchange, loss_of)
    proposed = unjudged(trial.sets.inside.astype(values.dtype), trial.sets.values)

    # All examples are asked where a mask isn't known yet: the present one in the first round, and
    # the proposed one if it isn't just the present one with other values.
    def ask(hard: Hard) -> Hard:
        kl_of_all = scaled(kl, 2 * rows, refit_rows)  # from more rows than those that only propose
        return judge(judge_key, hard.mask, hard.values, objective, kl_weight, kl_of_all)

    def known(case: tuple[Bool[Array, ""], Hard]) -> Hard:
        return jax.lax.cond(case[0], ask, lambda hard: hard, case[1])

    unknown = ~jnp.isfinite(present.loss).all()
    needed = jnp.stack([unknown, unknown | jnp.any(proposed.mask != present.mask)])
    both = jax.tree.map(lambda *x: jnp.stack(x), present, proposed)
    both = jax.lax.map(known, (needed, both))
    before, after = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
    better = after.loss < before.loss
    kept = _choose_rows(better, after, before._replace(idle=before.idle + 1))
    judged = jnp.where(needed[1], after.loss, 0.0)
    finite = trial.finite & all_finite((values, linear, before.loss, judged))
    return kept, kept.accuracy - before.accuracy, finite


def scaled(kl: KL, rows: int, reference: int) -> KL:
    """The KL of a batch of ``rows`` rows, sampled as densely as ``kl`` is of ``reference`` rows."""
    return SampledKL(-(-kl.rows * rows // reference)) if isinstance(kl, SampledKL) else kl


def judge(
    key: Key[Array, ""],
    mask: Float[Array, "masks units"],
    values: Float[Array, "directions units"],
    objective: Objective,
    kl_weight: float | Float[Array, ""],
    kl: KL,
) -> Hard:
    """What a hard mask does to all examples.

    Its loss is the fraction of decisions that fail and the smoothed one, half and half: counting
    alone stands still where there are few examples, smoothing alone cares for those that will
    never flip.
    """
    batch = objective.everything(by_direction=True)
    outcome = _respond(mask, values, objective, batch, key, kl)
    flipped = (losses.success(outcome.log_ratio) * outcome.weight).sum(axis=1)
    failed = (outcome.weight.sum(axis=1) - flipped + _smoothed(outcome)) / 2
    member = _membership(mask, batch.direction)
    loss = _of_masks(member, failed, kl_weight * outcome.kl)
    return unjudged(mask, values)._replace(loss=loss, accuracy=member @ flipped)


def refit(
    key: Key[Array, ""],
    mask: Float[Array, "masks units"],
    values: Float[Array, "directions units"],
    objective: Objective,
    kl_weight: float | Float[Array, ""],
    steps: int,
    rows: int,
    kl: KL,
) -> Float[Array, "directions units"]:
    """Gradient steps on the values of a fixed mask; ``values`` as in `Hard`."""
    optimizer = optax.adam(REFIT_RATE)

    def loss(values: Array, key: Array) -> Array:
        sample_key, kl_key = jax.random.split(key)
        batch = objective.sample(sample_key, rows)
        outcome = _respond(mask, values, objective, batch, kl_key, kl)
        return _smoothed(outcome).sum() + kl_weight * outcome.kl

    def step(carry: tuple, key: Array) -> tuple:
        values, state = carry
        updates, state = optimizer.update(jax.grad(loss)(values, key), state)
        return (jnp.clip(optax.apply_updates(values, updates), -EDGE, EDGE), state), None

    start = (values, optimizer.init(values))
    return jax.lax.scan(step, start, jax.random.split(key, steps))[0][0]


def linearise(
    mask: Float[Array, "masks units"],
    baseline: Float[Array, "directions units"],
    objective: Objective,
    batch: Any,
) -> Linear:
    """Linearises each row's log-ratio in every unit, at a mask.

    Args:
        mask: zeros and ones, as in `Hard`.
        baseline: values of the units inside.
        objective: how the model responds.
        batch: the rows.
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
    return Linear(log_ratio, weight, slope.mask + reach, slope.mask - reach)


def failures_after_adding(
    linear: Linear,
    log_ratio: Float[Array, " batch"],
    weight: Float[Array, " batch"],
    one_hot: Float[Array, "directions batch"],
) -> tuple[Float[Array, "directions units"], Float[Array, "directions units"]]:
    """Predicted failures of each direction's rows after adding a unit: at 1, at -1.

    Args:
        linear: what each unit adds.
        log_ratio: before adding it.
        weight: of each row.
        one_hot: 1 where a row has a direction.
    """
    high = one_hot @ (losses.failure(log_ratio[:, None] + linear.high) * weight[:, None])
    low = one_hot @ (losses.failure(log_ratio[:, None] + linear.low) * weight[:, None])
    return high, low


def _respond(
    mask: Array, values: Array, objective: Objective, batch: Any, key: Array, kl: KL
) -> Outcome:
    """The outcome of a mask of one or more rows and of values as in `Hard`."""
    intervention = from_values(mask, values).toward(batch.direction)
    return objective(intervention, batch, key, kl)


def _membership(mask: Array, direction: Array) -> Float[Array, "masks batch"]:
    """1 where a row of the mask answers for a row of the batch: all of them if it is shared."""
    masks = jnp.arange(len(mask))[:, None]
    return (direction[None, :] % len(mask) == masks).astype(mask.dtype)


def _smoothed(outcome: Outcome) -> Float[Array, " batch"]:
    """Each row's share of the smoothed failures."""
    return (losses.failure(outcome.log_ratio) * outcome.weight).sum(axis=1)


def _of_masks(member: Array, failed: Array, kl: Array) -> Float[Array, " masks"]:
    """The loss of each mask row. The KL has no part for each of them: they share it."""
    return member @ failed + kl / len(member)


def _choose_rows(which: Bool[Array, " masks"], a: _Rows, b: _Rows) -> _Rows:
    """``a`` where its row of the mask, or that of a direction, is one of ``which``, else ``b``."""

    def of_rows(a: Array, b: Array) -> Array:
        chosen = which[jnp.arange(len(a)) % len(which)]
        return jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(of_rows, a, b)


def _first(mask: Array, values: Array, linear: Linear, member: Array) -> _Sets:
    """What a round begins with."""
    inside = mask > 0
    log_ratio = jnp.broadcast_to(linear.log_ratio, member.shape)
    return _Sets(inside, inside, ~inside, values, log_ratio)


def _try_exchanges(
    sets: _Sets,
    loss: Float[Array, " masks"],
    exchange: Callable[[_Sets], _Sets],
    loss_of: Callable[[_Sets], Float[Array, " masks"]],
) -> _Trial:
    """Makes the exchanges that prove to be better, until `MISSES` in a row don't.

    Two exchanges may be better together where the first one alone isn't: after one that is no
    better the next is made on top of it, and only after that the next best in its place.

    Args:
        sets: to begin with.
        loss: of theirs.
        exchange: makes the exchange that is predicted to be the best.
        loss_of: computes the exact loss.
    """

    def go_on(trial: _Trial) -> Bool[Array, ""]:
        return (trial.tried < TRIES) & (trial.missed < MISSES)

    def one_more(trial: _Trial) -> _Trial:
        new = exchange(trial.onward)
        loss = loss_of(new)
        better = loss < trial.loss  # each mask row decides on its own

        best = _choose_rows(better, new, trial.sets)
        best = best._replace(addable=best.addable & new.addable)  # what was no better isn't again
        return _Trial(
            best,
            jnp.minimum(loss, trial.loss),
            _choose_rows(better | (trial.missed % 2 == 0), new, best),
            trial.tried + 1,
            jnp.where(jnp.any(better), 0, trial.missed + 1),
            trial.finite & all_finite(loss),
        )

    none = jnp.zeros((), jnp.int32)
    start = _Trial(sets, loss, sets, none, none, all_finite(loss))
    return jax.lax.while_loop(go_on, one_more, start)


def _exchange(sets: _Sets, *, linear: Linear, member: Array, direction: Array) -> _Sets:
    """Makes the exchange that is predicted to be the best.

    A unit that left doesn't return within a round, nor does one that came in leave.
    """
    masks, directions = len(member), len(sets.values)
    one_hot = jax.nn.one_hot(direction, directions, dtype=sets.values.dtype).T
    best = partial(_best_exchange, linear=linear, direction=direction, one_hot=one_hot)
    possible, out, into, sign, log_ratio = jax.vmap(best)(
        sets.removable, sets.addable, sets.log_ratio, member
    )
    rows, ways = jnp.arange(masks), jnp.arange(directions)
    answering = ways % masks  # the mask row of each direction

    def put(x: Array, unit: Array, value: bool) -> Array:
        return x.at[rows, unit].set(jnp.where(possible, value, x[rows, unit]))

    came = into[answering]
    value = jnp.where(possible[answering], sign[answering, ways] * EDGE, sets.values[ways, came])
    return _Sets(
        put(put(sets.inside, out, False), into, True),
        put(sets.removable, out, False),
        put(sets.addable, into, False),
        sets.values.at[ways, came].set(value),
        jnp.where(possible[:, None], log_ratio, sets.log_ratio),
    )


def _best_exchange(
    removable: Array,
    addable: Array,
    log_ratio: Array,
    member: Array,
    *,
    linear: Linear,
    direction: Array,
    one_hot: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """(possible?, out, into, sign by direction, log-ratios after) of the best exchange."""
    weight = linear.weight * member
    high, low = failures_after_adding(linear, log_ratio, weight, one_hot)
    sign = jnp.where(high <= low, 1.0, -1.0)
    added = jnp.where(sign[direction] > 0, linear.high, linear.low)
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
