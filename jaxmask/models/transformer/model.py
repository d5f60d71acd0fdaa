"""A transformer language model as the rest of the package knows it.

`TransformerModel` is what `jaxmask.models.language_model.LanguageModel` asks for: each method hands
the model's parameters to a function of this folder.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxmask.intervention import Intervention, Kind, Range, Reach, Site, Values
from jaxmask.models import weights
from jaxmask.models.language_model import ModelError, Reading, check_log_odds, site_of
from jaxmask.models.transformer import altered, decisions, packed, ranges, sites, text_kl
from jaxmask.models.transformer import words as next_words
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.config import SITES, TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.objective import TransformerObjective
from jaxmask.models.transformer.reading import read_all
from jaxmask.models.transformer.words import WordTokens
from jaxmask.text import ordinary_text, subwords
from jaxmask.text.examples import Encoded, Examples, Stimulus, Task, Unknown
from jaxmask.text.ordinary_text import Text
from jaxmask.text.tokenizer import Tokenizer

Context = tuple[int, ...]  # tokens before every sentence


@dataclasses.dataclass(frozen=True)
class TransformerModel:
    """A frozen transformer language model.

    Its sites are ``mlp``, the neurons' activations, ``residual``, the residual stream after each
    block, and ``attention``, what the heads read, side by side. Its contexts are ``own``, what its
    tokenizer puts before a text (which may be nothing), ``bos``, its token for the beginning of a
    sequence, and ``none``.

    Attributes:
        name: of the model.
        config: its sizes and switches.
        params: its weights, see `jaxmask.models.transformer.forward`.
        vocabulary: its tokenizer.

    Example:
        >>> import tokenizers
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> words = tokenizers.models.WordLevel({"The": 0, "boys": 1, "run": 2, "?": 3}, "?")
        >>> inner = tokenizers.Tokenizer(words)
        >>> inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> config = TransformerConfig(
        ...     vocabulary=4, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), config)
        >>> model = TransformerModel("tiny", config, params, Tokenizer(inner.to_str()))
        >>> model.sites["mlp"].units, model.contexts
        (24, ('own', 'bos', 'none'))
        >>> model.log_probs(("The", "boys"), Kind("mlp", "all"), model.read_context("own")).shape
        (2, 4)
    """

    name: str
    config: TransformerConfig
    params: Params
    vocabulary: Tokenizer

    @property
    def family(self) -> str:
        """Name of the family: ``transformer``."""
        return "transformer"

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a SHA-256 over configuration, tokenizer and weights."""
        sizes = dataclasses.asdict(self.config)
        return weights.fingerprint(sizes, (self.vocabulary.digest,), self.params)

    @property
    def sites(self) -> Mapping[str, Site]:
        """The states that can be replaced: ``mlp``, ``residual``, ``attention``."""
        return {
            name: Site(name, self.config.layers, self.config.site_width(name), (name,))
            for name in SITES
        }

    @property
    def contexts(self) -> tuple[str, ...]:
        """Names of what may be read before each sentence: ``own``, ``bos``, ``none``."""
        return ("own", "bos", "none")

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """Who may read replaced states: ``all`` that reads them, as there is no recurrence."""
        return ("all",)

    @property
    def usual_values(self) -> Values:
        """What units can be set to unless a person chooses otherwise: ``natural``."""
        return "natural"

    def description(self) -> dict[str, Any]:
        """Name, fingerprint, sizes, tokenizer and type of weights, as ``summary.json`` has them."""
        bos = self.vocabulary.bos
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "layers": self.config.layers,
            "hidden": self.config.width,
            "vocabulary": self.config.vocabulary,
            "tokenizer": self.vocabulary.digest[:16],
            "bos": None if bos is None else self.vocabulary.words[bos],
            "dtype": self.params["embedding"].dtype.name,
        }

    def encode(self, task: Task) -> Encoded:
        """The stimuli of a task as tokens; see `jaxmask.text.subwords.encode`.

        Raises:
            ModelError: the weights have no row for a token.
        """
        encoded = subwords.encode(task, self.vocabulary)
        self._check_tokens(encoded.examples.tokens)
        self._check_tokens(encoded.examples.pair)
        return encoded

    def encode_text(self, sentences: Sequence[Sequence[str]]) -> Text:
        """Ordinary text as tokens; see `jaxmask.text.ordinary_text.encode`.

        Raises:
            ModelError: a sentence is too long, or the weights have no row for a token.
        """
        text = ordinary_text.encode(sentences, self.vocabulary)
        self._check_tokens(text.tokens)
        self._check_length((0,), int(text.length.max()))  # a context has one token at the most
        return text

    def unknown_words(self, stimulus: Stimulus) -> Unknown:
        """The form for which a stimulus is dropped; see `jaxmask.text.subwords.unknown_words`."""
        return subwords.unknown_words(stimulus, self.vocabulary)

    def beginning(self, context: str) -> tuple[str, ...]:
        """The texts of the tokens before every sentence.

        Raises:
            ModelError: there is no such context, or the tokenizer has no such token.
        """
        return tuple(self.vocabulary.words[token] for token in self.read_context(context))

    def read_context(self, name: str) -> Context:
        """The tokens before every sentence.

        Raises:
            ModelError: there is no such context, the tokenizer has no such token, or the weights
                have no row for it.
        """
        if name not in self.contexts:
            raise ModelError(
                f"{self.name}: context: expected {' or '.join(self.contexts)}, found {name!r}"
            )
        if name == "none":
            return ()
        if name == "own":
            self._check_tokens(np.array(self.vocabulary.own_beginning, int))
            return self.vocabulary.own_beginning
        if self.vocabulary.bos is None:
            raise ModelError(
                f"{self.name}: context: expected own or none, as the tokenizer names no token for "
                "the beginning of a sequence, found 'bos'"
            )
        self._check_tokens(np.array(self.vocabulary.bos))
        return (self.vocabulary.bos,)

    def log_odds(self, examples: Examples, context: Context) -> Float[np.ndarray, " examples"]:
        """Log p(pair[0]) - log p(pair[1]) in nats, by the untouched model, for each example.

        Raises:
            ModelError: a number isn't finite, or a sentence is too long.
        """
        self._check_length(context, int(examples.length.max()))
        sequences = [
            (*context, *tokens[:length])
            for tokens, length in zip(
                examples.tokens.tolist(), examples.length.tolist(), strict=True
            )
        ]
        state = read_all(self.params, self.config, sequences).state
        rows = decisions.pair_rows(self.params, self.config, examples.pair)
        odds = np.asarray(_pair_odds(self.config, state, rows))
        check_log_odds(odds, self.name)
        return odds

    def value_range(self, examples: Examples, kind: Kind, context: Context) -> Range:
        """What each unit can be set to; see `jaxmask.models.transformer.ranges.value_range`.

        Raises:
            ModelError: there is no such site or reach, a sentence is too long, or has no token to
                intervene on.
        """
        where = self._act_at(kind, examples, context)
        return ranges.value_range(self.params, self.config, examples, where, kind, context)

    def objective(
        self,
        examples: Examples,
        kind: Kind,
        context: Context,
        value_range: Range | None = None,
        *,
        both_directions: bool = False,
    ) -> TransformerObjective:
        """The objective of a search; see `jaxmask.models.transformer.packed.build`.

        Raises:
            ModelError: there is no such site or reach, a sentence is too long or has no token to
                intervene on, or the objective doesn't pass its own checks.
            ValueError: a direction is unknown.
        """
        where = self._act_at(kind, examples, context)
        rows = packed.pack(examples, where, both_directions=both_directions)
        built = packed.build(self.params, self.config, rows, kind, context)
        return built if value_range is None else built.replace(value_range=value_range)

    def read(
        self,
        examples: Examples,
        kind: Kind,
        context: Context,
        intervention: Intervention | None = None,
    ) -> Reading:
        """Reads examples, untouched or with a row of an intervention for each direction.

        Raises:
            ModelError: there is no such site or reach, a sentence is too long, or has no token to
                intervene on.
        """
        where = self._act_at(kind, examples, context)
        action = None
        if intervention is not None:
            given = jax.tree.map(jnp.asarray, intervention).toward(jnp.asarray(examples.direction))
            action = Action(given, _behind(context, where, False))
        state, units = altered.read_in_parts(
            self.params, self.config, _behind(context, examples.tokens), kind.site, action
        )
        last = state[np.arange(examples.size), len(context) + examples.length - 1]
        rows = decisions.pair_rows(self.params, self.config, examples.pair)
        odds = np.asarray(_pair_odds(self.config, jnp.asarray(last), rows))
        return Reading(units[:, len(context) :], odds)

    def log_probs(
        self,
        words: tuple[str, ...],
        kind: Kind,
        context: Context,
        intervention: Intervention | None = None,
        where: Bool[np.ndarray, " words"] | None = None,
    ) -> Float[Array, "words vocabulary"]:
        """Log-probabilities, in nats, of the next token after each word of a text.

        An intervention at ``every`` place acts at all tokens of the words, others at their last
        one; the first token of a sequence is never intervened on.

        Raises:
            ModelError: there is no such site, or the text is too long.
        """
        site_of(self, kind)
        found = self.vocabulary.tokens(words)
        self._check_tokens(np.array(found.ids))
        self._check_length(context, len(found.ids))
        tokens, ends = np.array([*context, *found.ids], np.int32), np.array(found.ends)
        text = WordTokens(tokens, len(context), len(context) + ends)
        given = None
        if intervention is not None:
            acting = np.ones(len(words), bool) if where is None else np.asarray(where)
            given = intervention, text.acts(acting, kind.place == "every")
        return next_words.log_probs(self.params, self.config, text, kind.site, given)

    def text_kl(
        self,
        interventions: Intervention,
        text: Text,
        kind: Kind,
        where: Bool[np.ndarray, "sentences time"],
        context: Context,
    ) -> Float[np.ndarray, "runs directions"]:
        """Eq. 8 on ordinary text for each of a stack of interventions, toward each direction.

        Raises:
            ModelError: there is no such site or reach, or a sentence is too long.
        """
        site_of(self, kind)
        self._check_length(context, int(text.length.max()))
        inside = np.arange(text.tokens.shape[1]) < text.length[:, None]
        acts = _behind(context, where & inside, False)
        acts[:, 0] = False
        counted = _behind(context, inside, False).astype(np.int32)
        tokens = _behind(context, text.tokens)
        found = text_kl.text_kl(
            interventions, self.params, self.config, (tokens, counted), acts, site=kind.site
        )
        return np.asarray(found)

    def _act_at(
        self, kind: Kind, examples: Examples, context: Context
    ) -> Bool[np.ndarray, "examples time"]:
        """The tokens at which an intervention acts, of sentences that the model can read."""
        site_of(self, kind)
        self._check_length(context, int(examples.length.max()))
        try:
            return sites.act_at(kind, examples, len(context))
        except ValueError as fault:
            raise ModelError(f"{self.name}: {fault}; the context bos puts one there") from fault

    def _check_length(self, context: Context, longest: int) -> None:
        """Checks that the model has a position for every token."""
        most = self.config.positions
        if most and len(context) + longest > most:
            raise ModelError(
                f"{self.name}: expected texts of at most {most} tokens, found "
                f"{len(context) + longest}"
            )

    def _check_tokens(self, tokens: Int[np.ndarray, "..."]) -> None:
        """Checks that the model has a row for every token of its tokenizer that is used."""
        if (most := int(tokens.max(initial=0))) >= self.config.vocabulary:
            raise ModelError(
                f"{self.name}: expected tokens below {self.config.vocabulary}, the number of rows "
                f"of the embedding, found {most} from the tokenizer"
            )


def _behind(
    context: Context, x: Shaped[np.ndarray, "rows time"], filled: bool | None = None
) -> Shaped[np.ndarray, "rows longer"]:
    """Rows with places for a context before them: its tokens, or what is given."""
    before = np.array(context, np.int32) if filled is None else np.full(len(context), filled)
    return np.concatenate([np.broadcast_to(before, (len(x), len(before))), x], axis=1)


@functools.partial(jax.jit, static_argnames="config")
def _pair_odds(
    config: TransformerConfig,
    state: Float[Array, "examples width"],
    rows: Float[Array, "examples rows width"],
) -> Float[Array, " examples"]:
    def of_example(state: Array, rows: Array) -> Array:
        return decisions.log_odds(config, rows[None], state[None])[0, 0]

    return jax.vmap(of_example)(state, rows)
