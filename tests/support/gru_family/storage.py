"""Folders of the family: weights beside a vocabulary."""

import jax.numpy as jnp
import numpy as np

from jaxmask.text.vocabulary import Vocabulary
from support.gru_family.model import GRUModel


def load(folder, fields, dtype):
    with np.load(folder / "weights.npz") as weights:
        params = {name: jnp.asarray(weights[name]) for name in weights}
    return GRUModel(fields["name"], params, Vocabulary.load(folder / "vocab.txt"))


def save(folder, model, dtype=np.float32):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "weights.npz", **model.params)
    model.vocabulary.save(folder / "vocab.txt")
    return {}
