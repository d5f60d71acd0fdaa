"""Text on disk against the same in memory."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from jaxmask.text import corpus
from jaxmask.text.vocabulary import Vocabulary

END = 1


def random_corpus(file, sentences=400, longest=9, seed=0):
    """Sentences of random length, all different, as one row of words that is also in a file."""
    rng = np.random.default_rng(seed)
    tokens = []
    for number in range(sentences):
        tokens += [2 + number, *rng.integers(2, 30, rng.integers(0, longest)), END]
    tokens = np.array(tokens, np.int32)
    tokens.tofile(file)
    return tokens


def sentences_of(tokens):
    ends = np.flatnonzero(tokens == END) + 1
    return [tuple(sentence.tolist()) for sentence in np.split(tokens, ends)[:-1]]


def test_written_words_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_SENTENCES_AT_ONCE", 2)
    vocabulary = Vocabulary(["<unk>", "<eos>", "a", "cat"])
    text = [["a", "cat", "<eos>"], ["a", "dog", "<eos>"], ["cat", "<eos>"]]
    corpus.write(tmp_path / "text", iter(text), vocabulary)
    expected = [2, 3, 1, 2, 0, 1, 3, 1]
    assert corpus.read(tmp_path / "text").tolist() == expected
    assert corpus.size(tmp_path / "text") == len(expected)


def test_a_corpus_that_could_not_be_written_whole_is_not_there(tmp_path):
    def broken():
        yield ["<eos>"]
        raise OSError("the disk is on fire")

    with pytest.raises(OSError, match="fire"):
        corpus.write(tmp_path / "text", broken(), Vocabulary(["<unk>", "<eos>"]))
    assert not (tmp_path / "text").exists()


def test_windows_share_one_word_and_follow_the_columns(tmp_path):
    np.arange(24, dtype=np.int32).tofile(tmp_path / "text")
    found = list(corpus.windows(tmp_path / "text", columns=2, window=5))
    expected = [[range(6), range(12, 18)], [range(5, 11), range(17, 23)]]
    np.testing.assert_array_equal(found, [[list(row) for row in window] for window in expected])
    assert not list(corpus.windows(tmp_path / "text", columns=5, window=5))


@pytest.mark.parametrize("at_once", [1, 3, 1000])
@pytest.mark.parametrize("start", [0, 1, 7])
def test_windows_from_disk_are_those_in_memory(tmp_path, monkeypatch, at_once, start):
    monkeypatch.setattr(corpus, "_WINDOWS_AT_ONCE", at_once)
    tokens = random_corpus(tmp_path / "text")
    columns, window = 3, 11
    whole = tokens[: len(tokens) // columns * columns].reshape(columns, -1)
    expected = [
        whole[:, first : first + window + 1]
        for first in range(start * window, whole.shape[1] - window, window)
    ]
    found = list(corpus.windows(tmp_path / "text", columns, window, start))
    np.testing.assert_array_equal(found, expected)
    assert len(found) == corpus.steps(len(tokens), columns, window) - start


@pytest.mark.parametrize("at_once", [50, 333, 10**6])  # words: many parts, some, all in memory
def test_shuffling_keeps_every_sentence_whole(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(corpus, "_WORDS_AT_ONCE", at_once)
    tokens = random_corpus(tmp_path / "text")
    orders = []
    for seed in (0, 0, 1):
        corpus.shuffle(np.random.default_rng(seed), tmp_path / "text", END, tmp_path / "out")
        orders.append(sentences_of(corpus.read(tmp_path / "out")))
    assert all(Counter(order) == Counter(sentences_of(tokens)) for order in orders)
    assert orders[0] == orders[1]
    assert len({*map(tuple, orders), tuple(sentences_of(tokens))}) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "text"]


def test_in_memory_shuffling_is_that_of_a_small_corpus(tmp_path):
    tokens = random_corpus(tmp_path / "text")
    corpus.shuffle(np.random.default_rng(3), tmp_path / "text", END, tmp_path / "out")
    expected = corpus.shuffle_sentences(np.random.default_rng(3), tokens, END)
    np.testing.assert_array_equal(corpus.read(tmp_path / "out"), expected)


@pytest.mark.parametrize("at_once", [4, 100])  # two parts or more, and one
def test_all_orders_are_equally_likely(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(corpus, "_WORDS_AT_ONCE", at_once)
    np.array([2, END, 3, END, 4, END], np.int32).tofile(tmp_path / "text")
    rng, times = np.random.default_rng(0), 600
    seen = Counter()
    for _ in range(times):
        corpus.shuffle(rng, tmp_path / "text", END, tmp_path / "out")
        seen[tuple(corpus.read(tmp_path / "out")[::2])] += 1
    assert len(seen) == 6
    assert sum((count - times / 6) ** 2 / (times / 6) for count in seen.values()) < 20  # chi-square


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_WORDS_AT_ONCE", 4000)
    monkeypatch.setattr(corpus, "_SENTENCES_AT_ONCE", 500)
    vocabulary = Vocabulary(["<unk>", "<eos>", "a", "cat"])

    def peak(sentences):
        text = (["a", "cat", "<eos>"] for _ in range(sentences))
        tracemalloc.start()
        corpus.write(tmp_path / "text", text, vocabulary)
        corpus.shuffle(np.random.default_rng(0), tmp_path / "text", END, tmp_path / "out")
        for _ in corpus.windows(tmp_path / "out", columns=4, window=10):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1000)
    assert peak(100_000) < 1.5 * peak(10_000)
