"""Tiny models of every tested family, made by transformers."""

from typing import Any

import torch
import transformers

VOCABULARY = 264  # room for the tokenizer's 259
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCABULARY,
    "intermediate_size": 24, "pad_token_id": 0,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2}
HEADS = {**GROUPED, "head_dim": 4}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": 32}
EXPERTS = {"num_experts_per_tok": 1, "moe_intermediate_size": 8}
OPT = {"ffn_dim": 24, "word_embed_proj_dim": 16, "max_position_embeddings": 32}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", HEADS),
    "mistral": ("Mistral", GROUPED),
    "gemma": ("Gemma", HEADS),
    "gemma2": ("Gemma2", HEADS),
    "phi": ("Phi", SMALL),
    "phi3": ("Phi3", GROUPED),
    "gpt2": ("GPT2", GPT),
    "gptj": ("GPTJ", {**GPT, "rotary_dim": 4}),
    "gpt_neox": ("GPTNeoX", SMALL),
    "opt": ("OPT", {**SMALL, **OPT}),
    "falcon": ("Falcon", SMALL),
    "bloom": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY}),
    "mixtral": ("Mixtral", {**GROUPED, "num_local_experts": 2}),
    "qwen2_moe": (
        "Qwen2Moe",
        {**GROUPED, **EXPERTS, "num_experts": 2, "shared_expert_intermediate_size": 8},
    ),
    "qwen3_moe": ("Qwen3Moe", {**HEADS, **EXPERTS, "num_experts": 2}),
    "gpt_oss": ("GptOss", {**HEADS, "num_local_experts": 2, "num_experts_per_tok": 1}),
}


def random_model(family: str, **changed: Any) -> Any:
    """A random causal language model of a family, in float32; settings can be overridden."""
    name, settings = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**settings, **changed})
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


LAYERS = {"gpt2": "n_layer", "gptj": "n_layer", "bloom": "n_layer"}
"""What a family calls its number of blocks, if not `num_hidden_layers`."""
