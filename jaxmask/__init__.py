"""Sparse interventions in language models with differentiable masking, in JAX.

The names below are what research code uses; everything else stands in the packages:

- `jaxmask.find`: from a file of minimal pairs to units, in one call.
- `jaxmask.search`, `jaxmask.baselines`, `jaxmask.runs`: searches for an intervention, other ways to
  choose units, and many searches at once. They ask an objective and know no language model.
- `jaxmask.models`, `jaxmask.text`, `jaxmask.tasks`: language models, a folder for each family;
  words and minimal pairs; phenomena.
- `jaxmask.pipeline`: the steps of an experiment, from a model and a task to a summary.
- `jaxmask.trust`: what a sceptical reader asks of a found set, measured.
- `jaxmask.files`, `jaxmask.report`: what is written to disk; tables, pages and figures.

A name is imported when it is first used, so that ``import jaxmask`` costs next to nothing.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmask import (
        baselines,
        evaluate,
        files,
        models,
        pipeline,
        report,
        runs,
        search,
        tasks,
        text,
        trust,
    )
    from jaxmask.evaluate import Evaluation
    from jaxmask.files.intervention_file import (
        SavedIntervention,
        apply,
        load_intervention,
        save_intervention,
    )
    from jaxmask.found import Found, find
    from jaxmask.intervention import Intervention, Kind, Site, intervene, units
    from jaxmask.models.language_model import LanguageModel
    from jaxmask.models.model_folder import BUNDLED_GPT2, BUNDLED_MODEL, load_model, save_model
    from jaxmask.objective import ExactKL, NoKL, Objective, Outcome, SampledKL, evenly
    from jaxmask.pipeline.measure import measure
    from jaxmask.pipeline.plan import Design, Plan, Split
    from jaxmask.pipeline.prepare import Prepared, prepare
    from jaxmask.pipeline.search_all import search_all
    from jaxmask.pipeline.summarise import summarise
    from jaxmask.search import SearchConfig
    from jaxmask.trust.assess import assess

try:
    __version__ = version("jaxmask")
except PackageNotFoundError:  # run from a source tree that isn't installed
    __version__ = "unknown"

_MODULES = (
    "baselines", "evaluate", "files", "models", "pipeline", "report", "runs", "search", "tasks",
    "text", "trust",
)  # fmt: skip

# Where each name is defined.
_NAMES = {
    "BUNDLED_GPT2": "models.model_folder",
    "BUNDLED_MODEL": "models.model_folder",
    "Design": "pipeline.plan",
    "Evaluation": "evaluate",
    "ExactKL": "objective",
    "Found": "found",
    "Intervention": "intervention",
    "Kind": "intervention",
    "LanguageModel": "models.language_model",
    "NoKL": "objective",
    "Objective": "objective",
    "Outcome": "objective",
    "Plan": "pipeline.plan",
    "Prepared": "pipeline.prepare",
    "SampledKL": "objective",
    "SavedIntervention": "files.intervention_file",
    "SearchConfig": "search",
    "Site": "intervention",
    "Split": "pipeline.plan",
    "apply": "files.intervention_file",
    "assess": "trust.assess",
    "check_objective": "search",
    "evenly": "objective",
    "find": "found",
    "intervene": "intervention",
    "load_intervention": "files.intervention_file",
    "load_model": "models.model_folder",
    "measure": "pipeline.measure",
    "prepare": "pipeline.prepare",
    "save_intervention": "files.intervention_file",
    "save_model": "models.model_folder",
    "search_all": "pipeline.search_all",
    "summarise": "pipeline.summarise",
    "units": "intervention",
}

__all__ = [
    "BUNDLED_GPT2", "BUNDLED_MODEL", "Design", "Evaluation", "ExactKL", "Found", "Intervention",
    "Kind", "LanguageModel", "NoKL", "Objective", "Outcome", "Plan", "Prepared", "SampledKL",
    "SavedIntervention", "SearchConfig", "Site", "Split", "__version__", "apply", "assess",
    "baselines", "check_objective", "evaluate", "evenly", "files", "find", "intervene",
    "load_intervention", "load_model", "measure", "models", "pipeline", "prepare", "report", "runs",
    "save_intervention", "save_model", "search", "search_all", "summarise", "tasks", "text",
    "trust", "units",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"jaxmask.{name}")
    if name in _NAMES:
        return getattr(import_module(f"jaxmask.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'jaxmask' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
