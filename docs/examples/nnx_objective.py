"""A search in a Flax NNX model whose units have a range of their own: activations of a ReLU."""

import collections
import itertools

import flax
import jax
import jax.numpy as jnp
from flax import nnx

from jaxmask import check_objective, evaluate, search, units
from jaxmask.intervention import Range, intervene
from jaxmask.objective import ExactKL, NoKL, Outcome

HIDDEN, SINGULAR, PLURAL = 12, 12, 13  # the verb's forms are the words 12 and 13
# All sentences: a noun (0-3 are singular, 4-7 are plural) and two adverbs.
TOKENS = jnp.array(list(itertools.product(range(8), range(8, 12), range(8, 12))))
Batch = collections.namedtuple("Batch", "tokens direction")  # 0: to singular, 1: to plural


class FeedForward(nnx.Module):  # of the user's own: the next word from the last three
    def __init__(self, rngs):
        self.embed = nnx.Embed(14, 6, rngs=rngs)
        self.inner = nnx.Linear(18, HIDDEN, rngs=rngs)
        self.outer = nnx.Linear(HIDDEN, 14, rngs=rngs)

    def __call__(self, tokens, alter=lambda hidden: hidden):
        hidden = jax.nn.relu(self.inner(self.embed(tokens).reshape(len(tokens), 18)))
        return jax.nn.log_softmax(self.outer(alter(hidden))), hidden


@flax.struct.dataclass
class NNXObjective:  # satisfies jaxmask.objective.Objective
    definition: nnx.GraphDef = flax.struct.field(pytree_node=False)
    state: nnx.State  # the weights are data, not constants of the program
    all: Batch
    value_range: Range  # of each unit: the baselines -1 and 1 stand for its two ends
    n_units = HIDDEN

    def everything(self, by_direction=False):
        return self.all

    def sample(self, key, size):
        rows = jax.random.randint(key, (size,), 0, len(TOKENS))
        return jax.tree.map(lambda x: x[rows], self.all)

    def __call__(self, intervention, batch, key=None, kl=ExactKL()):
        model, own = nnx.merge(self.definition, self.state), intervention.within(self.value_range)
        original = model(batch.tokens)[0]
        altered = model(batch.tokens, lambda hidden: intervene(hidden, *own))[0]
        odds = altered[:, SINGULAR] - altered[:, PLURAL]  # log p(d) - log p(t) to plural
        log_ratio = jnp.where(batch.direction == 1, odds, -odds)[:, None]
        divergence = jnp.sum(jnp.exp(original) * (original - altered), axis=-1).mean()
        weight = jnp.full_like(log_ratio, 1 / len(log_ratio))
        return Outcome(log_ratio, weight, jnp.zeros(()) if kl == NoKL() else divergence)


def train(steps=300):  # the verb agrees with the noun
    model, verbs = FeedForward(nnx.Rngs(0)), jnp.where(TOKENS[:, :1] < 4, SINGULAR, PLURAL)

    @nnx.jit
    def step(model):
        loss = lambda model: -jnp.take_along_axis(model(TOKENS)[0], verbs, axis=1).mean()  # noqa: E731
        gradient = nnx.grad(loss)(model)
        nnx.update(model, jax.tree.map(lambda p, g: p - g, nnx.state(model), gradient))

    for _ in range(steps):
        step(model)
    return model


def objective(model):
    log_probs, hidden = model(TOKENS)
    direction = (log_probs[:, SINGULAR] > log_probs[:, PLURAL]).astype(int)
    value_range = Range(hidden.min(axis=0), hidden.max(axis=0))
    return NNXObjective(*nnx.split(model), Batch(TOKENS, direction), value_range)


if __name__ == "__main__":
    examples, config = objective(train()), search.SearchConfig(alpha=0.2, beta=0.2, kl_weight=0.1)
    check_objective(examples, jax.random.key(0))
    found, _ = jax.jit(search.run)(jax.random.key(1), examples, config)
    values = found.within(examples.value_range).baseline[1][found.mask[1] > 0]
    flipped = 100 * evaluate.evaluate(found, examples).accuracy
    print(f"units {units(found.mask)} flip {flipped:.1f}%, toward plural with", values.round(2))
