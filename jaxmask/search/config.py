"""The settings of a search: what they mean, what they may be, and how files hold them."""

import dataclasses
from typing import Any, Literal

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxmask.objective import KL, ExactKL, NoKL, SampledKL
from jaxmask.search import hard_concrete, losses, parameters
from jaxmask.search.checks import check_range


class SearchConfig(flax.struct.PyTreeNode):
    """Settings of a search; all but the static ones (last) may be swept in one compiled call.

    `check` says which values are possible.

    Attributes:
        alpha: largest fraction of units to intervene on, in (0, 1] (Eq. 4).
        beta: largest mean probability of a gate strictly between 0 and 1 (constraint 7); None for
            the value of ``alpha``, also where ``alpha`` is traced, see `most_fractional`.
        kl_weight: weight of the mean KL from the untouched model (Eq. 8), in the ratio's units.
        kl_at_most: limit of this KL in nats, a further constraint; None for none.
        temperature: of the Hard Concrete gates.
        support: (l, r) of the Hard Concrete gates.
        location_rate: learning rate of the locations of the gates (Adam).
        value_rate: learning rate of the baselines before `jaxmask.intervention.to_baseline` (Adam).
        multiplier_rate: rate of plain ascent on the multipliers.
        multiplier_decay: what a multiplier loses in a step while its constraint holds.
        initial_alpha: limit of both constraints at the first step, unless their final limits are
            larger.
        initial_location: of all gates; None for the location at which a gate isn't 0 with the
            probability of the first limit.
        warmup: fraction of the steps after which the limits have shrunk to the final ones.
        head_start: fraction of the steps over which ``location_rate`` rises from 0, so that values
            are learned before gates close on values that are still random.
        lowest: locations are clipped to [lowest, highest], so that closed gates can open again;
            None for what alpha needs, `jaxmask.search.parameters.lowest_location`.
        highest: see ``lowest``.
        steps: gradient steps on the relaxed mask.
        batch_size: rows of the batch of a step.
        batches: drawn ``even`` over the examples in their order, see `jaxmask.objective.evenly`, or
            ``independent`` of it.
        gates: sampled anew for each ``sentence`` of a batch, or once for a whole ``batch``.
        kl: how the KL of such a batch is computed.
        kl_positions: whether the KL counts at ``all`` positions of a sentence, or only
            ``elsewhere`` than at the target, where a decision can't flip without a change.
        surrogate: a name of `jaxmask.search.losses.SURROGATES`.
        shared_mask: one mask for both directions, or one for each.
        exchange_rounds: largest number of rounds that refine the hard mask.
        exchange_rows: rows of the sample that exchanges are chosen by.
        refit_steps: gradient steps on the values in each of these rounds.

    Example:
        >>> from jaxmask.search import SearchConfig
        >>> config = SearchConfig(alpha=0.05, steps=200)
        >>> config.replace(alpha=0.01).steps
        200
    """

    alpha: float = 0.02
    beta: float | None = None
    kl_weight: float = 1.0
    kl_at_most: float | None = None
    temperature: float = hard_concrete.TEMPERATURE
    support: tuple[float, float] = hard_concrete.SUPPORT
    location_rate: float = 0.05
    value_rate: float = 0.1
    multiplier_rate: float = 0.015
    multiplier_decay: float = 0.1
    initial_alpha: float = 0.15
    initial_location: float | None = None
    warmup: float = 0.7
    head_start: float = 0.1
    lowest: float | None = None
    highest: float = 3.0
    steps: int = flax.struct.field(pytree_node=False, default=150)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    batches: Literal["even", "independent"] = flax.struct.field(pytree_node=False, default="even")
    gates: Literal["sentence", "batch"] = flax.struct.field(pytree_node=False, default="sentence")
    kl: KL = flax.struct.field(pytree_node=False, default=SampledKL(8))
    kl_positions: Literal["all", "elsewhere"] = flax.struct.field(pytree_node=False, default="all")
    surrogate: str = flax.struct.field(pytree_node=False, default="share")
    shared_mask: bool = flax.struct.field(pytree_node=False, default=True)
    exchange_rounds: int = flax.struct.field(pytree_node=False, default=8)
    exchange_rows: int = flax.struct.field(pytree_node=False, default=256)
    refit_steps: int = flax.struct.field(pytree_node=False, default=2)

    @property
    def most_fractional(self) -> Any:
        """The limit of constraint 7: ``beta``, or ``alpha`` where no ``beta`` is set.

        It is a number, or an array where that setting is one.

        Example:
            >>> SearchConfig(alpha=0.1).most_fractional, SearchConfig(beta=0.5).most_fractional
            (0.1, 0.5)
        """
        return self.alpha if self.beta is None else self.beta

    def kl_term(self) -> losses.KLTerm:
        """How the KL counts in what the search minimises.

        Example:
            >>> SearchConfig(kl_at_most=0.1).kl_term().at_most
            0.1
        """
        weight = jnp.asarray(losses.kl_weight(self.kl_weight), jnp.float32)
        return losses.KLTerm(weight, self.kl_at_most, self.kl_positions)


# Settings that runs of before had no name for: records have them if they aren't the default.
_LATER = ("initial_location", "batches", "gates")

# A reading of the paper: the ratio, gates in [0, 1), the final limits from the first step on, the
# thresholded gates as they are, multipliers that are only kept from being negative, locations that
# aren't clipped (beyond 100 nothing changes), batches drawn independently. docs/paper.md lists what
# the paper leaves open.
PAPER = {
    "surrogate": "ratio",
    "support": (-0.1, 1.0),
    "initial_alpha": 0.0,
    "warmup": 0.0,
    "head_start": 0.0,
    "multiplier_rate": 0.01,
    "multiplier_decay": 0.0,
    "lowest": -100.0,
    "highest": 100.0,
    "batches": "independent",
    "exchange_rounds": 0,
    "steps": 2000,
}


def check(config: SearchConfig) -> None:
    """Checks settings; those that are being traced have no value yet and can't be checked.

    Args:
        config: of a search.

    Raises:
        ValueError: a setting is NaN, infinite or impossible; the error says which one, what was
            expected and what was found.

    Example:
        >>> from jaxmask.search import SearchConfig, check
        >>> check(SearchConfig(alpha=2.0))
        Traceback (most recent call last):
        ValueError: alpha: expected above 0, at most 1, found 2.0
    """
    hard_concrete.check(config.temperature, config.support)
    check_range("alpha", config.alpha, 0.0, 1.0, above=True)
    check_range("beta", config.most_fractional, 0.0, 1.0, above=True)
    for name in ("initial_alpha", "warmup", "head_start", "multiplier_decay"):
        check_range(name, getattr(config, name), 0.0, 1.0)
    for name in ("kl_weight", "location_rate", "value_rate", "multiplier_rate"):
        check_range(name, getattr(config, name), 0.0)
    if config.kl_at_most is not None:
        check_range("kl_at_most", config.kl_at_most, 0.0, above=True)
        if isinstance(config.kl, NoKL):
            raise ValueError("kl: expected SampledKL(rows) or ExactKL() beside a kl_at_most")
    _check_choices(config)
    if config.initial_location is not None:
        check_range("initial_location", config.initial_location)
    for name in ("exchange_rounds", "refit_steps"):
        check_range(name, getattr(config, name), 0.0)
    if isinstance(config.kl, SampledKL):
        check_range("kl: rows", config.kl.rows, 1.0)
    elif not isinstance(config.kl, NoKL | ExactKL):
        raise ValueError(f"kl: expected NoKL(), SampledKL(rows) or ExactKL(), found {config.kl!r}")
    for name in ("steps", "batch_size", "exchange_rows"):
        check_range(name, getattr(config, name), 1.0)
    lowest = parameters.lowest_location(config)
    check_range("lowest", lowest)
    check_range("highest", config.highest)
    if not isinstance(lowest, jax.core.Tracer):
        check_range("highest", config.highest, float(np.max(lowest)), above=True)


def _check_choices(config: SearchConfig) -> None:
    """Checks the settings that are one of a few names."""
    choices = {
        "kl_positions": ("all", "elsewhere"),
        "batches": ("even", "independent"),
        "gates": ("sentence", "batch"),
        "surrogate": tuple(losses.SURROGATES),
    }
    for name, known in choices.items():
        found = getattr(config, name)
        if found not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, found {found!r}")


def settings(config: Any) -> dict[str, Any]:
    """The settings of a search or of a baseline, by name and in the types of JSON.

    A ``beta`` or ``lowest`` that isn't set is recorded as the number that it stands for.

    Args:
        config: a `SearchConfig`, or the config of one of `jaxmask.baselines`.

    Example:
        >>> from jaxmask.search import SearchConfig, settings
        >>> found = settings(SearchConfig(alpha=0.05))
        >>> found["alpha"], found["beta"], found["support"], found["kl"]
        (0.05, 0.05, [-0.1, 1.1], '8 rows')
    """
    found = {
        field.name: _in_json(getattr(config, field.name)) for field in dataclasses.fields(config)
    }
    if isinstance(config, SearchConfig):
        found["beta"] = _in_json(config.most_fractional)
    if "lowest" in found:
        found["lowest"] = _in_json(parameters.lowest_location(config))
    usual = SearchConfig()
    for name in _LATER:
        if name in found and found[name] == getattr(usual, name):
            del found[name]
    return found


def _in_json(value: Any) -> Any:
    if isinstance(value, KL):
        return str(value)
    if isinstance(value, tuple):
        return [_in_json(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return np.asarray(value).tolist()
