"""A search in an Equinox model: a GRU whose state after the noun is replaced."""

import collections
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxmask import check_objective, evaluate, search, units
from jaxmask.intervention import Range, intervene
from jaxmask.objective import ExactKL, NoKL, Outcome

HIDDEN, SINGULAR, PLURAL = 8, 12, 13  # the verb's forms are the words 12 and 13
# All sentences: a noun (0-3 are singular, 4-7 are plural) and two adverbs.
TOKENS = jnp.array(list(itertools.product(range(8), range(8, 12), range(8, 12))))
Batch = collections.namedtuple("Batch", "tokens direction")  # 0: to singular, 1: to plural


class GRU(eqx.Module):  # of the user's own: the next word after each of a sentence
    embed: eqx.nn.Embedding
    cell: eqx.nn.GRUCell
    decode: eqx.nn.Linear

    def __call__(self, tokens, at_noun=lambda state: state):  # one sentence
        state, states = at_noun(self.cell(self.embed(tokens[0]), jnp.zeros(HIDDEN))), []
        for token in tokens[1:]:
            states.append(state := self.cell(self.embed(token), state))
        return jax.nn.log_softmax(jax.vmap(self.decode)(jnp.stack(states)))


class EquinoxObjective(eqx.Module):  # satisfies jaxmask.objective.Objective
    model: GRU  # its weights are data, as a module is a pytree
    all: Batch
    n_units = HIDDEN
    value_range = Range.same(HIDDEN)

    def everything(self, by_direction=False):
        return self.all

    def sample(self, key, size):
        rows = jax.random.randint(key, (size,), 0, len(TOKENS))
        return jax.tree.map(lambda x: x[rows], self.all)

    def altered(self, tokens, intervention):  # one sentence
        return self.model(tokens, lambda state: intervene(state, *intervention))

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        original = jax.vmap(self.model)(batch.tokens)
        altered = jax.vmap(self.altered)(batch.tokens, intervention)
        odds = altered[:, -1, SINGULAR] - altered[:, -1, PLURAL]  # log p(d) - log p(t) to plural
        log_ratio = jnp.where(batch.direction == 1, odds, -odds)[:, None]
        divergence = jnp.sum(jnp.exp(original) * (original - altered), axis=-1).mean()
        weight = jnp.full_like(log_ratio, 1 / len(log_ratio))
        return Outcome(log_ratio, weight, jnp.zeros(()) if kl == NoKL() else divergence)


def train(key, steps=300):  # the verb agrees with the noun
    keys = jax.random.split(key, 3)
    cell, decode = eqx.nn.GRUCell(6, HIDDEN, key=keys[0]), eqx.nn.Linear(HIDDEN, 14, key=keys[1])
    model = GRU(eqx.nn.Embedding(14, 6, key=keys[2]), cell, decode)

    def loss(model):
        last = jax.vmap(model)(TOKENS)[:, -1]
        return -jnp.where(TOKENS[:, 0] < 4, last[:, SINGULAR], last[:, PLURAL]).mean()

    step = jax.jit(lambda model: jax.tree.map(lambda p, g: p - g, model, jax.grad(loss)(model)))
    for _ in range(steps):
        model = step(model)
    return model


def objective(model):
    last = jax.vmap(model)(TOKENS)[:, -1]
    direction = (last[:, SINGULAR] > last[:, PLURAL]).astype(int)
    return EquinoxObjective(model, Batch(TOKENS, direction))


if __name__ == "__main__":
    examples = objective(train(jax.random.key(0)))
    check_objective(examples, jax.random.key(1))
    config = search.SearchConfig(alpha=0.25, beta=0.25, kl_weight=0.1)
    found, _ = jax.jit(search.run)(jax.random.key(2), examples, config)
    print(
        f"units {units(found.mask)} flip {100 * evaluate.evaluate(found, examples).accuracy:.1f}%"
    )
