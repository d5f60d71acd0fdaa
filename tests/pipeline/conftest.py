"""Short searches on a model of a few units, shared by all tests of the pipeline."""

from typing import NamedTuple

import pytest

from jaxmask.models import model_folder
from jaxmask.pipeline.plan import Design, Plan, Split, TextSample
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.pipeline.search_all import search_all
from jaxmask.runs.ensemble import Ensemble
from jaxmask.search import SearchConfig
from jaxmask.tasks import number_agreement


class Searched(NamedTuple):
    """What was searched, and what was found."""

    prepared: Prepared
    plan: Plan
    found: Ensemble


@pytest.fixture(scope="session")
def searched(model) -> Searched:
    task = number_agreement.generate(0)
    task = task._replace(stimuli=task.stimuli[::20])
    design = Design(split=Split(evaluation=100))
    text = TextSample("text.txt", [["The", "boy", "greets"], ["The", "girls", "probably"]], 2)
    plan = Plan(SearchConfig(alpha=0.25, beta=0.25, steps=50, exchange_rounds=2), design, seeds=2,
                text=text)  # fmt: skip
    prepared = prepare(model_folder.load_model(model), task, design)
    return Searched(prepared, plan, search_all(prepared, plan))
