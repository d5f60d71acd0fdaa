"""Fields of a ``config.json`` that change no prediction, and those that mustn't."""

from typing import Any

from jaxmask.text.examples import word_list

# What every family may have in its configuration, and what changes no prediction: names of tokens,
# precision on disk, dropout, initialisation, generation, heads for other purposes.
IGNORED = frozenset(
    word_list("""
_attn_implementation _attn_implementation_autoset _commit_hash _flash_attn_2_enabled
_from_model_config _name_or_path _num_labels architectures attention_dropout attn_implementation
attn_pdrop auto_map bad_words_ids begin_suppress_tokens bos_token_id cache_implementation
chunk_size_feed_forward classifier_dropout cls_token_id decoder_start_token_id diversity_penalty
do_sample dtype early_stopping embd_pdrop encoder_no_repeat_ngram_size eos_token_id
exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id
gradient_checkpointing hidden_dropout id2label initializer_range is_decoder is_llama_config
keys_to_ignore_at_inference label2id length_penalty mask_token_id max_length
max_position_embeddings max_sequence_length max_window_layers min_length model_type n_ctx
no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences output_attentions
output_hidden_states output_past output_scores pad_token pad_token_id predict_special_tokens
prefix pretraining_tp problem_type remove_invalid_values reorder_and_upcast_attn
repetition_penalty resid_pdrop return_dict return_dict_in_generate sep_token_id sliding_window
sliding_window_size summary_activation summary_first_dropout summary_proj_to_labels summary_type
summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class
top_k top_p torch_dtype torchscript transformers.js_config transformers_version typical_p
unk_token_id unsloth_fixed unsloth_version use_bfloat16 use_cache
""")
)

# What is refused with any other value than these, or null.
ONLY: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "compression_config": (),
    "cross_attention_hidden_size": (),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({},),
    "quantization_config": (),
    "rope_interleaved": (False,),
    "tie_encoder_decoder": (False,),
    "use_bidirectional_attention": (False,),
    "use_mrope": (False,),
}
