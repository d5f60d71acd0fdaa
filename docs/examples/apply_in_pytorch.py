"""Applies an intervention file to a PyTorch LSTM language model; needs torch, not jaxmask.

    python apply_in_pytorch.py MODEL.pt vocab.txt seed_0.json plural 2 The farmer near the cars

prints the words that the model expects next, untouched and with the intervention. The model is a
state dict of PyTorch's word_language_model example, as `python -m converters.to_torch` writes it.
"""

import contextlib
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


@contextlib.contextmanager
def intervention(rnn, found, toward):
    """Sets the units, within the block, after every call of an LSTM on one token.

    The LSTM has then read the token in all its layers: the altered states go on to the next token
    and to the decoder, not from one layer to the next; the cell state isn't touched.
    """
    sizes = (rnn.num_layers, rnn.hidden_size)
    if (found["model"]["layers"], found["model"]["hidden"]) != sizes:
        raise ValueError(f"is of another model: {found['model']}, found layers, hidden {sizes}")
    values = found["values"][toward]
    units = [divmod(int(unit) - 1, rnn.hidden_size) for unit in values]  # layer and column, from 0
    values = torch.tensor(list(values.values()))

    def alter(module, inputs, result):
        output, (hidden, cell) = result
        if len(output) != 1:
            raise ValueError(f"expected one token at a time, found {len(output)}")
        hidden = hidden.clone()
        for (layer, column), value in zip(units, values, strict=True):
            hidden[layer, :, column] = value
        return hidden[-1:], (hidden, cell)

    hook = rnn.register_forward_hook(alter)
    try:
        yield
    finally:
        hook.remove()


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
            file's settings say "every", it acts at all words of the sentence.
    """
    state, rows = None, []
    for word in context:
        _, state = model(torch.tensor([[word]]), state)
    for index, word in enumerate(tokens):
        acts = found and (found["settings"]["intervention"] == "every" or index == position)
        with intervention(model.rnn, found, toward) if acts else contextlib.nullcontext():
            logits, state = model(torch.tensor([[word]]), state)
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
