"""The GRU: whole sentences are read, and a softmax over the vocabulary is taken at each word."""

import hashlib
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np

from jaxmask.intervention import Range, Site, intervene, places
from jaxmask.models.language_model import Reading
from jaxmask.objective import NoKL, Outcome
from jaxmask.text import ordinary_text
from jaxmask.text.examples import CONTEXTS, Examples, encode, unknown_words
from jaxmask.text.vocabulary import Vocabulary


def read(params, state, tokens, intervention=None, where=None):
    """States after each token, of one sentence."""

    def step(h, inputs):
        token, acts = inputs
        x = params["embed"][token]
        z, r = jax.nn.sigmoid(params["gates"] @ jnp.concatenate([x, h])).reshape(2, -1)
        n = jnp.tanh(params["new"] @ jnp.concatenate([x, r * h]))
        h = (1.0 - z) * n + z * h
        if intervention is not None:
            h = intervene(h, intervention.mask * acts, intervention.baseline)
        return h, h

    acts = jnp.ones(len(tokens)) if where is None else where.astype(jnp.float32)
    return jax.lax.scan(step, state, (tokens, acts))[1]


def predictions(params, states):
    return jax.nn.log_softmax(states @ params["decode"].T)


def random_params(key, words, width=8):
    keys = jax.random.split(key, 4)
    shapes = {
        "embed": (words, width), "gates": (2 * width, 2 * width), "new": (width, 2 * width),
        "decode": (words, width),
    }  # fmt: skip
    return {
        name: np.asarray(2.0 * jax.random.normal(key, shape))
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


class GRUBatch(flax.struct.PyTreeNode):
    examples: Examples
    where: jax.Array

    @property
    def direction(self):
        return self.examples.direction


class GRUObjective(flax.struct.PyTreeNode):
    params: dict
    context: jax.Array
    batch: GRUBatch

    @property
    def n_units(self):
        return self.context.shape[0]

    @property
    def value_range(self):
        return Range.same(self.n_units)

    def everything(self, by_direction=False):
        return self.batch

    def sample(self, key, size):
        rows = jax.random.randint(key, (size,), 0, len(self.batch.where))
        return jax.tree.map(lambda x: x[rows], self.batch)

    def __call__(self, intervention, batch, key=None, kl=NoKL()):  # noqa: B008
        def of_example(intervention, example, where):
            untouched = predictions(self.params, read(self.params, self.context, example.tokens))
            states = read(self.params, self.context, example.tokens, intervention, where)
            altered = predictions(self.params, states)
            odds = altered[example.length - 1, example.pair]
            ratio = odds[1 - example.direction] - odds[example.direction]
            inside = jnp.arange(len(where)) < example.length
            kl = (jnp.exp(untouched) * (untouched - altered)).sum(axis=1)
            return ratio, jnp.sum(kl, where=inside) / example.length.astype(jnp.float32)

        log_ratio, each = jax.vmap(of_example)(intervention, batch.examples, batch.where)
        weight = jnp.full((len(log_ratio), 1), 1.0 / len(log_ratio))
        total = jnp.zeros(()) if kl == NoKL() else each.mean()
        return Outcome(log_ratio[:, None], weight, total)


class GRUModel(NamedTuple):
    name: str
    params: dict
    vocabulary: Vocabulary

    @property
    def family(self):
        return "gru"

    @property
    def fingerprint(self):
        weights = b"".join(np.ascontiguousarray(x).tobytes() for x in self.params.values())
        return hashlib.sha256(weights).hexdigest()[:16]

    @property
    def sites(self):
        return {"hidden": Site("hidden", 1, self.params["decode"].shape[1])}

    @property
    def contexts(self):
        return tuple(CONTEXTS)

    @property
    def reaches(self):
        return ("all", "time")

    @property
    def usual_values(self):
        return "free"

    def description(self):
        site = self.sites["hidden"]
        return {
            "name": self.name, "fingerprint": self.fingerprint, "layers": site.layers,
            "hidden": site.width, "vocabulary": len(self.vocabulary),
        }  # fmt: skip

    def encode(self, task):
        return encode(task, self.vocabulary)

    def encode_text(self, sentences):
        return ordinary_text.encode(sentences, self.vocabulary)

    def unknown_words(self, stimulus):
        return unknown_words(stimulus, self.vocabulary)

    def beginning(self, context):
        return CONTEXTS[context]

    def read_context(self, name):
        state = jnp.zeros(self.params["decode"].shape[1])
        tokens = jnp.array(self.vocabulary.encode(CONTEXTS[name]), int)
        return read(self.params, state, tokens)[-1] if len(tokens) else state

    def log_odds(self, examples, context):
        return self._read(examples, context).log_odds

    def value_range(self, examples, kind, context):
        return Range.same(self.sites["hidden"].units)

    def objective(self, examples, kind, context, value_range=None, *, both_directions=False):
        where = places(kind.place, examples.position, examples.length)
        batch = GRUBatch(jax.tree.map(jnp.asarray, examples), jnp.asarray(where))
        return GRUObjective(self.params, context, batch)

    def read(self, examples, kind, context, intervention=None):
        if intervention is None:
            return self._read(examples, context)
        rows = jax.tree.map(jnp.asarray, intervention).toward(jnp.asarray(examples.direction))
        where = places(kind.place, examples.position, examples.length)
        return self._read(examples, context, rows, jnp.asarray(where))

    def _read(self, examples, context, rows=None, where=None):
        states = jax.vmap(read, (None, None, 0, 0, 0))(
            self.params, context, jnp.asarray(examples.tokens), rows, where
        )
        last = predictions(self.params, states[jnp.arange(examples.size), examples.length - 1])
        odds = np.take_along_axis(np.asarray(last), examples.pair, axis=1)
        return Reading(np.asarray(states), odds[:, 0] - odds[:, 1])

    def log_probs(self, words, kind, context, intervention=None, where=None):
        tokens = jnp.array(self.vocabulary.encode(words))
        return predictions(self.params, read(self.params, context, tokens, intervention, where))

    def text_kl(self, interventions, text, kind, where, context):
        def toward(one, tokens, length, acts):
            untouched = predictions(self.params, read(self.params, context, tokens))
            altered = predictions(self.params, read(self.params, context, tokens, one, acts))
            kl = (jnp.exp(untouched) * (untouched - altered)).sum(axis=1)
            inside = jnp.arange(len(tokens)) < length
            return jnp.sum(kl, where=inside) / length.astype(jnp.float32)

        of_sentences = jax.vmap(toward, (None, 0, 0, 0))
        of_runs = jax.vmap(jax.vmap(of_sentences, (0, None, None, None)), (0, None, None, None))
        arrays = (jnp.asarray(x) for x in (text.tokens, text.length, where))
        return np.asarray(of_runs(interventions, *arrays).mean(axis=-1))
