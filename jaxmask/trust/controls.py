"""Measure 3: other sets of as many units, on the same examples."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmask.baselines import greedy, integrated_gradients, random_masks, selection, unembedding
from jaxmask.baselines.greedy import GreedyConfig
from jaxmask.baselines.selection import SelectionConfig
from jaxmask.evaluate import accuracies_in_parts
from jaxmask.intervention import Intervention
from jaxmask.objective import NoKL, Objective
from jaxmask.trust.measure import Measure, judged
from jaxmask.trust.statistics import Interval, difference_interval, share_interval
from jaxmask.trust.subject import Subject, flips

SETS = 20
RULE = (
    "Passes if the set flips more than every set that it is compared with: the 95% intervals of "
    "all differences, widened for their number, are above 0."
)
SAME_RULE = "Passes if the set flips more than every random set, and the interval is above 0."

# (key, training objective, the same at the last word only, settings) -> an intervention
Rival = Callable[[Key[Array, ""], Objective, Objective, SelectionConfig], Intervention]


def _decoder(
    key: Key[Array, ""], train: Objective, last: Objective, config: SelectionConfig
) -> Intervention:
    return unembedding.run_learned(key, last, train, config)[0]


def _attribution(
    key: Key[Array, ""], train: Objective, last: Objective, config: SelectionConfig
) -> Intervention:
    return selection.run(key, integrated_gradients.score, selection.learned, train, config)[0]


def _greedy(
    key: Key[Array, ""], train: Objective, last: Objective, config: SelectionConfig
) -> Intervention:
    return greedy.run(key, train, GreedyConfig(alpha=config.alpha))[0]


RIVALS: dict[str, Rival] = {
    "decoder rows": _decoder, "attribution": _attribution, "greedy": _greedy
}  # fmt: skip


def same_values(subject: Subject) -> Measure:
    """The set beside random sets of the same layers that take its values.

    Args:
        subject: the set and its examples.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared = subject.prepared
    rng = np.random.default_rng(0)
    random = accuracies_in_parts(
        random_masks.matched(subject.found, prepared.site, SETS, rng),
        prepared.evaluation_objective,
    )
    whole = float(subject.flips.mean())
    low, high = map(float, np.quantile(random, [0.025, 0.975]))
    own = share_interval(subject.flips, subject.clusters)
    interval = Interval(own.low - high, own.high - low)
    gap = 100.0 * (whole - float(random.mean()))
    return Measure(
        "controls",
        gap,
        "points",
        interval.scaled(100.0),
        f"{SETS} random sets of the same layers and values flip {100 * random.mean():.1f}% "
        f"({100 * random.min():.1f} to {100 * random.max():.1f})",
        f"The set flips {100 * whole:.1f}%, so many points more than random sets; --trust all adds "
        "sets with learned values and other methods. The interval is that of the set's flips, "
        "widened by the range of the random sets.",
        SAME_RULE,
        judged(whole > float(random.max()) and interval.low > 0.0),
        {"found": 100.0 * whole, "random_same_values": [100.0 * float(x) for x in random]},
    )


def controls(subject: Subject, kl_weight: float) -> Measure:
    """The set beside random sets with learned values and sets of other methods, of its size.

    Args:
        subject: the set and its examples.
        kl_weight: of the KL while values are learned, as in the search.

    Example:
        See `jaxmask.trust.accuracy.accuracy`.
    """
    prepared = subject.prepared
    config = SelectionConfig(alpha=len(subject.units) / prepared.site.units, kl_weight=kl_weight)
    if not kl_weight:
        config = config.replace(kl=NoKL())
    key = jax.random.key(0)
    random = _random_flips(subject, key, config)
    rivals = {"random, learned values": random}
    for name, rival in RIVALS.items():
        args = key, prepared.train_objective, prepared.last_word_objective, config
        found = jax.jit(rival)(*args).within(prepared.value_range)
        own = jax.tree.map(np.asarray, found)
        rivals[name] = flips(prepared, subject.examples, own).astype(float)
    level = 1 - 0.05 / len(rivals)
    differences = {name: _difference(subject, flipped, level) for name, flipped in rivals.items()}
    hardest = min(differences, key=lambda name: differences[name]["difference"])
    ends = differences[hardest]["interval"]
    listed = "; ".join(f"{name} {one['accuracy']:.1f}%" for name, one in differences.items())
    return Measure(
        "controls",
        differences[hardest]["difference"],
        "points",
        Interval(*ends),
        listed,
        f"Of {len(rivals)} other ways to choose {len(subject.units)} units, {hardest!r} comes "
        "nearest: so many points less on the same examples.",
        RULE,
        judged(all(one["interval_for_all"][0] > 0 for one in differences.values())),
        {"comparisons": len(rivals), "differences": differences},
    )


def _random_flips(
    subject: Subject, key: Key[Array, ""], config: SelectionConfig
) -> Float[np.ndarray, " examples"]:
    """How often random sets with learned values flip each example."""
    prepared = subject.prepared

    def draw(key: Key[Array, ""], objective: Objective) -> Intervention:
        return random_masks.run(key, objective, config)[0]

    keys = jax.random.split(key, SETS)
    drawn = jax.jit(lambda keys, o: jax.lax.map(lambda one: draw(one, o), keys))(
        keys, prepared.train_objective
    )
    own = jax.tree.map(np.asarray, drawn.within(prepared.value_range))
    each = [
        flips(prepared, subject.examples, jax.tree.map(lambda x, at=at: x[at], own))
        for at in range(SETS)
    ]
    return np.mean(each, axis=0)


def _difference(
    subject: Subject, flipped: Float[np.ndarray, " examples"], level: float
) -> dict[str, Any]:
    """The set less a rival, in points, over the same examples."""
    gap = subject.flips.astype(float) - flipped
    return {
        "accuracy": 100.0 * float(flipped.mean()),
        "difference": 100.0 * float(gap.mean()),
        "interval": list(difference_interval(gap, subject.clusters).scaled(100.0)),
        "interval_for_all": list(difference_interval(gap, subject.clusters, level).scaled(100.0)),
    }
