"""Sparse interventions in language models with differentiable masking, in JAX.

The modules, from the ground up: `intervention`, `hard_concrete`, `losses`, `minmax`, `search` and
`exchange` know nothing of language models; `lstm`, `objective`, `evaluate` and `tasks` do;
`ensemble` runs many searches at once; `store`, `intervention_file`, `run_folder`, `report` and
`figures` are what a person reads and keeps.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jaxmask")
except PackageNotFoundError:  # run from a source tree that isn't installed
    __version__ = "unknown"
