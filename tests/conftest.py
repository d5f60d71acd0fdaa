"""What all tests share."""

from pathlib import Path

import jax
import pytest
from support import strict

strict.set_up()  # before jaxmask is imported

# Most of the tests' time is compilation: halve it. What is true bit for bit is tested with
# optimisations, see `optimized`.
jax.config.update("jax_disable_most_optimizations", True)
# Scripts called from here set up a cache of programs on disk, for all that comes after: without it
# no test depends on what earlier ones left, and loading a model writes nothing.
jax.config.update("jax_enable_compilation_cache", False)


@pytest.fixture
def optimized():
    """Programs compiled as they are outside the tests."""
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
