import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmask.text.examples import Examples
from jaxmask.text.splits import position_words, split


def numbered(size):
    """Examples that are told apart by every field."""
    column = np.arange(size, dtype=np.int32)
    return Examples(
        *(
            np.stack([column, column], 1) if f in ("tokens", "pair") else column
            for f in Examples._fields
        )
    )


@given(st.integers(2, 50), st.data())
def test_a_split_is_disjoint_exhaustive_and_keeps_rows_whole(size, data):
    held_out = data.draw(st.integers(1, size - 1))
    parts = split(numbered(size), held_out, data.draw(st.integers(0, 2**32)))
    assert [part.size for part in parts] == [size - held_out, held_out]
    assert sorted(np.concatenate([part.length for part in parts])) == list(range(size))
    for part in parts:
        assert np.all(np.diff(part.length) > 0)
        for field in part:
            np.testing.assert_array_equal(field.T, np.broadcast_to(part.length, field.T.shape))


def test_a_split_depends_on_its_seed_alone():
    examples = numbered(100)
    first, again, other = (split(examples, 30, seed)[1].length for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("evaluation", [-1, 0, 5, 6])
def test_a_split_with_an_empty_part_is_an_error(evaluation):
    with pytest.raises(ValueError, match=f"expected 1 to 4 of 5 examples, found {evaluation}"):
        split(numbered(5), evaluation, 0)


def test_groups_stay_together():
    examples, together = numbered(60), np.arange(60) % 13
    train, held_out = split(examples, 20, 3, together)
    assert not set(together[train.length]) & set(together[held_out.length])
    assert train.size + held_out.size == 60
    assert 20 <= held_out.size < 20 + 5  # the largest group has 5
    with pytest.raises(ValueError, match="58 of 60 examples, in 2 groups that stay together"):
        split(examples, 58, 0, np.arange(60) % 2)


def test_position_words_are_the_words_at_the_position():
    examples = numbered(3)._replace(
        tokens=np.array([[1, 2], [3, 4], [5, 6]]), position=np.array([0, 1, 1])
    )
    np.testing.assert_array_equal(position_words(examples), [1, 4, 6])
