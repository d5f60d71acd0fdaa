"""Transformer language models in the formats of Hugging Face: GPT-2, NeoX, Llama, Gemma, ..."""
