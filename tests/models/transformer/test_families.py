"""Configurations as they are on the hub, by the sizes of models that everybody knows."""

import math

import jax
import pytest

from jaxmask.models.language_model import ModelError
from jaxmask.models.transformer.config import NO_WINDOW
from jaxmask.models.transformer.families import read_config
from jaxmask.models.transformer.parameters import param_shapes

USUAL = {"torch_dtype": "bfloat16", "transformers_version": "4.45.0", "use_cache": True}
GPT2 = USUAL | {
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
    "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
    "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None,
    "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
    "summary_use_proj": True, "task_specific_params": {"text-generation": {"do_sample": True}},
    "vocab_size": 50257,
}  # fmt: skip
PYTHIA = USUAL | {
    "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
    "hidden_act": "gelu", "hidden_size": 512, "initializer_range": 0.02, "intermediate_size": 2048,
    "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "model_type": "gpt_neox",
    "num_attention_heads": 8, "num_hidden_layers": 6, "rotary_emb_base": 10000, "rotary_pct": 0.25,
    "tie_word_embeddings": False, "use_parallel_residual": True, "vocab_size": 50304,
}  # fmt: skip
LLAMA = USUAL | {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu",
    "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 8192,
    "max_position_embeddings": 131072, "mlp_bias": False, "model_type": "llama",
    "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3",
    },
    "tie_word_embeddings": True, "vocab_size": 128256,
}  # fmt: skip
MISTRAL = USUAL | {
    "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
    "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
    "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": None,
    "tie_word_embeddings": False, "vocab_size": 32768,
}  # fmt: skip
QWEN2 = USUAL | {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02,
    "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 24,
    "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": True, "use_mrope": False,
    "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
QWEN3 = USUAL | {
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 151643, "eos_token_id": 151643, "head_dim": 128, "hidden_act": "silu",
    "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072,
    "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen3",
    "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None,
    "tie_word_embeddings": True, "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
GEMMA2 = USUAL | {
    "architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "attn_logit_softcapping": 50.0, "bos_token_id": 2, "cache_implementation": "hybrid",
    "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 2304, "initializer_range": 0.02, "intermediate_size": 9216,
    "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 8,
    "num_hidden_layers": 26, "num_key_value_heads": 4, "pad_token_id": 0,
    "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
    "sliding_window": 4096, "vocab_size": 256000,
}  # fmt: skip
GEMMA3_TEXT = USUAL | {
    "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "attn_logit_softcapping": None, "bos_token_id": 2, "cache_implementation": "hybrid",
    "eos_token_id": [1, 106], "final_logit_softcapping": None, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02,
    "intermediate_size": 6912, "max_position_embeddings": 32768, "model_type": "gemma3_text",
    "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
    "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000, "rope_scaling": None, "rope_theta": 1000000,
    "sliding_window": 512, "sliding_window_pattern": 6, "vocab_size": 262144,
}  # fmt: skip
GEMMA3 = USUAL | {
    "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255999,
    "eoi_token_index": 256000, "eos_token_id": [1, 106], "image_token_index": 262144,
    "initializer_range": 0.02, "mm_tokens_per_image": 256, "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
        "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
}  # fmt: skip


def numbers(config) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(param_shapes(config)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (GPT2, 124_439_808),
        (PYTHIA, 70_426_624),
        (LLAMA, 1_235_814_400),
        (MISTRAL, 7_248_023_552),
        (QWEN2, 494_032_768),
        (QWEN3, 596_049_920),
        (GEMMA2, 2_614_341_888),
        (GEMMA3_TEXT, 999_885_952),
        (GEMMA3, 3_880_263_168),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_a_model_has_as_many_numbers_as_it_is_known_for(fields, expected):
    assert numbers(read_config(fields, "config.json")) == expected


def test_gemma_3_looks_far_in_every_sixth_layer():
    config = read_config(GEMMA3, "config.json")
    far = [window == NO_WINDOW for window in config.windows]
    assert far == [(layer + 1) % 6 == 0 for layer in range(34)]
    assert {window for window in config.windows if window != NO_WINDOW} == {1024}
    bases = {(rotary.base, rotary.factor) for rotary in config.rotary}
    assert bases == {(1e4, 1.0), (1e6, 8.0)}
    assert [rotary.base == 1e6 for rotary in config.rotary] == far


def test_llama_3_slows_down_slow_rotations_only():
    rotary = read_config(LLAMA, "config.json").rotary[0]
    plain = rotary._replace(llama3=None).frequencies()
    ratio = rotary.frequencies() / plain
    turns = 8192 * plain / (2 * math.pi)
    assert ratio[turns > 4] == pytest.approx(1.0)
    assert ratio[turns < 1] == pytest.approx(1 / 32)
    assert ((ratio > 1 / 32) & (ratio < 1)).any()


def test_old_and_new_names_of_positions_are_the_same():
    new = {
        name: value for name, value in LLAMA.items() if name not in ("rope_scaling", "rope_theta")
    }
    new["rope_parameters"] = LLAMA["rope_scaling"] | {"rope_theta": 500000.0}
    assert read_config(new, "config.json") == read_config(LLAMA, "config.json")
    new = {name: value for name, value in PYTHIA.items() if not name.startswith("rotary")}
    new["rope_parameters"] = {
        "rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.25,
    }  # fmt: skip
    assert read_config(new, "config.json") == read_config(PYTHIA, "config.json")


def test_a_field_that_nobody_knows_is_an_error():
    with pytest.raises(ModelError, match=r"config\.json: attention_sinks: unknown, and may change"):
        read_config(LLAMA | {"attention_sinks": 4}, "config.json")
