"""Trains several seeds as one program, which continues after it was killed.

Each group of seeds has a folder with its two latest checkpoints (the whole `TrainingState`), with
`metrics.jsonl` and, if the text is shuffled, with the text in the order in which each seed reads
it.
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
from jaxmask.models.lstm import training
from jaxmask.models.lstm.network import LSTMConfig, Params, init_params
from jaxmask.models.lstm.training import TrainingConfig, TrainingInfo, TrainingState
from jaxmask.runs import devices
from jaxmask.text import corpus

Keep = Callable[[int, Params, int], Any]  # seed, weights, update


class TrainingText(NamedTuple):
    """The text of a run, and how it is read.

    Attributes:
        train: corpus to train on.
        valid: corpus to validate on.
        end: index of `<eos>`.
        columns: number of parts of the text that are read side by side.
        window: number of words that are read between updates.
        shuffle: whether each epoch and seed has the sentences in an order of its own.
    """

    train: Path
    valid: Path
    end: int
    columns: int
    window: int
    shuffle: bool

    @property
    def epoch(self) -> int:
        """The number of updates of an epoch."""
        return corpus.steps(corpus.size(self.train), self.columns, self.window)


class Events(NamedTuple):
    """The updates after which something happens besides training.

    Attributes:
        validate_every: number of updates between validations.
        snapshots: updates after which the weights are kept.
        stop: number of the last update.
        checkpoint_minutes: minutes between checkpoints.
    """

    validate_every: int
    snapshots: tuple[int, ...]
    stop: int
    checkpoint_minutes: float


class Run(NamedTuple):
    """The values that all seeds of a run share.

    Attributes:
        folder: that contains the folder of each group.
        model: sizes of the models.
        start_from: weights before the first update; None for random weights of each seed.
        config: of the updates.
        text: that the models read.
        events: validations, snapshots, checkpoints and the end.
    """

    folder: Path
    model: LSTMConfig
    start_from: Params | None
    config: TrainingConfig
    text: TrainingText
    events: Events

    def perplexity(self, params: Params) -> float:
        """The perplexity of the weights of one seed on the validation text."""
        valid = corpus.read(self.text.valid)
        return training.perplexity(params, self.model, valid, self.text.end)


class Trained(NamedTuple):
    """The weights of one seed, and their perplexity on the validation text."""

    params: Params
    perplexity: float


class Stopped(NamedTuple):
    """A seed whose training stopped at an update that wasn't finite."""

    seed: int
    update: int


def groups(run: Run, seeds: Sequence[int], together: int | None) -> list[list[int]]:
    """Divides the seeds into groups that are trained by one program each.

    Args:
        run: of the seeds.
        seeds: of the models.
        together: size of a group; None for the largest groups that fit into memory, according to
            the memory of an update that the compiler reports (`jaxmask.runs.devices.together`).
    """
    if together is not None:
        return [list(seeds[i : i + together]) for i in range(0, len(seeds), together)]
    together = devices.together(len(seeds), lambda count: memory(run, seeds[:count]))
    return groups(run, seeds, together)


def memory(run: Run, seeds: Sequence[int]) -> int:
    """The bytes that an update of some seeds takes, including their state."""
    first_keys, keys = split_keys(jnp.asarray(seeds))
    columns, window = run.text.columns, run.text.window
    state = jax.eval_shape(
        lambda: start(first_keys, run.start_from, run.model, run.config, columns)
    )
    tokens = jax.ShapeDtypeStruct((len(seeds), columns, window + 1), jnp.int32)
    return devices.memory(update.lower(keys, state, tokens, run.config).compile())


def train(run: Run, seeds: Sequence[int], keep: Keep) -> list[Trained | Stopped]:
    """Trains a group of seeds, from its latest checkpoint if there is one.

    A seed whose loss or gradient is no longer finite stops; the others continue.

    Args:
        run: that the seeds belong to.
        seeds: of the models.
        keep: called with the weights of each seed after each snapshot.
    """
    text, events = run.text, run.events
    folder = run.folder / f"seeds_{'_'.join(map(str, seeds))}"
    first_keys, keys = split_keys(jnp.asarray(seeds))
    with checkpoints.manager(folder / "checkpoints") as saved:
        state = start(first_keys, run.start_from, run.model, run.config, text.columns)
        if (restored := checkpoints.restore(saved, state)) is not None:
            state = restored
        first = saved.latest_step() or 0
        metrics = Metrics(folder / "metrics.jsonl", seeds, first)
        readers = [windows(text, folder, seed, first) for seed in seeds]
        found = [np.inf] * len(seeds)
        name = ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(map(str, seeds))
        name += f" from update {first}" if first else ""
        started = saved_at = time.perf_counter()
        with progress(max(events.stop - first, 1), name) as advance_to:
            for done in range(first + 1, events.stop + 1):
                if (done - 1) % text.epoch == 0:
                    state = training.start_epoch(state)
                tokens = np.stack([next(reader) for reader in readers])
                state, info = update(keys, state, tokens, run.config)
                metrics.observe(info, state)
                if not metrics.going.any():
                    break
                if done % events.validate_every == 0 or done in (*events.snapshots, events.stop):
                    found = perplexities(run, state)
                    metrics.write(done, found, state)
                    if state.annealing is not None and done % events.validate_every == 0:
                        state = anneal(state, jnp.asarray(found, jnp.float32), run.config)
                if done in events.snapshots:
                    for seed, one in zip(seeds, each(state), strict=True):
                        if one.finite:
                            keep(seed, one.params, done)
                now = time.perf_counter()
                if done == events.stop or now - saved_at > 60 * events.checkpoint_minutes:
                    checkpoints.save(saved, done, state)
                    saved_at = time.perf_counter()
                rate = (done - first) / (now - started) * len(seeds) * text.columns * text.window
                advance_to(done - first, **metrics.shown, **{"words/s": f"{rate:,.0f}"})
        if first >= events.stop:
            found = perplexities(run, state)
        return [
            chosen(one, value) if one.finite else Stopped(seed, int(one.step) + 1)
            for seed, one, value in zip(seeds, each(state), found, strict=True)
        ]


def perplexities(run: Run, state: TrainingState) -> list[float]:
    """The perplexity of each seed; infinite for seeds that have stopped."""
    return [run.perplexity(one.params) if one.finite else np.inf for one in each(state)]


@jax.jit
def split_keys(
    seeds: Int[Array, " seeds"],
) -> tuple[Key[Array, " seeds"], Key[Array, " seeds"]]:
    """For each seed a key for the weights before the first update, and one for the updates."""
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

    def start_one(key: Key[Array, ""]) -> TrainingState:
        first = init_params(key, model) if params is None else params
        return training.init(first, model, config, columns)

    return jax.vmap(start_one)(keys)


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def update(
    keys: Key[Array, " seeds"],
    state: TrainingState,
    tokens: Int[Array, "seeds columns window_and_one"],
    config: TrainingConfig,
) -> tuple[TrainingState, TrainingInfo]:
    """One update of all seeds; the memory of ``state`` is reused for the result."""
    if len(keys) > 1:
        return jax.vmap(lambda *one: training.step(*one, config))(keys, state, tokens)
    # One seed has no axis, because an axis of length 1 makes products slower.
    alone = jax.tree.map(lambda x: x[0], (keys, state, tokens))
    return jax.tree.map(lambda x: x[None], training.step(*alone, config))


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def anneal(
    state: TrainingState, perplexity: Float[Array, " seeds"], config: TrainingConfig
) -> TrainingState:
    """The states after a validation, which may lower their learning rates."""
    return jax.vmap(lambda *one: training.anneal(*one, config))(state, perplexity)


def each(stacked: Any) -> list[Any]:
    """The parts of a tree that is stacked over seeds, one for each seed."""
    return [
        jax.tree.map(lambda x: x[number], stacked)  # noqa: B023
        for number in range(len(jax.tree.leaves(stacked)[0]))
    ]


def chosen(state: TrainingState, perplexity: float) -> Trained:
    """The final weights of one seed: with SGD the best ones, with AdamW the last ones."""
    best = state.annealing
    if best is None or perplexity < float(best.perplexity):
        return Trained(state.params, perplexity)
    return Trained(best.params, float(best.perplexity))


def windows(
    text: TrainingText, folder: Path, seed: int, first: int
) -> Iterator[Int[np.ndarray, "columns _"]]:
    """The windows that a seed reads, epoch after epoch without end.

    Args:
        text: to read.
        folder: for the shuffled text.
        seed: decides the order of the sentences.
        first: number of updates that have been made before.
    """
    epoch, skip = divmod(first, text.epoch)
    while True:
        file = text.train
        if text.shuffle:
            file = folder / f"text_{seed}"
            corpus.shuffle(np.random.default_rng([seed, epoch]), text.train, text.end, file)
        yield from corpus.windows(file, text.columns, text.window, skip)
        epoch, skip = epoch + 1, 0


class Metrics:
    """Observations of the updates of a group; a file gets a line for each validation and seed.

    A seed that has stopped gets no further lines.

    Args:
        file: to write; its lines for updates after ``first`` are deleted.
        seeds: of the group.
        first: the update after which the run continues.
    """

    def __init__(self, file: Path, seeds: Sequence[int], first: int) -> None:
        self.file, self.seeds = file, seeds
        self.going = np.ones(len(seeds), bool)  # seeds that haven't stopped
        self.shown: dict[str, str] = {}  # means over seeds, shown with the progress
        self._sums, self._count = np.zeros((len(TrainingInfo._fields), len(seeds))), 0
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        write_text(file, "".join(line for line in whole if json.loads(line)["update"] <= first))

    def observe(self, info: TrainingInfo, state: TrainingState) -> None:
        """Records an update, and the state after it."""
        self.going = np.asarray(state.finite)
        seen = np.where(self.going, np.asarray(info), 0.0)
        self._sums, self._count = self._sums + seen, self._count + 1
        if self.going.any():
            self.shown["loss"] = f"{seen[0][self.going].mean():.2f}"
        if not self.going.all():
            self.shown["stopped"] = f"{np.sum(~self.going)}"

    def write(self, update: int, perplexity: Sequence[float], state: TrainingState) -> None:
        """Writes means over the updates since the last validation, and the perplexities."""
        self.shown["perplexity"] = f"{np.mean(np.array(perplexity)[self.going]):.1f}"
        means, lines = self._sums / self._count, []
        for number in np.flatnonzero(self.going):
            seed, value = self.seeds[number], perplexity[number]
            line = {"update": update, "seed": seed}
            line["perplexity"] = value if np.isfinite(value) else None  # JSON has no infinity
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
