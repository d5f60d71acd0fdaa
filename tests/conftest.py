"""What all tests share."""

import gc
import os
import tempfile
from pathlib import Path

import jax
import pytest
from hypothesis import settings
from support import compiling, strict

strict.set_up()  # before jaxmask is imported

# Most of the tests' time is compilation: quarter it. What is true bit for bit is tested with
# optimisations, see `optimized`.
jax.config.update("jax_disable_most_optimizations", True)
compiling.set_up()  # before JAX's first use
# Hypothesis tries fewer examples than in `make test-all`, which finds rarer faults.
settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")


def pytest_configure(config):
    """What one process of a session compiles, the others take; nothing of it is left behind.

    Neither is anything of the user's taken: scripts would have their cache in a place of their own.
    """
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="jaxmask-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name  # workers inherit it
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.03)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_traceback_in_locations_limit", 0)
    gc.freeze()  # what is imported so far stays; and tracing makes many objects that stay
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture
def optimized():
    """Programs are compiled as outside the tests; by `compiling.optimized_jit` wholly so."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of papers, data and checkpoints beside the repository; skips where it's absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no shared folder beside the repository")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The folder of a random model of 12 units that knows the words of both tasks."""
    # Imported here, as shape checks have to be set up first.
    from jaxmask.models import model_folder
    from jaxmask.models.lstm.model import LSTMModel
    from jaxmask.models.lstm.network import LSTMConfig, init_params
    from jaxmask.tasks import gender_bias, number_agreement
    from jaxmask.text.vocabulary import Vocabulary

    words = sorted({*number_agreement.WORDS, *gender_bias.WORDS, "<unk>", "<eos>"})
    config = LSTMConfig(len(words), embedding=5, hidden=6)
    params = jax.tree.map(lambda x: 3 * x, init_params(jax.random.key(1), config))
    folder = tmp_path_factory.mktemp("model")
    model_folder.save_model(folder, LSTMModel("tiny", config, params, Vocabulary(words)))
    return folder
