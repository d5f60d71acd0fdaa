"""The methods that are compared, under the rule of convergence."""

import jax
import numpy as np
import pytest
from support import toy

from experiments.studies import convergence, methods
from experiments.studies.convergence import Rule, Watch
from experiments.studies.methods import METHODS, Bench, Size, key_of
from jaxmask import search
from jaxmask.baselines import ablation, attribution, greedy, integrated_gradients, random_masks
from jaxmask.baselines.greedy import GreedyConfig
from jaxmask.baselines.reinforce import ReinforceConfig
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.evaluate import evaluate
from jaxmask.objective import NoKL
from jaxmask.runs.programs import Programs
from jaxmask.search import SearchConfig


@pytest.fixture(scope="module")
def bench():
    return Bench(toy.toy(seed=4, units=10), None, None, 5, {})


def fresh(bench, **rule):
    watch = Watch(Rule(**rule), bench.objective.everything(), Programs())
    return bench._replace(watch=watch, programs=Programs(), kept={})


def test_a_search_ends_at_the_first_round_after_which_the_rule_holds(bench):
    config = SearchConfig(alpha=0.3, steps=40, batch_size=24, exchange_rounds=4, exchange_rows=24)
    bench = fresh(bench, every=20, patience=2)
    found = METHODS["hard_concrete"].run(bench, 0, config)
    relaxed, rounds = found.seen[:2], found.seen[2:]
    assert [seen.steps for seen in found.seen] == [
        20, 40, *(40 + config.refit_steps * n for n in range(1, len(rounds) + 1))
    ]  # fmt: skip
    assert found.steps == found.seen[-1].steps
    assert all(seen.expected_l0 > 0 for seen in relaxed)
    assert all(seen.expected_l0 is None for seen in rounds)
    for number in range(1, len(rounds) + 1):
        seen = found.seen[: 2 + number]
        ended = convergence.converged(
            [s.accuracy for s in seen], [s.holds for s in seen], bench.watch.rule
        )
        assert ended == (number == len(rounds))
    assert found.converged
    seconds = [seen.seconds for seen in found.seen]
    assert seconds == sorted(seconds)
    assert found.seconds == pytest.approx(bench.programs.running)
    assert found.seen[-1].accuracy == pytest.approx(
        float(evaluate(found.intervention, bench.objective).accuracy)
    )
    # Without an end of its own, it is the search of the library.
    same = config.replace(exchange_rounds=len(rounds))
    expected, _ = jax.jit(search.run)(key_of(0), bench.objective, same)
    np.testing.assert_array_equal(found.intervention.mask, expected.mask)
    np.testing.assert_allclose(found.intervention.baseline, expected.baseline, atol=1e-3)


def test_what_does_not_converge_ends_after_a_multiple_of_its_steps(bench):
    config = ReinforceConfig(alpha=0.3, steps=20, batch_size=24)
    found = METHODS["reinforce"].run(fresh(bench, every=25, patience=50), 0, config)
    assert found.steps == methods.PATIENT * 20 == found.seen[-1].steps
    assert not found.converged
    assert [seen.steps for seen in found.seen] == [25, 50, 60]


def test_an_alpha_compiles_nothing_new(bench):
    bench = fresh(bench, every=20, patience=1)
    config = SearchConfig(steps=20, batch_size=24, exchange_rounds=1, exchange_rows=24)
    METHODS["hard_concrete"].run(bench, 0, config)
    compiled = dict(bench.programs._compiled), dict(bench.watch.programs._compiled)
    METHODS["hard_concrete"].run(bench, 1, config.replace(alpha=0.4))
    assert (bench.programs._compiled, bench.watch.programs._compiled) == compiled


def test_one_greedy_run_gives_all_sizes(bench):
    bench = fresh(bench)
    config = GreedyConfig(rows=24)
    small, large = (
        METHODS["greedy"].run(bench, 0, config.replace(alpha=alpha)) for alpha in (0.2, 0.5)
    )
    assert small.seconds == pytest.approx(large.seconds * 2 / 5)
    assert large.seconds == pytest.approx(bench.programs.running)
    for run, most in ((small, 2), (large, 5)):
        expected, _ = greedy.run(
            key_of(0), bench.objective, config.replace(alpha=most / 10, most=most)
        )
        np.testing.assert_array_equal(run.intervention.mask, expected.mask)
    curve = methods.greedy_curve(bench, 0, config, bench.objective)
    assert len(curve) == 5
    for size, run in ((2, small), (5, large)):
        accuracy = evaluate(run.intervention, bench.objective).accuracy
        assert curve[size - 1] == pytest.approx(float(accuracy))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("ig_zeroed", integrated_gradients.run),
        ("ig_learned", integrated_gradients.run_learned),
        ("ablation_zeroed", ablation.run),
        ("ablation_learned", ablation.run_learned),
        ("attribution_edges", attribution.run),
        ("attribution_learned", attribution.run_learned),
        ("attribution_middle", attribution.run_middle),
        ("random", random_masks.run),
    ],
)
def test_scores_are_computed_once_and_runs_are_the_library_s(bench, name, run):
    bench = fresh(bench)
    config = SelectionConfig(rows=24, batch_size=24, refit_steps=5)
    seconds = 0.0
    for alpha in (0.2, 0.5):
        found = METHODS[name].run(bench, 3, config.replace(alpha=alpha))
        expected, _ = jax.jit(run)(key_of(3), bench.objective, config.replace(alpha=alpha))
        np.testing.assert_array_equal(found.intervention.mask, expected.mask)
        np.testing.assert_allclose(found.intervention.baseline, expected.baseline, atol=1e-4)
        seconds += found.seconds
    of_score = bench.kept[3][1]
    assert seconds == pytest.approx(bench.programs.running + of_score)  # each has all of its own


def test_what_is_asked_for_reaches_each_method():
    size = Size(0.25, kl_weight=0.0, steps=7, rounds=2)
    configs = {name: method.config(size, 12) for name, method in METHODS.items()}
    for name in ("hard_concrete", "hard_concrete_paper"):
        config = configs[name]
        assert (config.alpha, config.most_fractional, config.steps, config.kl) == (
            0.25,
            0.25,
            7,
            NoKL(),
        )
    assert configs["hard_concrete"].exchange_rounds == 2
    paper_s = configs["hard_concrete_paper"]
    expected = search.PAPER | {"steps": 7}  # no exchange, whatever number of rounds is given
    assert {name: getattr(paper_s, name) for name in expected} == expected
    assert (configs["reinforce"].steps, configs["reinforce"].kl) == (7, NoKL())
    assert (configs["random"].refit_steps, configs["random"].kl) == (7, NoKL())
    assert (configs["greedy"].alpha, configs["exhaustive"].units) == (0.25, 3)
    weighted = METHODS["ig_learned"].config(size._replace(kl_weight=2.0, steps=None), 12)
    assert weighted == SelectionConfig(alpha=0.25, kl_weight=2.0)
