"""The protocols of the released model's published outputs, as their authors ran them in PyTorch.

Each loop below takes the steps of the original: one word or window at a time, batch 1, the
log-softmax over the whole vocabulary.
"""

import sys
import types

import numpy as np
import pytest
from support import gulordava_files as files

from converters.gulordava import convert
from experiments.studies.gulordava_reference import Generated, Nounpp, read_generated, read_nounpp
from experiments.verify_gulordava import differences, score_generated, score_nounpp, verify
from jaxmask.text.examples import PRIMER
from jaxmask.text.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TOLERANCE = 2e-5  # nats
WINDOW = 20  # the original's seq_len


class RNNModel(torch.nn.Module):
    """The model of PyTorch's word_language_model example."""

    def __init__(self, words: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.drop = torch.nn.Dropout(0.2)
        self.encoder = torch.nn.Embedding(words, embedding)
        self.rnn = torch.nn.LSTM(embedding, hidden, layers, dropout=0.2)
        self.decoder = torch.nn.Linear(hidden, words)
        self.rnn_type, self.nhid, self.nlayers = "LSTM", hidden, layers

    def forward(self, tokens, state):
        output, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(output)), state

    def init_hidden(self, batch):
        zeros = torch.zeros(self.nlayers, batch, self.nhid)
        return zeros, zeros


@torch.no_grad()
def lakretz(model, index, sentences, pairs):
    """Their ablation experiment without ablation: log-probabilities of both verbs (items, 2)."""

    def feed(words, state):
        for word in words:
            token = index.get(word, index["<unk>"])
            output, state = model(torch.tensor([[token]]), state)
            log_probs = torch.nn.functional.log_softmax(output[0], dim=-1)[0]
        return log_probs, state

    _, primed = feed(PRIMER, model.init_hidden(1))
    rows = []
    for words, (right, wrong) in zip(sentences, pairs, strict=True):
        log_probs, _ = feed(words[:5], primed)
        rows.append([log_probs[index[right]].item(), log_probs[index[wrong]].item()])
    return np.array(rows)


@torch.no_grad()
def gulordava(model, index, text, places, pairs):
    """Their evaluation of target words: log-probabilities of both forms (items, 2)."""
    ids, mask = [], []
    for line, place in zip(text, places, strict=True):
        ids += [index.get(word, index["<unk>"]) for word in line.split()]
        marks = [0] * len(line.split(" "))
        marks[place] = 1
        mask += marks
    source, mask = torch.tensor(ids)[:, None], torch.tensor(mask)
    state, scores = model.init_hidden(1), []
    for start in range(0, len(source) - 1, WINDOW):
        length = min(WINDOW, len(source) - 1 - start)
        output, state = model(source[start : start + length], state)
        log_probs = torch.nn.functional.log_softmax(output[:, 0], dim=1)
        scores += list(log_probs[mask[start + 1 : start + 1 + length].bool()])
    return np.array(
        [[s[index[form]].item() for form in pair] for s, pair in zip(scores, pairs, strict=True)]
    )


def test_tiny_model_verifies_against_what_pytorch_wrote(tmp_path):
    torch.manual_seed(0)
    words = [word for word in files.WORDS if word != "operated"]
    theirs = RNNModel(len(words), 5, 6, 2).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(2.5)  # far from where everything is linear
    torch.save(theirs, tmp_path / "m.pt")
    Vocabulary(words).save(tmp_path / "v.txt")
    ours = convert(tmp_path / "m.pt", tmp_path / "v.txt")

    index = ours.vocabulary.index
    sentences = [sentence.split() for sentence in files.NOUNPP]
    nounpp = lakretz(theirs, index, sentences, files.NOUNPP_FORMS)
    text, places, right, wrong, _ = zip(*files.GENERATED, strict=True)
    generated = gulordava(theirs, index, text, places, zip(right, wrong, strict=True))
    assert np.ptp(nounpp) > 0.5, "words that are all as probable would prove nothing"
    assert np.ptp(generated) > 0.5, "words that are all as probable would prove nothing"
    files.write(tmp_path, nounpp, generated)

    for comparison in verify(ours, read_nounpp(tmp_path), read_generated(tmp_path)):
        assert comparison.largest < TOLERANCE
        assert not list(differences(comparison))


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
@pytest.mark.filterwarnings("ignore::torch.serialization.SourceChangeWarning")
def test_the_real_sized_checkpoint_on_some_published_sentences(shared):
    checkpoint = shared / "checkpoints" / "standin-650.pt"
    folder = shared / "data" / "gulordava" / "reference"
    theirs = load_original(checkpoint)
    ours = convert(checkpoint, checkpoint.with_suffix(".vocab.txt"))
    index = ours.vocabulary.index

    items, prefixes = read_nounpp(folder)
    some = Nounpp(items[::100], prefixes[::100])
    expected = lakretz(theirs, index, some.prefixes, [item.forms for item in some.items])
    np.testing.assert_allclose(score_nounpp(ours, some), expected, atol=TOLERANCE)

    items, stream, before = read_generated(folder)
    some = Generated(items[:80], stream[: before[80]], before[:80])
    text, places = (
        (folder / name).read_text(encoding="utf-8").splitlines()[:80]
        for name in ("generated.text", "generated.eval")
    )
    known = [all(form in index for form in item.forms) for item in some.items]
    assert sum(known) > 70
    forms = [
        item.forms if scored else ("<unk>", "<unk>")
        for item, scored in zip(some.items, known, strict=True)
    ]
    expected = gulordava(theirs, index, text, map(int, places), forms)
    np.testing.assert_allclose(score_generated(ours, some)[known], expected[known], atol=TOLERANCE)


def load_original(file):
    """The checkpoint as PyTorch itself reads it; the file is one of our own, and trusted."""
    sys.modules["model"] = types.SimpleNamespace(RNNModel=RNNModel)
    try:
        return torch.load(file, weights_only=False).eval()
    finally:
        del sys.modules["model"]
