"""NaN in a search: that seed stops at its last finite state, and the others don't notice."""

import dataclasses
import functools
import json

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy

from experiments.studies import convergence
from experiments.studies.convergence import Phase, Procedure, Rule, Watch
from jaxmask import report, search
from jaxmask.baselines import reinforce
from jaxmask.baselines.reinforce import ReinforceConfig
from jaxmask.finite import all_finite, choose
from jaxmask.intervention import to_baseline
from jaxmask.objective import ExactKL, NoKL, SampledKL
from jaxmask.pipeline import summarise
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig
from jaxmask.search.checks import check_range

STEPS, ROUNDS = 12, 3
QUICK = SearchConfig(
    alpha=0.3,
    steps=STEPS,
    batch_size=16,
    exchange_rounds=ROUNDS,
    exchange_rows=16,
    refit_steps=5,
    initial_alpha=0.3,
)
SEEDS = 5


@flax.struct.dataclass
class Poisoned(toy.Toy):
    """A toy that gives NaN, or only a gradient of NaN, to some runs from some step on.

    Those whose first unit has a large value toward the first direction, which nothing ever moves,
    once the second unit's value is large, which is learned. All of it is traced, so that sound and
    poisoned runs are runs of one program.
    """

    most: jax.Array = None
    late: jax.Array = None
    hard_only: jax.Array = None  # poison only masks of zeros and ones
    gradient_only: jax.Array = None

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        outcome = super().__call__(intervention, batch, key, kl)
        here = (batch.direction == 0)[:, None]
        first, second = jnp.where(here, intervention.baseline[:, :2], -1.0).max(axis=0)
        relaxed = jnp.any((intervention.mask > 0.01) & (intervention.mask < 1))
        # Values at their edges, which rounds of exchange try, are nobody's own.
        poisoned = (first > self.most) & (first < 0.9) & (second >= self.late)
        poisoned &= ~(self.hard_only & relaxed)
        added = jnp.where(poisoned & ~self.gradient_only, jnp.nan, 0.0)
        # The square root of 0 is 0; its slope there isn't finite.
        corner = jnp.where(poisoned & self.gradient_only, 0.0, 1.0)
        added += jnp.sqrt(corner * (first + 2.0)) * jnp.where(corner == 0.0, 1.0, 0.0)
        return outcome._replace(log_ratio=outcome.log_ratio + added)


def poisoned(most, late=-1.0, hard_only=False, gradient_only=False):
    plain = toy.toy(seed=1, units=10)
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    fields["effect"] = plain.effect.at[:, 0].set(0.0).at[:, 1].set(-1.0)  # the more, the better
    return Poisoned(
        **fields,
        most=jnp.float32(most),
        late=jnp.float32(late),
        hard_only=jnp.asarray(hard_only),
        gradient_only=jnp.asarray(gradient_only),
    )


run = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))
KEYS = jax.random.split(jax.random.key(0), SEEDS)


@functools.cache
def unlucky():
    """The seed whose first value is the largest, and a limit that no other's reaches."""
    states = jax.jit(jax.vmap(search.init, (0, None, None)))(KEYS, poisoned(9.0), QUICK)
    first = np.asarray(to_baseline(states.params["values"][:, 0, 0]))
    return int(first.argmax()), float(np.sort(first)[-2:].mean())


def stops(history):
    return jax.vmap(lambda one: search.stopped_at(one, QUICK))(history)


def rows(tree, chosen):
    return jax.tree.map(lambda x: np.asarray(x)[chosen], tree)


def assert_same_bits(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), one, other)


def bits(x):
    return jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x


@pytest.mark.parametrize("gradient_only", [False, True])
@pytest.mark.parametrize("late", [-1.0, 0.4])
def test_a_seed_stops_and_the_others_are_the_same_bit_for_bit(late, gradient_only):
    sound = run(KEYS, poisoned(9.0), QUICK)
    seed, limit = unlucky()
    found, history = run(KEYS, poisoned(limit, late, gradient_only=gradient_only), QUICK)
    stopped = np.asarray(stops(history))
    others = np.flatnonzero(np.arange(SEEDS) != seed)
    assert (stopped[others] == 0).all()
    assert stopped[seed] == 1 if late < 0 else 1 < stopped[seed] <= STEPS
    assert_same_bits(rows((found, history), others), rows(sound, others))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    taken = np.arange(STEPS) < stopped[seed] - 1
    np.testing.assert_array_equal(history.steps.finite[seed], taken)
    np.testing.assert_array_equal(history.rounds.finite[seed], False)
    np.testing.assert_array_equal(history.rounds.exchanges[seed], 0)
    before = rows((history.steps, sound[1].steps), seed)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[taken], b[taken]), *before)
    done = np.asarray(jax.vmap(lambda i, h: search.converged(i, h, QUICK))(found, history))
    assert not done[seed]


def test_the_state_stays_at_the_last_finite_one():
    objective, step = poisoned(-2.0), jax.jit(search.step)
    state = search.init(KEYS[0], objective, QUICK)
    sound, info = step(state, poisoned(9.0), QUICK)
    assert bool(info.finite)
    after, info = step(sound, objective, QUICK)
    assert not bool(info.finite)
    assert not bool(after.finite)
    again, info = step(after, poisoned(9.0), QUICK)  # once stopped, always stopped
    assert not bool(info.finite)
    assert_same_bits(again, after)
    assert_same_bits(after.params, sound.params)
    assert_same_bits(after.optimizer, sound.optimizer)
    assert int(after.step) == int(sound.step) == 1


def test_a_round_of_exchange_that_is_not_finite_is_not_taken():
    sound, before = run(KEYS, poisoned(9.0), QUICK)
    found, history = run(KEYS, poisoned(-2.0, hard_only=True), QUICK)
    assert_same_bits(history.steps, before.steps)
    np.testing.assert_array_equal(before.rounds.finite, True)
    np.testing.assert_array_equal(history.rounds.finite, False)
    np.testing.assert_array_equal(stops(history), STEPS + QUICK.refit_steps)
    np.testing.assert_array_equal(history.rounds.exchanges, 0)
    assert np.isinf(history.rounds.loss).all()  # as before the first round
    assert np.isfinite(found.baseline).all()
    assert (sound.baseline != found.baseline).any()


def test_reports_say_where_a_seed_stopped():
    seed, limit = unlucky()
    _, history = run(KEYS, poisoned(limit), QUICK)
    stopped = np.asarray(stops(history))
    found = Ensemble(None, None, jax.tree.map(np.asarray, history), 0.0, 0.0)
    lines = summarise.observations(found)
    json.dumps(lines, allow_nan=False)
    assert {line["seed"] for line in lines} == set(range(SEEDS)) - {seed}
    runs = [{"seed": one, "stopped_at": int(at) or None} for one, at in enumerate(stopped)]
    expected = f"seed {seed} stopped at step 1: the loss or its gradient isn't finite"
    assert report.stops({"runs": runs}) == [expected]


@pytest.mark.slow
def test_reinforce_stops_too_and_has_not_converged():
    config, programs = ReinforceConfig(alpha=1.0, steps=6, batch_size=16), Programs()
    phase = Phase(reinforce.step, lambda state, _: state, reinforce.found, 2, 6)
    for most, converged in ((9.0, True), (-2.0, False)):
        objective = poisoned(most)
        watch = Watch(Rule(2, 0, slack=99.0), objective.everything(), programs)
        ended = convergence.run(
            KEYS[0], Procedure(reinforce.init, [phase]), objective, config, programs, watch
        )
        assert ended.converged == converged
        assert len(ended.seen) == 1
        assert np.isfinite(ended.intervention.baseline).all()


# The parts.


def test_all_finite_and_choose():
    sound = {"a": jnp.ones(3), "b": jnp.array([1, 2])}
    assert bool(all_finite(sound))
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert not bool(all_finite(sound | {"c": jnp.array([0.0, bad])}))
    key, other = jax.random.key(0), jax.random.key(1)
    chosen = choose(jnp.array(False), (key, jnp.nan), (other, 1.0))
    assert chosen[0] == other
    assert chosen[1] == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"alpha": x}, "alpha: expected above 0, at most 1, found") for x in (0.0, 2, -1.0)),
        *(({"alpha": x}, "alpha: expected above 0") for x in (np.nan, np.inf, [0.1, np.nan])),
        *(({"beta": x}, "beta: expected above 0") for x in (0.0, 1.5, np.nan)),
        *(({"kl_weight": x}, "kl_weight: expected 0 or more") for x in (-1.0, np.nan, np.inf)),
        *(({"temperature": x}, "temperature: expected above 0") for x in (0.0, -1.0, np.nan)),
        ({"support": (0.1, 1.1)}, "support, left end: expected at most 0, found 0.1"),
        ({"support": (np.nan, 1.1)}, "support, left end: expected at most 0"),
        ({"support": (-0.1, 0.9)}, "support, right end: expected 1 or more"),
        ({"support": (-np.inf, 1.1)}, "support, left end"),
        *(({x: -0.1}, f"{x}: expected 0 or more") for x in ("location_rate", "value_rate")),
        ({"multiplier_rate": np.nan}, "multiplier_rate: expected 0 or more"),
        ({"multiplier_decay": 1.1}, "multiplier_decay: expected 0 or more, at most 1"),
        ({"warmup": 1.1}, "warmup: expected 0 or more, at most 1"),
        ({"head_start": np.nan}, "head_start: expected 0 or more, at most 1"),
        ({"initial_alpha": 2.0}, "initial_alpha: expected 0 or more, at most 1"),
        ({"lowest": 3.0}, "highest: expected above 3"),
        ({"lowest": -np.inf}, "lowest: expected a finite number"),
        *(({"steps": x}, "steps: expected 1 or more") for x in (0, -5)),
        *(({name: 0}, f"{name}: expected 1 or more") for name in ("batch_size", "exchange_rows")),
        *(({"kl": SampledKL(x)}, "kl: rows: expected 1 or more") for x in (-1, 0)),
        *(({"kl": x}, r"kl: expected NoKL\(\), SampledKL\(rows\) or Ex") for x in (8, None, NoKL)),
        ({"exchange_rounds": -1}, "exchange_rounds: expected 0 or more"),
        ({"refit_steps": -1}, "refit_steps: expected 0 or more"),
        ({"surrogate": "hope"}, "surrogate: expected one of ratio, .* found 'hope'"),
    ],
)  # fmt: skip
def test_settings_that_can_not_be_are_refused_before_anything_is_traced(changes, message):
    objective, config = toy.toy(), QUICK.replace(**changes)
    before = len(toy.calls)
    with pytest.raises(ValueError, match=message):
        search.run(KEYS[0], objective, config)
    with pytest.raises(ValueError, match=message):
        ensemble.run(KEYS, objective, config)
    with pytest.raises(ValueError, match=message):
        search.init(KEYS[0], objective, config)
    assert len(toy.calls) == before


def test_static_settings_are_checked_even_where_all_is_traced():
    def traced(key, alpha, steps):
        return search.run(key, toy.toy(), QUICK.replace(alpha=alpha, steps=steps))

    with pytest.raises(ValueError, match="steps: expected 1 or more, found 0"):
        jax.jit(traced, static_argnums=2)(KEYS[0], 0.3, 0)
    check_range("alpha", 2.0, -np.inf, np.inf)
    jax.eval_shape(lambda alpha: check_range("alpha", alpha, 0.0, 1.0), 2.0)  # has no value
