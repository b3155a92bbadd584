"""Assistants for logit offsets: one that expects the same tokens whatever it reads, saved as an ordinary model folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from tests.fakes.tiny_llama import tiny_llama

_WIDTH = 8


def expecting(tokens: Iterable[int], *, vocab_size: int, score: float = 30.0, **changed: Any) -> Any:
    """A Llama whose scores are `score` for these tokens and 0 for all others; `changed` are fields of its configuration."""
    model = tiny_llama(
        vocab_size=vocab_size,
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        **changed,
    )
    layer = model.model.layers[0]
    with torch.no_grad():
        # Every token is read as ones, the layer adds nothing, and the norm leaves ones as they are.
        model.model.embed_tokens.weight.fill_(1.0)
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for token in tokens:
            model.lm_head.weight[token] = score / _WIDTH
    return model.eval()


def saved_assistant(folder: Path, model: Any, tokenizer: Any) -> Path:
    """The folder, with the model and the tokenizer in it."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
