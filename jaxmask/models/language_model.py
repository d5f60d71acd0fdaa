"""What a model family offers, and the families that there are.

A family is a folder beside this file and one line in `FAMILIES`. All else (searches, baselines,
reports, intervention files, scripts) asks of a model what `LanguageModel` lists and nothing more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmask.intervention import Intervention, Kind, Range, Reach, Site, Values
from jaxmask.objective import Objective
from jaxmask.text.examples import Encoded, Examples, Stimulus, Task, Unknown
from jaxmask.text.ordinary_text import Text
from jaxmask.text.vocabulary import Words

# From a family's name, as config.json has it, to the module that reads and writes its models:
#
#     load(folder: Path, fields: dict[str, Any], dtype: Any) -> LanguageModel
#     save(folder: Path, model: LanguageModel, dtype: Any) -> dict[str, Any]
#
# ``fields`` are those of config.json without "family"; ``dtype`` is the type that matrices are to
# have in memory, float32 unless the user asks for another. `save` writes all other files of the
# folder and returns the fields that describe the model, without "name" and "family".
FAMILIES: dict[str, str] = {
    "lstm": "jaxmask.models.lstm.storage",
    "transformer": "jaxmask.models.transformer.storage",
}


class ModelError(ValueError):
    """A model, its folder or its checkpoint that can't be used; says where and why."""


class Reading(NamedTuple):
    """What a model did while it read examples.

    Attributes:
        states: of a site's units after each word, altered by the intervention if there was one;
            past the end of a sentence they mean nothing.
        log_odds: log p(pair[0]) - log p(pair[1]) at the end of each example, in nats.

    Example:
        >>> import jax
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text import examples
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> words = Vocabulary(("<unk>", "<eos>", "the", "dog", "barks", "bark"))
        >>> config = LSTMConfig(vocabulary=6, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, words)
        >>> one = examples.Stimulus(("the", "dog"), 1, ("barks", "bark"), 0, "simple")
        >>> task = examples.Task("agreement", ("singular", "plural"), (one,))
        >>> pairs = model.encode(task).examples
        >>> reading = model.read(pairs, Kind(), model.read_context("eos"))
        >>> reading.states.shape, reading.log_odds.shape
        ((1, 2, 4), (1,))
    """

    states: Float[np.ndarray, "examples time units"]
    log_odds: Float[np.ndarray, " examples"]


@runtime_checkable
class LanguageModel(Protocol):
    """A frozen language model and what can be done with it.

    A *context* is what the model has read before a sentence, as `read_context` gives it: its type
    is the family's own. Examples and texts are rows of tokens, which are words or parts of words;
    positions, lengths and places are those of tokens, but for `log_probs`, which takes words.

    Example:
        >>> import jax
        >>> from jaxmask.models.lstm.model import LSTMModel
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params
        >>> from jaxmask.text.vocabulary import Vocabulary
        >>> config = LSTMConfig(vocabulary=3, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, Vocabulary(("<unk>", "<eos>", "the")))
        >>> isinstance(model, LanguageModel), model.family, list(model.sites)
        (True, 'lstm', ['hidden', 'cell', 'hidden+cell'])

    Example:
        See `jaxmask.models.model_folder.load_model`.
    """

    @property
    def family(self) -> str:
        """Name of the family, a key of `FAMILIES`."""

    @property
    def name(self) -> str:
        """Name of the model, which becomes part of the names of folders."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ between models whose numbers differ."""

    @property
    def vocabulary(self) -> Words:
        """The tokens that the model knows."""

    @property
    def sites(self) -> Mapping[str, Site]:
        """The states that can be replaced, by name; the default site is the first."""

    @property
    def contexts(self) -> tuple[str, ...]:
        """Names of what may be read before each sentence; the default is the first."""

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """Who may read replaced states, see `jaxmask.intervention.Kind`."""

    @property
    def usual_values(self) -> Values:
        """What units can be set to unless a person chooses otherwise."""

    def description(self) -> dict[str, Any]:
        """The model in JSON's types, as ``summary.json`` has it.

        It has at least ``name``, ``fingerprint``, ``layers``, ``hidden`` (units of a layer) and
        ``vocabulary`` (number of tokens).
        """

    def encode(self, task: Task) -> Encoded:
        """The stimuli of a task as examples; what the vocabulary can't express is counted.

        Raises:
            TaskDataError: no stimulus is left.
        """

    def encode_text(self, sentences: Sequence[Sequence[str]]) -> Text:
        """Ordinary text as tokens.

        Args:
            sentences: the words of each sentence.

        Raises:
            ValueError: there are no sentences, or a sentence has no words.
            ModelError: a sentence is too long for the model.
        """

    def unknown_words(self, stimulus: Stimulus) -> Unknown:
        """The words for which `encode` drops a stimulus, or that it replaces."""

    def beginning(self, context: str) -> tuple[str, ...]:
        """The texts of the tokens that are read as a context.

        Raises:
            ModelError: there is no such context.
        """

    def read_context(self, name: str) -> Any:
        """What the model has read before each sentence: one of ``contexts``.

        Raises:
            ModelError: there is no such context.
        """

    def log_odds(self, examples: Examples, context: Any) -> Float[np.ndarray, " examples"]:
        """Log p(pair[0]) - log p(pair[1]) in nats, by the untouched model, for each example.

        Raises:
            ModelError: a number isn't finite, or the weights allow logits that aren't.
        """

    def value_range(self, examples: Examples, kind: Kind, context: Any) -> Range:
        """What each unit can be set to, from the lowest to the highest value.

        Args:
            examples: to take statistics over: those of the search.
            kind: of intervention; its ``values`` say which range.
            context: the state before every sentence.
        """

    def objective(
        self,
        examples: Examples,
        kind: Kind,
        context: Any,
        value_range: Range | None = None,
        *,
        both_directions: bool = False,
    ) -> Objective:
        """The objective of a search: how the model responds to interventions on examples.

        Args:
            examples: with their directions known.
            kind: of intervention.
            context: the state before every sentence.
            value_range: in which baselines are places; if it isn't given, baselines are the
                model's own values.
            both_directions: objectives of all models of one size and vocabulary have equal shapes
                and share compiled programs, at the price of more rows.
        """

    def read(
        self,
        examples: Examples,
        kind: Kind,
        context: Any,
        intervention: Intervention | None = None,
    ) -> Reading:
        """Reads examples, untouched or with a row of an intervention by each example's direction.

        Args:
            examples: with their directions known, if there is an intervention.
            kind: of intervention; its site says which states are returned.
            context: the state before every sentence.
            intervention: a row of mask and baseline, the model's own values, for each direction.
        """

    def log_probs(
        self,
        words: tuple[str, ...],
        kind: Kind,
        context: Any,
        intervention: Intervention | None = None,
        where: Bool[np.ndarray, " words"] | None = None,
    ) -> Float[Array, "words vocabulary"]:
        """Log-probabilities, in nats, of the next word after each word of a text.

        Args:
            words: of the text; words that the model doesn't know are read as ``<unk>``.
            kind: of intervention.
            context: the state before the first word.
            intervention: mask and baseline, one number a unit; None leaves the model untouched.
            where: the words at which it acts; all of them if not given.
        """

    def text_kl(
        self,
        interventions: Intervention,
        text: Text,
        kind: Kind,
        where: Bool[np.ndarray, "sentences time"],
        context: Any,
    ) -> Float[np.ndarray, "runs directions"]:
        """Eq. 8 on ordinary text: the mean over sentences of the mean KL over a sentence's words.

        Args:
            interventions: a stack, ``runs directions units``.
            text: the sentences.
            kind: of intervention.
            where: the words at which the interventions act.
            context: the state before every sentence.
        """


def site_of(model: LanguageModel, kind: Kind) -> Site:
    """The site that a kind of intervention names.

    Raises:
        ModelError: the model has no such site, or can't replace states for that reach.

    Example:
        >>> from types import SimpleNamespace
        >>> sites, reaches = {"hidden": Site("hidden", 1, 4)}, ("all", "time")
        >>> model = SimpleNamespace(name="tiny", sites=sites, reaches=reaches)
        >>> site_of(model, Kind()).units
        4
        >>> site_of(model, Kind(site="cell"))
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: tiny: site: expected hidden, found 'cell'
    """
    if kind.site not in model.sites:
        raise ModelError(
            f"{model.name}: site: expected {' or '.join(model.sites)}, found {kind.site!r}"
        )
    if kind.reach not in model.reaches:
        raise ModelError(
            f"{model.name}: reach: expected {' or '.join(model.reaches)}, found {kind.reach!r}"
        )
    return model.sites[kind.site]


def check_log_odds(log_odds: Float[np.ndarray, " examples"], source: str) -> None:
    """What `LanguageModel.log_odds` promises of its numbers.

    Args:
        log_odds: of each example.
        source: name of the model, for the message.

    Raises:
        ModelError: a number isn't finite.

    Example:
        >>> check_log_odds(np.array([0.5, np.nan]), "demo")
        Traceback (most recent call last):
        jaxmask.models.language_model.ModelError: demo: expected finite log-odds of the two forms, \
found NaN or infinity for 1 of 2 examples
    """
    if unknown := int(np.sum(~np.isfinite(log_odds))):
        raise ModelError(
            f"{source}: expected finite log-odds of the two forms, found NaN or infinity for "
            f"{unknown} of {len(log_odds)} examples"
        )
