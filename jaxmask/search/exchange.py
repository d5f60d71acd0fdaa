"""Rounds that refine a hard mask: exchange units one for one, refit their values.

A relaxation decides which units are worth their place while other gates still flicker; the hard
mask it leaves is improved by exchanging units inside for units outside. One round

1. refits the values of the units inside, by a few steps of gradient descent;
2. draws fresh examples, and makes a few exchanges that are predicted to be better and prove to be,
   on other examples (`jaxmask.search.trials`);
3. computes what this proposal does to all examples, and takes it if it is better there than the
   mask that the round began with: a sample proposes, it doesn't decide. A mask that three rounds
   leave as it was stays as it is: whoever runs them may stop there.

A round is one linearisation and a handful of forward passes, where greedy selection needs hundreds.
All of it is pure and of static shape, to be put under `jax.vmap` over seeds. Source: ours, beyond
the paper.
"""

from functools import partial
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.finite import all_finite, choose
from jaxmask.intervention import EDGE, from_values, to_baseline
from jaxmask.objective import KL, Objective, Outcome, SampledKL
from jaxmask.products import exact
from jaxmask.runs import devices
from jaxmask.search import losses, masks, trials
from jaxmask.search.trials import Sets

TRIED_ON = 64  # rows, at least
PATIENCE = 3  # rounds without an improvement after which a mask stays as it is
REFIT_RATE = 0.05


class RefitConfig(flax.struct.PyTreeNode):
    """How the values of a hard mask are refitted.

    Attributes:
        kl_term: how the KL counts beside failures.
        steps: gradient steps.
        rows: rows of the batch of a step.
        kl: how the KL of such a batch is computed.

    Example:
        >>> from jaxmask.objective import SampledKL
        >>> from jaxmask.search.exchange import RefitConfig
        >>> config = RefitConfig(losses.KLTerm(jnp.zeros(())), steps=2, rows=64, kl=SampledKL(8))
        >>> config.kl_of(512)
        SampledKL(rows=64)
    """

    kl_term: losses.KLTerm
    steps: int = flax.struct.field(pytree_node=False)
    rows: int = flax.struct.field(pytree_node=False)
    kl: KL = flax.struct.field(pytree_node=False)

    def kl_of(self, rows: int) -> KL:
        """How the KL of a batch of ``rows`` rows is computed: sampled as densely as ``kl``."""
        if isinstance(self.kl, SampledKL):
            return SampledKL(-(-self.kl.rows * rows // self.rows))
        return self.kl


class ExchangeConfig(flax.struct.PyTreeNode):
    """How a round of exchange goes.

    Attributes:
        refit: of the values.
        rows: of the sample that exchanges are chosen by; half as many others try them, or
            `TRIED_ON`.
    """

    refit: RefitConfig
    rows: int = flax.struct.field(pytree_node=False)


class Hard(NamedTuple):
    """A hard mask, its values, and what they do to all examples.

    Attributes:
        mask: zeros and ones; one row for a mask that directions share, else one for each direction.
        values: baselines before `jaxmask.intervention.to_baseline`.
        loss: failures and weighted KL, for each row of the mask; infinite before the first round.
        accuracy: fraction of all decisions that are flipped and are of a direction that this row of
            the mask answers for; they add up to the accuracy.
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
        exchanges: how many units were exchanged, over all rows of the mask.
        finite: was everything that the round computed finite? Otherwise it changed nothing.
        settled: will all further rounds leave everything as it is?

    Example:
        See `jaxmask.search.one_run.refine`.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    gain: Float[Array, ""]
    exchanges: Int[Array, ""]
    finite: Bool[Array, ""]
    settled: Bool[Array, ""]


def unjudged(mask: Float[Array, "masks units"], values: Float[Array, "directions units"]) -> Hard:
    """A hard mask before the first round.

    Args:
        mask: zeros and ones, as in `Hard`.
        values: as in `Hard`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.search import exchange
        >>> float(exchange.unjudged(jnp.array([[0.0, 1.0]]), jnp.zeros((2, 2))).loss[0])
        inf
    """
    # Types are those of later rounds, or the first would be compiled on its own.
    nothing = jnp.zeros(len(mask), mask.dtype)
    return Hard(mask, values, nothing + jnp.inf, nothing, nothing.astype(jnp.int32))


def round_of_exchange(
    key: Key[Array, ""],
    judge_key: Key[Array, ""],
    present: Hard,
    objective: Objective,
    config: ExchangeConfig,
) -> tuple[Hard, ExchangeInfo]:
    """One round: refit, then the exchanges that prove to be better.

    Args:
        key: used once.
        judge_key: of the estimate of the KL on all examples; the same in all rounds, so that they
            are judged alike.
        present: the mask to begin with.
        objective: how the model responds.
        config: how the round goes.

    Returns:
        The new mask, with as many units in each row as before, the new values, and what was done.

    `jaxmask.search.refine` has an example.
    """

    def of_run(present: Hard, *args: Any) -> tuple[Hard, Array, Bool[Array, ""]]:
        def leave(present: Hard, *_: Any) -> tuple[Hard, Array, Bool[Array, ""]]:
            return present, jnp.zeros_like(present.accuracy), jnp.ones((), bool)

        return jax.lax.cond(_settled(present), leave, _improve, present, *args)

    # Under vmap a CPU takes one run after another: there are rows enough to keep it busy, memory
    # doesn't grow with runs, and those that are settled cost nothing. An accelerator takes all runs
    # side by side, as many as fit into its memory: there the products of one run are too small.
    if devices.runs_in_turn():
        of_run = jax.custom_batching.sequential_vmap(of_run)
    kept, gain, finite = of_run(present, key, judge_key, objective, config)
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
    config: ExchangeConfig,
) -> tuple[Hard, Float[Array, " masks"], Bool[Array, ""]]:
    """A round of a run that isn't settled.

    Returns:
        The new mask, by how much the accuracy of each row of it rose, and whether everything that
        was computed is finite.
    """
    proposed, sound = _propose(key, present, objective, config)

    # All examples are asked where a mask isn't known yet: the present one in the first round, and
    # the proposed one if it isn't just the present one with other values.
    def ask(hard: Hard) -> Hard:
        return judge(judge_key, hard.mask, hard.values, objective, config)

    def known(case: tuple[Bool[Array, ""], Hard]) -> Hard:
        return jax.lax.cond(case[0], ask, lambda hard: hard, case[1])

    unknown = ~jnp.isfinite(present.loss).all()
    needed = jnp.stack([unknown, unknown | jnp.any(proposed.mask != present.mask)])
    both = jax.tree.map(lambda *x: jnp.stack(x), present, proposed)
    both = jax.lax.map(known, (needed, both))
    before, after = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
    better = after.loss < before.loss
    kept = masks.choose_rows(better, after, before._replace(idle=before.idle + 1))
    judged = jnp.where(needed[1], after.loss, 0.0)
    finite = sound & all_finite((before.loss, judged))
    return kept, kept.accuracy - before.accuracy, finite


def _propose(
    key: Key[Array, ""], present: Hard, objective: Objective, config: ExchangeConfig
) -> tuple[Hard, Bool[Array, ""]]:
    """A mask that is better on samples, and whether everything that was computed is finite."""
    refit_key, choice_key, trial_key, kl_key = jax.random.split(key, 4)
    mask = present.mask
    values = refit(refit_key, mask, present.values, objective, config.refit)
    batch = objective.sample(choice_key, config.rows)
    linear = trials.linearise(mask, to_baseline(values), objective, batch)

    others = objective.sample(trial_key, max(TRIED_ON, -(-config.rows // 2)))
    member = masks.membership(len(mask), others.direction)
    kl = config.refit.kl_of(len(others.direction))

    def loss_of(sets: Sets) -> Float[Array, " masks"]:
        inside = sets.inside.astype(values.dtype)
        outcome = _respond(inside, sets.values, objective, others, kl_key, kl)
        failed = losses.smoothed_failures(outcome)
        return _of_masks(member, failed, config.refit.kl_term.penalty(outcome))

    trial = trials.try_exchanges(
        trials.first_sets(mask, values, linear),
        partial(trials.best_exchange, linear=linear),
        loss_of,
    )
    proposed = unjudged(trial.sets.inside.astype(values.dtype), trial.sets.values)
    return proposed, trial.finite & all_finite((values, linear))


def judge(
    key: Key[Array, ""],
    mask: Float[Array, "masks units"],
    values: Float[Array, "directions units"],
    objective: Objective,
    config: ExchangeConfig,
) -> Hard:
    """What a hard mask does to all examples.

    Its loss is the fraction of decisions that fail and the smoothed one, half and half: counting
    alone stands still where there are few examples, smoothing alone cares for those that will
    never flip.

    Args:
        key: of the estimate of the KL.
        mask: zeros and ones, as in `Hard`.
        values: as in `Hard`.
        objective: how the model responds.
        config: how the round goes.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.objective import NoKL
        >>> from jaxmask.search import exchange
        >>> from jaxmask.search.losses import KLTerm
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> refit = exchange.RefitConfig(KLTerm(jnp.zeros(())), steps=2, rows=2, kl=NoKL())
        >>> config = exchange.ExchangeConfig(refit, rows=2)
        >>> mask, values = jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 4.0], [0.0, 4.0]])
        >>> judge = jax.jit(exchange.judge)
        >>> judge(jax.random.key(0), mask, values, objective, config).accuracy.tolist()
        [0.5]
    """
    batch = objective.everything(by_direction=True)
    kl = config.refit.kl_of(2 * config.rows)  # from more rows than those that only propose
    outcome = _respond(mask, values, objective, batch, key, kl)
    flipped = losses.flipped(outcome).sum(axis=1)
    failed = (outcome.weight.sum(axis=1) - flipped + losses.smoothed_failures(outcome)) / 2
    member = masks.membership(len(mask), batch.direction)
    loss = _of_masks(member, failed, config.refit.kl_term.penalty(outcome))
    return unjudged(mask, values)._replace(loss=loss, accuracy=exact(member, flipped))


def refit(
    key: Key[Array, ""],
    mask: Float[Array, "masks units"],
    values: Float[Array, "directions units"],
    objective: Objective,
    config: RefitConfig,
) -> Float[Array, "directions units"]:
    """Gradient steps on the values of a fixed mask.

    Args:
        key: used once.
        mask: zeros and ones, as in `Hard`.
        values: to begin with, as in `Hard`.
        objective: how the model responds.
        config: how many steps, on what.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.objective import NoKL
        >>> from jaxmask.search import exchange
        >>> from jaxmask.search.losses import KLTerm
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = exchange.RefitConfig(KLTerm(jnp.zeros(())), steps=5, rows=2, kl=NoKL())
        >>> key, mask, refit = jax.random.key(0), jnp.array([[0.0, 1.0]]), jax.jit(exchange.refit)
        >>> values = refit(key, mask, jnp.zeros((2, 2)), objective, config)
        >>> bool(values[0, 1] > 0), bool(values[1, 1] < 0)
        (True, True)
    """
    optimizer = optax.adam(REFIT_RATE)

    def loss(values: Array, key: Array) -> Array:
        sample_key, kl_key = jax.random.split(key)
        batch = objective.sample(sample_key, config.rows)
        outcome = _respond(mask, values, objective, batch, kl_key, config.kl)
        return losses.smoothed_failures(outcome).sum() + config.kl_term.penalty(outcome)

    def step(carry: tuple, key: Array) -> tuple:
        values, state = carry
        updates, state = optimizer.update(jax.grad(loss)(values, key), state)
        return (jnp.clip(optax.apply_updates(values, updates), -EDGE, EDGE), state), None

    start = (values, optimizer.init(values))
    return jax.lax.scan(step, start, jax.random.split(key, config.steps))[0][0]


def _respond(
    mask: Array, values: Array, objective: Objective, batch: Any, key: Array, kl: KL
) -> Outcome:
    """The outcome of a mask of one or more rows and of values as in `Hard`."""
    return objective(from_values(mask, values).toward(batch.direction), batch, key, kl)


def _of_masks(member: Array, failed: Array, kl: Array) -> Float[Array, " masks"]:
    """The loss of each row of the mask. The KL isn't divided by row: all rows share it."""
    return exact(member, failed) + kl / len(member)
