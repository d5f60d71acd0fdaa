"""All searches of a plan, as one program."""

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxmask.pipeline.plan import Plan
from jaxmask.pipeline.prepare import Prepared
from jaxmask.prune import prune
from jaxmask.runs import ensemble
from jaxmask.runs.ensemble import Ensemble, Session


def keys(seeds: int) -> Key[Array, " seeds"]:
    """The random keys of the searches: seed n has the same key whatever the number of seeds.

    Raises:
        ValueError: there are no seeds.

    Example:
        >>> bool((keys(3)[:2] == keys(2)).all())
        True
    """
    if seeds < 1:
        raise ValueError(f"seeds: expected at least 1, found {seeds}")
    return jax.random.split(jax.random.key(0), seeds)


def search_all(prepared: Prepared, plan: Plan, session: Session | None = None) -> Ensemble:
    """Runs the searches of a plan on the training examples, and prunes what they find if asked to.

    Args:
        prepared: model and examples.
        plan: settings and number of the searches.
        session: how the searches are watched and kept; by default they aren't.

    Example:
        >>> import jaxmask
        >>> from jaxmask.tasks import gender_bias
        >>> model = jaxmask.load_model(jaxmask.BUNDLED_MODEL)
        >>> task = gender_bias.generate()
        >>> task = task._replace(stimuli=task.stimuli[:20])
        >>> prepared = jaxmask.prepare(model, task, jaxmask.Design(split=jaxmask.Split(5)))
        >>> config = jaxmask.SearchConfig(steps=2, exchange_rounds=0, kl=jaxmask.NoKL())
        >>> plan = jaxmask.Plan(config, seeds=2)
        >>> found = jaxmask.search_all(prepared, plan)
        >>> found.interventions.mask.shape  # runs, directions, units
        (2, 2, 600)
    """
    found = ensemble.run(keys(plan.seeds), prepared.train_objective, plan.config, session)
    return _pruned(found, prepared) if plan.prune else found


def _pruned(found: Ensemble, prepared: Prepared) -> Ensemble:
    """The same searches, with the units that each set needs for its training accuracy."""
    pruned = [
        prune(
            jax.tree.map(lambda x, run=run: x[run], found.interventions), prepared.train_objective
        )
        for run in range(len(found.interventions.mask))
    ]
    stacked = jax.tree.map(lambda *x: np.stack(x), *(one.intervention for one in pruned))
    return found._replace(interventions=stacked)
