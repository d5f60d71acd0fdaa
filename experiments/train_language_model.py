r"""Trains an LSTM language model on text and writes it as a model folder.

    python -m experiments.train_language_model \
        --train CORPUS/train.txt.xz --valid CORPUS/valid.txt.xz --out MODEL

Text is one sentence a line, words split by spaces; `<eos>` is put at the end where it is missing.
A run that was stopped goes on from its last checkpoint when it is started again.
"""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import tyro

from experiments.text import sentences
from jaxmask import language_model_training as training
from jaxmask.lstm import LSTMConfig, Params, init_params
from jaxmask.store import LanguageModel, load_model, save_model
from jaxmask.vocabulary import END_OF_SENTENCE, UNKNOWN, Vocabulary


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the script."""

    train: tuple[Path, ...]  # text files, plain or .xz, shuffled together; naming one twice counts
    valid: Path  # text whose perplexity is reported
    out: Path  # model folder to write; checkpoints go to OUT/checkpoints
    vocabulary: Path | None = None  # vocab.txt to use; built from the text if not given
    words: int = 10000  # size of a built vocabulary, the most frequent words and those to keep
    keep: Path | None = None  # words, one a line, that a built vocabulary must hold
    start_from: Path | None = None  # model folder whose vocabulary, sizes and weights to start from
    average_with: Path | None = None  # model folder to average the trained weights with
    average_weight: float = 0.5  # its share of that average
    embedding: int = 300
    hidden: int = 300
    layers: int = 2
    tied: bool = True  # the decoder's weight is the embedding
    steps: int = 10000  # updates after which the learning rate is 0
    stop: int | None = None  # number of updates to make, if fewer than that
    columns: int = 64  # parts of the text read side by side
    window: int = 35  # words read between updates
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    head: int = 1024  # frequent words always in the softmax, when others are sampled
    sampled: int = 512  # further words drawn for the softmax; 0 takes all words
    every: int = 500  # updates between checkpoints and reports of the perplexity
    seed: int = 0
    half: bool = False  # store the weights as float16


SCAN = 50  # updates in one compiled call


def build_vocabulary(files: Iterable[Path], size: int, keep: Iterable[str] = ()) -> Vocabulary:
    """The most frequent words and those to keep, in order of frequency; `<unk>` comes first."""
    counts = Counter(word for words in sentences(files) for word in words)
    del counts[UNKNOWN]
    chosen = {END_OF_SENTENCE, *keep}
    frequent = (word for word, _ in counts.most_common())
    while len(chosen) < size - 1 and (word := next(frequent, None)):
        chosen.add(word)
    return Vocabulary([UNKNOWN, *sorted(chosen, key=lambda word: (-counts[word], word))])


def encode(files: Iterable[Path], vocabulary: Vocabulary) -> np.ndarray:
    """All words of the files as one row of indices."""
    rows = [np.array(vocabulary.encode(words), np.int32) for words in sentences(files)]
    return np.concatenate(rows)


def batches(tokens: np.ndarray, end: int, config: Config, start: int) -> Iterator[np.ndarray]:
    """Windows from update ``start`` on, without end, `SCAN` at a time; each epoch is reshuffled."""

    def stream() -> Iterator[np.ndarray]:
        per_epoch = len(training.windows(tokens, config.columns, config.window))
        epoch, skip = divmod(start, per_epoch)
        while True:
            text = training.shuffle_sentences(
                np.random.default_rng([config.seed, epoch]), tokens, end
            )
            yield from training.windows(text, config.columns, config.window)[skip:]
            epoch, skip = epoch + 1, 0

    windows = stream()
    while True:
        yield np.stack([next(windows) for _ in range(SCAN)])


def starting_point(config: Config) -> tuple[Vocabulary, LSTMConfig, Params]:
    """Vocabulary, sizes and weights before the first update."""
    if config.start_from:
        model = load_model(config.start_from)
        return model.vocabulary, model.config, model.params
    if config.vocabulary:
        vocabulary = Vocabulary.load(config.vocabulary)
    else:
        keep = config.keep.read_text(encoding="utf-8").split() if config.keep else ()
        vocabulary = build_vocabulary(config.train, config.words, keep)
    sizes = LSTMConfig(len(vocabulary), config.embedding, config.hidden, config.layers, config.tied)
    return vocabulary, sizes, init_params(jax.random.key(config.seed), sizes)


def checkpoints(config: Config) -> ocp.CheckpointManager:
    """The two latest states of a run, in OUT/checkpoints."""
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    return ocp.CheckpointManager((config.out / "checkpoints").absolute(), options=options)


def train(config: Config) -> LanguageModel:
    """Trains, reporting on the way, and gives the model."""
    vocabulary, sizes, params = starting_point(config)
    end = vocabulary.index[END_OF_SENTENCE]
    tokens, valid = encode(config.train, vocabulary), encode([config.valid], vocabulary)
    print(f"{len(tokens):,} words to train on, {len(valid):,} to validate, {sizes}", flush=True)

    def perplexity(params: Params) -> float:
        return round(training.perplexity(params, sizes, valid, end), 2)

    settings = training.TrainingConfig(
        **{name: getattr(config, name) for name in training.TrainingConfig._fields}
    )
    state = training.init(params, sizes, settings, config.columns)
    key = jax.random.key(config.seed + 1)
    run = jax.jit(training.run, static_argnames="config")
    with checkpoints(config) as saved:
        if saved.latest_step() is not None:
            kept = ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, state))
            state = saved.restore(saved.latest_step(), args=kept)
        first = done = int(state.step)
        last = min(config.steps, config.stop or config.steps)
        source = batches(tokens, end, config, first)
        started = time.perf_counter()
        while done < last:
            state, info = run(key, state, next(source), settings)
            done += SCAN
            report = {
                "update": done,
                "loss": round(float(info.loss.mean()), 4),
                "gradient_norm": round(float(info.gradient_norm.mean()), 4),
            }
            rate = (done - first) / (time.perf_counter() - started)
            report["words_per_second"] = round(rate * config.columns * config.window)
            report["minutes_left"] = round((last - done) / rate / 60, 1)
            if done % config.every < SCAN or done >= last:
                report["perplexity"] = perplexity(state.params)
                saved.save(done, args=ocp.args.StandardSave(state))
            print(json.dumps(report), flush=True)
    params = state.params
    if config.average_with:
        params = average(params, load_model(config.average_with).params, config.average_weight)
        print(json.dumps({"perplexity_of_average": perplexity(params)}))
    return LanguageModel(config.out.name, sizes, params, vocabulary)


def average(trained: Params, other: Params, weight: float) -> Params:
    """``weight`` of the other model's weights, the rest of the trained one's."""
    return jax.tree.map(lambda new, old: (1 - weight) * new + weight * old, trained, other)


def main(config: Config) -> None:
    model = train(config)
    save_model(config.out, model, np.float16 if config.half else np.float32)
    print(f"wrote {config.out}, fingerprint {model.fingerprint}")


if __name__ == "__main__":
    main(tyro.cli(Config))
