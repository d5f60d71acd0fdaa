"""The search for a sparse intervention: gates are relaxed, hardened and refined."""

from jaxmask.search.one_run import (
    PAPER,
    HardState,
    History,
    Relaxation,
    Schedule,
    SearchConfig,
    SearchInfo,
    SearchState,
    budget,
    check,
    converged,
    found,
    harden,
    init,
    kl_weight,
    refine,
    relaxation,
    run,
    settings,
    shrinking_target,
    step,
    steps_taken,
    stopped_at,
    thresholded,
)

__all__ = [
    "PAPER", "HardState", "History", "Relaxation", "Schedule", "SearchConfig", "SearchInfo",
    "SearchState", "budget", "check", "converged", "found", "harden", "init", "kl_weight",
    "refine", "relaxation", "run", "settings", "shrinking_target", "step", "steps_taken",
    "stopped_at", "thresholded",
]  # fmt: skip
