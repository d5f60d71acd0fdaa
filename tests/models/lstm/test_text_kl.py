"""The KL on ordinary text against whole softmaxes of the naive objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import small_model

from experiments.shared.text import draw_sentences
from jaxmask.intervention import Intervention, every_step
from jaxmask.models.lstm import naive as naive
from jaxmask.models.lstm.reading import read_context
from jaxmask.models.lstm.text_kl import text_kl
from jaxmask.text import ordinary_text
from jaxmask.text.ordinary_text import random_step
from jaxmask.text.vocabulary import Vocabulary

MODEL = small_model.model()


def intervention(units):
    keys = jax.random.split(jax.random.key(3), 2)
    mask = (jax.random.uniform(keys[0], (2, units)) < 0.4).astype(float)
    return Intervention(mask, jax.random.uniform(keys[1], (2, units), minval=-1.0))


@pytest.mark.parametrize("kind", ["every", "random"])
def test_equals_the_naive_kl(kind):
    some = small_model.examples(size=50)
    where = (
        every_step(some.length)
        if kind == "every"
        else random_step(np.random.default_rng(0), some.length)
    )
    context = read_context(MODEL, [4, 2])
    change = intervention(small_model.CONFIG.units)
    text = ordinary_text.Text(some.tokens, some.length)
    found = jax.jit(text_kl)(change, MODEL, text, where, context)
    for direction in (0, 1):
        toward = change.toward(jnp.full(some.size, direction))
        expected = naive.respond(MODEL, some, where, context, toward).kl.mean()
        # A KL is the difference of numbers of about 1, which float32 knows to 1e-7.
        np.testing.assert_allclose(found[direction], expected, rtol=1e-4, atol=1e-7)
    assert found[0] != found[1]


def test_an_empty_mask_costs_nothing():
    some = small_model.examples(size=10)
    change = intervention(small_model.CONFIG.units)
    change = change._replace(mask=0 * change.mask)
    text = ordinary_text.Text(some.tokens, some.length)
    found = text_kl(change, MODEL, text, every_step(some.length), read_context(MODEL, []))
    np.testing.assert_allclose(found, 0.0, atol=1e-5)


def test_random_steps_are_spread_over_each_sentence():
    length = np.repeat([1, 2, 5], 4000)
    where = random_step(np.random.default_rng(0), length)
    assert (where.sum(axis=1) == 1).all()
    for n in (1, 2, 5):
        share = where[length == n].mean(axis=0)
        np.testing.assert_allclose(share[:n], 1 / n, atol=0.03)
        assert not share[n:].any()


def test_encoding_pads_and_knows_unknown_words():
    vocabulary = Vocabulary(("a", "b", "<unk>", "<eos>"))
    text = ordinary_text.encode([["a"], ["b", "z", "a"]], vocabulary)
    np.testing.assert_array_equal(text.tokens, [[0, 0, 0], [1, 2, 0]])
    np.testing.assert_array_equal(text.length, [1, 3])
    for nothing in ([], [[]]):
        with pytest.raises(ValueError, match="one word or more"):
            ordinary_text.encode(nothing, vocabulary)


def test_drawn_sentences_are_the_file_s(tmp_path):
    file = tmp_path / "text.txt"
    lines = [f"s{n} is short . <eos>" for n in range(30)] + ["one", "long " * 61, ""]
    file.write_text("\n".join(lines), encoding="utf-8")
    drawn = draw_sentences(file, 10, seed=0)
    assert len({words[0] for words in drawn}) == 10
    assert all(words[1:] == ["is", "short", "."] for words in drawn)
    assert draw_sentences(file, 10, seed=0) == drawn != draw_sentences(file, 10, seed=1)
    assert len(draw_sentences(file, 99, seed=0)) == 30
