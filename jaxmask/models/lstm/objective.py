"""The fast objective: what an intervention does to a frozen LSTM language model.

`LSTMObjective` satisfies the protocol that `jaxmask.search` and the baselines ask for, see
`jaxmask.objective.Objective`. Compared with running the model over whole sentences (the naive
objective, which the tests keep as oracle) it

- reads everything up to the first intervened word once, not once a gradient
  (`jaxmask.models.packing`);
- replaces layer 1's input projection by a table with a row for each word of the task;
- computes a log-ratio from one difference of decoder rows, not from the whole vocabulary;
- needs of the original distribution only its expected decoder row and its log-normaliser
  (`jaxmask.models.kl`);
- estimates the mean KL over positions from one random position of some of the rows;
- computes what rows share once, where all rows of a direction are intervened on alike
  (`jaxmask.models.prefix_tree`).
"""

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxmask.intervention import DIRECTIONS, Intervention, Kind, Range, intervene
from jaxmask.models import prefix_tree, sampling
from jaxmask.models.kl import Predictions, divergence
from jaxmask.models.lstm import network, tree_reading, untouched
from jaxmask.models.lstm.forward import Action, unroll
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.packing import Stratum, pack
from jaxmask.models.prefix_tree import Tree
from jaxmask.models.sampling import Batch, PackedRows
from jaxmask.objective import KL, ExactKL, NoKL, Outcome, SampledKL
from jaxmask.products import exact
from jaxmask.runs import devices
from jaxmask.text.examples import Examples

# Decoder rows are read once for that many states: enough to keep the cores busy, few enough that
# memory doesn't grow with the examples.
_STATES_AT_ONCE = 2048

_KLs = tuple[Float[Array, ""], Float[Array, ""]]  # at all positions, and elsewhere than at targets


class LSTMObjective(PackedRows, flax.struct.PyTreeNode):
    """A frozen model and packed examples as one pytree; make it with `build`.

    It is an argument of the jitted search, never closed over: weights that are closed over would
    be compiled into the program as constants.
    """

    params: Params
    prefix_state: LSTMState  # after each distinct prefix; before its last word if it is read again
    word_gates: Float[Array, "words gates"]  # layer 1's input gates of each distinct word
    difference: Float[Array, "differences hidden"]  # decoder rows of pair[0] minus pair[1]
    difference_bias: Float[Array, " differences"]
    original: Predictions  # of the untouched model at all nodes
    prefix: Int[Array, " rows"]
    first: Int[Array, " rows"]
    suffix: Int[Array, "rows steps"]
    steps: Int[Array, " rows"]
    where: Bool[Array, "rows steps+1"]
    node: Int[Array, "rows steps+1"]
    kl_share: Float[Array, " rows"]
    direction: Int[Array, " rows"]
    pair: Int[Array, "rows pairs"]
    pair_weight: Float[Array, "rows pairs"]
    examples_up_to: Int[Array, " rows"]  # number of examples in this row and those before
    tree: Tree | None  # of the rows, unless it would be too deep
    value_range: Range  # of each unit
    strata: tuple[Stratum, ...] = flax.struct.field(pytree_node=False)
    once: bool = flax.struct.field(pytree_node=False)  # no word of a suffix is intervened on
    kind: Kind = flax.struct.field(pytree_node=False, default=Kind())

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
            kl: a `SampledKL` takes about as many rows, at one random position each.

        Raises:
            ValueError: the KL is to be sampled, but without a key.
        """
        if isinstance(kl, SampledKL) and key is None:
            raise ValueError("a KL that is estimated from some rows needs a key")
        if self.tree is not None and batch.as_tree:
            return self._respond_as_tree(self.tree, intervention, batch, key, kl)
        hidden = self._hidden(batch, intervention)
        final = [
            jnp.take_along_axis(h, self.steps[rows][:, None, None], axis=1)[:, 0]
            for h, rows in zip(hidden, self._by_stratum(batch, batch.rows), strict=True)
        ]
        if isinstance(kl, NoKL):
            mean_kl = jnp.zeros(()), jnp.zeros(())
        elif key is None or isinstance(kl, ExactKL):
            mean_kl = self._exact_kl(batch, hidden)
        else:
            mean_kl = self._sampled_kl(batch, hidden, key, kl.rows)
        return Outcome(self._log_ratio(batch, jnp.concatenate(final)), batch.weight, *mean_kl)

    def _log_ratio(self, batch: Batch, top: Float[Array, "rows hidden"]) -> Array:
        """The log-ratio of each row's pairs, from the top layer's states at the row's end."""
        differences = exact(top, self.difference.T) + self.difference_bias[None]
        difference = jnp.take_along_axis(differences, self.pair[batch.rows], axis=1)
        # pair[0] - pair[1]; d is pair[1] where the decision is to be turned to pair[0].
        return jnp.where(batch.direction[:, None] == 0, -difference, difference)

    def _respond_as_tree(
        self,
        tree: Tree,
        intervention: Intervention,
        batch: Batch,
        key: Key[Array, ""] | None,
        kl: KL,
    ) -> Outcome:
        """The outcome for all rows, with what they share computed once."""
        # Any row of a direction tells how all of them are intervened on.
        ways = jnp.arange(DIRECTIONS)[:, None]
        one_of = jnp.argmax(batch.direction[None] == ways, axis=1)
        top = tree_reading.read(
            tree,
            self.params,
            self.prefix_state,
            self.word_gates,
            jax.tree.map(lambda x: x[one_of], intervention).within(self.value_range),
            self.kind,
        )
        if isinstance(kl, NoKL):
            mean_kl = jnp.zeros(()), jnp.zeros(())
        elif key is None or isinstance(kl, ExactKL):
            of_entry = jax.lax.map(
                lambda entry: self._kl(entry[0][None], entry[1][None])[0],
                (top, tree.node),
                batch_size=_STATES_AT_ONCE,
            )
            weighted = tree.kl_weight * of_entry
            mean_kl = jnp.sum(weighted), jnp.sum(weighted * tree.elsewhere)
        else:
            some, total = sampling.in_proportion(key, kl.rows, tree.kl_weight)
            drawn = self._kl(top[some], tree.node[some])
            mean_kl = total * drawn.mean(), total * (drawn * tree.elsewhere[some]).mean()
        return Outcome(self._log_ratio(batch, top[tree.last]), batch.weight, *mean_kl)

    def _by_stratum(self, batch: Batch, x: Array) -> list[Array]:
        """Cuts an array of batch rows into one array a stratum."""
        return jnp.split(x, np.cumsum(batch.counts)[:-1])

    def _hidden(self, batch: Batch, intervention: Intervention) -> list[Array]:
        """Top layer's states after the prefix and after each suffix word, an array a stratum.

        Steps are computed in segments that end where a stratum ends, for the rows still running.
        """
        rows, intervention = devices.spread((batch.rows, intervention.within(self.value_range)))
        start = jax.tree.map(lambda x: x[self.prefix[rows]], self.prefix_state)
        where = self.where[rows]
        if untouched.reads_again(self.kind):
            gates = self.word_gates[self.first[rows]][:, None]
            first = Action(intervention, where[:, :1], self.kind)
            _, start = unroll(self.params, start, gates, first)
        else:
            mask = intervention.mask * where[:, :1].astype(jnp.float32)
            hidden = intervene(start.hidden, mask, intervention.baseline)
            start = start._replace(hidden=hidden)
        pieces = [network.top_layer(self.params, start.hidden)[:, None]]
        running = [len(rows)]
        state, done = start, 0
        ends = np.cumsum(batch.counts)
        for stratum, n in reversed(list(zip(self.strata, ends, strict=True))):
            if stratum.steps == done:
                continue
            state = jax.tree.map(lambda x, n=n: x[:n], state)
            action = None
            if not self.once:
                here = jax.tree.map(lambda x, n=n: x[:n], intervention)
                action = Action(here, where[:n, done + 1 : stratum.steps + 1], self.kind)
            gates = self.word_gates[self.suffix[rows[:n], done : stratum.steps]]
            altered, state = unroll(self.params, state, gates, action)
            pieces.append(network.top_layer(self.params, altered))
            running.append(n)
            done = stratum.steps
        starts = ends - batch.counts
        return [
            jnp.concatenate(
                [piece[a:b] for piece, n in zip(pieces, running, strict=True) if n >= b], axis=1
            )
            for a, b in zip(starts, ends, strict=True)
        ]

    def _kl(self, top: Float[Array, "n hidden"], node: Int[Array, " n"]) -> Float[Array, " n"]:
        """KL(original || intervened) of next-word predictions, from top-layer states."""
        original = jax.tree.map(lambda x: x[node], self.original)
        return divergence(
            original, top, network.decoder_weight(self.params), self.params["decoder"]["bias"]
        )

    def _exact_kl(self, batch: Batch, hidden: list[Array]) -> _KLs:
        total = elsewhere = jnp.zeros(())
        weights = self._by_stratum(batch, batch.weight.sum(axis=1))
        for h, rows, weight in zip(
            hidden, self._by_stratum(batch, batch.rows), weights, strict=True
        ):
            n, length, width = h.shape
            kl = self._kl(h.reshape(n * length, width), self.node[rows, :length].reshape(-1))
            kl = kl.reshape(n, length)
            step, last = jnp.arange(length)[None], self.steps[rows][:, None]
            positions = (self.steps[rows] + 1).astype(kl.dtype)

            def mean(inside: Array) -> Array:
                of_row = jnp.sum(kl * inside.astype(kl.dtype), axis=1) / positions  # noqa: B023
                return jnp.sum(weight * self.kl_share[rows] * of_row)  # noqa: B023

            total, elsewhere = total + mean(step <= last), elsewhere + mean(step < last)
        return total, elsewhere

    def _sampled_kl(
        self, batch: Batch, hidden: list[Array], key: Key[Array, ""], kl_rows: int
    ) -> _KLs:
        by_stratum = self._by_stratum(batch, batch.rows)
        drawn = sampling.draw_positions(key, kl_rows, [self.steps[rows] for rows in by_stratum])
        tops, nodes, weights, elsewhere = [], [], [], []
        for h, rows, weight, some in zip(
            hidden,
            by_stratum,
            self._by_stratum(batch, batch.weight.sum(axis=1)),
            drawn,
            strict=True,
        ):
            tops.append(h[some.row, some.step])
            nodes.append(self.node[rows[some.row], some.step])
            weights.append(weight[some.row] * some.factor * self.kl_share[rows[some.row]])
            elsewhere.append(some.step < self.steps[rows[some.row]])
        kl = jnp.concatenate(weights) * self._kl(jnp.concatenate(tops), jnp.concatenate(nodes))
        return jnp.sum(kl), jnp.sum(kl * jnp.concatenate(elsewhere).astype(kl.dtype))


def build(
    params: Params,
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    context: LSTMState,
    *,
    kind: Kind = Kind(),
    both_directions: bool = False,
) -> LSTMObjective:
    """Packs examples and computes all that doesn't depend on the intervention.

    Baselines are the model's own values; ``replace(value_range=...)`` makes them places in a range.

    Args:
        params: the frozen model.
        examples: with their directions known, see `jaxmask.text.examples.directed`.
        where: `jaxmask.intervention.single_step` or ``every_step`` of the examples, or any other
            choice of at least one word a sentence.
        context: the state before the first word of every sentence.
        kind: of interventions; ``where`` takes the place of its ``place``.
        both_directions: see `jaxmask.models.packing.pack`; objectives of several models of one
            size then share compiled programs, at the price of more rows wherever all are computed.

    Raises:
        ValueError: see `jaxmask.models.packing.pack`.

    Example:
        >>> from jaxmask.models.lstm.network import LSTMConfig, init_params, zero_state
        >>> config = LSTMConfig(vocabulary=5, embedding=2, hidden=4, layers=1)
        >>> params = init_params(jax.random.key(0), config)
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[0, 1]]), one, one, one)
        >>> objective = build(params, examples, np.array([[True, False]]), zero_state(config))
        >>> batch = objective.everything()
        >>> nothing = Intervention(jnp.zeros((2, 4)), jnp.zeros((2, 4)))
        >>> outcome = objective(nothing.toward(batch.direction), batch)
        >>> outcome.log_ratio.shape, bool(abs(outcome.kl) < 1e-6)
        ((1, 1), True)
    """
    packed = pack(examples, where, both_directions=both_directions)
    return LSTMObjective(
        params=params,
        **untouched.compute(params, packed, context, kind)._asdict(),
        prefix=jnp.asarray(packed.prefix),
        first=jnp.asarray(packed.first),
        suffix=jnp.asarray(packed.suffix),
        steps=jnp.asarray(packed.steps),
        where=jnp.asarray(packed.where),
        node=jnp.asarray(packed.node),
        kl_share=jnp.asarray(packed.kl_share),
        direction=jnp.asarray(packed.direction),
        pair=jnp.asarray(packed.pair),
        pair_weight=jnp.asarray(packed.pair_weight),
        examples_up_to=jnp.asarray(np.cumsum(packed.pair_weight.sum(axis=1)).astype(np.int32)),
        tree=prefix_tree.grow(packed, tree_reading.DEEPEST),
        strata=packed.strata,
        once=packed.once,
        value_range=Range.same(network.site_units(params, kind)),
        kind=kind,
    )
