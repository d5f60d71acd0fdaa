"""Many searches as one program: `jaxmask.search` under ``jax.vmap``, on all devices.

The frozen model is shared by all runs (``in_axes=None``), never stacked. Settings are shared too,
or differ from run to run (`grid`). Where the runs don't fit into memory together, one program
computes one part of them after the other (`jaxmask.runs.devices`).

Steps run in compiled chunks, so that progress, metrics and checkpoints cost nothing inside; each
kind of chunk is compiled once. Exchange ends once it changes no run any more. Between chunks the
whole state can be kept (`jaxmask.runs.phases.Keeper`): a run that was killed goes on from there,
and ends with the same bits as one that wasn't.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxmask import search
from jaxmask.evaluate import Evaluation, evaluate
from jaxmask.intervention import Intervention
from jaxmask.objective import Objective
from jaxmask.runs import devices
from jaxmask.runs.phases import Keeper, Observer, Phase, Workload, compile_ahead, go_through
from jaxmask.runs.programs import Programs
from jaxmask.search import HardState, History, Relaxation, SearchConfig, SearchState

CHUNKS = {search.step: 50, search.refine: 2}  # steps, or rounds, a compiled chunk


class Ensemble(NamedTuple):
    """What an ensemble of searches found.

    Attributes:
        interventions: hard ones, stacked over runs.
        relaxed: the states at the end of the relaxation, stacked over runs.
        history: stacked over runs, then steps or rounds; None where there were none.
        seconds: wall time of the searches, without compilation.
        compile_seconds: wall time of tracing and compiling.
    """

    interventions: Intervention
    relaxed: SearchState
    history: History
    seconds: float
    compile_seconds: float


class Session(NamedTuple):
    """How searches are watched and kept, and the programs that they share with others.

    Attributes:
        observe: is called after each chunk with the number of steps done.
        programs: compiled so far; given the same again, nothing is compiled twice.
        keeper: keeps the state between chunks, for the same arguments of `run`.
        name: begins the names under which states are kept.

    Example:
        >>> from jaxmask.runs.ensemble import Session
        >>> from jaxmask.runs.programs import Programs
        >>> session = Session(lambda done, info: print(f"{done} steps"), Programs())
    """

    observe: Observer | None = None
    programs: Programs | None = None
    keeper: Keeper | None = None
    name: str = ""


def grid(
    keys: Key[Array, " keys"], config: SearchConfig, **values: Sequence[float | int]
) -> tuple[Key[Array, " runs"], SearchConfig]:
    """All combinations of keys and values of settings, for `run`.

    Args:
        keys: each is used with all combinations of values.
        config: all other settings.
        values: of any settings but the static ones, by name.

    Returns:
        A key and a config for each of ``runs = len(keys) * len(values of one) * ...`` runs: keys
        vary fastest, then the values of the last name.

    Raises:
        ValueError: there is no such setting, it can't be swept, or it has no values.

    Example:
        >>> import jax
        >>> from jaxmask.runs import ensemble
        >>> from jaxmask.search import SearchConfig
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> keys, config = ensemble.grid(keys, SearchConfig(), alpha=(0.01, 0.02))
        >>> keys.shape, [round(float(alpha), 2) for alpha in config.alpha]
        ((4,), [0.01, 0.01, 0.02, 0.02])
    """
    swept = {
        field.name
        for field in dataclasses.fields(SearchConfig)
        if field.metadata.get("pytree_node", True) and np.ndim(getattr(config, field.name)) == 0
    }
    for name, of_name in values.items():
        if name not in swept:
            raise ValueError(f"expected one of {', '.join(sorted(swept))}, found {name}")
        if not len(of_name):
            raise ValueError(f"{name}: expected at least one value, found none")
    axes = [np.asarray(of_name, np.float32) for of_name in values.values()]
    *columns, key = np.meshgrid(*axes, np.arange(len(keys)), indexing="ij")
    swept_values = {name: x.ravel() for name, x in zip(values, columns, strict=True)}
    return keys[key.ravel()], config.replace(**swept_values)


def run(
    keys: Key[Array, " runs"],
    objective: Objective,
    config: SearchConfig,
    session: Session | None = None,
) -> Ensemble:
    """Runs a search for each key; the same as ``jit(vmap(search.run))``, with progress.

    Args:
        keys: one a run.
        objective: shared by all runs.
        config: each number is shared by all runs, or an array with one for each run.
        session: how the runs are watched and kept; by default they aren't.

    Returns:
        What the searches found, stacked over runs.

    Raises:
        ValueError: see `jaxmask.search.check`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask.runs import ensemble
        >>> from jaxmask.search import SearchConfig
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> config = SearchConfig(alpha=0.5, steps=5, exchange_rounds=1)
        >>> result = ensemble.run(jax.random.split(jax.random.key(0), 2), objective, config)
        >>> result.interventions.mask[:, 0].tolist()  # of each run
        [[0.0, 1.0], [0.0, 1.0]]
    """
    search.check(config)
    observe, programs, keeper, name = Session() if session is None else session
    programs = Programs() if programs is None else programs
    compiling = programs.compiling
    config = jax.tree.map(lambda x: np.asarray(x, np.float32), config)
    mesh = devices.mesh(len(keys), objective)
    objective = devices.place(objective, mesh, False)
    workload = Workload(objective, config, mesh, programs, observe, keeper)

    def harden(state: SearchState, objective: Objective, config: SearchConfig) -> HardState:
        return search.harden(state, config)

    relaxation = Phase(
        f"{name}relaxation", search.init, search.step, config.steps, CHUNKS[search.step]
    )
    exchange = Phase(
        f"{name}exchange",
        harden,
        search.refine,
        config.exchange_rounds,
        CHUNKS[search.refine],
        lambda info: info.settled,
        uneven=True,
    )
    compile_ahead([relaxation, exchange], keys, workload)
    relaxed, steps, relaxing = go_through(relaxation, keys, workload)
    hard, rounds, exchanging = go_through(exchange, relaxed, workload)
    return Ensemble(
        jax.vmap(search.found)(hard),
        relaxed,
        History(steps, rounds),
        relaxing + exchanging,
        programs.compiling - compiling,
    )


def evaluations(
    interventions: Intervention, objective: Objective, programs: Programs | None = None
) -> Evaluation:
    """`jaxmask.evaluate.evaluate` of each of a stack of interventions, one after another.

    One after another, memory doesn't grow with their number.

    Args:
        interventions: stacked over runs.
        objective: examples to judge by.
        programs: compiled so far; new ones if not given.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmask.intervention import Intervention
        >>> from jaxmask.runs import ensemble
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> mask, baseline = jnp.ones((3, 2, 2)), jnp.zeros((3, 2, 2))
        >>> found = ensemble.evaluations(Intervention(mask, baseline), objective)
        >>> found.accuracy.tolist()
        [0.0, 0.0, 0.0]
    """
    return _begun("evaluate", _evaluate, interventions, objective, (), programs or Programs())()


def judged(
    interventions: Intervention, relaxed: SearchState, objective: Objective, config: SearchConfig
) -> tuple[Evaluation, Relaxation]:
    """`evaluations` of the hard masks and `jaxmask.search.relaxation` of the relaxed ones.

    Both programs are compiled at the same time.

    Args:
        interventions: stacked over runs.
        relaxed: stacked over runs, as in `Ensemble`.
        objective: examples to judge by.
        config: of the searches.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmask import search
        >>> from jaxmask.runs import ensemble
        >>> from jaxmask.objective import LinearObjective
        >>> effect = jnp.array([[0.0, -3.0], [0.0, 3.0]])  # of two units on two rows
        >>> objective = LinearObjective(effect, direction=jnp.array([0, 1]))
        >>> keys, config = jax.random.split(jax.random.key(0), 2), search.SearchConfig()
        >>> found = ensemble.run(keys, objective, config.replace(steps=1, exchange_rounds=0))
        >>> hard, gap = ensemble.judged(found.interventions, found.relaxed, objective, config)
        >>> hard.accuracy.tolist(), gap.hard_units.tolist()
        ([0.0, 0.0], [0.0, 0.0])
    """
    programs = Programs()
    hard = _begun("evaluate", _evaluate, interventions, objective, (), programs)
    gap = _begun("relaxation", search.relaxation, relaxed, objective, config, programs)
    return hard(), gap()


def _evaluate(one: Intervention, objective: Objective, config: tuple[()]) -> Evaluation:
    return evaluate(one, objective)


def _begun(
    name: str,
    function: Callable[[Any, Objective, Any], Any],
    stacked: Any,
    objective: Objective,
    config: Any,
    programs: Programs,
) -> Callable[[], Any]:
    """A function of what is stacked over runs, of the objective and of a config; on all devices.

    Its program begins to be compiled; what is returned waits for it and gives the result.
    """
    runs = len(jax.tree.leaves(stacked)[0])
    mesh = devices.mesh(runs, objective)
    config = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x, np.float32), runs), config)
    if mesh is not None:
        rows = np.minimum(np.arange(devices.padded(runs, mesh)), runs - 1)
        stacked, config = jax.tree.map(lambda x: x[rows], devices.gather((stacked, config)))

    def of_all(stacked: Any, objective: Objective, config: Any) -> Any:
        return jax.lax.map(lambda run: function(run[0], objective, run[1]), (stacked, config))

    program = (
        name,
        devices.on_all(of_all, mesh, True, False, True),
        devices.place(stacked, mesh, True),
        devices.place(objective, mesh, False),
        devices.place(config, mesh, True),
    )
    programs.begin(*program)

    def result() -> Any:
        found = programs.call(*program)
        return found if mesh is None else jax.tree.map(lambda x: x[:runs], devices.gather(found))

    return result
