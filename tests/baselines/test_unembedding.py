"""Units by the decoder's rows, on a small LSTM, and random sets that match a found one."""

import jax
import numpy as np
from support import small_model

from jaxmask.baselines import random_masks, selection, unembedding
from jaxmask.intervention import Intervention, Kind, Site, last_step
from jaxmask.models.lstm import objective as lstm_objective
from jaxmask.models.lstm.network import decoder_weight, zero_state


def test_the_score_is_the_mean_difference_of_decoder_rows():
    params, examples = small_model.model(), small_model.examples()
    kind = Kind(reach="time", place="last")
    objective = lstm_objective.build(
        params, examples, last_step(examples.length), zero_state(small_model.CONFIG), kind=kind
    )
    config = selection.SelectionConfig(rows=10_000)
    score = jax.jit(unembedding.score)(jax.random.key(0), objective, config)
    rows = np.asarray(decoder_weight(params))[examples.pair]
    mean = (rows[:, 0] - rows[:, 1]).mean(axis=0)
    width = small_model.CONFIG.hidden
    np.testing.assert_allclose(score[width:], np.abs(mean), rtol=1e-4)
    np.testing.assert_array_equal(score[:width], 0.0)


def test_matched_sets_have_as_many_units_of_each_layer_and_the_same_values():
    rng = np.random.default_rng(0)
    site = Site("hidden+cell", layers=2, width=5, states=("hidden", "cell"))
    mask, baseline = np.zeros((2, 2, site.units), np.float32)
    chosen = np.array([0, 3, 7, 15])
    mask[:, chosen] = 1
    baseline[:, chosen] = rng.normal(size=(2, 4))
    drawn = random_masks.matched(Intervention(mask, baseline), site, 50, rng)
    seen = set()
    for one, values in zip(drawn.mask, drawn.baseline, strict=True):
        units = np.flatnonzero(one[0])
        assert not set(units) & set(chosen)
        assert sorted(units // 5) == sorted(chosen // 5)
        for block in range(4):
            here, there = units[units // 5 == block], chosen[chosen // 5 == block]
            assert sorted(map(tuple, values[:, here].T)) == sorted(map(tuple, baseline[:, there].T))
        seen.add(tuple(units))
    assert len(seen) > 20
    full = Intervention(np.ones_like(mask), baseline)  # no other units: the values are shuffled
    assert (random_masks.matched(full, site, 1, rng).mask == 1).all()
