"""Applies an intervention file with nnsight; needs nothing of jaxmask."""

import operator

import nnsight
import torch


def logits(model, ids, tokens, found, toward, blocks, reader):
    """Logits after each token of one text, tokens x vocabulary.

    Args:
        model: of Hugging Face transformers.
        ids: the text's tokens.
        tokens: indices of those at which the intervention acts.
        found: content of an intervention file.
        toward: the direction, a key of its "values".
        blocks: name of the model's blocks, such as ``transformer.h``.
        reader: name of what reads the units in a block, such as ``mlp.c_proj``; None for the site
            ``residual``.
    """
    model, values = nnsight.NNsight(model), found["values"][toward]
    with model.trace(torch.tensor([ids])):
        for unit in sorted(values, key=int):  # nnsight needs the order of the layers
            layer, neuron = divmod(int(unit) - 1, found["model"]["hidden"])
            block = operator.attrgetter(blocks)(model)[layer]
            states = operator.attrgetter(reader)(block).input if reader else block.output
            states[:, tokens, neuron] = values[unit]
        found_logits = model.output.logits.save()
    return found_logits[0]
