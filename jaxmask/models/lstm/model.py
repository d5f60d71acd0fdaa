"""An LSTM language model as the rest of the package knows it.

`LSTMModel` is what `jaxmask.models.language_model.LanguageModel` asks for: each method hands the
model's parameters to a function of this folder.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention, Kind, Range, Reach, Site, Values, places
from jaxmask.models import weights
from jaxmask.models.language_model import ModelError, Reading, check_log_odds, site_of
from jaxmask.models.lstm import network, objective, ranges, reading, text_kl
from jaxmask.models.lstm.forward import Action, forward, read_states
from jaxmask.models.lstm.network import LSTMConfig, LSTMState, Params
from jaxmask.models.lstm.objective import LSTMObjective
from jaxmask.text import ordinary_text
from jaxmask.text.examples import (
    CONTEXTS,
    Encoded,
    Examples,
    Stimulus,
    Task,
    Unknown,
    encode,
    unknown_words,
)
from jaxmask.text.ordinary_text import Text
from jaxmask.text.vocabulary import Vocabulary


class LSTMModel(NamedTuple):
    """A frozen LSTM language model.

    Its sites are ``hidden`` and ``cell``, the hidden and the cell states of all layers, and
    ``hidden+cell``, both.

    Attributes:
        name: of the model.
        config: its sizes.
        params: its weights, see `jaxmask.models.lstm.network`.
        vocabulary: its words.

    Example:
        >>> words = Vocabulary(("<unk>", "<eos>", "the", "dog", "dogs"))
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = network.init_params(jax.random.key(0), config)
        >>> model = LSTMModel("tiny", config, params, words)
        >>> model.sites["hidden"].units
        4
        >>> context = model.read_context("eos")
        >>> model.log_probs(("the", "dog"), Kind(), context).shape
        (2, 5)
    """

    name: str
    config: LSTMConfig
    params: Params
    vocabulary: Vocabulary

    @property
    def family(self) -> str:
        """Name of the family: ``lstm``."""
        return "lstm"

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a SHA-256 over sizes, vocabulary and float32 weights."""
        return weights.fingerprint(self.config._asdict(), self.vocabulary.words, self.params)

    @property
    def sites(self) -> Mapping[str, Site]:
        """The states that can be replaced: ``hidden``, ``cell``, ``hidden+cell``."""
        layers, width = self.config.layers, self.config.hidden
        return {
            "hidden": Site("hidden", layers, width, bound=1.0),
            "cell": Site("cell", layers, width, ("cell",)),
            "hidden+cell": Site("hidden+cell", layers, width, ("hidden", "cell")),
        }

    @property
    def contexts(self) -> tuple[str, ...]:
        """Names of what may be read before each sentence: `jaxmask.text.examples.CONTEXTS`."""
        return tuple(CONTEXTS)

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """Who may read replaced states: ``all`` that reads them, or the next word, ``time``."""
        return ("all", "time")

    @property
    def usual_values(self) -> Values:
        """What units can be set to unless a person chooses otherwise: ``free``."""
        return "free"

    def description(self) -> dict[str, Any]:
        """Name, fingerprint and sizes, as ``summary.json`` has them."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "layers": self.config.layers,
            "hidden": self.config.hidden,
            "vocabulary": self.config.vocabulary,
        }

    def encode(self, task: Task) -> Encoded:
        """The stimuli of a task as word indices; see `jaxmask.text.examples.encode`."""
        return encode(task, self.vocabulary)

    def encode_text(self, sentences: Sequence[Sequence[str]]) -> Text:
        """Ordinary text as word indices; see `jaxmask.text.ordinary_text.encode`."""
        return ordinary_text.encode(sentences, self.vocabulary)

    def unknown_words(self, stimulus: Stimulus) -> Unknown:
        """The words that aren't known; see `jaxmask.text.examples.unknown_words`."""
        return unknown_words(stimulus, self.vocabulary)

    def beginning(self, context: str) -> tuple[str, ...]:
        """The words of one of `jaxmask.text.examples.CONTEXTS`.

        Raises:
            ModelError: there is no such context.
        """
        if context not in CONTEXTS:
            raise ModelError(
                f"{self.name}: context: expected {' or '.join(CONTEXTS)}, found {context!r}"
            )
        return CONTEXTS[context]

    def read_context(self, name: str) -> LSTMState:
        """The state after reading one of `jaxmask.text.examples.CONTEXTS`, from a zero state.

        Raises:
            ModelError: there is no such context.
        """
        return reading.read_context(self.params, self.vocabulary.encode(self.beginning(name)))

    def log_odds(self, examples: Examples, context: LSTMState) -> Float[np.ndarray, " examples"]:
        """Log p(pair[0]) - log p(pair[1]) in nats, by the untouched model, for each example.

        Raises:
            ModelError: a number isn't finite, or the weights allow logits that aren't.
        """
        odds = reading.log_odds(self.params, examples, context)
        check_log_odds(odds, self.name)
        # No hidden state is beyond -1 or 1. Known without waiting for the logits of all examples.
        with np.errstate(over="ignore"):
            weight = np.abs(np.asarray(network.decoder_weight(self.params)))
            most = weight.sum(axis=1) + np.abs(np.asarray(self.params["decoder"]["bias"]))
        if not np.isfinite(most).all():
            raise ModelError(f"{self.name}: expected finite logits, found weights that exceed them")
        return odds

    def value_range(self, examples: Examples, kind: Kind, context: LSTMState) -> Range:
        """What each unit can be set to; see `jaxmask.models.lstm.ranges.value_range`.

        Raises:
            ModelError: there is no such site.
            ValueError: a position lies outside its sentence.
        """
        site_of(self, kind)
        where = places(kind.place, examples.position, examples.length)
        return ranges.value_range(self.params, examples, where, context, kind)

    def objective(
        self,
        examples: Examples,
        kind: Kind,
        context: LSTMState,
        value_range: Range | None = None,
        *,
        both_directions: bool = False,
    ) -> LSTMObjective:
        """The objective of a search; see `jaxmask.models.lstm.objective.build`.

        Raises:
            ModelError: there is no such site.
            ValueError: a direction is unknown, or a position lies outside its sentence.
        """
        site_of(self, kind)
        built = objective.build(
            self.params,
            examples,
            places(kind.place, examples.position, examples.length),
            context,
            kind=kind,
            both_directions=both_directions,
        )
        return built if value_range is None else built.replace(value_range=value_range)

    def read(
        self,
        examples: Examples,
        kind: Kind,
        context: LSTMState,
        intervention: Intervention | None = None,
    ) -> Reading:
        """Reads examples, untouched or with a row of an intervention by each example's direction.

        Raises:
            ModelError: there is no such site.
            ValueError: a position lies outside its sentence.
        """
        site_of(self, kind)
        action = None
        if intervention is not None:
            rows = jax.tree.map(jnp.asarray, intervention)
            where = places(kind.place, examples.position, examples.length)
            action = Action(rows.toward(jnp.asarray(examples.direction)), where, kind)
        states = _read(self.params, context, examples.tokens, action)
        last = np.asarray(states.hidden)[np.arange(examples.size), examples.length - 1]
        top = network.top_layer(self.params, last)
        return Reading(
            np.asarray(network.of_site(states, kind)),
            reading.pair_log_odds(self.params, top, examples.pair),
        )

    def log_probs(
        self,
        words: tuple[str, ...],
        kind: Kind,
        context: LSTMState,
        intervention: Intervention | None = None,
        where: Bool[np.ndarray, " words"] | None = None,
    ) -> Float[Array, "words vocabulary"]:
        """Log-probabilities, in nats, of the next word after each word of a text.

        Raises:
            ModelError: there is no such site.
        """
        site_of(self, kind)
        tokens = jnp.array(self.vocabulary.encode(words))
        action = None if intervention is None else Action(intervention, where, kind)
        return _log_probs(self.params, context, tokens, action)

    def text_kl(
        self,
        interventions: Intervention,
        text: Text,
        kind: Kind,
        where: Bool[np.ndarray, "sentences time"],
        context: LSTMState,
    ) -> Float[np.ndarray, "runs directions"]:
        """Eq. 8 on ordinary text for each of a stack of interventions, toward each direction.

        Raises:
            ModelError: there is no such site.
        """
        site_of(self, kind)
        return np.asarray(_text_kl(interventions, self.params, text, where, context, kind))


@jax.jit
def _read(
    params: Params,
    context: LSTMState,
    tokens: Int[Array, "examples time"],
    action: Action | None,
) -> LSTMState:
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(tokens), x.shape[-1])), context)
    return read_states(params, start, tokens, action)


@jax.jit
def _log_probs(
    params: Params,
    context: LSTMState,
    tokens: Int[Array, " words"],
    action: Action | None,
) -> Float[Array, "words vocabulary"]:
    logits, _ = forward(params, context, tokens, action)
    return jax.nn.log_softmax(logits)


@partial(jax.jit, static_argnames="kind")
def _text_kl(
    interventions: Intervention,
    params: Params,
    text: Text,
    where: Bool[Array, "sentences time"],
    context: LSTMState,
    kind: Kind,
) -> Float[Array, "runs directions"]:
    return jax.lax.map(
        lambda one: text_kl.text_kl(one, params, text, where, context, kind),
        interventions,
    )
