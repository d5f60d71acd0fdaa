"""All searches of a plan, as one program."""

import jax
from jaxtyping import Array, Key

from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble, Session


def keys(seeds: int) -> Key[Array, " seeds"]:
    """The random keys of the searches: seed n has the same key whatever the number of seeds.

    Example:
        >>> bool((keys(3)[:2] == keys(2)).all())
        True
    """
    return jax.random.split(jax.random.key(0), seeds)


def search_all(prepared: Prepared, plan: Plan, session: Session | None = None) -> Ensemble:
    """Runs the searches of a plan on the training examples.

    Args:
        prepared: model and examples.
        plan: settings and number of the searches.
        session: how the searches are watched and kept; by default they aren't.
    """
    return ensemble.run(keys(plan.seeds), prepared.train_objective, plan.config, session)
