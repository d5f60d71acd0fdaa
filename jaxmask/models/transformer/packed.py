"""From examples to the fast objective: packed, with its tables, as a tree, and checked."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxmask.intervention import Intervention, Kind, Range
from jaxmask.models import packing, prefix_tree
from jaxmask.models.language_model import ModelError
from jaxmask.models.packing import Packed
from jaxmask.models.prefix_tree import Tree
from jaxmask.models.sampling import Batch
from jaxmask.models.transformer import layout, untouched
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.forward import Params
from jaxmask.models.transformer.objective import Tokens, TransformerObjective
from jaxmask.models.transformer.suffix import NOWHERE, Suffix
from jaxmask.models.transformer.untouched import Context, Tables
from jaxmask.objective import Outcome
from jaxmask.text.examples import Examples

# A stratum costs an index array only, but a batch takes at least one row of each.
MOST_STRATA = 16
DEEPEST = 32  # levels of the tree: each token looks at so many places for those before it
_TOLERANCE = 1e-3  # nats, of what float32 does to sums in another order
_FAR = 10.0  # a value that no unit has by chance


def pack(
    examples: Examples,
    where: Bool[np.ndarray, "examples time"],
    *,
    both_directions: bool = False,
) -> Packed:
    """Packs examples in more strata than an LSTM does; see `jaxmask.models.packing.pack`.

    Args:
        examples: with their directions known.
        where: to intervene, see `jaxmask.models.transformer.sites.act_at`.
        both_directions: give each sentence a row for either direction.

    Raises:
        ValueError: see `jaxmask.models.packing.pack`.
    """
    return packing.pack(examples, where, both_directions=both_directions, most_strata=MOST_STRATA)


def build(
    params: Params, config: TransformerConfig, packed: Packed, kind: Kind, context: Context
) -> TransformerObjective:
    """Computes all that doesn't depend on the intervention, and checks what comes of it.

    Baselines are the model's own values; ``replace(value_range=...)`` makes them places in a range.

    Args:
        params: the parameter tree of the frozen model.
        config: of the model.
        packed: examples and where they are intervened on, see `pack`.
        kind: of interventions; its ``place`` is that of ``packed``.
        context: tokens before every sentence.

    Raises:
        ModelError: see `check`.

    Example:
        >>> from jaxmask.models.transformer.parameters import random_params
        >>> tiny = TransformerConfig(
        ...     vocabulary=7, width=4, heads=2, kv_heads=1, head_width=2, mlp=8, positions=16,
        ...     query_scale=(1.0,) * 3, windows=(9,) * 3,
        ... )
        >>> params = random_params(jax.random.key(0), tiny)
        >>> one = np.zeros(1, np.int32)
        >>> examples = Examples(np.array([[2, 3]]), one + 2, one, np.array([[4, 5]]), one, one, one)
        >>> packed = pack(examples, np.array([[True, False]]))
        >>> objective = build(params, tiny, packed, Kind("mlp", "all"), context=(0,))
        >>> batch = objective.everything()
        >>> nothing = Intervention(jnp.zeros((2, 24)), jnp.zeros((2, 24)))
        >>> outcome = objective(nothing.toward(batch.direction), batch)
        >>> outcome.log_ratio.shape, bool(abs(outcome.kl) < 1e-5)
        ((1, 1), True)
    """
    tables = untouched.compute(params, config, packed, context)
    altered = 1 + int(np.flatnonzero(packed.where.any(axis=0)).max())
    tree = prefix_tree.grow(packed, DEEPEST)
    word = np.concatenate([packed.first[:, None], packed.suffix], axis=1)
    objective = TransformerObjective(
        params=params,
        past=tables.past,
        pair_rows=tables.pair_rows,
        original=tables.original,
        prefix=jnp.asarray(tables.before[packed.prefix]),
        token=jnp.asarray(packed.words[word]),
        steps=jnp.asarray(packed.steps),
        where=jnp.asarray(packed.where),
        node=jnp.asarray(packed.node),
        kl_share=jnp.asarray(packed.kl_share),
        direction=jnp.asarray(packed.direction),
        pair=jnp.asarray(packed.pair),
        pair_weight=jnp.asarray(packed.pair_weight),
        examples_up_to=jnp.asarray(np.cumsum(packed.pair_weight.sum(axis=1)).astype(np.int32)),
        tree=None if tree is None else _tree_tokens(tree, packed.words, tables, altered),
        value_range=Range.same(config.layers * config.site_width(kind.site)),
        strata=packed.strata,
        altered=altered,
        config=config,
        kind=kind,
    )
    check(objective)
    return objective


def check(objective: TransformerObjective) -> None:
    """Checks on a few rows that no intervention changes nothing, and that one unit counts.

    A mask of zeros has to give a KL of 0 and the log-ratios of the untouched model, which has read
    whole sentences; another value of a random unit of the first layer has to change a log-ratio.

    Args:
        objective: whose values are the model's own.

    Raises:
        ModelError: one of this isn't so.
    """
    unit_key, row_key = jax.random.split(jax.random.key(0))
    batch = objective.sample(row_key, 1)
    site = objective.kind.site
    unit = int(jax.random.randint(unit_key, (), 0, objective.config.site_width(site)))
    none, expected = _respond_to_unit(objective, batch, unit, 0.0)
    one, _ = _respond_to_unit(objective, batch, unit, 1.0)
    exact = objective.params["embedding"].dtype == jnp.float32
    far = _TOLERANCE if exact else 100.0 * _TOLERANCE
    if not abs(none.kl) < far:
        raise ModelError(
            f"{site}: expected a KL of 0 nats without an intervention, found {none.kl:g}"
        )
    apart = jnp.abs(none.log_ratio - expected).max()
    if not apart < far * jnp.maximum(1.0, jnp.abs(expected).max()):
        raise ModelError(
            f"{site}: expected the untouched model's log-ratios without an intervention, found "
            f"{apart:g} nats more or less"
        )
    if (one.log_ratio == none.log_ratio).all():
        raise ModelError(f"{site}: expected unit {unit + 1} to change a log-ratio, found no change")


@jax.jit
def _respond_to_unit(
    objective: TransformerObjective, batch: Batch, unit: int | Array, mask: float | Array
) -> tuple[Outcome, Float[Array, "rows pairs"]]:
    """The outcome with one unit far away, and the log-ratios of the untouched model."""
    zeros = jnp.zeros((len(batch.rows), objective.n_units))
    alone = zeros.at[:, unit].set(mask)
    outcome = objective(Intervention(alone, zeros + _FAR), batch)
    node = objective.node[batch.rows, objective.steps[batch.rows]]
    return outcome, objective.log_ratio(batch, objective.original.hidden[node])


def _tree_tokens(
    tree: Tree,
    words: Int[np.ndarray, " words"],
    tables: Tables,
    altered: int,
) -> Tokens:
    """All rows, with what they share computed once."""
    branches = layout.branches(tree)
    size, levels = branches.ancestors.shape
    level = np.repeat(np.arange(levels), branches.counts)
    ancestors = np.asarray(branches.ancestors)
    prefix = tables.before[np.asarray(tree.prefix)][ancestors[:, 0]]
    start = np.asarray(tables.past.length)[prefix]
    depth = np.broadcast_to(np.arange(levels), (size, levels))
    keys = np.where(depth <= level[:, None], start[:, None] + depth, NOWHERE)
    where = np.concatenate([np.asarray(one.where) for one in tree.levels[:altered]])
    word = np.concatenate([np.asarray(one.word) for one in tree.levels])
    return Tokens(
        suffix=Suffix(
            layout=branches,
            token=jnp.asarray(words[word]),
            position=jnp.asarray(start + level, jnp.int32),
            prefix=jnp.asarray(prefix),
            keys=jnp.asarray(keys, jnp.int32),
            where=jnp.asarray(where, jnp.float32),
            altered=altered,
        ),
        node=tree.node,
        kl_weight=tree.kl_weight,
        elsewhere=tree.elsewhere,
        last=tree.last,
    )
