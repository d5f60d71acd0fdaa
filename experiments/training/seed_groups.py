"""A training run on disk: several seeds as one program, which can be killed and taken up again.

Each group of seeds has a folder with its two latest checkpoints (the whole `TrainingState`, which
Orbax writes all or not at all), `metrics.jsonl`, and the text as each seed reads it where it is
shuffled.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from experiments.shared import checkpoints
from experiments.shared.console import progress
from jaxmask.files.run_folder import write_text
from jaxmask.models.lstm import training as training
from jaxmask.models.lstm.network import LSTMConfig, Params, init_params
from jaxmask.models.lstm.training import TrainingConfig, TrainingInfo, TrainingState
from jaxmask.runs import devices
from jaxmask.text import corpus

Keep = Callable[[int, Params, int], Any]  # seed, weights, update


class Run(NamedTuple):
    """What all seeds of a run have in common.

    Attributes:
        folder: for the groups' folders.
        model: sizes.
        start_from: weights before the first update; each seed's own random ones if None.
        config: of the updates.
        train: corpus to train on.
        valid: corpus to validate on.
        end: index of `<eos>`.
        columns: parts of the text read side by side.
        window: words read between updates.
        shuffle: put the sentences into another order for each epoch and seed.
        validate_every: updates between validations.
        snapshots: updates after which the weights are kept.
        stop: number of the last update.
        checkpoint_minutes: between checkpoints.
    """

    folder: Path
    model: LSTMConfig
    start_from: Params | None
    config: TrainingConfig
    train: Path
    valid: Path
    end: int
    columns: int
    window: int
    shuffle: bool
    validate_every: int
    snapshots: tuple[int, ...]
    stop: int
    checkpoint_minutes: float

    @property
    def epoch(self) -> int:
        """Updates of an epoch."""
        return corpus.steps(corpus.size(self.train), self.columns, self.window)

    def perplexity(self, params: Params) -> float:
        """Of one seed's weights, on the text to validate on."""
        return training.perplexity(params, self.model, corpus.read(self.valid), self.end)


class Trained(NamedTuple):
    """One seed's weights, and their perplexity on the text to validate on."""

    params: Params
    perplexity: float


class Stopped(NamedTuple):
    """A seed whose training ended at an update that wasn't finite."""

    seed: int
    update: int


def groups(run: Run, seeds: Sequence[int], together: int | None) -> list[list[int]]:
    """The seeds, so many in a program, or in as few programs as fit into memory.

    The compiler says what memory an update takes, see `jaxmask.runs.devices.together`.
    """
    if together is not None:
        return [list(seeds[i : i + together]) for i in range(0, len(seeds), together)]
    together = devices.together(len(seeds), lambda count: memory(run, seeds[:count]))
    return groups(run, seeds, together)


def memory(run: Run, seeds: Sequence[int]) -> int:
    """Bytes that an update of some seeds takes, its state included."""
    first_keys, keys = split_keys(jnp.asarray(seeds))
    state = jax.eval_shape(
        lambda: start(first_keys, run.start_from, run.model, run.config, run.columns)
    )
    tokens = jax.ShapeDtypeStruct((len(seeds), run.columns, run.window + 1), jnp.int32)
    return devices.memory(update.lower(keys, state, tokens, run.config).compile())


def train(run: Run, seeds: Sequence[int], keep: Keep) -> list[Trained | Stopped]:
    """Trains a group of seeds, from its last checkpoint if there is one.

    A seed whose loss or gradient isn't finite any more stops; the others go on.

    Args:
        run: what to do.
        seeds: of the models.
        keep: what to do with each seed's weights after each of the run's snapshots.
    """
    folder = run.folder / f"seeds_{'_'.join(map(str, seeds))}"
    first_keys, keys = split_keys(jnp.asarray(seeds))
    with checkpoints.manager(folder / "checkpoints") as saved:
        state = start(first_keys, run.start_from, run.model, run.config, run.columns)
        if (kept := checkpoints.restore(saved, state)) is not None:
            state = kept
        first = saved.latest_step() or 0
        metrics = Metrics(folder / "metrics.jsonl", seeds, first)
        texts = [text(run, folder, seed, first) for seed in seeds]
        found = [np.inf] * len(seeds)
        name = ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(map(str, seeds))
        name += f" from update {first}" if first else ""
        started = saved_at = time.perf_counter()
        with progress(max(run.stop - first, 1), name) as advance_to:
            for done in range(first + 1, run.stop + 1):
                if (done - 1) % run.epoch == 0:
                    state = training.start_epoch(state)
                windows = np.stack([next(one) for one in texts])
                state, info = update(keys, state, windows, run.config)
                metrics.observe(info, state)
                if not metrics.going.any():
                    break
                if done % run.validate_every == 0 or done in (*run.snapshots, run.stop):
                    found = perplexities(run, state)
                    metrics.write(done, found, state)
                    if state.annealing is not None and done % run.validate_every == 0:
                        state = anneal(state, jnp.asarray(found, jnp.float32), run.config)
                if done in run.snapshots:
                    for seed, one in zip(seeds, each(state), strict=True):
                        if one.finite:
                            keep(seed, one.params, done)
                now = time.perf_counter()
                if done == run.stop or now - saved_at > 60 * run.checkpoint_minutes:
                    checkpoints.save(saved, done, state)
                    saved_at = time.perf_counter()
                rate = (done - first) / (now - started) * len(seeds) * run.columns * run.window
                advance_to(done - first, **metrics.shown, **{"words/s": f"{rate:,.0f}"})
        if first >= run.stop:
            found = perplexities(run, state)
        return [
            chosen(one, value) if one.finite else Stopped(seed, int(one.step) + 1)
            for seed, one, value in zip(seeds, each(state), found, strict=True)
        ]


def perplexities(run: Run, state: TrainingState) -> list[float]:
    """Of each seed's weights; infinite for those that have stopped."""
    return [run.perplexity(one.params) if one.finite else np.inf for one in each(state)]


@jax.jit
def split_keys(
    seeds: Int[Array, " seeds"],
) -> tuple[Key[Array, " seeds"], Key[Array, " seeds"]]:
    """Of the weights before the first update, and of the updates."""
    return jax.vmap(lambda seed: tuple(jax.random.split(jax.random.key(seed))))(seeds)


@functools.partial(jax.jit, static_argnames=("model", "config", "columns"))
def start(
    keys: Key[Array, " seeds"],
    params: Params | None,
    model: LSTMConfig,
    config: TrainingConfig,
    columns: int,
) -> TrainingState:
    """The states before the first update, stacked over seeds."""

    def of_seed(key: Key[Array, ""]) -> TrainingState:
        first = init_params(key, model) if params is None else params
        return training.init(first, model, config, columns)

    return jax.vmap(of_seed)(keys)


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def update(
    keys: Key[Array, " seeds"],
    state: TrainingState,
    tokens: Int[Array, "seeds columns window_and_one"],
    config: TrainingConfig,
) -> tuple[TrainingState, TrainingInfo]:
    """One update of all seeds; the state that it is given is used up."""
    if len(keys) > 1:
        return jax.vmap(lambda *of_seed: training.step(*of_seed, config))(keys, state, tokens)
    # An axis of length 1 makes products slower.
    alone = jax.tree.map(lambda x: x[0], (keys, state, tokens))
    return jax.tree.map(lambda x: x[None], training.step(*alone, config))


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def anneal(
    state: TrainingState, perplexity: Float[Array, " seeds"], config: TrainingConfig
) -> TrainingState:
    """What each seed's validation changes."""
    return jax.vmap(lambda *of_seed: training.anneal(*of_seed, config))(state, perplexity)


def each(stacked: Any) -> list[Any]:
    """What is stacked over seeds, one by one."""
    return [
        jax.tree.map(lambda x: x[number], stacked)  # noqa: B023
        for number in range(len(jax.tree.leaves(stacked)[0]))
    ]


def chosen(state: TrainingState, perplexity: float) -> Trained:
    """What one seed gives in the end: with SGD the best weights, with AdamW the last."""
    best = state.annealing
    if best is None or perplexity < float(best.perplexity):
        return Trained(state.params, perplexity)
    return Trained(best.params, float(best.perplexity))


def text(run: Run, folder: Path, seed: int, first: int) -> Iterator[Int[np.ndarray, "columns _"]]:
    """Windows from an update on, without end, epoch after epoch."""
    epoch, skip = divmod(first, run.epoch)
    while True:
        file = run.train
        if run.shuffle:
            file = folder / f"text_{seed}"
            corpus.shuffle(np.random.default_rng([seed, epoch]), run.train, run.end, file)
        yield from corpus.windows(file, run.columns, run.window, skip)
        epoch, skip = epoch + 1, 0


class Metrics:
    """What was observed of a group's updates; a line for each validation and seed in a file.

    A seed that has stopped has no lines from then on.

    Args:
        file: lines of an earlier start that are beyond ``first`` are deleted.
        seeds: of the group.
        first: the update that the run goes on from.
    """

    def __init__(self, file: Path, seeds: Sequence[int], first: int) -> None:
        self.file, self.seeds = file, seeds
        self.going = np.ones(len(seeds), bool)  # seeds that haven't stopped
        self.shown: dict[str, str] = {}  # beside the progress, means over seeds
        self._sums, self._count = np.zeros((len(TrainingInfo._fields), len(seeds))), 0
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        write_text(file, "".join(line for line in whole if json.loads(line)["update"] <= first))

    def observe(self, info: TrainingInfo, state: TrainingState) -> None:
        """Takes note of an update, and of the state after it."""
        self.going = np.asarray(state.finite)
        seen = np.where(self.going, np.asarray(info), 0.0)
        self._sums, self._count = self._sums + seen, self._count + 1
        if self.going.any():
            self.shown["loss"] = f"{seen[0][self.going].mean():.2f}"
        if not self.going.all():
            self.shown["stopped"] = f"{np.sum(~self.going)}"

    def write(self, update: int, perplexity: Sequence[float], state: TrainingState) -> None:
        """Writes what was seen since the last time, and the perplexities after this update."""
        self.shown["perplexity"] = f"{np.mean(np.array(perplexity)[self.going]):.1f}"
        means, lines = self._sums / self._count, []
        for number in np.flatnonzero(self.going):
            seed, value = self.seeds[number], perplexity[number]
            line = {"update": update, "seed": seed}
            line["perplexity"] = value if np.isfinite(value) else None  # no number in JSON
            line |= {
                name: float(mean[number])
                for name, mean in zip(TrainingInfo._fields, means, strict=True)
            }
            if state.annealing is not None:
                line["learning_rate_scale"] = float(state.annealing.scale[number])
            lines.append(json.dumps(line) + "\n")
        with self.file.open("a", encoding="utf-8") as out:
            out.write("".join(lines))
        self._sums, self._count = np.zeros_like(self._sums), 0
