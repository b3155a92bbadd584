"""A Llama of two layers with random weights, the same for the same seed: small enough for any test."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def tiny_llama(*, seed: int = 0, **changed: Any) -> Any:
    """64 tokens, hidden 32; `changed` are other fields of its configuration. The caller's random numbers are as before."""
    sizes: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    make: Any = LlamaForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(LlamaConfig(**(sizes | changed)))
