"""The LSTM language model as a Flax module."""

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmask.models.lstm.forward import Action, Dropout, forward
from jaxmask.models.lstm.network import LSTMConfig, LSTMState, init_params, param_shapes, zero_state


class LSTMLanguageModel(nn.Module):
    """`jaxmask.models.lstm.forward.forward` as a Flax module.

    ``init`` gives the parameter tree of `jaxmask.models.lstm.network`; ``apply`` gives logits and
    the last state.

    Attributes:
        config: sizes of the model.
        dropout_rate: used when ``apply`` is given ``rngs={"dropout": key}``.

    Example:
        >>> import jax
        >>> module = LSTMLanguageModel(LSTMConfig(vocabulary=5, embedding=2, hidden=4))
        >>> tokens = np.array([[3, 1]])
        >>> logits, state = module.apply(module.init(jax.random.key(0), tokens), tokens)
        >>> logits.shape
        (1, 2, 5)
    """

    config: LSTMConfig
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array | np.ndarray, "*batch time"],
        state: LSTMState | None = None,
        action: Action | None = None,
    ) -> tuple[Float[Array, "*batch time vocabulary"], LSTMState]:
        """Logits and last state of `forward`; from a zero state if none is given."""
        names = list(param_shapes(self.config))
        params = {
            name: self.param(name, lambda key, name=name: init_params(key, self.config)[name])
            for name in names
        }
        state = zero_state(self.config, tokens.shape[:-1]) if state is None else state
        dropout = None
        if self.dropout_rate and self.has_rng("dropout"):
            dropout = Dropout(self.make_rng("dropout"), self.dropout_rate)
        return forward(params, state, tokens, action, dropout)
