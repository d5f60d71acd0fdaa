"""Times an update of training against the same in PyTorch, which has to be installed.

    python -m experiments.benchmark_training

Both start from the same weights and read the same words, in float32 and on the same cores. They
take turns; what is shown are medians.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from converters.to_torch import state_dict
from experiments.shared.console import print_table
from experiments.shared.option_types import Count, Dropout, Layers, OptionError
from experiments.shared.script import run_script
from experiments.training.options import check_tied
from jaxmask.models.lstm import training as training
from jaxmask.models.lstm.network import LSTMConfig, Params, init_params
from jaxmask.models.lstm.training import TrainingConfig
from jaxmask.report import Table

Update = Callable[[np.ndarray], float]  # tokens of a window -> loss


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Options of the script; they default to the bundled model's size."""

    vocabulary: Count = 9500
    """Words of the vocabulary."""
    embedding: Count = 300
    """Columns of the embedding."""
    hidden: Count = 300
    """Hidden units a layer."""
    layers: Layers = 2
    """Layers."""
    tied: bool = True
    """The decoder's weight is the embedding."""
    columns: Count = 64
    """Parts of the text read side by side."""
    window: Count = 35
    """Words read between updates."""
    dropout: Dropout = 0.2
    """After the embedding, between layers, before the decoder."""
    updates: Count = 11
    """How many are timed, of each."""


def ours(model: LSTMConfig, config: TrainingConfig, columns: int) -> Update:
    """An update of a model that begins with the weights of seed 0."""
    step = jax.jit(training.step, static_argnames="config", donate_argnames="state")
    state = training.init(init_params(jax.random.key(0), model), model, config, columns)
    key = jax.random.key(1)

    def update(tokens: np.ndarray) -> float:
        nonlocal state
        state, info = step(key, state, tokens, config)
        return float(info.loss)

    return update


def pytorch_model(model: LSTMConfig, params: Params, dropout: float) -> Any:
    """The model of PyTorch's word_language_model example, with our weights."""
    import torch

    class RNNModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = torch.nn.Dropout(dropout)
            self.encoder = torch.nn.Embedding(model.vocabulary, model.embedding)
            self.rnn = torch.nn.LSTM(model.embedding, model.hidden, model.layers, dropout=dropout)
            self.decoder = torch.nn.Linear(model.hidden, model.vocabulary)
            if model.tied:
                self.decoder.weight = self.encoder.weight

        def forward(self, tokens: Any, state: Any = None) -> Any:
            output, state = self.rnn(self.drop(self.encoder(tokens)), state)
            return self.decoder(self.drop(output)), state

    network = RNNModel()
    weights = state_dict(params).items()
    network.load_state_dict({name: torch.tensor(array) for name, array in weights})
    return network


def pytorchs(model: LSTMConfig, config: TrainingConfig, columns: int) -> Update:
    """The same in PyTorch, as that example has it."""
    import torch

    network = pytorch_model(model, init_params(jax.random.key(0), model), config.dropout)
    zeros = torch.zeros(model.layers, columns, model.hidden)
    state = (zeros, zeros)

    def update(tokens: np.ndarray) -> float:
        nonlocal state
        words = torch.from_numpy(tokens.T.astype(np.int64))
        network.zero_grad()
        logits, state = network(words[:-1], tuple(part.detach() for part in state))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), words[1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(parameter.grad, alpha=-config.learning_rate)
        return loss.item()

    return update


def seconds(updates: dict[str, Update], tokens: np.ndarray) -> dict[str, float]:
    """Median time of one call, after a first one that isn't counted; all take turns."""
    times: dict[str, list[float]] = {name: [] for name in updates}
    for window in tokens:
        for name, update in updates.items():
            started = time.perf_counter()
            update(window)
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(each[1:])) for name, each in times.items()}


def work(options: BenchmarkOptions) -> None:
    """Times, and prints."""
    check_tied(options)
    model = LSTMConfig(
        options.vocabulary, options.embedding, options.hidden, options.layers, options.tied
    )
    config = TrainingConfig(
        1, "sgd", learning_rate=20.0, clip=0.25, dropout=options.dropout, sampled=0
    )
    try:
        theirs = pytorchs(model, config, options.columns)
    except ImportError as fault:
        raise OptionError("PyTorch is needed to compare with, but isn't installed") from fault
    updates = {"PyTorch": theirs, "jaxmask": ours(model, config, options.columns)}
    tokens = np.random.default_rng(0).integers(
        options.vocabulary, size=(options.updates + 1, options.columns, options.window + 1)
    )
    found = seconds(updates, tokens.astype(np.int32))
    words = options.columns * options.window
    rows = tuple(
        (name, f"{1000 * each:.0f}", f"{words / each:,.0f}", f"{found['PyTorch'] / each:.2f}")
        for name, each in found.items()
    )
    title = f"{options.layers} x {options.hidden} units, {options.vocabulary:,} words, "
    title += f"updates of {options.columns} x {options.window}"
    print_table(Table(title, ("", "ms an update", "words/s", "speed"), rows))


def main() -> None:
    """Reads the options, times."""
    run_script(BenchmarkOptions, "benchmark_training", __doc__, work)


if __name__ == "__main__":
    main()
