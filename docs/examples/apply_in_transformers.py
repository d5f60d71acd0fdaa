"""Applies an intervention file to a model of Hugging Face transformers; needs nothing of jaxmask.

    python apply_in_transformers.py FOLDER seed_0.json plural 2 The farmer near the cars

prints the tokens that the model expects next, untouched and with the intervention. FOLDER holds the
model: GPT-2, GPT-NeoX, Llama, Mistral, Qwen 2 or 3, Gemma 2 or 3.
"""

import json
import sys

import torch
import transformers

READERS = {  # what reads the units of a site: in GPT-2, in GPT-NeoX, in all others
    "mlp": ("mlp.c_proj", "mlp.dense_4h_to_h", "mlp.down_proj"),
    "attention": ("attn.c_proj", "attention.dense", "self_attn.o_proj"),
}


def set_units(model, found, toward, tokens):
    """Sets the units of a file at some tokens, until the hooks that it returns are removed."""
    decoder, width, hooks = model.get_decoder(), found["model"]["hidden"], []
    blocks = decoder.h if hasattr(decoder, "h") else decoder.layers
    check("layers", found["model"]["layers"], len(blocks))
    for unit, value in found["values"][toward].items():
        layer, neuron = divmod(int(unit) - 1, width)

        def change(module, *given, neuron=neuron, value=value):
            states = given[-1][0] if isinstance(given[-1], tuple) else given[-1]
            check("units of a layer", width, states.shape[-1])
            states[:, tokens, neuron] = value

        hooks.append(register(found["settings"]["site"], blocks[layer])(change))
    return hooks


def register(site, block):
    """Registers a hook: at the output of the block, or before what reads the units."""
    if site == "residual":
        return block.register_forward_hook
    (reader,) = (module for name, module in block.named_modules() if name in READERS[site])
    return reader.register_forward_pre_hook


def check(what, expected, found):
    if expected != found:
        raise ValueError(f"is of another model: expected {what} {expected}, found {found}")


def read_words(tokenizer, words, context):
    """Tokens of a context and a sentence, the index of the sentence's first token and of the last
    token of each word.

    Args:
        tokenizer: of the model.
        words: of the sentence.
        context: what stands before it: ``own``, what the tokenizer itself puts before a text;
            ``bos``, the token for the beginning of a sequence; or ``none``.
    """
    text = " ".join(words)
    plain = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, starts = plain["input_ids"], [start for start, _ in plain["offset_mapping"]]
    added = tokenizer(text)["input_ids"]
    own = next(added[:n] for n in range(len(added)) if added[n : n + len(ids)] == ids)
    before = {"own": own, "bos": [tokenizer.bos_token_id], "none": []}[context]
    ends = [len(" ".join(words[: n + 1])) for n in range(len(words))]
    last = [sum(start < end for start in starts) - 1 for end in ends]
    return [*before, *ids], len(before), [len(before) + token for token in last]


@torch.no_grad()
def log_probs(model, tokenizer, words, found, toward=None, position=None):
    """Log-probabilities of the next token after each word, words x vocabulary.

    Args:
        model: the one that the file is of.
        tokenizer: of the model.
        words: of the sentence.
        found: content of an intervention file.
        toward: the direction, a key of its "values"; None leaves the model untouched.
        position: index, from 0, of the word at which a single-step intervention acts; if the
            file's settings say "every", it acts at all tokens of the sentence, if "last", at the
            last; at the first token of a sequence it never acts.
    """
    ids, first, last = read_words(tokenizer, words, found["settings"]["context"])
    hooks = []
    if toward is not None:
        place = found["settings"]["intervention"]
        tokens = range(first, len(ids))
        if place != "every":
            tokens = [last[position if place == "single" else -1]]
        hooks = set_units(model, found, toward, [token for token in tokens if token > 0])
    try:
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, last], dim=-1)
    finally:
        for hook in hooks:
            hook.remove()


if __name__ == "__main__":
    folder, file, toward, position, *sentence = sys.argv[1:]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with open(file, encoding="utf-8") as lines:
        found = json.load(lines)
    for name, which in ("untouched", None), (f"to {toward}", toward):
        last = log_probs(model, tokenizer, sentence, found, which, int(position) - 1)[-1]
        best = last.topk(5).indices.tolist()
        print(f"{name:>14}:", *(f"{tokenizer.decode(i)!r} {last[i].exp():.3f}" for i in best))
