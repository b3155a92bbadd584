"""The first layers of a model compute what the whole model computes up to there, and are an ordinary model in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GPT2Config, GPT2LMHeadModel, Qwen2Config

from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.settings import TrainingPlan
from finetune.training.adapter import make_trainable
from finetune.training.first_layers import FirstLayers, load_first_layers, load_whole, shortened
from finetune.training.model_files import load_model, save_adapter, save_merged
from tests.fakes.tiny_llama import tiny_llama

INPUTS = torch.tensor([[5, 9, 2, 33, 7], [1, 2, 3, 4, 6]])


def saved_llama(folder: Path, **changed: Any) -> Path:
    tiny_llama(num_hidden_layers=4, eos_token_id=7, **changed).save_pretrained(folder)
    return folder


def first_three(whole: Any) -> torch.Tensor:
    """By hand: the states after three layers, the last norm, the head."""
    states: list[torch.Tensor] = []
    hook = whole.model.layers[2].register_forward_hook(
        lambda _, __, output: states.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    with torch.no_grad():
        whole(INPUTS)
        logits: torch.Tensor = whole.lm_head(whole.model.norm(states[0]))
    hook.remove()
    return logits


@pytest.mark.parametrize("tied", [False, True])
def test_the_first_layers_say_what_the_whole_model_would_say_after_them(tied: bool, tmp_path: Path) -> None:
    source = saved_llama(tmp_path / "whole", tie_word_embeddings=tied)
    whole: Any = load_model(source)
    short: Any = load_first_layers(source, FirstLayers(count=3), dtype="float32", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(short(INPUTS).logits, first_three(whole), rtol=0, atol=1e-6)
        assert not torch.allclose(whole(INPUTS).logits, first_three(whole), atol=1e-3)
    assert len(short.model.layers) == short.config.num_hidden_layers == 3
    assert short.generation_config.eos_token_id == 7
    assert not short.training


def test_an_adapter_is_merged_before_the_layers_are_taken(tmp_path: Path) -> None:
    source = saved_llama(tmp_path / "whole")
    lora: Any = make_trainable(load_model(source), TrainingPlan())
    with torch.no_grad():
        for name, weight in lora.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1), std=0.3)
    save_adapter(lora, tmp_path / "adapter")
    first = FirstLayers(count=3, adapter=tmp_path / "adapter")
    short: Any = load_first_layers(source, first, dtype="float32", device="cpu")
    whole: Any = load_whole(source, first, dtype="float32", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(short(INPUTS).logits, first_three(whole), rtol=0, atol=1e-5)
        assert not torch.allclose(short(INPUTS).logits, first_three(load_model(source)), atol=1e-3)


def test_the_first_layers_can_be_saved_and_read_as_any_model(tmp_path: Path) -> None:
    source = saved_llama(tmp_path / "whole")
    short: Any = load_first_layers(source, FirstLayers(count=2), dtype="float32", device="cpu")
    save_merged(short, tmp_path / "short", dtype="bfloat16")
    again: Any = load_model(tmp_path / "short", dtype="bfloat16")
    assert again.config.num_hidden_layers == 2
    with torch.no_grad():
        torch.testing.assert_close(again(INPUTS).logits.float(), short(INPUTS).logits, rtol=0.1, atol=0.1)


def test_what_a_configuration_lists_by_layer_is_cut_with_them() -> None:
    make: Any = Qwen2Config
    config = make(num_hidden_layers=4, use_sliding_window=True, max_window_layers=1, hidden_size=32, vocab_size=9)
    short = shortened(config, 2)
    assert short.num_hidden_layers == 2
    assert short.layer_types == config.layer_types[:2]
    assert short.hidden_size == 32
    assert len(config.layer_types) == config.num_hidden_layers == 4


def test_a_model_that_counts_its_layers_under_another_name_is_cut_too(tmp_path: Path) -> None:
    make: Any = GPT2LMHeadModel
    make(GPT2Config(n_layer=3, n_embd=16, n_head=2, vocab_size=64, n_positions=32)).save_pretrained(tmp_path / "gpt")
    short: Any = load_first_layers(tmp_path / "gpt", FirstLayers(count=1), dtype="float32", device="cpu")
    assert short.config.n_layer == len(short.transformer.h) == 1
    assert AutoConfig.from_pretrained(tmp_path / "gpt").n_layer == 3


@pytest.mark.parametrize("count", [0, -1, 4, 5])
def test_a_number_of_layers_that_leaves_none_or_all_is_refused(count: int) -> None:
    with pytest.raises(InvalidPlan, match=rf"{count} layers were asked for, of a model of 4; give 1 to 3\."):
        shortened(tiny_llama(num_hidden_layers=4).config, count)


def test_a_folder_that_holds_no_adapter_is_refused(tmp_path: Path) -> None:
    source = saved_llama(tmp_path / "whole")
    first = FirstLayers(count=1, adapter=tmp_path)
    with pytest.raises(ModelUnsuitable, match="cannot be put on this model"):
        load_first_layers(source, first, dtype="float32", device="cpu")
