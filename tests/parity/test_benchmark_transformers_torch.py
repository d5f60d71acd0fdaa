"""The rival of a transformer, with hooks, computes what our objective computes."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.transformer_cases import write_tokenizer

from jaxmask import search
from jaxmask.intervention import Intervention, Kind, to_baseline
from jaxmask.models.model_folder import load_model
from jaxmask.objective import ExactKL, NoKL
from jaxmask.search import SearchConfig, hard_concrete, losses
from jaxmask.text.examples import Examples

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))
import make_transformers  # noqa: E402


def sentences(vocabulary, size=12):
    """Distinct random sentences of three to five tokens, intervened on at different places."""
    rng = np.random.default_rng(0)
    one = np.ones(size, np.int32)
    return Examples(
        tokens=rng.integers(1, vocabulary, (size, 5)).astype(np.int32),
        length=rng.integers(3, 6, size).astype(np.int32),
        position=rng.integers(0, 3, size).astype(np.int32),
        pair=np.array([rng.permutation(vocabulary)[:2] for _ in range(size)], np.int32),
        direction=rng.integers(0, 2, size).astype(np.int32),
        correct=-one,
        group=0 * one,
    )


@pytest.mark.parametrize("kl", [ExactKL(), NoKL()])
@pytest.mark.parametrize("case", ["gpt2", "gpt_neox", "llama", "gemma2"])
def test_loss_and_gradient_are_the_fast_objective_s(case, kl, tmp_path):
    from experiments.benchmarks.in_torch import PlainSearch
    from experiments.benchmarks.in_transformers import HookedModel

    make_transformers.model_of(case).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    model, kind, context = load_model(tmp_path), Kind("mlp", place="single"), (0,)
    examples = sentences(model.config.vocabulary)
    value_range = model.value_range(examples, kind, context)
    fast = model.objective(examples, kind, context, value_range)
    everything = fast.everything()

    config = SearchConfig(alpha=0.3, kl=kl, kl_weight=20.0)
    slow = PlainSearch(HookedModel(str(tmp_path), value_range), examples, context, config)
    keys = jax.random.split(jax.random.key(0))
    params = {
        "location": jax.random.normal(keys[0], slow.location.shape),
        "values": jax.random.normal(keys[1], slow.values.shape),
    }
    with torch.no_grad():
        slow.location.copy_(torch.tensor(np.asarray(params["location"])))
        slow.values.copy_(torch.tensor(np.asarray(params["values"])))

    # Rows of the objective are sorted otherwise: gates that are the same in all rows.
    noise = jax.random.uniform(jax.random.key(5), (fast.n_units,), minval=1e-6)

    def loss(params):
        location, direction = params["location"], everything.direction
        rows = jnp.broadcast_to(noise, (len(direction), fast.n_units))
        gates = hard_concrete.quantile(rows, location[direction % len(location)])
        intervention = Intervention(gates, to_baseline(params["values"])[direction])
        outcome = fast(intervention, everything, None, kl)
        typical = losses.share(jnp.asarray(losses.TYPICAL_LOG_RATIO))
        surrogate = (losses.share(outcome.log_ratio) * outcome.weight).sum() / typical
        return surrogate + search.kl_weight(config.kl_weight) * outcome.kl

    expected, gradient = jax.jit(jax.value_and_grad(loss))(params)
    whole = torch.tensor(np.broadcast_to(np.asarray(noise), (examples.size, fast.n_units)).copy())
    found = slow.loss(torch.arange(examples.size), whole)
    found.backward()
    np.testing.assert_allclose(found.item(), expected, rtol=1e-4)
    for name in ("location", "values"):
        ours = np.asarray(gradient[name])
        assert np.abs(ours).max() > 1e-4
        theirs = getattr(slow, name).grad
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-3 * np.abs(ours).max())
