"""Figures of a run; the only package that imports matplotlib.

Each function returns a ``Figure`` that belongs to no window; `save` writes it to a file.
"""

try:
    import matplotlib  # noqa: F401
except ImportError as fault:
    raise ImportError("figures need matplotlib: pip install 'jaxmask[experiments]'") from fault

from jaxmask.report.figures.curves import (
    Curve,
    Needed,
    Snapshots,
    accuracy_against_units,
    frontier,
    training_curves,
    units_against_perplexity,
)
from jaxmask.report.figures.sentences import ACTIVATION_COLOURS, Activations, activations, heat_maps
from jaxmask.report.figures.style import STYLES, save

__all__ = [
    "ACTIVATION_COLOURS", "STYLES", "Activations", "Curve", "Needed", "Snapshots",
    "accuracy_against_units", "activations", "frontier", "heat_maps", "save", "training_curves",
    "units_against_perplexity",
]  # fmt: skip
