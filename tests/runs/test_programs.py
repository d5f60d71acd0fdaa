"""Programs are compiled with the options that this version of the compiler knows."""

import jax
import pytest

from jaxmask.runs import programs
from jaxmask.runs.programs import Programs, compiler_options


@pytest.fixture(autouse=True)
def forgotten():
    """What was found out about the compiler is found out again."""
    compiler_options.cache_clear()
    yield
    compiler_options.cache_clear()


def test_options_that_the_compiler_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(programs, "COMPILER_OPTIONS", {"cpu": {"xla_no_such_option": False}})
    assert compiler_options("cpu") is None
    assert Programs().call("double", lambda x: 2 * x, jax.numpy.ones(2)).tolist() == [2.0, 2.0]


def test_options_that_it_knows_are_used(monkeypatch):
    known = {"xla_cpu_enable_fast_min_max": True}
    monkeypatch.setattr(programs, "COMPILER_OPTIONS", {"cpu": known})
    assert compiler_options("cpu") == known
    assert compiler_options("gpu") is None


def test_other_faults_of_the_compiler_are_not_hidden(monkeypatch):
    monkeypatch.setattr(
        programs, "COMPILER_OPTIONS", {"cpu": {"xla_cpu_enable_fast_min_max": "perhaps"}}
    )
    with pytest.raises(jax.errors.JaxRuntimeError):
        compiler_options("cpu")
