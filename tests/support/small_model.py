"""A small random language model and examples of every shape, for tests of the fast objective."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxmask.intervention import every_step, single_step
from jaxmask.models.lstm import network
from jaxmask.models.packing import Packed
from jaxmask.text.examples import Examples

CONFIG = network.LSTMConfig(vocabulary=29, embedding=5, hidden=4, layers=2)


def model(config: network.LSTMConfig = CONFIG) -> network.Params:
    """Parameters far larger than Gulordava's, so that interventions do a lot, and a bias."""
    params = jax.tree.map(lambda x: 10 * x, network.init_params(jax.random.key(0), config))
    params["lstm"] = jax.tree.map(lambda x: x / 4, params["lstm"])
    params["decoder"]["bias"] = jax.random.normal(jax.random.key(1), (config.vocabulary,))
    return params


def examples(seed: int = 0, size: int = 40, longest: int = 4) -> Examples:
    """Few words and few sentences, so that sentences, prefixes, pairs and examples repeat."""
    random = np.random.default_rng(seed)
    sentences = []
    for _ in range(size // 3):
        length = int(random.integers(1, longest + 1))
        sentences.append((random.integers(0, 3, length), int(random.integers(0, length))))
    tokens = np.zeros((size, longest), np.int32)
    length, position = np.zeros((2, size), np.int32)
    for row in range(size):
        words, position[row] = sentences[random.integers(len(sentences))]
        length[row] = len(words)
        tokens[row, : len(words)] = words
    length[0], position[0] = longest, 0
    pairs = np.array([[3, 4], [5, 6], [4, 3], [0, 7]], np.int32)
    return Examples(
        tokens,
        length,
        position,
        pairs[random.integers(0, len(pairs), size)],
        random.integers(0, 2, size, np.int32),
        np.full(size, -1, np.int32),
        np.zeros(size, np.int32),
    )


def places(kind: str, examples: Examples) -> np.ndarray:
    """Where to intervene: ``single``, ``every`` or ``random`` words of each sentence."""
    if kind == "single":
        return single_step(examples.position, examples.length)
    every = every_step(examples.length)
    if kind == "every":
        return every
    where = every & (np.random.default_rng(2).random(every.shape) < 0.4)
    where[np.arange(len(where)), examples.length - 1] |= ~where.any(axis=1)
    return where


class Entry(NamedTuple):
    """All that tells one packed example from another, and its place."""

    tokens: tuple[int, ...]
    where: tuple[bool, ...]
    direction: int
    pair: tuple[int, int]
    row: int
    column: int


def unpack(packed: Packed) -> Iterator[Entry]:
    """The examples that packed rows stand for, each as often as its weight says."""
    for row in range(len(packed.steps)):
        prefix = packed.prefixes[packed.prefix[row]]
        steps = packed.steps[row]
        assert prefix[-1] == packed.words[packed.first[row]]
        tokens = prefix + tuple(packed.words[packed.suffix[row, :steps]].tolist())
        where = (False,) * (len(prefix) - 1) + tuple(packed.where[row, : steps + 1].tolist())
        for column, weight in enumerate(packed.pair_weight[row]):
            pair = tuple(packed.differences[packed.pair[row, column]].tolist())
            entry = Entry(tokens, where, int(packed.direction[row]), pair, row, column)
            assert weight == round(float(weight))
            yield from [entry] * int(weight)


def keys_of(examples: Examples, where: np.ndarray) -> list[tuple]:
    """The first four fields of `Entry`, for each example."""
    return [
        (
            tuple(examples.tokens[row, :length].tolist()),
            tuple(where[row, :length].tolist()),
            int(examples.direction[row]),
            tuple(examples.pair[row].tolist()),
        )
        for row, length in enumerate(examples.length)
    ]
