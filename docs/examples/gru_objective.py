"""A search in a model that isn't jaxmask's: a GRU that learns to make verbs agree with nouns."""

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxmask import evaluate, search
from jaxmask.intervention import Range, intervene, units
from jaxmask.objective import ExactKL, NoKL, Outcome

HIDDEN, WORDS = 8, 14  # words 0-3 are singular nouns, 4-7 plural ones, 8-11 adverbs
SINGULAR, PLURAL = 12, 13  # the verb's forms


class GRU(nn.Module):  # of the user's own: it gives log-probabilities of the next word
    @nn.compact
    def __call__(self, tokens, at_noun=lambda state: state):
        cell, embed, decode = nn.GRUCell(HIDDEN), nn.Embed(WORDS, 6), nn.Dense(WORDS)
        state, states = jnp.zeros((len(tokens), HIDDEN)), []
        for time in range(tokens.shape[1]):
            state, _ = cell(state, embed(tokens[:, time]))
            state = at_noun(state) if time == 0 else state
            states.append(state)
        return nn.log_softmax(decode(jnp.stack(states, axis=1)))


@flax.struct.dataclass
class Batch:
    tokens: jax.Array
    direction: jax.Array  # 0: to singular, 1: to plural


@flax.struct.dataclass
class GRUObjective:  # satisfies jaxmask.objective.Objective
    params: dict
    all: Batch
    n_units = HIDDEN
    value_range = Range.same(HIDDEN)

    def everything(self, by_direction=False):
        return self.all

    def sample(self, key, size):
        rows = jax.random.randint(key, (size,), 0, len(self.all.tokens))
        return jax.tree.map(lambda x: x[rows], self.all)

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        original = GRU().apply(self.params, batch.tokens)
        altered = GRU().apply(self.params, batch.tokens, lambda h: intervene(h, *intervention))
        odds = altered[:, -1, SINGULAR] - altered[:, -1, PLURAL]  # log p(d) - log p(t) to plural
        log_ratio = jnp.where(batch.direction == 1, odds, -odds)[:, None]
        divergence = jnp.sum(jnp.exp(original) * (original - altered), axis=-1).mean()
        weight = jnp.full_like(log_ratio, 1 / len(log_ratio))
        return Outcome(log_ratio, weight, jnp.zeros(()) if kl == NoKL() else divergence)


def sentences(key, size):  # a noun, three adverbs, and the verb that agrees
    keys = jax.random.split(key)
    noun = jax.random.randint(keys[0], (size, 1), 0, 8)
    verb = jnp.where(noun < 4, SINGULAR, PLURAL)
    return jnp.concatenate([noun, jax.random.randint(keys[1], (size, 3), 8, 12), verb], axis=1)


@jax.jit
def train(key):
    optimizer, params = optax.adam(0.02), GRU().init(key, jnp.zeros((1, 4), int))

    def step(carry, key):
        text = sentences(key, 64)
        params, moments = carry

        def loss(params):
            predicted = GRU().apply(params, text[:, :-1])
            return -jnp.take_along_axis(predicted, text[:, 1:, None], axis=2).mean()

        updates, moments = optimizer.update(jax.grad(loss)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    return jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, 400))[0][0]


def objective(params, key, size=256):
    tokens = sentences(key, size)[:, :-1]
    last = GRU().apply(params, tokens)[:, -1]
    prefers_singular = last[:, SINGULAR] > last[:, PLURAL]
    return GRUObjective(params, Batch(tokens, prefers_singular.astype(int)))


if __name__ == "__main__":
    train_key, data_key, held_out_key, search_key = jax.random.split(jax.random.key(0), 4)
    params = train(train_key)
    config = search.SearchConfig(alpha=0.25, beta=0.25, kl_weight=0.1)
    run = jax.jit(jax.vmap(search.run, in_axes=(0, None, None)))
    found, _ = run(jax.random.split(search_key, 3), objective(params, data_key), config)
    for seed in range(3):
        one = jax.tree.map(lambda x, seed=seed: x[seed], found)
        result = evaluate.evaluate(one, objective(params, held_out_key))
        print(f"units {units(one.mask)} flip {100 * result.accuracy:.1f}%, KL {result.kl:.3f} nats")
