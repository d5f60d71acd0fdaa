"""What the model expects after each word of one text, whose words may be several tokens."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention
from jaxmask.models.transformer import altered, forward
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params


class WordTokens(NamedTuple):
    """A text as tokens.

    Attributes:
        tokens: of the context and the text.
        first: index of the text's first token.
        ends: index of each word's last token.

    Example:
        >>> text = WordTokens(np.array([0, 5, 6, 7]), 1, np.array([1, 3]))
        >>> text.acts(np.array([False, True]), whole=True).tolist()
        [False, False, True, True]
        >>> text.acts(np.array([False, True]), whole=False).tolist()
        [False, False, False, True]
    """

    tokens: Int[np.ndarray, " time"]
    first: int
    ends: Int[np.ndarray, " words"]

    def acts(self, words: Bool[np.ndarray, " words"], whole: bool) -> Bool[np.ndarray, " time"]:
        """The tokens of some words: all of them, or the last; never the first of the sequence."""
        starts = np.concatenate([[self.first], self.ends[:-1] + 1]) if whole else self.ends
        at = np.zeros(len(self.tokens), bool)
        for start, end, act in zip(starts, self.ends, words, strict=True):
            at[start : end + 1] |= act
        at[0] = False
        return at


def log_probs(
    params: Params,
    config: TransformerConfig,
    text: WordTokens,
    site: str,
    given: tuple[Intervention, Bool[np.ndarray, " time"]] | None,
) -> Float[Array, "words vocabulary"]:
    """Log-probabilities, in nats, of the next token after each word.

    Args:
        params: the parameter tree.
        config: of the model.
        text: the words.
        site: name of the states that are replaced.
        given: an intervention, one number a unit, and the tokens at which it acts.

    Example:
        See `jaxmask.models.transformer.model.TransformerModel`.
    """
    action = None
    if given is not None:
        rows = jax.tree.map(lambda x: jnp.asarray(x)[None], given[0])
        action = Action(rows, jnp.asarray(given[1])[None])
    return _log_probs(
        params, config, jnp.asarray(text.tokens), jnp.asarray(text.ends), site, action
    )


@functools.partial(jax.jit, static_argnames=("config", "site"))
def _log_probs(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array, " time"],
    ends: Int[Array, " words"],
    site: str,
    action: Action | None,
) -> Float[Array, "words vocabulary"]:
    state, _ = altered.read(params, config, tokens[None], site, action)
    return jax.nn.log_softmax(forward.logits(params, config, state[0, ends]))
