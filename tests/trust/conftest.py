"""A random set of a model of 12 units, and examples of number agreement to try it on."""

import numpy as np
import pytest

from jaxmask.intervention import Kind, from_arrays
from jaxmask.models import model_folder
from jaxmask.pipeline.plan import Design, Split
from jaxmask.pipeline.prepare import Prepared, prepare
from jaxmask.tasks import number_agreement
from jaxmask.trust.subject import Subject


@pytest.fixture(scope="session")
def prepare_kind(model):
    """Prepares few examples for a kind of intervention; some of their stimuli are dropped."""
    task = number_agreement.generate(0)
    stimuli = task.stimuli[::40]
    unknown = stimuli[3]._replace(pair=("unheard", "unseen"))
    task = task._replace(stimuli=[*stimuli[:10], unknown, *stimuli[10:]])
    loaded = model_folder.load_model(model)

    def of(**kind) -> Prepared:
        return prepare(loaded, task, Design(kind=Kind(**kind), split=Split(evaluation=60)))

    return of


def random_set(prepared: Prepared, units=(0, 4, 7)) -> Subject:
    """Units of both layers with large values, and how they are found to act."""
    mask, values = np.zeros((2, 2, prepared.site.units))
    mask[:, units] = 1
    values[:, units] = np.random.default_rng(0).choice([-1.0, 1.0], (2, len(units)))
    return Subject(prepared, from_arrays(mask, values))


@pytest.fixture(scope="session")
def single(prepare_kind) -> Subject:
    return random_set(prepare_kind())


@pytest.fixture(scope="session")
def every(prepare_kind) -> Subject:
    return random_set(prepare_kind(place="every"))
