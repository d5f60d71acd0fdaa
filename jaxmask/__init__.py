"""Sparse interventions in language models with differentiable masking, in JAX.

The modules, from the ground up: `intervention`, `hard_concrete`, `losses`, `minmax`, `search` and
`exchange` know nothing of language models; `lstm`, `objective`, `evaluate` and `tasks` do;
`ensemble` runs many searches at once; `store`, `intervention_file`, `run_folder`, `report` and
`figures` are what a person reads and keeps.

A module is imported when it is first asked for, by ``from jaxmask import search`` or as
``jaxmask.search``.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pkgutil import iter_modules
from types import ModuleType

try:
    __version__ = version("jaxmask")
except PackageNotFoundError:  # run from a source tree that isn't installed
    __version__ = "unknown"

__all__ = sorted(module.name for module in iter_modules(__path__))


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module 'jaxmask' has no attribute {name!r}")
    return import_module(f"jaxmask.{name}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
