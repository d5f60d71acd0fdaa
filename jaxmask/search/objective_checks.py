"""Finds mistakes in an objective of one's own, before a search reports nonsense.

`check_outcome` looks at shapes only, and is part of every search: it costs nothing once a program
is compiled. `check_objective` also looks at numbers, and is for whoever writes an objective.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxmask.intervention import DIRECTIONS, Intervention
from jaxmask.objective import KL, ExactKL, NoKL, Objective, Outcome, SampledKL

_TOLERANCE = 1e-3  # of sums of weights, and of numbers that are 0 up to rounding
_ROWS = 16  # of the batch that is drawn


def check_outcome(outcome: Outcome, batch: Any) -> None:
    """Checks the shapes of what an objective returns.

    Args:
        outcome: of the batch.
        batch: of the objective.

    Raises:
        ValueError: the shapes don't belong together; says which are expected.

    Example:
        >>> from types import SimpleNamespace
        >>> outcome = Outcome(jnp.zeros(3), jnp.ones(3) / 3, jnp.zeros(()))
        >>> check_outcome(outcome, SimpleNamespace(direction=jnp.zeros(3, int)))
        Traceback (most recent call last):
        ValueError: objective: log_ratio: expected the shape (3, pairs), found (3,)
    """
    rows = np.shape(batch.direction)
    if len(rows) != 1:
        raise ValueError(f"objective: batch.direction: expected the shape (rows,), found {rows}")
    shape = np.shape(outcome.log_ratio)
    if len(shape) != 2 or shape[0] != rows[0]:
        raise ValueError(
            f"objective: log_ratio: expected the shape ({rows[0]}, pairs), found {shape}"
        )
    if np.shape(outcome.weight) != shape:
        raise ValueError(
            f"objective: weight: expected the shape of log_ratio, {shape}, found "
            f"{np.shape(outcome.weight)}"
        )
    for name in ("kl", "kl_elsewhere"):
        number = getattr(outcome, name)
        if number is not None and np.shape(number) != ():
            raise ValueError(f"objective: {name}: expected one number, found {np.shape(number)}")


def check_objective(objective: Objective, key: Key[Array, ""]) -> None:
    """Checks what a search relies on; call it once for an objective of your own.

    - The shapes belong together, directions are 0 or 1, and the weights of a batch sum to 1.
    - A mask of zeros is the untouched model: the KL is 0, and no decision has flipped.
    - Replacing all units changes a log-ratio. The KL is then above 0, unless it isn't asked for.
    - All numbers are finite.

    Args:
        objective: to check, on all of its examples and on a batch that is drawn.
        key: for this batch.

    Raises:
        ValueError: one of this isn't so; says what is expected and what was found.

    Example:
        >>> from jaxmask.objective import LinearObjective
        >>> objective = LinearObjective(jnp.ones((2, 3)), direction=jnp.array([0, 1]), cost=1.0)
        >>> check_objective(objective, jax.random.key(0))
        >>> check_objective(objective.replace(margin=-2.0), jax.random.key(0))
        Traceback (most recent call last):
        ValueError: objective: log_ratio: expected 0 or more without an intervention, as d is the \
form that the untouched model prefers, found -2 and others below 0 in 2 of 2 pairs
    """
    _check_range(objective)
    draw_key, kl_key = jax.random.split(key)
    batches = {
        "everything()": objective.everything(),
        "everything(by_direction=True)": objective.everything(by_direction=True),
        f"sample(key, {_ROWS})": objective.sample(draw_key, _ROWS),
    }
    for name, batch in batches.items():
        _check_batch(objective, batch, name)
    _check_kls(objective, batches["everything()"], kl_key)


def _check_range(objective: Objective) -> None:
    units, (low, high) = objective.n_units, objective.value_range
    if not np.shape(low) == np.shape(high) == (units,):
        raise ValueError(
            f"objective: value_range: expected n_units = {units} numbers each, found "
            f"{np.shape(low)} and {np.shape(high)}"
        )
    if not (np.isfinite(low) & np.isfinite(high) & (np.asarray(low) <= np.asarray(high))).all():
        raise ValueError("objective: value_range: expected finite numbers, low not above high")


def _check_batch(objective: Objective, batch: Any, name: str) -> None:
    """A batch with a mask of zeros."""
    outcome = _respond(objective, batch, 0.0, None, ExactKL())
    check_outcome(outcome, batch)
    if not np.isin(batch.direction, np.arange(DIRECTIONS)).all():
        raise ValueError(f"objective: {name}.direction: expected 0 or 1 for each row")
    weight, log_ratio = np.asarray(outcome.weight), np.asarray(outcome.log_ratio)
    if (weight < 0.0).any() or not abs(total := float(weight.sum()) - 1.0) < _TOLERANCE:
        raise ValueError(
            f"objective: weight: {name}: expected numbers of 0 or more with the sum 1, found the "
            f"sum {total + 1.0:g}"
        )
    found = log_ratio[weight > 0.0]
    if not np.isfinite(found).all():
        raise ValueError(f"objective: log_ratio: {name}: expected finite numbers without a mask")
    if below := int(np.sum(found < -_TOLERANCE)):
        raise ValueError(
            "objective: log_ratio: expected 0 or more without an intervention, as d is the form "
            f"that the untouched model prefers, found {found.min():g} and others below 0 in "
            f"{below} of {found.size} pairs"
        )
    if not abs(float(outcome.kl)) < _TOLERANCE:
        raise ValueError(
            f"objective: kl: {name}: expected 0 without an intervention, found {outcome.kl:g}"
        )


def _check_kls(objective: Objective, batch: Any, key: Key[Array, ""]) -> None:
    """All examples with all units replaced, by each way to ask for the KL."""
    untouched = _respond(objective, batch, 0.0, None, NoKL())
    outcomes = {
        kl: _respond(objective, batch, 1.0, key, kl) for kl in (NoKL(), SampledKL(4), ExactKL())
    }
    exact = outcomes[ExactKL()]
    if bool(jnp.all(exact.log_ratio == untouched.log_ratio)):
        raise ValueError(
            "objective: expected another log_ratio when all units are replaced, found no change"
        )
    if outcomes[NoKL()].kl != 0.0:
        raise ValueError(f"objective: kl: expected 0 for NoKL(), found {outcomes[NoKL()].kl:g}")
    for kl in (SampledKL(4), ExactKL()):
        found = float(outcomes[kl].kl)
        if not -_TOLERANCE < found < np.inf:
            raise ValueError(f"objective: kl: expected 0 or more for {kl!r}, found {found:g}")
    if (elsewhere := exact.kl_elsewhere) is not None and not elsewhere <= exact.kl + _TOLERANCE:
        raise ValueError(
            f"objective: kl_elsewhere: expected a part of the KL, {exact.kl:g}, found {elsewhere:g}"
        )


def _respond(
    objective: Objective, batch: Any, mask: float, key: Key[Array, ""] | None, kl: KL
) -> Outcome:
    """The outcome with all units at the upper ends of their ranges, or with none."""
    shape = (*np.shape(batch.direction), objective.n_units)
    return objective(Intervention(jnp.full(shape, mask), jnp.ones(shape)), batch, key, kl)
