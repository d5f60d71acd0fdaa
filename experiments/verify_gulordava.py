r"""Compares a model with published outputs of the released Gulordava model.

python -m experiments.verify_gulordava --model MODEL.pt --vocab vocab.txt --reference FOLDER

The script checks whether the model is the released one. Each part is scored as its authors did.
nounpp: the model reads five primer sentences once, from a state of zeros, and every sentence starts
from the state after them. original and nonce: the model reads the whole file as one stream, from a
state of zeros that is never reset.

All numbers are float32 and the files print six digits, so that log-probabilities may differ by 1e-3
nats. The numbers of sentences whose right form is more probable than the wrong one may not differ.
"""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import Array, Float, Int

from experiments.shared.console import print_table
from experiments.shared.option_types import DataFolder, Model
from experiments.shared.options import ModelOptions
from experiments.shared.script import run_script
from experiments.studies.gulordava_reference import (
    Generated,
    Item,
    Nounpp,
    read_generated,
    read_nounpp,
)
from jaxmask.models.lstm import network
from jaxmask.models.lstm.forward import read
from jaxmask.models.lstm.model import LSTMModel
from jaxmask.models.lstm.network import LSTMState, Params
from jaxmask.models.lstm.reading import log_probs, read_context
from jaxmask.report import Table
from jaxmask.text.examples import TaskDataError
from jaxmask.text.vocabulary import Vocabulary

TOLERANCE = 1e-3  # nats
WINDOW = 512  # number of words of the stream, or of sentences, that are read at a time


@dataclasses.dataclass(frozen=True)
class VerifyOptions(ModelOptions):
    """Options of this script."""

    model: Model = tyro.MISSING
    """A model folder, or a PyTorch .pt file (with --vocab)."""
    reference: DataFolder = tyro.MISSING
    """Folder with nounpp.abl, best_model.tab, generated.text and generated.eval."""


class Comparison(NamedTuple):
    """A comparison of a model with the released one, on items of one kind.

    Attributes:
        kind: of the items.
        left_out: number of items that can't be scored, because a form isn't in the vocabulary.
        scored: number of the other items, which all following numbers refer to.
        correlation: of the log-probabilities of both forms under the two models.
        largest: largest difference of two log-probabilities, in nats.
        ours: number of items whose right form the model finds more probable than the wrong form.
        released: the same under the released model.
    """

    kind: str
    left_out: int
    scored: int
    correlation: float
    largest: float
    ours: int
    released: int


@jax.jit
def states_after(
    params: Params, context: LSTMState, prefixes: Int[Array | np.ndarray, "items time"]
) -> Float[Array, "items hidden"]:
    """The state of the top layer after each prefix; every prefix starts from the context."""

    def last(prefix: Int[Array, " time"]) -> Float[Array, " hidden"]:
        return network.top_layer(params, read(params, context, prefix)[1].hidden)

    return jax.lax.map(last, prefixes, batch_size=WINDOW)


@jax.jit
def states_along(
    params: Params, windows: Int[Array | np.ndarray, "windows window"]
) -> Float[Array, "words hidden"]:
    """The state of the top layer after each word of a stream, which is read without a reset."""

    def step(state: LSTMState, window: Int[Array, " window"]) -> tuple[LSTMState, Array]:
        hidden, state = read(params, state, window)
        return state, network.top_layer(params, hidden)

    top = jax.lax.scan(step, read_context(params, []), windows)[1]
    return top.reshape(-1, top.shape[-1])


def score_nounpp(model: LSTMModel, nounpp: Nounpp) -> Float[np.ndarray, "items 2"]:
    """The log-probabilities of the two forms of each item, after the primer and its prefix."""
    context = model.read_context("primer")
    prefixes = np.array([model.vocabulary.encode(words) for words in nounpp.prefixes])
    return _score(model, nounpp.items, states_after(model.params, context, prefixes))


def score_generated(model: LSTMModel, generated: Generated) -> Float[np.ndarray, "items 2"]:
    """The log-probabilities of the two forms of each item, at its place in the stream."""
    tokens = np.array(model.vocabulary.encode(generated.stream))
    windows = np.pad(tokens, (0, -len(tokens) % WINDOW)).reshape(-1, WINDOW)
    top = states_along(model.params, windows)[np.array(generated.before)]
    return _score(model, generated.items, top)


def _score(
    model: LSTMModel, items: Sequence[Item], top: Float[Array, "items hidden"]
) -> Float[np.ndarray, "items 2"]:
    forms = np.array([model.vocabulary.encode(item.forms) for item in items])
    return np.asarray(jax.jit(log_probs)(model.params, top, forms))


def compare(
    items: Sequence[Item], found: Float[np.ndarray, "items 2"], vocabulary: Vocabulary
) -> list[Comparison]:
    """Compares log-probabilities with those of the released model, for each kind of item.

    Args:
        items: with the log-probabilities of the released model.
        found: log-probabilities of our model.
        vocabulary: of our model.
    """
    comparisons = []
    for kind in sorted({item.kind for item in items}, reverse=True):  # original before nonce
        rows = [row for row, item in enumerate(items) if item.kind == kind]
        known = [row for row in rows if all(form in vocabulary for form in items[row].forms)]
        if not known:
            raise TaskDataError(
                f"{kind}: expected forms in the vocabulary, found none in {len(rows)} items"
            )
        released = np.array([items[row].log_probs for row in known], np.float32)
        ours = found[known]
        comparisons.append(
            Comparison(
                kind,
                len(rows) - len(known),
                len(known),
                float(np.corrcoef(ours.ravel(), released.ravel())[0, 1]),
                float(np.abs(ours - released).max()),
                int(np.sum(ours[:, 0] > ours[:, 1])),
                int(np.sum(released[:, 0] > released[:, 1])),
            )
        )
    return comparisons


def verify(model: LSTMModel, nounpp: Nounpp, generated: Generated) -> list[Comparison]:
    """Compares all kinds of items; products of matrices are in full float32 on every device."""
    with jax.default_matmul_precision("highest"):
        scores = score_nounpp(model, nounpp), score_generated(model, generated)
    return [
        comparison
        for part, found in zip((nounpp, generated), scores, strict=True)
        for comparison in compare(part.items, found, model.vocabulary)
    ]


def differences(comparison: Comparison) -> Iterator[str]:
    """The differences which show that a model isn't the released one."""
    kind, scored = comparison.kind, comparison.scored
    if comparison.left_out:
        yield f"{kind}: {comparison.left_out} left out, with forms outside the vocabulary"
    if not comparison.largest <= TOLERANCE:  # true for NaN as well
        yield f"{kind}: log-probabilities differ by up to {comparison.largest:.2g} nats"
    if comparison.ours != comparison.released:
        yield f"{kind}: {comparison.ours} of {scored} right, expected {comparison.released}"


def table(name: str, comparisons: Sequence[Comparison]) -> Table:
    """A table with a row for each comparison."""

    def right(count: int, scored: int) -> str:
        return f"{count} ({100 * count / scored:.1f}%)"

    return Table(
        f"{name} compared with the released model",
        ("sentences", "n", "correlation", "largest diff.", "right", "released"),
        tuple(
            (
                c.kind,
                str(c.scored),
                f"{c.correlation:.6f}",
                f"{c.largest:.2g}",
                right(c.ours, c.scored),
                right(c.released, c.scored),
            )
            for c in comparisons
        ),
        "Correlation and largest difference are those of log-probabilities, in nats. Right, "
        "released: sentences whose right form is more probable than the wrong form under this "
        "model and under the released one.",
    )


def work(options: VerifyOptions) -> None:
    """Scores and compares all items; exits with an error if the models differ."""
    nounpp, generated = read_nounpp(options.reference), read_generated(options.reference)
    model = options.load_model()
    comparisons = verify(model, nounpp, generated)
    print_table(table(model.name, comparisons))
    if found := [text for comparison in comparisons for text in differences(comparison)]:
        sys.exit("\n  ".join(["error: this is not the released model", *found]))
    print("This model gives the released model's published outputs.")


def main() -> None:
    """Reads the options and compares."""
    run_script(VerifyOptions, "verify_gulordava", __doc__, work)


if __name__ == "__main__":
    main()
