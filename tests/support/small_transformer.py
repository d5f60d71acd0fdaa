"""Small random transformers of three kinds, for tests of what is computed with any of them."""

import jax

from jaxmask.models.transformer.config import NO_WINDOW, Rotary, TransformerConfig
from jaxmask.models.transformer.parameters import random_params

CONFIGS = {
    "gpt2": TransformerConfig(
        vocabulary=29, width=16, heads=2, kv_heads=2, head_width=8, mlp=12, positions=12,
        query_scale=(8**-0.5,) * 2, windows=(NO_WINDOW,) * 2,
        qkv_bias=True, output_bias=True, mlp_bias=True,
    ),
    "llama": TransformerConfig(
        vocabulary=29, width=16, heads=4, kv_heads=2, head_width=6, mlp=12, norm="rms",
        rotary=(Rotary(6, 100.0),) * 2, query_scale=(6**-0.5,) * 2, windows=(NO_WINDOW,) * 2,
        activation="silu", gated=True, tied=False,
    ),
    "gemma": TransformerConfig(
        vocabulary=29, width=16, heads=2, kv_heads=1, head_width=6, mlp=12, norm="rms",
        norm_offset=1.0, rotary=(Rotary(6, 100.0),) * 2, query_scale=(0.5,) * 2, windows=(2, 3),
        gated=True, post_norms=True, attention_cap=2.0, logit_cap=3.0, embedding_scale=4.0,
    ),
}  # fmt: skip


def model(config: TransformerConfig) -> dict:
    """Parameters so large that interventions do a lot."""
    return random_params(jax.random.key(0), config, scale=0.4)
