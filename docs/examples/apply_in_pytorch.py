"""Applies an intervention file to a PyTorch LSTM language model; needs torch, not jaxmask.

    python apply_in_pytorch.py MODEL.pt vocab.txt seed_0.json plural 2 The farmer near the cars

prints the words that the model expects next, untouched and with the intervention. The model is a
state dict of PyTorch's word_language_model example, as `python -m converters.to_torch` writes it.
"""

import json
import sys

import torch


class RNNModel(torch.nn.Module):
    """That of the word_language_model example; any module with such a ``rnn`` will do."""

    def __init__(self, words, embedding, hidden, layers):
        super().__init__()
        self.encoder = torch.nn.Embedding(words, embedding)
        self.rnn = torch.nn.LSTM(embedding, hidden, layers)
        self.decoder = torch.nn.Linear(hidden, words)

    def forward(self, tokens, state=None):  # time x batch
        output, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(output), state


def units_of(found, toward, hidden):
    """Layer, state, column and value of each unit; layers and columns are counted from 0."""
    states = found["settings"].get("site", "hidden").split("+")
    for unit, value in found["values"][toward].items():
        place, column = divmod(int(unit) - 1, hidden)
        number, layer = divmod(place, found["model"]["layers"])
        yield layer, states[number], column, value


def read_word(rnn, x, state, found, toward):
    """What an LSTM makes of one word, with the units set: the top layer's output, and the state.

    Set units go on to the next word and to the decoder; to the layer above, only if the file's
    settings say that the reach is ``all``. The hidden state follows from a cell state that is set.
    """
    sizes = (rnn.num_layers, rnn.hidden_size)
    if (found["model"]["layers"], found["model"]["hidden"]) != sizes:
        raise ValueError(f"is of another model: {found['model']}, found layers, hidden {sizes}")
    units, after = list(units_of(found, toward, rnn.hidden_size)), []
    for layer, (h, c) in enumerate(zip(*state, strict=True)):
        w_x, w_h, b_x, b_h = rnn.all_weights[layer]
        i, f, g, o = (x @ w_x.T + b_x + h @ w_h.T + b_h).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        original = o.sigmoid() * c.tanh()
        for at, name, column, value in units:
            if (at, name) == (layer, "cell"):
                c[..., column] = value
        h = o.sigmoid() * c.tanh()
        for at, name, column, value in units:
            if (at, name) == (layer, "hidden"):
                h[..., column] = value
        x = h if found["settings"].get("reach", "time") == "all" else original
        after.append((h, c))
    return h, tuple(map(torch.stack, zip(*after, strict=True)))


@torch.no_grad()
def log_probs(model, context, tokens, found=None, toward=None, position=None):
    """Log-probabilities of the next word after each token, words x vocabulary.

    Args:
        model: with an LSTM of the file's sizes.
        context: indices of the words read before the sentence, such as that of <eos>.
        tokens: indices of the sentence's words.
        found: content of an intervention file; None leaves the model untouched.
        toward: the direction, a key of its "values".
        position: index, from 0, of the word at which a single-step intervention acts; if the
            file's settings say "every", it acts at all words of the sentence, if "last", at the
            last.
    """
    rnn, rows = model.rnn, []
    state = torch.zeros(2, rnn.num_layers, 1, rnn.hidden_size).unbind()
    for word in context:
        _, state = model(torch.tensor([[word]]), state)
    where = range(0)
    if found:
        last = len(tokens) - 1
        where = {"every": range(last + 1), "last": [last], "single": [position]}[
            found["settings"]["intervention"]
        ]
    for index, word in enumerate(tokens):
        x = torch.tensor([[word]])
        if index in where:
            top, state = read_word(rnn, model.encoder(x)[0], state, found, toward)
            logits = model.decoder(top)[None]
        else:
            logits, state = model(x, state)
        rows.append(torch.log_softmax(logits[0, 0], dim=0))
    return torch.stack(rows)


def load(file):
    """The model of a state dict."""
    tensors = torch.load(file, weights_only=True)
    (words, embedding), hidden = tensors["encoder.weight"].shape, tensors["decoder.weight"].shape[1]
    layers = sum("weight_ih" in name for name in tensors)
    model = RNNModel(words, embedding, hidden, layers).eval()
    model.load_state_dict(tensors)
    return model


if __name__ == "__main__":
    checkpoint, vocabulary, file, toward, position, *sentence = sys.argv[1:]
    with open(vocabulary, encoding="utf-8") as lines:
        words = lines.read().split("\n")
    with open(file, encoding="utf-8") as lines:
        found = json.load(lines)
    model, index = load(checkpoint), {word: number for number, word in enumerate(words)}
    context = {"eos": [index["<eos>"]], "none": []}[found["settings"]["context"]]
    tokens = [index.get(word, index["<unk>"]) for word in sentence]
    for name, which in ("untouched", None), (f"to {toward}", found):
        rows = log_probs(model, context, tokens, which, toward, int(position) - 1)
        best = rows[-1].topk(5).indices.tolist()
        print(f"{name:>14}:", *(f"{words[i]} {rows[-1, i].exp():.3f}" for i in best), sep="  ")
