"""Which tokens of a text are those of its words."""

import numpy as np
import pytest

from jaxmask.models.transformer.words import WordTokens


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1, 3), (1, 4)])
def test_words_are_acted_on_at_their_last_token_or_at_all(first, sizes):
    ends = first + np.cumsum(sizes) - 1
    text = WordTokens(np.zeros(first + sum(sizes), int), first, ends)
    of_token = np.repeat(np.arange(len(sizes)), sizes)
    for number in range(len(sizes)):
        words = np.arange(len(sizes)) == number
        expected = np.concatenate([np.zeros(first, bool), of_token == number])
        expected[0] = False
        np.testing.assert_array_equal(text.acts(words, whole=True), expected)
        last = np.arange(len(text.tokens)) == ends[number]
        last[0] = False
        np.testing.assert_array_equal(text.acts(words, whole=False), last)
    everywhere = text.acts(np.ones(len(sizes), bool), whole=True)
    np.testing.assert_array_equal(
        np.flatnonzero(everywhere), np.arange(max(first, 1), len(everywhere))
    )
