"""What an intervention does to ordinary text, far from the stimuli it was found on."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention
from jaxmask.models.transformer import altered, decisions
from jaxmask.models.transformer.altered import Action
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params

_SENTENCES_AT_ONCE = 16


@partial(jax.jit, static_argnames=("config", "site"))
def text_kl(
    interventions: Intervention,
    params: Params,
    config: TransformerConfig,
    text: tuple[Int[Array, "sentences time"], Int[Array, "sentences time"]],
    where: Bool[Array, "sentences time"],
    *,
    site: str,
) -> Float[Array, "runs directions"]:
    """Eq. 8 for each run and direction: mean over sentences of the mean KL over their tokens.

    In nats; see `jaxmask.models.kl`.

    Args:
        interventions: the model's own values, ``runs directions units``.
        params: the parameter tree.
        config: of the model.
        text: tokens of the sentences after their context, and 1 where the KL counts, 0 in the
            context and behind the end of a sentence.
        where: at which tokens the interventions act.
        site: name of the states that are replaced.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> none = Intervention(jnp.zeros((1, 2, 24)), jnp.zeros((1, 2, 24)))
        >>> text = jnp.array([[0, 1, 2]]), jnp.array([[0, 1, 1]])
        >>> acts = jnp.array([[False, True, True]])
        >>> kl = text_kl(none, params, tiny, text, acts, site="mlp")
        >>> kl.shape, bool((abs(kl) < 1e-5).all())
        ((1, 2), True)
    """

    def of_sentence(sentence: tuple[Array, Array, Array]) -> Float[Array, "runs directions"]:
        tokens, counts, acts = sentence
        original = decisions.predictions(
            params, config, altered.read(params, config, tokens[None], site)[0][0]
        )
        share = counts.astype(jnp.float32) / counts.sum().astype(jnp.float32)

        def of(one: Intervention) -> Float[Array, ""]:
            action = Action(jax.tree.map(lambda x: x[None], one), acts[None])
            state = altered.read(params, config, tokens[None], site, action)[0][0]
            return jnp.sum(share * decisions.divergence(params, config, original, state))

        return jax.lax.map(lambda run: jax.vmap(of)(run), interventions)

    sentences = (*text, where)
    return jax.lax.map(of_sentence, sentences, batch_size=_SENTENCES_AT_ONCE).mean(axis=0)
