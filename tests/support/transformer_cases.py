"""Tiny transformers of every family with every switch of its configuration, and their weights.

`tests/fixtures/transformers/CASE.json` holds for each its configuration as transformers writes it,
names and shapes of its tensors, tokens and the logits that transformers gives. The numbers of a
tensor follow from its name, so that they needn't be stored.
"""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from safetensors.numpy import save_file

GOLDEN = Path(__file__).parents[1] / "fixtures" / "transformers"
VOCABULARY, TIME = 24, 10

_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 3,
    "num_attention_heads": 4,
}  # fmt: skip
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 16, "n_head": 4, "n_layer": 3, "n_positions": 32}
_GROUPED = _SIZES | {"num_key_value_heads": 2}
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
_WINDOWS = {"use_sliding_window": True, "sliding_window": 3}
_FULL, _SLIDING = "full_attention", "sliding_attention"

CASES = {
    "gpt2": ("gpt2", _GPT2),
    "gpt2_untied": ("gpt2", _GPT2 | {
        "n_inner": 20, "tie_word_embeddings": False, "activation_function": "relu",
        "scale_attn_by_inverse_layer_idx": True,
    }),
    "gpt2_unscaled": ("gpt2", _GPT2 | {
        "scale_attn_weights": False, "activation_function": "gelu", "reorder_and_upcast_attn": True,
    }),
    "gpt_neox": ("gpt_neox", _SIZES | {"rotary_pct": 0.5}),
    "gpt_neox_serial": ("gpt_neox", _SIZES | {
        "rotary_pct": 1.0, "use_parallel_residual": False, "attention_bias": False,
        "tie_word_embeddings": True, "rope_scaling": {"type": "linear", "factor": 3.0},
        "hidden_act": "gelu_new",
    }),
    "llama": ("llama", _GROUPED),
    "llama_biases": ("llama", _SIZES | {
        "num_key_value_heads": 1, "head_dim": 6, "attention_bias": True, "mlp_bias": True,
        "tie_word_embeddings": True, "rope_theta": 500.0, "rope_scaling": _LLAMA3,
    }),
    "llama_linear": ("llama", _SIZES | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    "mistral": ("mistral", _GROUPED | {"sliding_window": 3}),
    "mistral_whole": ("mistral", _GROUPED | {"sliding_window": None, "head_dim": 8}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen2_windows": ("qwen2", _GROUPED | _WINDOWS | {
        "max_window_layers": 1, "tie_word_embeddings": True,
    }),
    "qwen3": ("qwen3", _GROUPED | {"head_dim": 6}),
    "qwen3_windows": ("qwen3", _GROUPED | _WINDOWS | {
        "max_window_layers": 2, "head_dim": 8, "attention_bias": True,
    }),
    "gemma2": ("gemma2", _GROUPED | {
        "head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 3,
        "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
    }),
    "gemma2_uncapped": ("gemma2", _GROUPED | {
        "head_dim": 4, "attention_bias": True, "attn_logit_softcapping": None,
        "final_logit_softcapping": None, "tie_word_embeddings": False,
    }),
    "gemma3": ("gemma3_text", _GROUPED | {
        "head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 3,
        "sliding_window_pattern": 2, "rope_local_base_freq": 100.0,
    }),
    "gemma3_scaled": ("gemma3_text", _GROUPED | {
        "head_dim": 4, "attention_bias": True, "final_logit_softcapping": 3.0, "sliding_window": 3,
        "layer_types": [_FULL, _SLIDING, _FULL],
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }),
}  # fmt: skip


def numbers(name: str, shape: tuple[int, ...], offset: float = 0.0) -> np.ndarray:
    """The numbers of a tensor: uniform around 0, or 1 for the weights of most norms."""
    place = np.arange(np.prod(shape, dtype=int), dtype=np.uint64)
    with np.errstate(over="ignore"):  # splitmix64
        state = (place + np.uint64(zlib.crc32(name.encode()))) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    uniform = (state >> np.uint64(40)).astype(np.float64) / 2**23 - 1.0
    return (0.7 * uniform + offset).astype(np.float32).reshape(shape)


def tensor(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a case."""
    norm = "norm" in name or ".ln_" in name or name.endswith(("ln_f.weight", "ln_f.bias"))
    return numbers(name, shape, float(norm and "weight" in name and not case.startswith("gemma")))


def tokens() -> np.ndarray:
    """Two rows of tokens."""
    return (np.arange(2 * TIME).reshape(2, TIME) * 7 + 3) % VOCABULARY


def golden(case: str) -> dict:
    """What transformers has and says."""
    return json.loads((GOLDEN / f"{case}.json").read_text())


def weights(case: str) -> dict[str, np.ndarray]:
    """All tensors of a case, by the names that transformers gives them."""
    return {
        name: tensor(case, name, tuple(shape)) for name, shape in golden(case)["tensors"].items()
    }


def write(folder: Path, case: str, dtype: type = np.float32, words: Sequence[str] = ()) -> Path:
    """A folder as it would come from the hub; its tokens are letters, or words of one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, config = weights(case), golden(case)["config"]
    if words:
        config["vocab_size"] = len(words) + 1
        for name, array in tensors.items():
            if any(part in name for part in ("wte", "embed", "lm_head")):
                tensors[name] = tensor(case, name, (len(words) + 1, *array.shape[1:]))
    save_file(
        {name: array.astype(dtype) for name, array in tensors.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, words)
    return folder


def write_tokenizer(folder: Path, words: Sequence[str] = ()) -> None:
    """A tokenizer whose tokens are letters, or some words; the first stands before a text."""
    words = words or "abcdefghijklmnopqrstuvw"
    known = {word: number for number, word in enumerate((*words, "?"))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, "?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": words[0]}))
