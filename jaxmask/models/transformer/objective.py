"""The fast objective: what an intervention does to a frozen transformer language model.

`TransformerObjective` satisfies the protocol that `jaxmask.search` and the baselines ask for, see
`jaxmask.objective.Objective`. Compared with running the model over whole sentences (the naive
objective, which the tests keep as oracle) it

- computes only tokens from the first intervened one on, flat rather than padded
  (`jaxmask.models.transformer.layout`), against cached keys and values
  (`jaxmask.models.transformer.untouched`);
- computes a log-ratio from one difference of decoder rows, not from the whole vocabulary;
- needs of the original distribution only its expected decoder row and its log-normaliser
  (`jaxmask.models.kl`), unless logits are capped (`jaxmask.models.capped_kl`);
- estimates the mean KL over positions from some of them;
- computes what rows share once, where all rows of a direction are intervened on alike
  (`jaxmask.models.prefix_tree`).

Runs are distributed over devices. The rows of one run aren't: flat tokens can't be divided between
devices that don't exchange states in every layer, which would block runs that take another number
of steps.
"""

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import DIRECTIONS, Intervention, Kind, Range
from jaxmask.models import sampling
from jaxmask.models.kl import Predictions
from jaxmask.models.packing import Stratum
from jaxmask.models.sampling import Batch, PackedRows
from jaxmask.models.transformer import decisions, layout, suffix
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.layout import Rows
from jaxmask.models.transformer.suffix import Suffix
from jaxmask.models.transformer.untouched import Past
from jaxmask.objective import KL, ExactKL, NoKL, Outcome, SampledKL


class Tokens(flax.struct.PyTreeNode):
    """The flat tokens of a batch.

    Attributes:
        suffix: what is computed.
        node: of the untouched model, of each token.
        kl_weight: of each token in the mean of the KL over examples and positions.
        elsewhere: the fraction of this weight that the positions of targets don't give.
        last: the token at which each row ends.
    """

    suffix: Suffix
    node: Int[Array, " tokens"]
    kl_weight: Float[Array, " tokens"]
    elsewhere: Float[Array, " tokens"]
    last: Int[Array, " rows"]


class TransformerObjective(PackedRows, flax.struct.PyTreeNode):
    """A frozen model and packed examples as one pytree.

    `jaxmask.models.transformer.packed.build` makes it. It is an argument of the jitted search,
    never closed over: weights that are closed over would be compiled into the program as constants.
    """

    params: Params
    past: Past
    pair_rows: Float[Array, "differences forms width"]
    original: Predictions  # of the untouched model at all nodes
    prefix: Int[Array, " rows"]
    token: Int[Array, "rows steps+1"]
    steps: Int[Array, " rows"]
    where: Bool[Array, "rows steps+1"]
    node: Int[Array, "rows steps+1"]
    kl_share: Float[Array, " rows"]
    direction: Int[Array, " rows"]
    pair: Int[Array, "rows pairs"]
    pair_weight: Float[Array, "rows pairs"]
    examples_up_to: Int[Array, " rows"]  # number of examples in this row and those before
    tree: Tokens | None  # all rows as a tree, unless it would be too deep
    value_range: Range  # of each unit
    strata: tuple[Stratum, ...] = flax.struct.field(pytree_node=False)
    altered: int = flax.struct.field(pytree_node=False)  # first tokens of rows, intervened on
    config: TransformerConfig = flax.struct.field(pytree_node=False)
    kind: Kind = flax.struct.field(pytree_node=False)

    def __call__(
        self,
        intervention: Intervention,
        batch: Batch,
        key: Key[Array, ""] | None = None,
        kl: KL = ExactKL(),
    ) -> Outcome:
        """Intervenes on a batch.

        Args:
            intervention: mask and baseline for each row of the batch, ``rows units``.
            batch: from `sample` or `everything`.
            key: for the sampled KL.
            kl: a `SampledKL` takes as many tokens.

        Raises:
            ValueError: the KL is to be sampled, but without a key.
        """
        if isinstance(kl, SampledKL) and key is None:
            raise ValueError("a KL that is estimated from some rows needs a key")
        if batch.as_tree and self.tree is not None:
            # Any row of a direction tells how all of them are intervened on.
            ways = jnp.arange(DIRECTIONS)[:, None]
            one_of = jnp.argmax(batch.direction[None] == ways, axis=1)
            tokens, intervention = self.tree, jax.tree.map(lambda x: x[one_of], intervention)
        else:
            tokens = self._tokens(batch)
        state = suffix.read(
            self.params,
            self.config,
            self.kind.site,
            self.past,
            tokens.suffix,
            intervention.within(self.value_range),
        )
        log_ratio = self.log_ratio(batch, state[tokens.last])
        return Outcome(log_ratio, batch.weight, *self._mean_kl(tokens, state, key, kl))

    def log_ratio(
        self, batch: Batch, state: Float[Array, "rows width"]
    ) -> Float[Array, "rows pairs"]:
        """The log-ratio of each row's pairs, from the normalised states at the rows' ends."""
        odds = decisions.log_odds(self.config, self.pair_rows, state)
        odds = jnp.take_along_axis(odds, self.pair[batch.rows], axis=1)
        # pair[0] - pair[1]; d is pair[1] where the decision is to be turned to pair[0].
        return jnp.where(batch.direction[:, None] == 0, -odds, odds)

    def _mean_kl(
        self, tokens: Tokens, state: Float[Array, "tokens width"], key: Array | None, kl: KL
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The mean KL at all positions, and the part of it that targets' positions don't give."""
        if isinstance(kl, NoKL):
            return jnp.zeros(()), jnp.zeros(())

        def of(state: Array, node: Array) -> Array:
            original = jax.tree.map(lambda x: x[node], self.original)
            return decisions.divergence(self.params, self.config, original, state)

        if key is None or isinstance(kl, ExactKL):
            weighted = tokens.kl_weight * of(state, tokens.node)
            return jnp.sum(weighted), jnp.sum(weighted * tokens.elsewhere)
        some, total = sampling.in_proportion(key, kl.rows, tokens.kl_weight)
        drawn = of(state[some], tokens.node[some])
        return total * drawn.mean(), total * (drawn * tokens.elsewhere[some]).mean()

    def _tokens(self, batch: Batch) -> Tokens:
        """Each row of a batch as a sentence of its own."""
        rows = batch.rows
        counts = layout.running(self.strata, batch.counts)
        at = layout.places(counts)
        here = rows[at.row], at.time
        prefix = self.prefix[rows]
        start = self.past.length[prefix]
        share = self.kl_share[rows] / (self.steps[rows] + 1).astype(jnp.float32)
        weight = (batch.weight.sum(axis=1) * share)[at.row]
        first = sum(counts[: self.altered])
        return Tokens(
            suffix=Suffix(
                layout=Rows(counts),
                token=self.token[here],
                position=start[at.row] + at.time,
                prefix=prefix,
                keys=start[:, None] + jnp.broadcast_to(np.arange(len(counts)), at.token.shape),
                where=self.where[here][:first].astype(jnp.float32),
                altered=self.altered,
            ),
            node=self.node[here],
            kl_weight=jnp.where(at.time <= self.steps[rows][at.row], weight, 0.0),
            elsewhere=(jnp.asarray(at.time) < self.steps[rows][at.row]).astype(jnp.float32),
            last=jnp.asarray(at.token)[jnp.arange(len(rows)), self.steps[rows]],
        )
