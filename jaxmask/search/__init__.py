"""The search for a sparse intervention: gates are relaxed, hardened and refined.

`run` does all of it; `init`, `step`, `harden`, `refine` and `found` are its parts, for a loop of
your own.
"""

from jaxmask.search.config import PAPER, SearchConfig, check, settings
from jaxmask.search.exchange import ExchangeInfo
from jaxmask.search.history import (
    Convergence,
    History,
    converged,
    convergence,
    steps_taken,
    stopped_at,
)
from jaxmask.search.losses import kl_weight
from jaxmask.search.masks import budget
from jaxmask.search.objective_checks import check_objective
from jaxmask.search.one_run import HardState, found, harden, refine, run
from jaxmask.search.parameters import shrinking_target
from jaxmask.search.relax import (
    Relaxation,
    SearchInfo,
    SearchState,
    init,
    relaxation,
    step,
    thresholded,
)

__all__ = [
    "PAPER", "Convergence", "ExchangeInfo", "HardState", "History", "Relaxation", "SearchConfig",
    "SearchInfo", "SearchState", "budget", "check", "check_objective", "converged", "convergence",
    "found", "harden", "init", "kl_weight", "refine", "relaxation", "run", "settings",
    "shrinking_target", "step",
    "steps_taken", "stopped_at", "thresholded",
]  # fmt: skip
