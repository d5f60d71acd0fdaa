"""Our forward pass against PyTorch's, both ways through the converters; needs torch."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from converters import to_torch
from converters.gulordava import convert
from jaxmask.models.lstm.forward import forward
from jaxmask.models.lstm.network import LSTMConfig, LSTMState, init_params, zero_state
from jaxmask.text.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TOLERANCE = 1e-5
CONFIGS = [
    LSTMConfig(23, 7 if not tied else 6, 6, layers, tied)
    for layers in (1, 2, 3)
    for tied in (False, True)
]


class RNNModel(torch.nn.Module):
    """The model of PyTorch's word_language_model example, without its dropout."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.encoder = torch.nn.Embedding(config.vocabulary, config.embedding)
        self.rnn = torch.nn.LSTM(config.embedding, config.hidden, config.layers)
        self.decoder = torch.nn.Linear(config.hidden, config.vocabulary)
        if config.tied:
            self.decoder.weight = self.encoder.weight
        self.rnn_type, self.nhid, self.nlayers = "LSTM", config.hidden, config.layers

    def forward(self, tokens, state=None):
        states, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(states), state


def torch_logits(model, tokens, state=None):
    """Logits (batch, time, vocabulary) and the state of ``tokens`` (batch, time)."""
    with torch.no_grad():
        logits, state = model(torch.from_numpy(np.ascontiguousarray(tokens.T)), state)
    return logits.transpose(0, 1).numpy(), state


def our_state(state) -> LSTMState:
    """PyTorch's state, (layers, batch, hidden) twice, with the layers side by side."""
    h, c = (part.transpose(0, 1).flatten(1).numpy() for part in state)
    return LSTMState(jnp.asarray(h), jnp.asarray(c))


def save_vocabulary(file, size: int):
    """A vocabulary file of so many words."""
    Vocabulary(["<unk>", "<eos>", *(f"w{i}" for i in range(2, size))]).save(file)
    return file


def random_tokens(config: LSTMConfig, shape=(3, 12)) -> np.ndarray:
    return np.random.default_rng(1).integers(config.vocabulary, size=shape)


@pytest.fixture(params=CONFIGS, ids=lambda c: f"{c.layers}-{'tied' if c.tied else 'untied'}")
def pair(request, tmp_path):
    """A random PyTorch model and what our converter makes of it."""
    torch.manual_seed(0)
    theirs = RNNModel(request.param).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(2.0)  # far from where everything is linear
    torch.save(theirs.state_dict(), tmp_path / "m.pt")
    ours = convert(tmp_path / "m.pt", save_vocabulary(tmp_path / "v.txt", 23))
    assert ours.config == request.param
    return theirs, ours


def test_logits_and_states_from_zero(pair):
    theirs, ours = pair
    tokens = random_tokens(ours.config)
    expected, expected_state = torch_logits(theirs, tokens)
    found, state = forward(ours.params, zero_state(ours.config, (3,)), jnp.asarray(tokens))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.ptp(expected) > 0.5, "logits that hardly differ would prove nothing"
    for ours_part, their_part in zip(state, our_state(expected_state), strict=True):
        np.testing.assert_allclose(ours_part, their_part, atol=TOLERANCE)


def test_a_stream_in_pieces_with_its_state_carried(pair):
    theirs, ours = pair
    tokens = random_tokens(ours.config)
    tokens[:, 5] = tokens[:, 9] = ours.vocabulary.index["<eos>"]
    whole, _ = torch_logits(theirs, tokens)
    state, their_state, logits = zero_state(ours.config, (3,)), None, []
    for piece in np.split(tokens, [1, 6, 10], axis=1):
        expected, their_state = torch_logits(theirs, piece, their_state)
        found, state = forward(ours.params, state, jnp.asarray(piece))
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        np.testing.assert_allclose(state.hidden, our_state(their_state).hidden, atol=TOLERANCE)
        logits.append(found)
    np.testing.assert_allclose(np.concatenate(logits, axis=1), whole, atol=TOLERANCE)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_to_torch_writes_gives_the_same_logits(config, tmp_path):
    params = init_params(jax.random.key(2), config)
    to_torch.save_state_dict(tmp_path / "m.pt", to_torch.state_dict(params))
    theirs = RNNModel(config).eval()
    state = torch.load(tmp_path / "m.pt", weights_only=True)
    theirs.load_state_dict(state)
    shared = state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr()
    assert shared == config.tied
    tokens = random_tokens(config)
    found, _ = forward(params, zero_state(config, (3,)), jnp.asarray(tokens))
    np.testing.assert_allclose(found, torch_logits(theirs, tokens)[0], atol=TOLERANCE)


def test_to_torch_can_be_mapped_and_saved_again(tmp_path):
    params = init_params(jax.random.key(2), CONFIGS[2])
    state = to_torch.state_dict(params)
    to_torch.save_state_dict(tmp_path / "m.pt", state)
    mapped = torch.load(tmp_path / "m.pt", weights_only=True, mmap=True)
    torch.save(mapped, tmp_path / "again.pt")
    back = convert(tmp_path / "again.pt", save_vocabulary(tmp_path / "v.txt", 23))
    jax.tree.map(np.testing.assert_array_equal, back.params, params)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_whole_modules_of_other_types(dtype, stacked, tmp_path):
    theirs = RNNModel(CONFIGS[2]).to(getattr(torch, dtype)).eval()
    torch.save(theirs, tmp_path / "m.pt", _use_new_zipfile_serialization=not stacked)
    ours = convert(tmp_path / "m.pt", save_vocabulary(tmp_path / "v.txt", 23))
    tokens = random_tokens(ours.config)
    found, _ = forward(ours.params, zero_state(ours.config, (3,)), jnp.asarray(tokens))
    np.testing.assert_allclose(found, torch_logits(theirs.float(), tokens)[0], atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.serialization.SourceChangeWarning")
def test_the_real_sized_checkpoint_both_ways(shared, tmp_path):
    files = shared / "checkpoints"
    ours = convert(files / "standin-650.pt", files / "standin-650.vocab.txt")
    to_torch.save_state_dict(tmp_path / "m.pt", to_torch.state_dict(ours.params))
    theirs = RNNModel(ours.config).eval()
    theirs.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    original = load_original(files / "standin-650.pt")
    text = "<eos> The boy near the old cars greets the women . <eos> She often knows"
    words = text.split()
    tokens = np.array([ours.vocabulary.encode(words), ours.vocabulary.encode(words[::-1])])
    found, _ = forward(ours.params, zero_state(ours.config, (2,)), jnp.asarray(tokens))
    # Logits reach 23 here, and PyTorch's own float32 result is 1e-5 away from its float64 one.
    for model in (theirs, original):
        expected, _ = torch_logits(model, tokens)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=1e-6)


def load_original(file):
    """The checkpoint as PyTorch itself reads it; the file is one of our own, and trusted."""
    sys.modules["model"] = types.SimpleNamespace(RNNModel=RNNModel)
    try:
        return torch.load(file, weights_only=False).eval()
    finally:
        del sys.modules["model"]
