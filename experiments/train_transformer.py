"""Trains a small GPT-2 on text and writes it as a folder of Hugging Face.

A text file has one sentence in each line, with words separated by spaces; a file that is named
twice is read twice. A run that was stopped continues from its last checkpoint when it is started
again.

    python -m experiments.train_transformer --text CORPUS/train.txt.xz --valid CORPUS/valid.txt.xz \
        --out MODEL
"""

import dataclasses
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tokenizers
from jaxtyping import Array, Float, Int
from safetensors.numpy import save_file

from experiments.shared import checkpoints, records, stopping
from experiments.shared.console import console, progress
from experiments.shared.option_types import (
    Count,
    CountOrZero,
    NotEmpty,
    OptionError,
    Rate,
    ResultFolder,
    Seed,
    TextFile,
    Weight,
    check,
)
from experiments.shared.script import run_script
from experiments.shared.text import sentences
from experiments.training import subwords
from experiments.training.subwords import END, Batch, Rows
from experiments.training.text_files import digest
from jaxmask.files.run_folder import write_text
from jaxmask.models.logsumexp import cross_entropy
from jaxmask.models.lstm.training import TrainingConfig, optimizer
from jaxmask.models.transformer.config import TransformerConfig
from jaxmask.models.transformer.families import read_config
from jaxmask.models.transformer.forward import Params, decoder, read
from jaxmask.models.transformer.names import source
from jaxmask.models.transformer.parameters import param_shapes
from jaxmask.models.weights import flatten
from jaxmask.tasks import gender_bias, number_agreement
from jaxmask.text.tokenizer import SETTINGS, TOKENIZER

AT_ONCE = 2048  # tokens that a validation reads at a time


@dataclasses.dataclass(frozen=True)
class TransformerTraining:
    """Options of the script."""

    text: Annotated[tuple[TextFile, ...], NotEmpty]
    """Text files to train on, plain or .xz."""
    valid: TextFile
    """Text file, plain or .xz, whose perplexity is reported."""
    out: ResultFolder
    """Model folder to write."""
    tokens: Count = 6144
    """Size of the vocabulary; the words of number agreement and gender bias are tokens of it."""
    width: Count = 192
    """Components of the residual stream."""
    layers: Count = 4
    """Number of layers."""
    heads: Count = 6
    """Heads of a layer."""
    steps: Count = 6000
    """Number of updates, at the end of which the learning rate is 0."""
    batch: Count = 2048
    """Tokens that are read between updates, about."""
    learning_rate: Rate = 3e-3
    """Highest learning rate."""
    warmup: CountOrZero = 200
    """Number of updates in which the learning rate rises to its highest value."""
    weight_decay: Weight = 0.01
    """Weight decay of AdamW."""
    validate_every: Count = 500
    """Number of updates between validations and checkpoints."""
    seed: Seed = 0
    """Seed of the first weights and of the order of the sentences."""


class State(NamedTuple):
    """All that an update carries to the next."""

    params: Params
    optimizer: optax.OptState


def fields(options: TransformerTraining) -> dict[str, Any]:
    """The configuration of the model, as Hugging Face writes it."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_embd": options.width,
        "n_head": options.heads,
        "n_layer": options.layers,
        "n_positions": 1 + subwords.LENGTHS[-1],
        "vocab_size": options.tokens,
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "tie_word_embeddings": True,
    }


def first_params(seed: int, config: TransformerConfig) -> Params:
    """Random weights, smaller where a block writes into the residual stream; biases are zero."""
    leaves, structure = jax.tree.flatten_with_path(param_shapes(config))
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    drawn = []
    for (path, leaf), key in zip(leaves, keys, strict=True):
        name = jax.tree_util.keystr(path)
        if "norm" in name or "bias" in name:
            drawn.append(jnp.full(leaf.shape, float("weight" in name)))
            continue
        deviation = 0.02 if "kernel" not in name else leaf.shape[-2] ** -0.5
        if "output" in name or "down" in name:
            deviation /= (2 * config.layers) ** 0.5
        drawn.append(deviation * jax.random.normal(key, leaf.shape))
    return jax.tree.unflatten(structure, drawn)


def total_loss(
    params: Params,
    config: TransformerConfig,
    tokens: Int[Array | np.ndarray, "rows time_and_one"],
    weights: Float[Array | np.ndarray, "rows time"],
) -> Float[Array, ""]:
    """Sum of the cross-entropies of all tokens that count, in nats."""
    state, _ = read(params, config, tokens[:, :-1])
    weight, bias = decoder(params, config)
    flat = state.reshape(-1, state.shape[-1])
    targets = jnp.asarray(tokens[:, 1:]).reshape(-1)
    return cross_entropy(flat, weight, bias, targets, jnp.asarray(weights).reshape(-1))


def perplexity(params: Params, config: TransformerConfig, rows: Rows) -> float:
    """``exp`` of the mean cross-entropy of a token; each row ends with `END`, or is cut off."""
    total, count = 0.0, 0.0
    for some in subwords.batches(np.random.default_rng(0), rows, AT_ONCE):
        total += float(_loss(params, config, some.tokens, some.weights))
        count += float(some.weights.sum())
    return float(np.exp(total / count))


_loss = jax.jit(total_loss, static_argnames="config")


def train(
    options: TransformerTraining, config: TransformerConfig, rows: Rows, valid: Rows
) -> Params:
    """The weights after all updates; those of the last checkpoint aren't made again."""
    update = optimizer(
        TrainingConfig(
            options.steps,
            learning_rate=options.learning_rate,
            warmup=options.warmup,
            weight_decay=options.weight_decay,
            b2=0.98,
        )
    )

    @jax.jit
    def step(state: State, tokens: Array, weights: Array) -> tuple[State, Array]:
        def loss(params: Params) -> Array:
            return total_loss(params, config, tokens, weights) / weights.sum()

        value, gradient = jax.value_and_grad(loss)(state.params)
        changes, new = update.update(gradient, state.optimizer, state.params)
        return State(optax.apply_updates(state.params, changes), new), value

    params = first_params(options.seed, config)
    state = State(params, update.init(params))
    with checkpoints.manager(options.out / "training" / "checkpoints") as saved:
        if (restored := checkpoints.restore(saved, state)) is not None:
            state = restored
        first, read_tokens, began = saved.latest_step() or 0, 0.0, time.perf_counter()
        if first >= options.steps:
            return state.params
        mean, found = 0.0, float("inf")
        with progress(options.steps - first, f"from update {first}") as advance_to:
            stream = itertools.islice(endless(options, rows), first, options.steps)
            for done, some in enumerate(stream, first + 1):
                state, value = step(state, some.tokens, some.weights)
                read_tokens += float(some.weights.sum())
                mean += (float(value) - mean) * max(0.02, 1 / (done - first))
                if not np.isfinite(mean):
                    raise OptionError(
                        "--learning-rate: expected a rate at which the loss stays finite; training "
                        f"stopped at update {done}"
                    )
                if done % options.validate_every == 0 or done == options.steps:
                    found = perplexity(state.params, config, valid)
                    checkpoints.save(saved, done, state)
                rate = read_tokens / (time.perf_counter() - began)
                shown = {"loss": f"{mean:.3f}", "perplexity": f"{found:.2f}"}
                advance_to(done - first, **shown, **{"tokens/s": f"{rate:,.0f}"})
    return state.params


def endless(options: TransformerTraining, rows: Rows) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    for epoch in itertools.count():
        rng = np.random.default_rng((options.seed, epoch))
        yield from subwords.batches(rng, rows, options.batch)


def tensors(params: Params) -> dict[str, np.ndarray]:
    """The weights by the names of Hugging Face, as float16."""
    found: dict[str, list[np.ndarray]] = {}
    for path, leaf in sorted(flatten(params).items(), key=lambda item: _order(item[0])):
        whole = np.asarray(leaf, np.float16)
        name = source("gpt2", path).name
        for layer, part in enumerate(whole if path.startswith("blocks/") else [whole]):
            found.setdefault(name.format(layer), []).append(part)
    return {f"transformer.{name}": np.concatenate(parts, -1) for name, parts in found.items()}


def _order(path: str) -> int:
    """Queries, keys and values stand in one tensor, in this order."""
    return next((i for i, name in enumerate(("query", "key", "value")) if f"/{name}/" in path), 3)


def write(options: TransformerTraining, made: tokenizers.Tokenizer, params: Params) -> None:
    """Writes the folder."""
    write_text(options.out / "config.json", json.dumps(fields(options), indent=1) + "\n")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
    write_text(options.out / SETTINGS, json.dumps(settings, indent=1) + "\n")
    write_text(options.out / TOKENIZER, made.to_str())
    save_file(tensors(params), options.out / "model.safetensors", {"format": "pt"})


def prepared(options: TransformerTraining) -> tuple[tokenizers.Tokenizer, Rows, Rows]:
    """The tokenizer, and the text and the validation text as tokens, made when a run begins."""
    folder = options.out / "training"
    file, kept = folder / TOKENIZER, folder / "text.npz"
    if not kept.exists():
        whole = [*number_agreement.WORDS, *gender_bias.PROFESSIONS, *gender_bias.DIRECTIONS]
        whole += {word for template in gender_bias.TEMPLATES for word in template.split()}
        distinct = dict.fromkeys(options.text)
        made = subwords.make_tokenizer(_lines(distinct), options.tokens, sorted(set(whole)))
        write_text(file, made.to_str())
        text = subwords.encode(made, _lines(options.text))
        valid = subwords.encode(
            made, (" ".join(words[:-1]) for words in sentences([options.valid]))
        )
        np.savez(kept, *text, *valid)
    made = tokenizers.Tokenizer.from_file(str(file))
    with np.load(kept) as arrays:
        first = [arrays[name] for name in arrays.files]
    return made, Rows(*first[:2]), Rows(*first[2:])


def _lines(files: Iterable[Path]) -> Iterator[str]:
    return subwords.written(words[:-1] for words in sentences(files))


def work(options: TransformerTraining) -> None:
    """Trains the model, writes it, and prints its perplexity."""
    check(options)
    config = read_config(fields(options), "config.json")
    stopping.keeps(options.out / "training")
    decisive = dataclasses.asdict(options) | {
        "text": [digest(file) for file in options.text],
        "valid": digest(options.valid),
    }
    del decisive["out"]
    (options.out / "training").mkdir(parents=True, exist_ok=True)
    if records.read(options.out / "training" / "run.json", decisive) is None:
        records.write(options.out / "training" / "run.json", decisive, {})
    made, rows, valid = prepared(options)
    console().print(
        f"{len(rows.lengths):,} sentences, {len(rows.tokens):,} tokens to train on", soft_wrap=True
    )
    params = train(options, config, rows, valid)
    write(options, made, params)
    half = jax.tree.map(lambda leaf: np.asarray(leaf, np.float16).astype(np.float32), params)
    console().print(
        f"perplexity {perplexity(half, config, valid):.2f} a token; written to {options.out}",
        soft_wrap=True,
    )


def main() -> None:
    """Reads the options and trains."""
    run_script(TransformerTraining, "train_transformer", __doc__, work)


if __name__ == "__main__":
    main()
