"""What is compiled in a whole search."""

import jax
import numpy as np

from experiments.benchmarks import whole_search


def test_programs_compiled_are_counted_by_name():
    def triple(x):
        return 3 * x

    with whole_search.compilations() as found:
        function = jax.jit(triple)
        for size in (2, 3, 3):
            function(np.ones(size))
    jax.jit(lambda x: 5 * x)(np.ones(2))  # not counted any more
    (entry,) = (entry for entry in found if entry["program"] == "triple")
    assert entry["times"] == 2
    assert entry["seconds"] > 0
    assert not [entry for entry in found if "lambda" in entry["program"]]
