"""The objective as the paper states it, with nothing saved: the oracle of the fast one.

Whole sentences are read from the context twice, with and without the intervention, and a full
softmax over the vocabulary is taken at every position. The tests compare the fast objective's
values with it, the benchmark its speed.
"""

from functools import partial

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import Intervention, Kind, Range
from jaxmask.models.lstm import network
from jaxmask.models.lstm.forward import Action, forward
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.naive import Response, response
from jaxmask.objective import KL, ExactKL, NoKL, Outcome
from jaxmask.text.examples import Examples


@partial(jax.jit, static_argnames="kind")
def respond(
    params: Params,
    examples: Examples,
    where: Bool[Array, "examples time"],
    context: LSTMState,
    intervention: Intervention,
    kind: Kind = Kind(),
) -> Response:
    """The response of each example to its own row of mask and baseline (Eqs. 2 and 8)."""
    size = len(examples.tokens)
    start = LSTMState(*(jnp.broadcast_to(x, (size, x.shape[-1])) for x in context))

    def predictions(intervention: Intervention | None) -> Float[Array, "examples time vocabulary"]:
        action = None if intervention is None else Action(intervention, where, kind)
        logits, _ = forward(params, start, examples.tokens, action)
        return jax.nn.log_softmax(logits)

    original, intervened = predictions(None), predictions(intervention)
    return response(original, intervened, examples)


class NaiveBatch(flax.struct.PyTreeNode):
    """Some examples, a row each, and where they are intervened on."""

    examples: Examples
    where: Bool[Array, "rows time"]

    @property
    def direction(self) -> Int[Array, " rows"]:
        """Index of the form that a row's decision is to turn to."""
        return jnp.asarray(self.examples.direction)


class NaiveObjective(flax.struct.PyTreeNode):
    """`respond` as a `jaxmask.objective.Objective`, so that the same search runs on it.

    A KL is always the exact one.
    """

    params: Params
    examples: Examples
    where: Bool[Array, "examples time"]
    context: LSTMState
    value_range: Range
    kind: Kind = flax.struct.field(pytree_node=False, default=Kind())

    @property
    def n_units(self) -> int:
        """Number of units of the site."""
        return len(self.value_range.low)

    def everything(self, by_direction: bool = False) -> NaiveBatch:
        """All examples, nothing shared."""
        return NaiveBatch(self.examples, self.where)

    def sample(self, key: Key[Array, ""], size: int, independent: bool = True) -> NaiveBatch:
        """Examples drawn uniformly, and independently in any case."""
        rows = jax.random.randint(key, (size,), 0, self.examples.size)
        return jax.tree.map(lambda x: x[rows], self.everything())

    def __call__(
        self,
        intervention: Intervention,
        batch: NaiveBatch,
        key: Key[Array, ""] | None = None,
        kl: KL = ExactKL(),
    ) -> Outcome:
        """Intervenes on a batch; see `jaxmask.objective.Objective`."""
        intervention = intervention.within(self.value_range)
        found = respond(
            self.params, batch.examples, batch.where, self.context, intervention, self.kind
        )
        weight = jnp.full((len(batch.where), 1), 1.0 / len(batch.where))
        asked = 0.0 if isinstance(kl, NoKL) else 1.0
        kls = (asked * found.kl.mean(), asked * found.kl_elsewhere.mean())
        return Outcome(found.log_ratio[:, None], weight, *kls)


def build(
    params: Params,
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    context: LSTMState,
    value_range: Range | None = None,
    kind: Kind = Kind(),
) -> NaiveObjective:
    """The naive counterpart of `jaxmask.models.lstm.objective.build`."""
    value_range = value_range or Range.same(network.site_units(params, kind))
    return NaiveObjective(
        params,
        jax.tree.map(jnp.asarray, examples),
        jnp.asarray(where),
        context,
        value_range,
        kind,
    )
