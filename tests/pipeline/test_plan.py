"""Plans in JSON's types, and how many examples a split holds out."""

import json

import pytest

from jaxmask.files.run_folder import plain
from jaxmask.intervention import Kind
from jaxmask.models import model_folder
from jaxmask.objective import ExactKL
from jaxmask.pipeline.plan import Design, Plan, Split, TextSample
from jaxmask.pipeline.prepare import prepare
from jaxmask.search import SearchConfig
from jaxmask.tasks import number_agreement
from jaxmask.text.examples import Stimulus, Task


@pytest.fixture(scope="module")
def task():
    task = number_agreement.generate(0)
    return task._replace(stimuli=task.stimuli[::20])


def test_a_fifth_is_held_out_where_the_paper_says_nothing():
    assert Split().size("animacy", 240) == 48
    assert Split(evaluation=7).size("animacy", 240) == 7
    assert Split().size("gender_bias", 240) == 200
    assert Split().size("number_agreement", 240) == 1000
    assert Split().size("animacy", 3) == 1


def test_the_fifth_is_of_the_pairs_that_are_left(model):
    """Words out of vocabulary drop pairs before the split, not after it."""
    tiny = model_folder.load_model(model)
    known = [Stimulus(("The", word), 1, ("greets", "greet"), -1, "g") for word in ("boy", "girl")]
    unknown = [Stimulus((f"x{n}",), 0, ("greets", "greet"), -1, "g") for n in range(18)]
    longer = [
        one._replace(words=(*one.words, word))
        for one in known
        for word in ("near", "behind", "above", "beside")
    ]
    mine = Task("mine", ("singular", "plural"), [*unknown, *known, *longer])
    prepared = prepare(tiny, mine, Design())
    assert (prepared.train.size, prepared.evaluation.size) == (8, 2)
    assert Plan().settings(mine, tiny)["evaluation"] == 2


def test_settings_are_all_that_decides_the_results(model, task):
    tiny = model_folder.load_model(model)
    design = Design(Kind(place="every"), "primer", Split(9, "word", 3), "mine.tsv")
    text = TextSample("text.txt", [["The", "boy"]], 50)
    config = SearchConfig(alpha=0.25, beta=0.5, kl=ExactKL(), steps=60)
    found = Plan(config, design, "hard_concrete_paper", 4, text).settings(task, tiny)
    search = found.pop("search")
    assert found == {
        "task": "number_agreement", "model": "tiny", "fingerprint": tiny.fingerprint,
        "data": "mine.tsv", "intervention": "every", "site": "hidden", "reach": "all",
        "values": "free", "context": "primer", "evaluation": 9,
        "split": "word", "split_seed": 3, "method": "hard_concrete_paper", "seeds": 4,
        "text": "text.txt", "text_sentences": 50,
    }  # fmt: skip
    assert (search["alpha"], search["beta"], search["steps"], search["kl"]) == (
        0.25, 0.5, 60, "exact"
    )  # fmt: skip
    later = {"initial_location", "batches", "gates"}  # named where they aren't the default
    assert set(search) == set(SearchConfig.__dataclass_fields__) - later
    assert json.loads(json.dumps(search)) == plain(search, "search") == search


def test_without_a_text_its_sentences_decide_nothing(model, task):
    found = Plan().settings(task, model_folder.load_model(model))
    assert found["text"] is None
    assert "text_sentences" not in found
    assert found["evaluation"] == 1000  # what is meant, where it isn't given


@pytest.mark.parametrize(
    "change",
    [
        {"config": SearchConfig(alpha=0.3)},
        {"config": SearchConfig(kl=ExactKL())},
        {"config": SearchConfig(initial_location=0.0)},
        {"config": SearchConfig(batches="independent")},
        {"config": SearchConfig(gates="batch")},
        {"design": Design(Kind(place="every"))},
        {"design": Design(context="none")},
        {"design": Design(split=Split(seed=1))},
        {"design": Design(split=Split(evaluation=2))},
        {"design": Design(split=Split(development=2))},
        {"design": Design(split=Split(development=None))},
        {"method": "hard_concrete_paper"},
        {"seeds": 11},
        {"text": TextSample("a", [], 1)},
    ],
    ids=str,
)
def test_no_two_plans_have_the_same_settings(model, task, change):
    tiny = model_folder.load_model(model)
    assert Plan(**change).settings(task, tiny) != Plan().settings(task, tiny)
