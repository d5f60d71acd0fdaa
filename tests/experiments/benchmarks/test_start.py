"""The time to the first step of a search, in processes of their own."""

import pytest

from experiments.benchmarks import start


@pytest.mark.slow
def test_the_second_start_compiles_less(model):
    first, second = start.measure(str(model), None)["starts"]
    for one in (first, second):
        parts = one["import"] + one["prepare"] + one["compile"]
        assert one["total"] == pytest.approx(parts)
    assert first["from_cache"] == 0 < second["from_cache"] <= second["programs"]
    assert second["compile"] < first["compile"]
