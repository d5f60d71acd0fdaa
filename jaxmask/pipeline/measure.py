"""What the searches found, measured on held-out examples and on ordinary text."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxmask.evaluate import Evaluation, accuracies
from jaxmask.intervention import Intervention, every_step
from jaxmask.models.language_model import LanguageModel
from jaxmask.pipeline.plan import Plan, TextSample
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble
from jaxmask.search import Relaxation
from jaxmask.text import ordinary_text
from jaxmask.text.ordinary_text import Text


class Results(NamedTuple):
    """All that was measured; arrays are stacked over runs.

    Attributes:
        search: what the searches found; toward a direction without training examples their
            interventions do nothing. Their baselines are places in the range of each unit.
        interventions: those of the search, with the model's own values.
        train_accuracy: fraction of training decisions flipped.
        evaluations: effect of the hard interventions on held-out examples.
        relaxations: effect of the relaxed masks on held-out examples.
        text_kl: KL on ordinary text, with the intervention at ``every`` word and at one ``random``
            word of each sentence; empty without a text.
    """

    search: Ensemble
    interventions: Intervention
    train_accuracy: Float[np.ndarray, " runs"]
    evaluations: Evaluation
    relaxations: Relaxation
    text_kl: dict[str, Float[np.ndarray, "runs directions"]]


def encode_text(sample: list[list[str]], model: LanguageModel) -> Text:
    """Sentences as tokens of a model.

    Raises:
        ValueError: there are no sentences, or one has no words.
        ModelError: a sentence is too long for the model.
    """
    return model.encode_text(sample)


def measure(found: Ensemble, prepared: Prepared, plan: Plan) -> Results:
    """Everything that held-out examples and ordinary text say of what was found.

    Args:
        found: result of the searches.
        prepared: model and examples.
        plan: of the searches; each number of its settings is shared by all runs, or an array with
            one number a run.

    Example:
        See `jaxmask.pipeline.summarise.summarise`.
    """
    train_accuracy = _train_accuracy(found, prepared, plan)
    found = found._replace(interventions=_where_learned(found.interventions, prepared))
    own = jax.jit(Intervention.within)(found.interventions, prepared.value_range)
    held_out = prepared.evaluation_objective
    return Results(
        found,
        own,
        train_accuracy,
        *ensemble.judged(found.interventions, found.relaxed, held_out, plan.config),
        _text_kl(own, prepared, plan.text),
    )


def _where_learned(interventions: Intervention, prepared: Prepared) -> Intervention:
    """The interventions without what they do toward directions that had no training examples."""
    directions = interventions.mask.shape[1]
    learned = [prepared.examples_toward(number, "train") > 0 for number in range(directions)]
    where = np.array(learned, np.float32)[None, :, None]
    return interventions._replace(mask=interventions.mask * where)


def _train_accuracy(found: Ensemble, prepared: Prepared, plan: Plan) -> Float[np.ndarray, " runs"]:
    """The fraction of training decisions flipped by each run.

    The last round of exchange has computed it, unless units were taken away after it.
    """
    rounds = found.history.rounds
    if rounds is not None and not plan.prune:
        return np.asarray(rounds.accuracy[:, -1])
    return np.asarray(accuracies(found.interventions, prepared.train_objective))


def _text_kl(
    interventions: Intervention, prepared: Prepared, sample: TextSample | None
) -> dict[str, Float[np.ndarray, "runs directions"]]:
    """The KL on ordinary text, by where the intervention acts."""
    if sample is None:
        return {}
    model, design = prepared.model, prepared.design
    text = encode_text(sample.sentences, model)
    rng = np.random.default_rng(design.split.seed)
    where = {
        "every": every_step(text.length),
        "random": ordinary_text.random_step(rng, text.length),
    }
    return {
        name: np.asarray(model.text_kl(interventions, text, design.kind, acts, prepared.context))
        for name, acts in where.items()
    }
